"""What becomes of rows: every one is judged, good ones keep their bytes, bad ones are listed."""

import json
from typing import Any

import pytest

from tests.stages.download.support import CHAT, Stage, chat, lines, write_parquet

YES = {"role": "assistant", "content": "Yes."}
ASK = {"role": "user", "content": "Is it?"}


def test_rows_that_are_messages_keep_every_byte(stage: Stage) -> None:
    rows = [
        '{"id": 7, "messages": [{"content": "Grüße, 世界 \\u00e9?", "role": "user"}, {"role": "assistant",'
        '"content": "Ja.", "reasoning_content": "Denk  nach."}], "z":1e3, "a": null}',
        '{"messages":[{"role":"pretraining","content":"<|user|>\\nHi\\n<|assistant|>\\nHo"}]}',
        '  {"messages": [{"role": "system", "content": ""}, {"role": "user", "content": "x"}, {"role": '
        '"assistant", "content": "Wait.", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}, '
        '{"role": "tool", "content": ""}], "big": '
        "123456789012345678901234567890}",
    ]
    end = stage.good("--uri", stage.file("a.jsonl", "\r\n\n".join(rows).encode()), "--train-fraction=1")
    assert sorted(end.lines("train.jsonl")) == sorted(row.encode() for row in rows)
    assert end.lines("eval.jsonl") == []
    assert "no rows are held out" in end.printed


def test_every_format_becomes_messages(stage: Stage) -> None:
    given = [
        {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}], "id": 1},
        {"conversations": [ASK, YES]},
        {"prompt": "Q", "completion": "A", "id": 2},
        {"prompt": [ASK], "completion": [YES]},
        {"id": 3, "messages": json.dumps([ASK, YES])},
    ]
    end = stage.good("--uri", stage.file("a.jsonl", lines(given)), "--no-shuffle", "--train-fraction=1")
    short = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    assert end.rows("train.jsonl") == [
        {"messages": short, "id": 1},
        {"messages": [ASK, YES]},
        {"messages": short, "id": 2},
        {"messages": [ASK, YES]},
        {"id": 3, "messages": [ASK, YES]},
    ]
    details = end.record["details"]
    assert details["format"] == "messages"
    assert details["formats"] == {"conversations": 2, "prompt-completion": 2, "messages": 1}


def test_json_array_parquet_and_csv_give_the_same_rows(stage: Stage) -> None:
    rows = [chat(f"Frage {number} … warum?", 'Er sagte "darum",\nja.') for number in range(20)]
    cells = "messages\n" + "".join(
        '"' + json.dumps(row["messages"], ensure_ascii=False).replace('"', '""') + '"\n' for row in rows
    )
    sources = {
        "lines": stage.file("a.jsonl", lines(rows)),
        "bom": stage.file("b.jsonl", b"\xef\xbb\xbf" + lines(rows)),
        "array": stage.file("a.json", json.dumps(rows, indent=2).encode()),
        "parquet": write_parquet(stage.data / "a.parquet", rows),
        "csv": stage.file("a.csv", cells.encode()),
        "tsv": stage.file("a.tsv", cells.encode()),
    }
    for name, uri in sources.items():
        end = stage.good("--uri", uri, "--no-shuffle", "--train-fraction=1", run=name)
        assert end.rows("train.jsonl") == rows, name


def test_named_columns_are_read_and_renamed(stage: Stage) -> None:
    source = stage.file("qa.csv", b"topic,question,answer\nsea,How deep?,Very.\nsky,How high?,Quite.\n")
    columns = '--columns={"prompt": "question", "completion": "answer"}'
    end = stage.good("--uri", source, columns, "--no-shuffle", "--train-fraction=1")
    assert end.rows("train.jsonl")[0] == {
        "topic": "sea",
        "messages": [{"role": "user", "content": "How deep?"}, {"role": "assistant", "content": "Very."}],
    }
    assert "has the keys topic, question, answer" in stage.run("--uri", source, run="other").error


def test_processed_rows_pass_and_are_named_so(stage: Stage) -> None:
    rows = [
        {"input_ids": [1, 2, 3], "labels": [-100, 2, 3], "len": 3},
        {"labels": [4, 5], "input_ids": [4, 5]},
    ]
    end = stage.good("--uri", stage.file("a.jsonl", lines(rows)), "--no-shuffle", "--train-fraction=1")
    assert b"".join(line + b"\n" for line in end.lines("train.jsonl")) == lines(rows)
    assert end.record["details"]["format"] == "processed"


