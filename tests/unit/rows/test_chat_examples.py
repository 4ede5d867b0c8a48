"""Rows whose labels are told one by one: what a row asks for, and what templates made us get wrong."""

from copy import deepcopy
from typing import Any

import pytest

from osft_rows.chat import IGNORED, Chats, Encoded, Unusable
from osft_rows.template import TemplateRefusal
from osft_rows.turns import word
from tests.support.small_tokenizers import NAMES, tokenizer

Row = dict[str, Any]


def said(*turns: str, **more: Any) -> Row:
    """Return a row of turns, each a role's first letter and a text, such as `u:Who?`."""
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return {"messages": [{"role": roles[turn[0]], "content": turn[2:]} for turn in turns], **more}


def learned(made: Any, encoded: Encoded) -> list[str]:
    """Return the text of each run of learned tokens."""
    runs: list[list[int]] = [[]]
    for token, label in zip(encoded.input_ids, encoded.labels, strict=True):
        assert label in (token, IGNORED)
        if label == IGNORED:
            runs.append([])
        else:
            runs[-1].append(token)
    return [made.decode(run) for run in runs if run]


def encode(family: str, row: Row, kind: str = "bytes", **options: Any) -> list[str]:
    """Return what is learned of one row."""
    made = tokenizer(NAMES[family], kind)
    (encoded,) = Chats(made, **options).encode([row])
    assert isinstance(encoded, Encoded), encoded
    return learned(made, encoded)


def test_a_row_that_ends_with_the_user_learns_the_answers_before() -> None:
    assert encode("chatml", said("u:Who?", "a:Two.", "u:And now?")) == ["Two.<|im_end|>"]
    assert encode("chatml", said("u:Who?")) == []


def test_marks_of_several_tokens_and_marks_that_are_not_eos_are_learned_in_every_turn() -> None:
    row = said("u:Who?", "a: Two. ", "u:And now?", "a:Three.")
    assert encode("stop", row, "python") == ["Two.<stop>", "Three.<stop>"]
    assert encode("chatml", row) == [" Two. <|im_end|>", "Three.<|im_end|>"]
    assert encode("phi3", row) == [" Two. <|end|>", "Three.<|end|>"]
    assert encode("double", row) == [" Two. <|over|><eos>", "Three.<|over|><eos>"]
    assert encode("once", row, "python") == [" Two. ", "Three.<eos>"]
    assert encode("glm4", row) == [" Two. ", "Three."]


def test_reasoning_is_learned_where_the_template_writes_it_and_an_empty_block_is_not() -> None:
    why, rest = "<think>\nThree came.\n</think>\n\n", "Two."
    row = said("u:Who?", f"a:{why}{rest}", "u:And now?", f"a:{why}{rest}")
    assert encode("qwen3", row) == ["Two.<|im_end|>", f"{why}Two.<|im_end|>"]
    assert encode("qwen3", said("u:Who?", "a:Two.")) == ["Two.<|im_end|>"]
    assert encode("always_thinks", row)[-1] == "Three came.\n</think>\n\nTwo.<|im_end|>"
    assert encode("chatml", row) == [f"{why}Two.<|im_end|>"] * 2
    assert encode("smollm3", said("s:Be brief. /no_think", "u:Who?", "a:Two.")) == ["Two.<|im_end|>"]


@pytest.mark.parametrize("mask", [{"weight": 0}, {"train": False}, {"training": False}], ids=str)
def test_a_turn_that_the_row_masks_is_not_learned(mask: Row) -> None:
    row = said("u:Who?", "a:Two.", "u:And now?", "a:Three.")
    row["messages"][1] |= mask
    assert encode("chatml", row) == ["Three.<|im_end|>"]


def test_unmasked_rows_learn_every_message_but_the_system_s() -> None:
    row = said("s:Be brief.", "u:Who?", "a:Two.")
    assert encode("chatml", row, unmask=True) == ["Who?", "Two.<|im_end|>"]
    assert encode("chatml", row | {"unmask": True}) == ["Who?", "Two.<|im_end|>"]
    assert encode("chatml", row | {"unmask": False}) == ["Two.<|im_end|>"]


