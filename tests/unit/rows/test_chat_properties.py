"""Tokens and labels of generated chats, over families of templates and kinds of tokenizers."""

from collections import Counter
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from osft_rows.chat import Chats, Encoded, Unusable
from tests.support.small_tokenizers import ALL_KINDS, tokenizer
from tests.support.templates.families import ALL
from tests.support.templates.family import Family, Refused
from tests.unit.rows.chats import rows
from tests.unit.rows.marked import characters, differences, expected, extents

FAMILIES = pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
ROWS = 70
"""Rows of each family, so that all have more than 2,000."""
MOST_UNCLEAR = 0.05
"""Share of a plain family's rows that may be rejected though the template renders them."""
MOST_UNCLEAR_TRAPS = 0.9
"""The same for families whose template repeats a content or writes about it elsewhere."""


@cache
def chats(family: Family, kind: str) -> Chats:
    """Return the code under test with a family's template and a kind of tokenizer."""
    return Chats(tokenizer(family, kind))


def check(family: Family, kind: str, row: dict[str, Any], encoded: Encoded) -> None:
    """Hold a row's tokens to the template and its labels to the family's oracle."""
    made = tokenizer(family, kind)
    assert encoded.input_ids == made.apply_chat_template(
        row["messages"], tools=row.get("tools"), add_generation_prompt=False, return_dict=False
    )
    assert (encoded.prompt, encoded.reference) == last_answer(made, row)
    written = family.pieces(row)
    text = "".join(piece for piece, _ in written)
    tokens = extents(made, kind, text, encoded.input_ids)
    wanted = expected(kind, text, characters(written), tokens)
    wrong = differences(encoded.input_ids, encoded.labels, wanted)
    note(f"written: {written}")
    note(f"wrong: {[(text[slice(*tokens[at])], f'should be learned: {wanted[at]}') for at in wrong]}")
    assert not wrong


def last_answer(made: Any, row: dict[str, Any]) -> tuple[str, str]:
    """Return what asks for the last learned answer, and the answer; empty where the template cannot ask."""
    masks = ("weight", "train", "training")
    answers = [
        at
        for at, message in enumerate(row["messages"])
        if message["role"] == "assistant" and all(message.get(mask, 1) for mask in masks)
    ]
    if not answers or answers[-1] == 0:
        return "", ""
    before, last = row["messages"][: answers[-1]], row["messages"][answers[-1]]
    try:
        prompt = made.apply_chat_template(
            before, tools=row.get("tools"), add_generation_prompt=True, tokenize=False
        )
    except TemplateError:
        return "", ""
    return prompt, last["content"]


@FAMILIES
def test_a_generated_chat_becomes_the_template_s_tokens_and_learns_the_answers(family: Family) -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=ROWS,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(rows(family), st.sampled_from(ALL_KINDS))
    def hold(row: dict[str, Any], kind: str) -> None:
        (result,) = chats(family, kind).encode([row])
        seen["rows"] += 1
        try:
            family.pieces(row)
        except Refused as refused:
            assert isinstance(result, Unusable)
            assert result.rule == "template"
            assert str(refused) in result.reason
            return
        if isinstance(result, Unusable):
            assert result.rule == "unclear-turns"
            assert "chat template" in result.reason
            seen["unclear"] += 1
            return
        check(family, kind, row, result)

    hold()
    assert seen["rows"] >= ROWS
    assert seen["unclear"] <= (MOST_UNCLEAR if family.plain else MOST_UNCLEAR_TRAPS) * seen["rows"]