def test_documents_pass_for_continued_pretraining(stage: Stage) -> None:
    source = stage.file("a.jsonl", lines([{"text": "Once upon a time."}, {"text": " "}]))
    columns = '--columns={"document": "text"}'
    end = stage.good("--uri", source, columns, "--train-fraction=1", "--on-invalid=drop")
    assert end.rows("train.jsonl") == [{"text": "Once upon a time."}]
    assert end.record["details"]["format"] == "document"


BAD = [
    ("not-json", b'{"messages": [', "not JSON at column 15: unexpected end of data (a row is one line)"),
    ("not-utf8", b'{"messages": "\xff"}', "not UTF-8 at byte 15: convert the file to UTF-8"),
    ("not-an-object", b"[1, 2]", "the row is a list, expected a JSON object"),
    ("unknown-format", b'{"text": "x", "id": 1}', "the row has the keys text, id, expected messages, "),
    ("not-a-list", b'{"messages": {"role": "user"}}', "messages are an object, expected a list"),
    ("no-messages", b'{"messages": []}', "the list of messages is empty"),
    ("not-a-message", b'{"messages": ["hi"]}', "message 1 is text, expected an object"),
    ("not-a-message", b'{"messages": [{"content": "x"}]}', "message 1 has no role (keys: content)"),
    (
        "unknown-role",
        b'{"messages": [{"role": "bot", "content": "x"}]}',
        "message 1 has role 'bot', expected",
    ),
    (
        "unknown-role",
        lines([{"messages": [{"role": "x" * 150, "content": ""}]}]),
        f"has role '{'x' * 36}..., expected",
    ),
    (
        "no-content",
        b'{"messages": [{"role": "user", "content": null}]}',
        "message 1 (user) has no content, expected",
    ),
    ("no-content", b'{"messages": [{"role": "user"}]}', "message 1 (user) has no content, expected text"),
    (
        "not-text",
        b'{"messages": [{"role": "user", "content": [1]}]}',
        "part 1 of message 1 (user) is a number, expected",
    ),
    ("empty-content", lines([chat("x", " ")]), "message 2 (assistant) is empty"),
    ("empty-content", lines([chat("")]), "message 1 (user) is empty"),
    ("no-assistant", lines([{"messages": [ASK, ASK]}]), "no assistant message among user, user"),
    ("no-text", b'{"prompt": "", "completion": "x"}', "the prompt is empty"),
    ("no-text", b'{"prompt": "x", "completion": null}', "the completion is null, expected text"),
    ("not-a-list", b'{"conversations": "none"}', "messages are text, expected a list"),
]
BAD_TOKENS = [
    (
        "not-token-ids",
        {"input_ids": [1, "2"], "labels": [1, 2]},
        "input_ids hold something that is not a token",
    ),
    (
        "not-token-ids",
        {"input_ids": [1, -1], "labels": [1, 2]},
        "input_ids hold something that is not a token",
    ),
    (
        "not-token-ids",
        {"input_ids": [1, True], "labels": [1, 2]},
        "input_ids hold something that is not a token",
    ),
    ("not-token-ids", {"input_ids": [], "labels": []}, "input_ids are an empty list"),
    ("not-token-ids", {"input_ids": [1], "labels": [-5]}, "labels hold something that is not a token id"),
    ("lengths-differ", {"input_ids": [1, 2], "labels": [1]}, "2 input_ids and 1 labels"),
    ("nothing-to-learn", {"input_ids": [1, 2], "labels": [-100, -100]}, "every label is -100"),
    ("shifted-labels", {"input_ids": [1, 2, 3], "labels": [-100, 3, -100]}, "the id of the next token"),
]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        pytest.param(CHAT, BAD, id="chat"),
        pytest.param(
            lines([{"input_ids": [1, 2, number], "labels": [-100, 2, -100]} for number in range(20)]),
            [(rule, lines([row]), reason) for rule, row, reason in BAD_TOKENS],
            id="tokens",
        ),
    ],
)
def test_each_rejected_row_is_listed_with_its_line_rule_and_reason(
    stage: Stage, good: bytes, bad: list[tuple[str, bytes, str]]
) -> None:
    source = stage.file("a.jsonl", good + b"".join(row.rstrip(b"\n") + b"\n" for _, row, _ in bad))
    end = stage.good("--uri", source, "--on-invalid=drop")
    listed = end.rows("rejected.jsonl")
    assert [(entry["file"], entry["line"], entry["rule"]) for entry in listed] == [
        ("a.jsonl", number, rule) for number, (rule, _, _) in enumerate(bad, 21)
    ]
    for entry, (_, row, reason) in zip(listed, bad, strict=True):
        assert reason in entry["reason"]
        assert entry["excerpt"] == row.rstrip(b"\n").decode("utf-8", "backslashreplace")
    assert end.record["details"]["rows"].items() >= {
        "train": 18, "eval": 2, "unused": 0, "read": 20 + len(bad), "rejected": len(bad)
    }.items()  # fmt: skip