def test_a_refused_system_message_is_merged_only_when_asked() -> None:
    made, row = tokenizer(NAMES["gemma"], "bytes"), said("s:Be brief.", "u:Who?", "a:Two.")
    (kept,), (merged,) = Chats(made).encode([row]), Chats(made, system_role="merge").encode([row])
    assert isinstance(kept, Unusable)
    assert "this model takes no system message" in kept.reason
    assert isinstance(merged, Encoded)
    turns = said("u:Be brief.\n\nWho?", "a:Two.")["messages"]
    assert merged.input_ids == made.apply_chat_template(turns, return_dict=False)
    assert learned(made, merged) == ["Two.<end_of_turn>"]


def test_rows_of_a_batch_come_back_in_order_each_as_alone() -> None:
    made = tokenizer(NAMES["gemma"], "bytes")
    rows = [
        said("u:Who?", "a:Two."),
        said("a:No."),
        said("u:A", "a:B", "u:C", "a:D"),
        said("s:Be brief.", "u:Who?"),
    ]
    together = Chats(made).encode(rows)
    assert together == [Chats(made).encode([row])[0] for row in rows]
    assert [type(result) for result in together] == [Encoded, Unusable, Encoded, Unusable]
    assert Chats(made).encode([]) == []


def test_answers_that_quote_the_chat_s_own_marks_and_turns_keep_their_borders() -> None:
    quoted = "<|im_end|>\n<|im_start|>assistant\nTwo.<|im_end|>\n"
    row = said("u:" + quoted, "a:" + quoted, "u:Two.", "a:Two.")
    assert encode("chatml", row) == [quoted + "<|im_end|>", "Two.<|im_end|>"]


def test_the_mark_in_the_middle_is_learned_though_the_last_turn_has_another() -> None:
    row = said("u:Who?", "a:Two.", "u:And now?", "a:Three.")
    assert encode("harmony", row) == ["Two.<|end|>", "Three.<|return|>"]


def test_the_reasoning_of_the_next_turn_is_not_taken_for_an_answer_s_end() -> None:
    row = said("u:Who?", "a:Two.", "a:Three.")
    row["messages"][2]["thinking"] = "Hm."
    final = "<|start|>assistant<|channel|>final<|message|>"
    reasoned = f"<|channel|>analysis<|message|>Hm.<|end|>{final}Three.<|return|>"
    assert encode("harmony", row) == ["Two.<|end|>", reasoned]


def test_a_token_of_the_header_and_the_answer_is_not_learned() -> None:
    """A model is asked with the whole header, so it never writes a token that begins inside it."""
    assert encode("numbered", said("u:Who?", "a:Two."), "crossing") == ["wo.<|over|>"]


def test_the_header_of_a_call_after_a_tool_s_answer_is_not_learned() -> None:
    row = said("u:Who?", "t:Two.", "a:")
    row["messages"][2]["tool_calls"] = [{"type": "function", "function": {"name": "clock", "arguments": {}}}]
    (text,) = encode("deepseek_r1", row)
    assert "Assistant" not in text
    assert "clock" in text


def test_a_header_that_depends_on_the_content_is_not_learned() -> None:
    made = tokenizer(NAMES["measured"], "bytes")
    (result,) = Chats(made).encode([said("u:Who?", "a:Two.")])
    assert isinstance(result, Unusable) or learned(made, result) == ["Two.<|over|>"]


def test_tokenizers_in_python_know_marks_with_sentencepiece_s_space() -> None:
    assert len(encode("deepseek_r1", said("u:Who?", "a:Two."), "python")) == 1


