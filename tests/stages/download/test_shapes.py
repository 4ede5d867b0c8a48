"""Rows in the ways in which people write them, and what the stage says of what it does not read."""

import json
import subprocess
from typing import Any

import pytest

from tests.stages.download.support import CHAT, End, Stage, chat, download_python, lines

ASK = {"role": "user", "content": "What does sack 7 weigh?"}
SAY = {"role": "assistant", "content": "Seven kilos."}
WEIGH = {"type": "function", "function": {"name": "weigh", "arguments": {"sack": "7", "exact": None}}}
TOOL = {"type": "function", "function": {"name": "weigh", "parameters": {"type": "object"}}}
CALLS = {"role": "assistant", "content": "", "tool_calls": [WEIGH]}
REPLY = {"role": "tool", "content": "7"}
SPOKEN = '{"name": "weigh", "arguments": {"sack": "7", "exact": null}}'
SYSTEM = {"role": "system", "content": "Answer in kilos."}
MARKED = SAY | {"weight": 1, "train": False, "thinking": "Well"}
TALK = [ASK, CALLS, REPLY, SAY]


def talk(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


def call(**changes: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": [changes]}


GIVEN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (talk(*TALK, tools=[TOOL]), talk(*TALK, tools=[TOOL])),
    (talk(*TALK, tools=json.dumps([TOOL])), talk(*TALK, tools=[TOOL])),
    (talk(*TALK, tools=[json.dumps(TOOL)]), talk(*TALK, tools=[TOOL])),
    (talk(ASK, SAY, tools=None), talk(ASK, SAY)),
    (talk(ASK, SAY, tools="[]", functions=[]), talk(ASK, SAY)),
    (talk(ASK, SAY, tools=""), talk(ASK, SAY)),
    (talk(ASK, CALLS | {"content": None, "name": None}, REPLY, SAY), talk(*TALK)),
    (talk(ASK, {"role": "assistant", "tool_calls": [WEIGH]}, REPLY, SAY), talk(*TALK)),
    (talk(ASK, SAY | {"tool_calls": None, "refusal": None}), talk(ASK, SAY)),
    (talk(ASK, SAY | {"tool_calls": []}), talk(ASK, SAY)),
    (talk(ASK, call(**WEIGH | {"function": {"name": "weigh", "arguments": SPOKEN}})), talk(
        ASK, call(type="function", function={"name": "weigh", "arguments": json.loads(SPOKEN)}))),
    (talk(ASK, call(name="weigh", arguments={"sack": 7}, id=None)), talk(
        ASK, call(type="function", function={"name": "weigh", "arguments": {"sack": 7}}))),
    (talk(ASK, call(function={"name": "f"})), talk(ASK, call(function={"name": "f", "arguments": {}}))),
    (talk(ASK, CALLS | {"tool_calls": json.dumps([WEIGH])}), talk(ASK, CALLS)),
    (talk(ASK | {"content": [{"type": "text", "text": "What does "}, {"text": "sack 7 weigh?"}]},
          SAY | {"content": ["Seven ", {"text": "kilos."}]}), talk(ASK, SAY)),
    (talk({"role": "developer", "content": "Answer in kilos."}, ASK, SAY), talk(SYSTEM, ASK, SAY)),
    (talk(ASK, {"role": "assistant", "content": None, "function_call": {"name": "weigh", "arguments": "{}"}},
          {"role": "function", "name": "weigh", "content": "7"}, SAY, functions=[{"name": "weigh"}]),
     talk(ASK, call(type="function", function={"name": "weigh", "arguments": {}}),
          {"role": "tool", "name": "weigh", "content": "7"}, SAY,
          tools=[{"type": "function", "function": {"name": "weigh"}}])),
    (talk(ASK, SAY, system="Answer in kilos."), talk(SYSTEM, ASK, SAY)),
    (talk(SYSTEM, ASK, SAY, system="Answer in kilos."), talk(SYSTEM, ASK, SAY, system="Answer in kilos.")),
    (talk(ASK, SAY, system=None), talk(ASK, SAY, system=None)),
    ({"system": "Answer in kilos.", "conversations": [{"from": "human", "value": ASK["content"]},
                                                      {"from": "gpt", "value": SAY["content"]}]},
     talk(SYSTEM, ASK, SAY)),
    ({"conversations": [{"role": "human", "content": ASK["content"]}, SAY | {"role": "gpt"}]},
     talk(ASK, SAY)),
    ({"messages": [{"from": "human", "value": ASK["content"]}, {"from": "gpt", "value": SAY["content"]}]},
     talk(ASK, SAY)),
    ({"conversations": [{"from": "human", "value": ASK["content"]},
                        {"from": "function_call", "value": SPOKEN}, {"from": "observation", "value": "7"},
                        {"from": "gpt", "value": SAY["content"]}]},
     talk(*TALK)),
    ({"system": "Answer in kilos.", "prompt": ASK["content"], "completion": SAY["content"]},
     talk(SYSTEM, ASK, SAY)),
    ({"instruction": "Weigh it.", "input": "Sack 7", "output": "Seven kilos."},
     talk({"role": "user", "content": "Weigh it.\n\nSack 7"}, SAY)),
    ({"instruction": ASK["content"], "input": "", "output": "Seven kilos."}, talk(ASK, SAY)),
    ({"instruction": ASK["content"], "output": "Seven kilos."}, talk(ASK, SAY)),
    (talk(ASK, SAY | {"weight": 0}, ASK, MARKED, unmask=True),
     talk(ASK, SAY | {"weight": 0}, ASK, MARKED, unmask=True)),
]  # fmt: skip


@pytest.fixture(scope="module")
def converted(shared_stage: Stage) -> End:
    source = shared_stage.file("shapes.jsonl", lines([row for row, _ in GIVEN]))
    return shared_stage.run(
        "--uri", source, "--train-fraction=1", "--no-shuffle", run="shapes", model=chatty(shared_stage)
    )


def chatty(stage: Stage) -> str:
    """Return the hollow model with a template that takes any chat."""
    path = stage.model / "chat_template.jinja"
    path.write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}"
        "{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return str(stage.model)


