"""Files of text as spreadsheets and scripts leave them: read with a word, or named with their cause."""

import json

import pytest

from tests.stages.download.support import CHAT, End, Stage, chat, run_all

ROWS = [chat(f"Question {number}?") for number in range(10)]


def table(separator: str, *, quote: str = "", end: str = "\n", space: str = "") -> bytes:
    """Ten rows of prompt and completion."""
    cells = [("prompt", "completion"), *((f"Question {number}?", "Yes.") for number in range(10))]
    written = [
        separator.join(f"{space if n else ''}{quote}{cell}{quote}" for n, cell in enumerate(row))
        for row in cells
    ]
    return (end.join(written) + end).encode()


READ = {
    "semicolon.csv": (table(";"), 'chose separator of semicolon.csv value="a semicolon"'),
    "quoted.csv": (b"\xef\xbb\xbf" + table(";", quote='"', end="\r\n"), 'value="a semicolon"'),
    "tab.csv": (table("\t"), 'chose separator of tab.csv value="a tab"'),
    "bar.csv": (table("|"), 'chose separator of bar.csv value="a bar"'),
    "comma.tsv": (table(","), 'chose separator of comma.tsv value="a comma"'),
    "sep.csv": (b"\xef\xbb\xbfsep=;\r\n" + table(";", end="\r\n"), "chose separator of sep.csv value="),
    "sep-quoted.csv": (b'"SEP=:"\n\n' + table(":"), "chose separator of sep-quoted.csv value="),
    "sep-tab.csv": (b"sep=\t\n" + table("\t"), 'chose separator of sep-tab.csv value="a tab"'),
    "spaces.csv": (table(",", space=" "), 'spaces around cells of spaces.csv value="left out"'),
    "quotes.csv": (table(",", space=" ", quote='"'), 'spaces around cells of quotes.csv value="left out"'),
    "plain.csv": (table(","), "rows checked rows=10 rejected=0"),
    "lines.json": (json.dumps(ROWS, indent=1).encode(), "rows checked rows=10 rejected=0"),
    "one.jsonl": (json.dumps(ROWS).encode() + b"\n", "rows checked rows=10 rejected=0"),
}
NAMED = {
    "wrapped.json": (
        json.dumps({"version": "1", "data": ROWS}, indent=2).encode(),
        "wrapped.json is one JSON object with lists of objects under 'data', expected JSON lines or a JSON",
    ),
    "one-line.json": (json.dumps({"data": ROWS}).encode(), "one JSON object with lists of objects under"),
    "by-split.json": (
        json.dumps({"train": ROWS, "test": ROWS}, indent=1).encode(),
        "lists of objects under 'train', 'test', expected",
    ),
    "large.json": (
        json.dumps({"about": "x" * 100_000, "rows": ROWS * 2000}, indent=1).encode(),
        "lists of objects under 'rows', expected",
    ),
    "pretty.jsonl": (
        "\n".join(json.dumps(row, indent=2) for row in ROWS).encode(),
        "pretty.jsonl holds an object that spans several lines, expected one row a line. Write it so, for ",
    ),
    "pretty-one.json": (json.dumps(ROWS[0], indent=2).encode(), "holds an object that spans several lines"),
    "commas.jsonl": (
        CHAT.replace(b"\n", b",\n"),
        "commas.jsonl: a comma follows the row in each line, expected JSON lines: one row and a line end. ",
    ),
    "joined.jsonl": (
        CHAT.replace(b"\n", b" "),
        "joined.jsonl: several JSON values are on one line in line 1, expected JSON lines",
    ),
    "returns.jsonl": (
        CHAT.replace(b"\n", b"\r"),
        "returns.jsonl: several JSON values are on one line with carriage returns (CR) between them in ",
    ),
    "two-a-line.jsonl": (
        CHAT + b'{"a": 1},{"b": 2}\n',
        "line 21: not JSON at column 9: several JSON values are on one line with commas between ",
    ),
    "cut.jsonl": (b'{"messages": [\n' + CHAT, "1 of 21 rows cannot be used. cut.jsonl line 1: not JSON at"),
    "nan.jsonl": (b'{"messages": [], "x": NaN}\n', "not JSON at column 23: NaN has no place in JSON"),
    "open.csv": (b'prompt,completion\n"' + b"x" * (17 << 20), "open.csv line 2 begins a row of more than"),
    "header.csv": (b"a,b\n1,2\n", "the row has the keys a, b, expected messages"),
    "twice.csv": (b"prompt, prompt\n1,2\n", "twice.csv has two columns 'prompt'. Rename one of them."),
    "ctrl\x1b[31m\n.csv": (b"\xff", "ctrl\\x1b[31m\\n.csv is not UTF-8 in line 1"),
    "cp1252.csv": (
        table(",") * 500 + b"Caf\xe9?,Yes.\n",
        "cp1252.csv is not UTF-8 in line 5501, expected UTF-8 text. Convert the file to UTF-8",
    ),
    "two-marks.csv": (
        table(";").replace(b"prompt;", b"prompt,"),
        "line 2: 1 cell, the header has 2; a semicolon separates the cells of this row, expected a comma "
        "as in the header; ",
    ),
    "a.tar": (b"rows.jsonl".ljust(257, b"\0") + b"ustar\0", "a.tar is a tar archive. Unpack it first"),
    "a.zip": (b"PK\x03\x04", "a.zip is a zip archive. Unpack it first"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ends(shared_stage: Stage) -> dict[str, End]:
    starts = {}
    for number, (name, (content, _)) in enumerate((READ | NAMED).items()):
        uri = shared_stage.file(f"text/{number}/{name}", content)
        # No address can hold a line break; the folder's can.
        uri = uri if name.isprintable() else str(shared_stage.data / "text" / str(number))
        starts[name] = (["--uri", uri, "--train-fraction=1", "--no-shuffle"], {})
    return run_all(shared_stage, starts)


@pytest.mark.parametrize("name", list(READ))
def test_a_table_is_read_and_what_was_chosen_reported(ends: dict[str, End], name: str) -> None:
    assert ends[name].code == 0, ends[name].printed
    assert ends[name].rows("train.jsonl") == ROWS
    assert READ[name][1] in ends[name].printed


@pytest.mark.parametrize("name", list(NAMED))
def test_a_file_that_is_not_rows_is_named_with_its_cause(ends: dict[str, End], name: str) -> None:
    assert NAMED[name][1] in ends[name].failed(2)
    assert "\x1b" not in ends[name].printed


def test_a_header_with_commas_in_its_names_is_split_at_the_semicolons_of_the_rows(stage: Stage) -> None:
    csv = b"frage;antwort;note, long\nWhat, now?;Yes, this.;x, y\n"
    columns = '--columns={"prompt": "frage", "completion": "antwort"}'
    end = stage.good("--uri", stage.file("a.csv", csv), columns, "--train-fraction=1")
    assert end.rows("train.jsonl") == [chat("What, now?", "Yes, this.") | {"note, long": "x, y"}]
    assert 'chose separator of a.csv value="a semicolon"' in end.printed
    csv = b"prompt,completion,tags;a;b;c\nWhat;now?,Yes.,x;y\n"
    end = stage.good("--uri", stage.file("b.csv", csv), "--train-fraction=1", run="comma")
    assert end.rows("train.jsonl") == [chat("What;now?") | {"tags;a;b;c": "x;y"}]


def test_lines_keep_their_numbers_and_other_rows_survive(stage: Stage) -> None:
    csv = b'\n,\n prompt , completion\n"two\nlines",yes\nb,c,d\ne,f\n'
    end = stage.good("--uri", stage.file("a.csv", csv), "--on-invalid=drop", "--train-fraction=1")
    assert [(entry["line"], entry["rule"]) for entry in end.rows("rejected.jsonl")] == [(6, "wrong-cells")]
    array = b"[" + b",\n".join([*CHAT.splitlines(), b"[1, 2]", b'{"x": 1e5, }', *CHAT.splitlines()]) + b"]"
    end = stage.good("--uri", stage.file("a.json", array), "--on-invalid=drop", "--train-fraction=1")
    assert [(entry["line"], entry["rule"]) for entry in end.rows("rejected.jsonl")] == [
        (21, "not-an-object"), (22, "not-json")
    ]  # fmt: skip
    assert sorted(end.lines("train.jsonl")) == sorted(CHAT.splitlines() * 2)