def test_one_rejected_row_fails_the_stage_and_the_list_survives(stage: Stage) -> None:
    good = lines([chat(f"{number}?") for number in range(2000)])
    source = stage.file("a.jsonl", good + b'{"messages": []}\n' + good)
    end = stage.run("--uri", source)
    assert end.failed(2) == (
        "Error: 1 of 4001 rows cannot be used. a.jsonl line 2001: the list of messages is empty. "
        f"All of them are listed in {end.dir}/unfinished/rejected.jsonl. Correct them, or set "
        "data.onInvalid=drop to leave them out."
    )
    assert [entry["line"] for entry in end.rows("rejected.jsonl")] == [2001]
    assert [path.name for path in (end.dir / "unfinished").iterdir()] == ["rejected.jsonl"]


def test_a_failing_run_lists_every_rejected_row_however_many_may_be_dropped(stage: Stage) -> None:
    source = stage.file("a.jsonl", CHAT + b'{"messages": []}\n' * 5 + CHAT)
    end = stage.run("--uri", source, "--max-invalid=3")
    sentence = end.failed(2)
    assert "5 of 45 rows cannot be used. " in sentence
    assert f"All of them are listed in {end.dir}/unfinished/rejected.jsonl." in sentence
    assert len(end.rows("rejected.jsonl")) == 5


def test_rejected_rows_beyond_those_that_are_listed_are_counted(stage: Stage) -> None:
    source = stage.file("a.jsonl", CHAT + b'{"messages": []}\n' * 10_003 + b"[]\n")
    end = stage.run("--uri", source)
    sentence = end.failed(2)
    assert "10004 of 10024 rows cannot be used. " in sentence
    assert "Rows by rule: no-messages 10003, not-an-object 1. " in sentence
    assert f"The first 10,000 of them are listed in {end.dir}/unfinished/rejected.jsonl." in sentence
    assert len(end.rows("rejected.jsonl")) == 10_000


TOKENS = {"input_ids": [1, 2], "labels": [-100, 2]}


@pytest.mark.parametrize("first", [TOKENS, {"document": "x"}])
def test_a_mixture_ends_the_run_and_is_not_dropped(stage: Stage, first: dict[str, Any]) -> None:
    given = ("--uri", stage.file("a.jsonl", lines([first]) + CHAT), "--on-invalid=drop")
    sentence = stage.run(*given).failed(2)
    assert "a.jsonl line 2: the row would be read as messages, the rows before it as" in sentence
    assert "set data.format (--format) to the right one." in sentence
    assert stage.good(*given, "--format=messages").record["metrics"]["rows_rejected"] == 1


def test_a_row_that_is_a_chat_and_token_ids_needs_the_format(stage: Stage) -> None:
    source = stage.file(
        "a.jsonl", lines([chat("Which?") | TOKENS] * 2 + [chat("This.") | {"input_ids": None}])
    )
    given = ("--uri", source, "--train-fraction=1", "--no-shuffle")
    assert "a.jsonl line 1: the row is messages and processed at once" in stage.run(*given).failed(2)
    told = stage.good(*given, "--format=messages", run="told")
    assert told.rows("train.jsonl") == [chat("Which?"), chat("Which?"), chat("This.")]
    tokens = stage.good(*given, "--format=processed", "--on-invalid=drop", run="tokens")
    assert tokens.rows("train.jsonl") == [chat("Which?") | TOKENS] * 2


def test_advice_fits_what_was_seen(stage: Stage) -> None:
    unknown = stage.file("a.jsonl", lines([{"question": "x", "answer": "y"}] * 5))
    sentence = stage.run("--uri", unknown, '--columns={"prompt": "q"}').failed(2)
    assert (
        "conversations, q and completion, instruction and output, input_ids and labels or document"
        in sentence
    )
    assert sentence.endswith("Name their columns in data.columns (--columns), or correct them.")
    many = stage.file("b.jsonl", CHAT + b'{"messages": []}\n' * 5)
    sentence = stage.run("--uri", many, "--max-invalid=3").failed(2)
    assert sentence.endswith("or set data.onInvalid=drop to leave them out and raise data.maxInvalid.")


