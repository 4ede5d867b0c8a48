"""The families' second descriptions say what their templates write."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from tests.support.small_tokenizers import KINDS, LOSSLESS, pieces, tokenizer
from tests.support.templates.families import ALL
from tests.support.templates.family import Family, Refused
from tests.unit.rows.chats import rows

FAMILIES = pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)


@FAMILIES
def test_a_family_s_oracle_writes_and_rejects_what_its_template_does(family: Family) -> None:
    made = tokenizer(family, "bytes")

    @settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows(family))
    def hold(row: dict[str, Any]) -> None:
        try:
            wanted = "".join(text for text, _ in family.pieces(row))
        except Refused as refused:
            with pytest.raises(TemplateError, match=str(refused)):
                made.apply_chat_template(row["messages"], tools=row.get("tools"), tokenize=False)
            return
        assert made.apply_chat_template(row["messages"], tools=row.get("tools"), tokenize=False) == wanted

    hold()


@pytest.mark.parametrize("kind", LOSSLESS)
@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_bytes_of_a_lossless_tokenizer_s_tokens_are_the_text(kind: str, text: str) -> None:
    made = tokenizer(ALL[0], kind)
    text = f"<|im_start|>{text}<|im_end|>\n\n"
    assert b"".join(pieces(made, made.encode(text, add_special_tokens=False))) == text.encode()


def test_the_tokenizers_have_what_they_are_made_for() -> None:
    """Each kind is here for one trait; a change of the library or of the sentences may take it away."""
    made = {kind: tokenizer(next(f for f in ALL if f.name == "stop"), kind) for kind in KINDS}
    tokens = {
        kind: one.convert_ids_to_tokens(
            one.encode("<stop>\n<start>user\nGruß \U0001f643", add_special_tokens=False)
        )
        for kind, one in made.items()
    }
    chatml = tokenizer(ALL[0], "plain")
    assert ":ĠT" in chatml.tokenize("assistant: Two."), "merges a header with what follows"
    assert ">Ċ<" in tokens["crossing"], "merges a mark with what follows"
    assert any("Ġ" in token and len(token) > 2 for token in tokens["bytes"]), "a space begins a token"
    assert "<0xF0>" in tokens["metaspace"] and "<0xF0>" in tokens["legacy"], "unknown characters become bytes"
    assert "<unk>" in tokens["unigram"] and "<unk>" in tokens["wordpiece"], "unknown characters are lost"
    assert len(chatml.tokenize("<|im_end|>")) > 1, "marks are text"
    assert made["trimmed"]("a b", return_offsets_mapping=True)["offset_mapping"][-1] == (2, 3), (
        "trims offsets"
    )
    assert made["composed"].decode(made["composed"].encode("e\u0301")) == "\u00e9", "composes characters"