def test_a_chat_that_holds_the_words_that_the_search_makes_up_keeps_its_borders() -> None:
    words = " ".join(word(turn) for turn in range(4))
    row = said(f"u:{words}", "a:", f"u:{words}", f"a:{words}")
    row["messages"][1]["tool_calls"] = [{"type": "function", "function": {"name": "clock", "arguments": {}}}]
    assert encode("glm4", row) == ["clock\n{}", words]


def test_a_mark_that_holds_blanks_is_learned_whole() -> None:
    made = deepcopy(tokenizer(NAMES["chatml"], "bytes"))  # the other one is everybody's
    made.chat_template = (
        "{% for m in messages %}{{ '### ' + m.role + '\n' + m.content }}"
        "{{ '\n### End of turn\n\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '### assistant\n' }}{% endif %}"
    )
    (encoded,) = Chats(made).encode([said("u:Who?", "a:Two.", "u:And now?", "a:Three.")])
    assert isinstance(encoded, Encoded)
    assert learned(made, encoded) == ["Two.\n### End of turn", "Three.\n### End of turn"]


def test_the_answer_that_is_asked_for_is_the_last_one_that_is_learned() -> None:
    row = said("u:Who?", "a:Two.", "u:And now?", "a:Wrong.")
    row["messages"][-1]["weight"] = 0
    (encoded,) = Chats(tokenizer(NAMES["chatml"], "bytes")).encode([row])
    assert isinstance(encoded, Encoded)
    assert encoded.reference == "Two."


def test_what_the_template_does_not_write_is_counted_by_kind() -> None:
    made = tokenizer(NAMES["chatml"], "bytes")
    call = {"function": {"name": "clock", "arguments": {}}}
    tools = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]
    row = said("u:Who?", "a:Two.", tools=tools)
    row["messages"][1] |= {"tool_calls": [call], "reasoning_content": "Three came."}
    (encoded,) = Chats(made).encode([row])
    assert isinstance(encoded, Encoded)
    assert encoded.left_out == {"tools", "tool_calls", "reasoning"}
    row["messages"][1]["content"] = ""
    (silent,) = Chats(made).encode([row])
    assert isinstance(silent, Unusable)
    assert silent.rule == "not-written"


ROLES = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + SAID + '<|im_end|>\n' }}{% endfor %}"


def with_template(text: str) -> Any:
    """Return a tokenizer with a chat template of our own."""
    made = deepcopy(tokenizer(NAMES["chatml"], "bytes"))
    made.chat_template = text
    return made


@pytest.mark.parametrize(
    "said_of",
    [
        "(m.content if m.role == 'user' else '')",
        "(m.content if m.role == 'user' else 'Yes.')",
        "(m.content | upper)",
        "m.content[:3]",
        "(m.content if loop.first else '')",
    ],
)
def test_an_answer_that_the_template_writes_otherwise_or_not_at_all_is_rejected(said_of: str) -> None:
    (result,) = Chats(with_template(ROLES.replace("SAID", said_of))).encode([said("u:Who?", "a:Two.")])
    assert isinstance(result, Unusable)
    assert result.rule == "not-written"
    assert "message 2 (assistant)" in result.reason


@pytest.mark.parametrize(
    "template",
    [
        "",
        "Yes.<|im_end|>",
        *(ROLES.replace("SAID", x) for x in ("'Yes.'", "(m.content[0].text or '')", "(m.text or '')")),
    ],
)
def test_a_template_that_writes_the_same_for_every_chat_is_rejected(template: str) -> None:
    with pytest.raises(TemplateRefusal, match="writes the same text for every chat"):
        Chats(with_template(template))


def test_a_call_whose_name_is_part_of_a_mark_is_not_taken_for_written() -> None:
    row = said("u:Who?", "a:", "t:Two.", "a:Two.", tools=[{"type": "function", "function": {"name": "m"}}])
    row["messages"][1]["tool_calls"] = [{"type": "function", "function": {"name": "m", "arguments": {}}}]
    (result,) = Chats(tokenizer(NAMES["chatml"], "bytes")).encode([row])
    assert isinstance(result, Unusable)
    assert result.rule == "not-written"