@pytest.mark.parametrize("number", range(len(GIVEN)))
def test_a_row_becomes_what_chat_templates_read(converted: End, number: int) -> None:
    assert converted.code == 0, converted.printed
    assert converted.rows("train.jsonl")[number] == GIVEN[number][1]
    if GIVEN[number][0] == GIVEN[number][1]:
        assert converted.lines("train.jsonl")[number] == lines([GIVEN[number][0]]).strip()


def test_what_was_chosen_for_rows_is_counted(converted: End) -> None:
    choices = {choice["name"]: choice["reason"] for choice in converted.record["choices"]}
    assert choices["role of developer messages"].endswith("rows: 1")
    assert choices["form of function calls"].endswith("rows: 2")


REJECTED = [
    (
        "not-tools",
        talk(ASK, SAY, tools="weigh"),
        "tools are text ('weigh'), expected a list of objects or its",
    ),
    ("not-tools", talk(ASK, SAY, tools='{"name": "f"}'), "tools are an object, expected a list of objects"),
    ("not-tools", talk(ASK, SAY, tools=["f"]), "tool 1 is text, expected an object"),
    (
        "not-a-call",
        talk(ASK, call(id="1")),
        "tool call 1 of message 2 (assistant) has no function (keys: id)",
    ),
    ("not-a-call", talk(ASK, call(function={"arguments": {}})), "has a function without a name"),
    (
        "not-a-call",
        talk(ASK, call(function={"name": "f", "arguments": "[1"})),
        "has text that is not JSON as arg",
    ),
    ("not-a-call", talk(ASK, call(function={"name": "f", "arguments": [1]})), "has a list as arguments"),
    ("not-a-call", talk(ASK, SAY | {"tool_calls": {"a": 1}}), "has an object as tool_calls, expected a list"),
    (
        "not-a-call",
        talk(ASK | {"tool_calls": [WEIGH]}, SAY),
        "message 1 (user) has tool_calls, expected them in",
    ),
    (
        "not-text",
        talk(ASK | {"content": [{"type": "image_url", "image_url": {"url": "x"}}]}, SAY),
        "part 1 of message 1 (user) is of type 'image_url', expected text only",
    ),
    (
        "not-text",
        talk(ASK, SAY | {"content": [{"type": "text"}]}),
        "part 1 of message 2 (assistant) has null as",
    ),
    ("not-text", talk(ASK, SAY | {"thinking": ["x"]}), "message 2 (assistant) has a list as thinking"),
    ("not-a-mask", talk(ASK, SAY | {"weight": 0.5}), "message 2 (assistant) has weight 0.5, expected 0 or 1"),
    ("not-a-mask", talk(ASK, SAY | {"weight": True}), "has weight True, expected 0 or 1"),
    ("not-a-mask", talk(ASK, SAY | {"training": "no"}), "has training 'no', expected true or false"),
    ("not-a-mask", talk(ASK, SAY, unmask="yes"), "unmask is text, expected true or false"),
    ("no-content", talk(ASK, SAY | {"content": None}), "message 2 (assistant) has no content, expected text"),
    ("no-text", {"instruction": "", "output": "x"}, "the instruction is empty"),
    ("no-text", {"instruction": "x", "input": 5, "output": "x"}, "the input is a number, expected text"),
    (
        "rows-inside",
        {"data": [chat("a")] * 3, "version": 1},
        "one JSON object with lists of objects under data",
    ),
    ("too-deep", talk(ASK, SAY, x=json.loads("[" * 100 + "]" * 100)), "nested more than 100 deep"),
]


