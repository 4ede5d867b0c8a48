"""Formats and rules on single rows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_download.formats import FORMATS, Undecided, all_columns, format_of
from osft_download.rules import RULES, BadRow, check_messages, check_tokens

COLUMNS = all_columns({})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TEXT = st.text(min_size=1, max_size=20).filter(str.strip)
KEYS = st.text(max_size=8).filter(lambda key: key not in COLUMNS)
NAMES = st.sampled_from(
    ["messages", "conversations", "prompt", "completion", "input_ids", "labels", "document"]
)


@given(st.dictionaries(NAMES | KEYS, JSON, max_size=5))
def test_any_row_is_converted_or_refused_by_a_named_rule(row: dict[str, Any]) -> None:
    try:
        name = format_of(row, "auto", COLUMNS)
        result = FORMATS[name].convert(row, COLUMNS)
    except BadRow as error:
        assert error.rule in RULES
        assert error.reason
    except Undecided:
        assert {"input_ids", "labels"} < row.keys()
    else:
        assert FORMATS[name].result in result or FORMATS[name].result == "processed"


@given(st.dictionaries(KEYS, JSON, max_size=3), TEXT, TEXT, st.dictionaries(KEYS, JSON, max_size=3))
def test_other_columns_keep_their_place_and_value(
    before: dict[str, Any], question: str, answer: str, after: dict[str, Any]
) -> None:
    row = before | {"prompt": question, "completion": answer} | after
    result = FORMATS["prompt-completion"].convert(row, COLUMNS)
    assert list(result) == ["messages" if key == "prompt" else key for key in row if key != "completion"]
    assert {key: result[key] for key in row if key in result} == {
        key: row[key] for key in row if key in result
    }
    assert [message["content"] for message in result["messages"]] == [question, answer]


@given(st.lists(st.tuples(st.sampled_from(["human", "gpt", "system", "user", "Human"]), TEXT), min_size=1))
def test_turns_keep_their_texts_in_order(turns: list[tuple[str, str]]) -> None:
    row = {"conversations": [{"from": who, "value": what} for who, what in turns]}
    try:
        messages = FORMATS["conversations"].convert(row, COLUMNS)["messages"]
    except BadRow as error:
        assert error.rule == "no-assistant"
        assert not any(who == "gpt" for who, _ in turns)
    else:
        assert [message["content"] for message in messages] == [what for _, what in turns]
        assert {message["role"] for message in messages} <= {"system", "user", "assistant"}


def test_a_row_of_messages_is_returned_as_it_is() -> None:
    row = {"messages": [{"role": "assistant", "content": "x", "reasoning_content": "y"}], "prompt": "z"}
    assert FORMATS[format_of(row, "auto", COLUMNS)].convert(row, COLUMNS) is row


def test_a_wanted_format_is_asked_for_by_its_columns() -> None:
    with pytest.raises(BadRow, match="the row has the keys messages, expected question and completion"):
        format_of({"messages": []}, "prompt-completion", all_columns({"prompt": "question"}))


def test_a_message_that_calls_a_tool_may_say_nothing() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}
    check_messages([{"role": "user", "content": "x"}, call])
    with pytest.raises(BadRow, match=r"message 1 \(assistant\) is empty"):
        check_messages([{"role": "assistant", "content": ""}])


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=50))
def test_labels_that_repeat_the_tokens_are_fine(ids: list[int]) -> None:
    check_tokens(ids, ids)
    check_tokens(ids, [-100] * (len(ids) - 1) + [ids[-1]])
    with pytest.raises(BadRow, match="nothing to learn"):
        check_tokens(ids, [-100] * len(ids))
