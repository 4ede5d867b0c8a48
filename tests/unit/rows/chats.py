"""Chat rows as hypothesis draws them: what people write, and what templates trip over."""

from typing import Any

from hypothesis import strategies as st

from tests.support.templates.family import Family

WORDS = [
    "Two.",
    "The clerk counts the apples",
    "Who carries it?",
    "assistant",
    "user\n",
    "### Response:\n",
    "USER: ",
    "Gruß 東京",
    "e\u0301a\u0308",
    "\U0001f469\u200d\U0001f4bb",
    "\U0001f643",
    "مرحبا",
    "42",
    "\n\n",
    "\n",
    " ",
    "  ",
    "\t",
    "\r\n",
    "\u00a0",
    "\u2028",
    "<",
    ">",
    "{{ bos_token }}",
    '{"name": "x"}',
    "a" * 40,
]
"""Parts of contents; a row's own marks and roles come to them."""
LONG = st.sampled_from(["Many words follow each other here. ", "line\n", "🙂 ", "ab"]).map(
    lambda part: part * 120
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
REASONING = ("reasoning_content", "thinking")
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather of “a place”.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}


def contents(family: Family) -> st.SearchStrategy[str]:
    """Draw a text, sometimes with a whole chat in it as the family writes chats."""
    chat = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Two."}]
    quoted = "".join(text for text, _ in family.pieces({"messages": chat}))
    marks = [*family.marks, family.eos, family.bos, "<stop>", "###END###", "[/INST]", quoted]
    part = st.one_of(st.sampled_from(WORDS), st.sampled_from(WORDS), ANY_TEXT, st.sampled_from(marks))
    text = st.lists(part, max_size=5).map("".join)
    return st.one_of(text, text, text, text, LONG)


def thoughts() -> st.SearchStrategy[str]:
    """Draw reasoning inside content, closed or not, at the front or not."""
    return st.sampled_from(
        [
            "<think>\nThree came.\n</think>\n\n",
            "<think>Three came.</think>",
            "<think>\n\n</think>\n\n",
            "</think>",
            "<think>",
            "Well. <think>\n Hm \n</think> ",
        ]
    )


def calls() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Draw tool calls."""
    arguments = st.dictionaries(
        st.sampled_from(["city", "days"]),
        st.one_of(st.sampled_from(["Köln", 'a "b"', "x\ny"]), st.integers(0, 9)),
    )
    call = st.builds(
        lambda name, given: {"type": "function", "function": {"name": name, "arguments": given}},
        st.sampled_from(["weather", "clock"]),
        arguments,
    )
    return st.lists(call, min_size=1, max_size=2)


@st.composite
def messages(draw: st.DrawFn, family: Family, role: str) -> dict[str, Any]:
    """Draw one message of a role."""
    message: dict[str, Any] = {"role": role, "content": draw(contents(family))}
    if role == "system" and draw(st.booleans()):
        message["content"] += " /no_think"
    if role != "assistant":
        return message
    kind = draw(st.integers(0, 5))
    if kind == 0:
        message["content"] = draw(thoughts()) + message["content"]
    for key in REASONING:
        if key in family.takes and kind in (1, 2):
            message[key] = draw(contents(family).filter(str.strip))
    if "calls" in family.takes and kind in (2, 3):
        message["tool_calls"] = draw(calls())
        message["content"] = draw(st.sampled_from(["", message["content"]]))
    if draw(st.integers(0, 9)) == 0:
        message |= draw(
            st.sampled_from([{"weight": 0}, {"weight": 1}, {"train": False}, {"training": False}])
        )
    return message


@st.composite
def roles(draw: st.DrawFn, family: Family) -> list[str]:
    """Draw who speaks: in turn mostly, in any order where the family allows it and sometimes where not."""
    others = ["tool"] if "tool" in family.takes else []
    odd = 3 if "turns" in family.takes else 0
    if draw(st.integers(0, 9)) <= odd:
        found = draw(
            st.lists(st.sampled_from(["user", "assistant", "assistant", *others]), min_size=1, max_size=6)
        )
    else:
        found = ["user", "assistant"] * draw(st.integers(1, 3))
        found = found[: len(found) - draw(st.sampled_from([0, 0, 0, 1]))]
    return ["system", *found] if draw(st.integers(0, 3)) == 0 else found


@st.composite
def rows(draw: st.DrawFn, family: Family) -> dict[str, Any]:
    """Draw a row for a family."""
    chat = []
    for role in draw(roles(family)):
        chat.append(draw(messages(family, role)))
        for _ in chat[-1].get("tool_calls", [])[: draw(st.integers(0, 2))]:
            chat.append({"role": "tool", "content": draw(contents(family))})
    row: dict[str, Any] = {"messages": chat}
    first = next(message["role"] for message in chat if message["role"] != "system")
    if "calls" in family.takes and first == "user" and draw(st.booleans()):
        row["tools"] = draw(st.sampled_from([[WEATHER], [WEATHER, CLOCK]]))
    return row