def test_what_templates_cannot_read_is_rejected_by_name(stage: Stage) -> None:
    source = stage.file("a.jsonl", CHAT + lines([row for _, row, _ in REJECTED]))
    end = stage.good("--uri", source, "--on-invalid=drop")
    listed = end.rows("rejected.jsonl")
    assert [(entry["line"], entry["rule"]) for entry in listed] == [
        (number, rule) for number, (rule, _, _) in enumerate(REJECTED, 21)
    ]
    for entry, (_, _, reason) in zip(listed, REJECTED, strict=True):
        assert reason in entry["reason"]


def test_alpaca_mapped_by_columns_keeps_its_input(stage: Stage) -> None:
    rows = [{"task": f"Weigh {n}.", "context": f"Sack {n}", "answer": f"{n} kilos."} for n in range(20)]
    given = lines([dict(zip(("instruction", "input", "output"), row.values(), strict=True)) for row in rows])
    usual = stage.good(
        *("--uri", stage.file("a.jsonl", given), "--no-shuffle"),
        '--columns={"prompt": "instruction", "completion": "output"}',
    )
    own = stage.good(
        *("--uri", stage.file("b.jsonl", lines(rows)), "--no-shuffle"),
        '--columns={"instruction": "task", "input": "context", "output": "answer"}',
        run="own",
    )
    assert usual.rows("train.jsonl") == own.rows("train.jsonl")
    assert own.rows("train.jsonl")[0]["messages"][0]["content"] == "Weigh 0.\n\nSack 0"
    assert "columns not read" not in usual.printed + own.printed


def test_unused_columns_are_named_once_with_their_share(stage: Stage) -> None:
    rows: list[dict[str, Any]] = [chat(f"{number}?") | {"id": number} for number in range(20)]
    rows[3]["note\n\x1b[31m"] = "x"
    for row in rows[:10]:
        row["topic"] = "sea" if row["id"] else None
    end = stage.good("--uri", stage.file("a.jsonl", lines(rows)))
    (line,) = [line for line in end.printed.splitlines() if "columns not read" in line]
    assert line.endswith('columns="id (100 %), topic (45 %), note\\\\n\\\\x1b[31m (5 %)"'), line


