"""Formats and rules on single rows."""

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_download.chat import ROLES, checked
from osft_download.formats import COLUMNS, FORMATS, Undecided, all_columns, format_of
from osft_download.rules import RULES, RejectedRow, check_tokens
from osft_download.written import line_of

NAMES = all_columns({})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TEXT = st.text(min_size=1, max_size=20).filter(str.strip)
KEYS = st.text(max_size=8).filter(lambda key: key not in (*COLUMNS, "functions", "unmask"))
PARTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "image_url", "input_text"]), "text": TEXT | st.none()}
    )
)
CALL = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "function": JSON | st.fixed_dictionaries({"name": TEXT, "arguments": JSON}),
        "name": TEXT,
    },
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from([*ROLES, "developer", "bot"]),
        "from": st.sampled_from(["human", "gpt", "function_call", "observation"]),
        "value": TEXT,
        "content": TEXT | PARTS | JSON,
        "tool_calls": JSON | st.lists(CALL, max_size=3),
        "function_call": CALL | st.none(),
        "weight": st.sampled_from([0, 1, 2, None, True, 0.5]),
        "train": JSON,
        "thinking": JSON,
        "name": JSON,
    },
)
VALUES = {
    "messages": st.lists(MESSAGE, max_size=4),
    "conversations": st.lists(MESSAGE, max_size=4),
    "tools": JSON,
}
ROWS = st.fixed_dictionaries(
    {}, optional={name: VALUES.get(name, JSON) | JSON for name in (*COLUMNS, "functions", "unmask", "id")}
)


def is_ready(row: dict[str, Any]) -> bool:
    """Return whether a chat row is what the next step takes."""
    messages, tools = row["messages"], row.get("tools", [{}])
    return (
        bool(messages)
        and isinstance(tools, list)
        and all(isinstance(tool, dict) for tool in tools)
        and isinstance(row.get("unmask"), bool | None)
        and all(
            isinstance(message["role"], str)
            and isinstance(message["content"], str)
            and None not in message.values()
            and message.get("weight", 1) in (0, 1)
            and isinstance(message.get("train", True), bool)
            and isinstance(message.get("thinking", ""), str)
            and all(
                isinstance(call["function"]["name"], str) and isinstance(call["function"]["arguments"], dict)
                for call in message.get("tool_calls", [])
            )
            for message in messages
        )
    )


@given(ROWS)
def test_any_row_becomes_what_the_next_step_takes_or_is_rejected_by_a_named_rule(row: dict[str, Any]) -> None:
    before = deepcopy(row)
    try:
        name = format_of(row, "auto", NAMES)
        converted = FORMATS[name].convert(row, NAMES, set())
        line = line_of(converted)
    except RejectedRow as error:
        assert error.rule in RULES
        assert error.reason.isprintable()
        return
    except Undecided:
        assert {"input_ids", "labels"} < row.keys()
        return
    assert row == before, "what was given is not written into"
    assert FORMATS[name].result != "messages" or is_ready(orjson.loads(line))
    assert converted.read >= set(FORMATS[name].columns)


@given(st.lists(MESSAGE, min_size=1, max_size=4))
def test_a_chat_that_was_converted_needs_no_change_again(messages: list[dict[str, Any]]) -> None:
    try:
        once = checked(messages, set())
    except RejectedRow:
        return
    notes: set[str] = set()
    assert checked(once, notes) is once
    assert not notes


@given(st.dictionaries(KEYS, JSON, max_size=3), TEXT, TEXT, st.dictionaries(KEYS, JSON, max_size=3))
def test_other_columns_keep_their_place_and_value(
    before: dict[str, Any], question: str, answer: str, after: dict[str, Any]
) -> None:
    row = before | {"prompt": question, "completion": answer} | after
    result = FORMATS["prompt-completion"].convert(row, NAMES, set()).row
    assert list(result) == ["messages" if key == "prompt" else key for key in row if key != "completion"]
    assert {key: result[key] for key in row if key in result} == {
        key: row[key] for key in row if key in result
    }
    assert [message["content"] for message in result["messages"]] == [question, answer]


@given(st.lists(st.tuples(st.sampled_from(["human", "gpt", "system", "user", "Human"]), TEXT), min_size=1))
def test_turns_keep_their_texts_in_order(turns: list[tuple[str, str]]) -> None:
    row = {"conversations": [{"from": who, "value": what} for who, what in turns]}
    try:
        messages = FORMATS["conversations"].convert(row, NAMES, set()).row["messages"]
    except RejectedRow as error:
        assert error.rule == "no-assistant"
        assert not any(who == "gpt" for who, _ in turns)
    else:
        assert [message["content"] for message in messages] == [what for _, what in turns]
        assert {message["role"] for message in messages} <= {"system", "user", "assistant"}


def test_a_row_of_messages_is_returned_as_it_is() -> None:
    row = {"messages": [{"role": "assistant", "content": "x", "reasoning_content": "y"}], "prompt": "z"}
    converted = FORMATS[format_of(row, "auto", NAMES)].convert(row, NAMES, set())
    assert converted.row is row
    assert "prompt" not in converted.read


def test_a_wanted_format_is_asked_for_by_its_columns() -> None:
    with pytest.raises(RejectedRow, match="the row has the keys messages, expected question and completion"):
        format_of({"messages": []}, "prompt-completion", all_columns({"prompt": "question"}))


def test_a_message_that_calls_a_tool_may_say_nothing() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    messages = [{"role": "user", "content": "x"}, call]
    assert checked(messages, set()) is messages
    with pytest.raises(RejectedRow, match=r"message 1 \(assistant\) is empty"):
        checked([{"role": "assistant", "content": ""}], set())


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=50))
def test_labels_that_repeat_the_tokens_are_fine(ids: list[int]) -> None:
    check_tokens(ids, ids)
    check_tokens(ids, [-100] * (len(ids) - 1) + [ids[-1]])
    with pytest.raises(RejectedRow, match="nothing to learn"):
        check_tokens(ids, [-100] * len(ids))
