"""A tokenizer loads as transformers alone loads it, whatever is left out to save memory."""

import copyreg
import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer, tokenization_utils_base

from osft_rows.loading import load_tokenizer
from osft_rows.settings import Settings
from tests.support.small_tokenizers import KINDS, tokenizer
from tests.support.templates.families import ALL

TEXT = "<|im_start|>user\nThe sea, 12 boats <s> and\N{NO-BREAK SPACE}Ünïcode.</s><|im_end|>\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
def test_added_tokens_are_the_same(kind: str, listed: bool, tmp_path: Path) -> None:
    """Where tokenizer_config.json lists the added tokens, and where only tokenizer.json does."""
    tokenizer(ALL[0], kind).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "tokenizer.json").read_text())["added_tokens"]
    assert written
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    if listed:
        config["added_tokens_decoder"] = {str(token.pop("id")): token for token in written}
    else:
        config.pop("added_tokens_decoder", None)
    path.write_text(json.dumps(config))
    alone = AutoTokenizer.from_pretrained(tmp_path)
    ours = load_tokenizer(Settings(model=str(tmp_path), vocabulary=len(alone)))
    assert ours.added_tokens_decoder == alone.added_tokens_decoder
    assert ours.special_tokens_map == alone.special_tokens_map
    assert ours.get_vocab() == alone.get_vocab()
    assert ours.backend_tokenizer.to_str() == alone.backend_tokenizer.to_str()
    assert ours(TEXT).input_ids == alone(TEXT).input_ids


def test_nothing_of_the_libraries_stays_changed(tmp_path: Path) -> None:
    before = dict(copyreg.dispatch_table)
    tokenizer(ALL[0], "bytes").save_pretrained(tmp_path)
    load_tokenizer(Settings(model=str(tmp_path), vocabulary=1 << 20))
    assert copyreg.dispatch_table == before
    assert tokenization_utils_base.json is json