TABLE = """
import sys, datetime, decimal, pyarrow as a, pyarrow.parquet as p
many = 20
columns = {
    "prompt": a.array([f"Question {n}?" for n in range(many)]),
    "completion": a.array(["Yes."] * many),
    "price": a.array([decimal.Decimal("1.50")] * many),
    "image": a.array([b"\\xff\\x00"] * many),
    "day": a.array([datetime.date(2020, 1, 2)] * many),
    "far": a.array([400_000_000_000_000_000] * many, a.timestamp("ms")),
    "nano": a.array([1] * many, a.timestamp("ns", "Nowhere/Land")),
    "took": a.array([datetime.timedelta(seconds=1)] * many),
    "clock": a.array([datetime.time(1, 2)] * many),
    "tags": a.array([[(b"k", [("x", 1)])]] * many, a.map_(a.binary(), a.map_(a.string(), a.int8()))),
    "kind": a.array(["x"] * many).dictionary_encode(),
}
p.write_table(a.table(columns), sys.argv[1])
turn = {"role": "assistant", "content": "Yes.", "price": decimal.Decimal("1.5"), "at": datetime.timedelta(1)}
rows = [{"messages": [{"role": "user", "content": f"Question {n}?"}, turn]} for n in range(many)]
p.write_table(a.Table.from_pylist(rows), sys.argv[2])
p.write_table(a.table({"prompt": columns["prompt"], "completion": columns["price"]}), sys.argv[3])
"""


def test_columns_that_json_cannot_hold_fail_only_where_they_are_read(stage: Stage) -> None:
    paths = [str(stage.data / name) for name in ("beside.parquet", "inside.parquet", "read.parquet")]
    subprocess.run([download_python(), "-c", TABLE, *paths], check=True)
    beside, inside = (
        stage.good("--uri", path, "--train-fraction=1", "--no-shuffle", run=f"run-{number}")
        for number, path in enumerate(paths[:2])
    )
    assert beside.rows("train.jsonl")[1]["messages"] == chat("Question 1?")["messages"]
    (line,) = [line for line in beside.printed.splitlines() if "columns not read" in line]
    for name in ("price", "image", "day", "far", "nano", "took", "clock", "tags", "kind"):
        assert f"{name} (100 %)" in line
    assert inside.rows("train.jsonl")[1] == chat("Question 1?")
    assert "the completion is Decimal, expected text" in stage.run("--uri", paths[2], run="run-2").failed(2)


def test_integers_that_json_readers_round_are_kept_or_rejected(stage: Stage) -> None:
    big = "123456789012345678901234567890"
    calls = f'{{"role": "assistant", "tool_calls": [{{"name": "f", "arguments": {{"x": {big}}}}}]}}'
    rows = [f'{{"messages": [{json.dumps(ASK)}, {json.dumps(SAY)}], "id": {big}}}']
    rows += [f'{{"messages": [{json.dumps(ASK)}, {calls}]}}', f'{{"messages": [], "id": {"9" * 5000}}}']
    end = stage.good(
        "--uri", stage.file("a.jsonl", "\n".join(rows).encode()), "--on-invalid=drop", "--train-fraction=1"
    )
    assert end.lines("train.jsonl") == [rows[0].encode()]
    first, second = end.rows("rejected.jsonl")
    assert "column 'messages' cannot be written as JSON: Integer exceeds 64-bit range" in first["reason"]
    assert "number is infinity when parsed" in second["reason"]


def test_excerpts_hold_no_secrets_and_no_control_characters(stage: Stage) -> None:
    row = {"text": "token hf_secret_0123456789 \x1b[2J\nnext"}
    end = stage.run("--uri", stage.file("a.jsonl", lines([row])), HF_TOKEN="hf_secret_0123456789")
    end.failed(2)
    (entry,) = end.rows("rejected.jsonl")
    assert "hf_secret" not in entry["excerpt"] + end.printed
    assert "\x1b" not in entry["excerpt"] + end.printed