def test_an_array_may_begin_with_a_mark_and_hold_anything(stage: Stage) -> None:
    deep = "[" * 2000 + "]" * 2000
    emoji = [chat("\N{GRINNING FACE}" * number + "\\ud83d \\") for number in range(1, 7000, 500)]
    rows = f'\ufeff[{json.dumps(emoji)[1:-1]}, {{"messages": {deep}}}, {{"x": {deep}}}]'
    end = stage.good(
        "--uri",
        stage.file("a.json", rows.encode()),
        "--on-invalid=drop",
        "--train-fraction=1",
        "--max-seq-len=0",
    )
    assert sorted(map(str, end.rows("train.jsonl"))) == sorted(map(str, emoji))
    assert [entry["rule"] for entry in end.rows("rejected.jsonl")] == ["too-deep", "too-deep"]


def test_dropping_has_a_limit(stage: Stage) -> None:
    source = stage.file("a.jsonl", CHAT + b'{"messages": []}\n' * 5 + CHAT)
    drop = ("--uri", source, "--on-invalid=drop")
    sentence = stage.run(*drop, "--max-invalid=3").failed(2)
    assert (
        "4 of the first 24 rows cannot be used, and reading stopped there (data.maxInvalid is 3)" in sentence
    )
    assert "; and 1 more. " in sentence
    assert stage.good(*drop, "--max-invalid=5").record["metrics"]["rows_rejected"] == 5
    assert stage.good(*drop, "--max-invalid=0").record["metrics"]["rows_rejected"] == 5


def test_nothing_left_is_an_error_even_when_rows_may_be_dropped(stage: Stage) -> None:
    source = stage.file("a.jsonl", b'{"messages": []}\n' * 5)
    assert "5 of 5 rows cannot be used." in stage.run("--uri", source, "--on-invalid=drop").failed(2)


def test_a_line_without_end_is_rejected_and_not_held(stage: Stage) -> None:
    source = stage.data / "a.jsonl"
    with source.open("wb") as file:
        file.write(b'{"x": "')
        file.truncate(70 << 20)
    with source.open("ab") as file:
        file.write(b"\n" + CHAT)
    end = stage.good("--uri", str(source), "--on-invalid=drop")
    assert [(entry["line"], entry["rule"]) for entry in end.rows("rejected.jsonl")] == [(1, "too-long")]
    assert end.record["details"]["rows"]["train"] == 18


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", b"\n\n", "holds no rows"),
        ("a.json", b"[]", "holds no rows"),
        ("a.csv", b"messages\n", "holds no rows"),
        ("a.jsonl", b"<!DOCTYPE html><title>Sign in</title>", "a.jsonl is a web page and not data"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\x00", "a.jsonl.gz cannot be decompressed completely"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid x", "is a Git LFS pointer"),
        ("a.bin", b"\x00\x01\x02", "a.bin is not JSON lines, a JSON array, parquet, Arrow or CSV"),
        ("a.json", b'[{"prompt": "a", "completion": "b"}, {"p', "a JSON array that breaks after item 1"),
        ("a.parquet", b"PAR1 cut off", "a.parquet is not a complete parquet file"),
        ("a.csv", b"prompt,completion\n\xff\xfe,x\n", "a.csv is not UTF-8"),
        ("a.csv", b'prompt,completion\n"a"b,x\n', "a.csv line 2: not valid CSV"),
        ("a.csv", b"prompt,prompt,completion\na,b,c\n", "a.csv has two columns 'prompt'. Rename"),
        ("a.jsonl", '{"messages": []}'.encode("utf-16"), "a.jsonl is UTF-16 text. Convert it to UTF-8"),
        ("a.jsonl", '{"messages": []}'.encode("utf-16-le"), "a.jsonl is UTF-16 text. Convert it to UTF-8"),
        ("a.json", b'[{"x": "\\ud83d"}]', "a.json line 1: not JSON at column 8: no low surrogate"),
        ("a.json", b'[{"x": "\xff"}]', "a.json line 1: not UTF-8 at byte 8: convert the file to UTF-8."),
        ("a.json", b"[" + CHAT.splitlines()[0] + b",]", "breaks after item 1: a comma has nothing beside it"),
    ],
)  # fmt: skip
def test_a_file_without_data_is_named(stage: Stage, name: str, content: bytes, sentence: str) -> None:
    assert sentence in stage.run("--uri", stage.file(name, content)).failed(2)


def test_a_csv_row_with_too_many_cells_is_listed_with_its_line(stage: Stage) -> None:
    source = stage.file("a.csv", b'\n\nprompt,completion\n"two\nlines",yes\nb,c,d\ne,f\n')
    end = stage.good("--uri", source, "--on-invalid=drop")
    (entry,) = end.rows("rejected.jsonl")
    assert (entry["line"], entry["rule"], entry["reason"]) == (6, "wrong-cells", "3 cells, the header has 2")
