"""A base model whose tokenizer is a SentencePiece file, without tokenizer.json."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.stages.train.conftest import Stage
from tests.support.sandbox import ROOT
from tests.support.tiny_model import chat_rows
from tests.support.trained_run import tiny_model

TRAIN = """
import sys, sentencepiece
sentencepiece.SentencePieceTrainer.train(
    input=sys.argv[1], model_prefix=sys.argv[2], vocab_size=400, model_type="bpe", byte_fallback=True,
    hard_vocab_limit=False, character_coverage=1.0, user_defined_symbols=["<|im_start|>", "<|im_end|>"],
    minloglevel=2,
)
"""


def with_sentencepiece(target: Path, scratch: Path) -> Path:
    """Return the tiny model with a SentencePiece file in place of its tokenizer."""
    shutil.copytree(tiny_model() / "model", target)
    (target / "tokenizer.json").unlink()
    text = scratch / "text.txt"
    text.write_text("\n".join(m["content"] for row in chat_rows(200) for m in row["messages"]))
    python = ROOT / ".venvs" / "download" / "bin" / "python"
    subprocess.run([python, "-c", TRAIN, text, scratch / "pieces"], check=True, capture_output=True)
    shutil.copy(scratch / "pieces.model", target / "tokenizer.model")
    marks = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False, **marks}
    (target / "tokenizer_config.json").write_text(json.dumps(config))
    return target


def test_a_model_with_a_messagepiece_file_is_encoded_trained_and_published_with_it(
    stage: Stage, tmp_path: Path
) -> None:
    model = with_sentencepiece(tmp_path / "model", tmp_path)
    stage.download("pieces", chat_rows(16), model)
    record = json.loads((stage.workspace / "runs" / "pieces" / "download" / "record.json").read_text())
    learned = [piece["text"] for piece in record["details"]["tokens"]["preview"][0] if piece["learned"]]
    assert learned == [chat_rows(1)[0]["messages"][-1]["content"] + "<|im_end|>"]
    code, printed = stage.run("pieces", "--effective-batch-size=16")
    assert code == 0, printed
    published = stage.dir("pieces") / "model" / "tokenizer.model"
    assert published.read_bytes() == (model / "tokenizer.model").read_bytes()
