"""Small files that would fill memory, the disk or a day: rows, tables, packed files, models and templates."""

import bz2
import gzip
import json
import lzma
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.hostile.table import Bench, Row, check
from tests.support.model_folders import edit, write_llama
from tests.support.sandbox import executable

MEBIBYTE = 1 << 20
TABLES = """
import sys, pyarrow as a, pyarrow.parquet as p, pyarrow.ipc as ipc
folder, mb = sys.argv[1], 1 << 20
def write(name, columns, **more):
    p.write_table(a.table(columns), folder + name, compression="zstd", **more)
def repeat(text, times):
    return a.DictionaryArray.from_arrays(a.array([0] * times, a.int32()), a.array([text]))
write("repeated.parquet", {"text": repeat("x" * (2 * mb), 100_000)})
write("cell.parquet", {"messages": ["x" * (20 * mb)]}, use_dictionary=False)
write("page.parquet", {"text": ["x" * (70 * mb)]}, use_dictionary=False)
write("pages.parquet", {f"c{n}": ["x" * (40 * mb)] for n in range(4)}, use_dictionary=False)
write("list.parquet", {"l": a.array([a.array([7]).take(a.array([0] * 1)).to_pylist() * 20_000_000])})
write("columns.parquet", {f"c{n}": [1] for n in range(10_001)})
write("nested.parquet", {"messages": ["[" * 400_000 + "]" * 400_000]})
packed = ipc.IpcWriteOptions(compression="zstd")
def stream(name, column, options=packed, new=ipc.new_stream):
    table = a.table({"text": column})
    with new(folder + name, table.schema, options=options) as file:
        file.write_table(table)
stream("batch.arrow", a.array(["x" * (8 * mb - 100)] * 30))
stream("file.arrow", a.array(["x" * (8 * mb - 100)] * 30), new=ipc.new_file)
stream("repeated.arrow", repeat("x" * (8 * mb - 100), 100_000))
stream("lies.arrow", a.array(["x" * 0x1234]), options=None)
with open(folder + "lies.arrow", "r+b") as file:
    text = file.read().replace(bytes(4) + bytes([0x34, 0x12]), bytes([0, 0, 0, 0x70, 0x34, 0x12]))
    file.seek(0)
    file.write(text)
"""
Content = bytes | Callable[[Path], object]


@cache
def tables() -> TemporaryDirectory[str]:
    """Return every table, written once by the stage's own pyarrow."""
    folder = TemporaryDirectory(prefix="tables-")
    python = Path(executable("download")).with_name("python")
    subprocess.run([str(python), "-c", TABLES, folder.name + "/"], check=True)
    return folder


def model(change: Callable[[Path], object] | None = None) -> Callable[[Path], Path]:
    """Write a model folder and change it."""

    def write(folder: Path) -> Path:
        write_llama(folder)
        if change:
            change(folder)
        return folder

    return write


def data(name: str, content: Content, says: str, *words: str) -> Row:
    """Rows of one file that cannot be used."""

    def arrange(bench: Bench) -> Sequence[str]:
        path = bench.file(name, content if isinstance(content, bytes) else b"")
        if not isinstance(content, bytes):
            content(path)
        return bench.stage("download", "--uri", path, "--model-uri", model()(bench.base / "model"), *words)

    return Row(name, arrange, 2, says)


def table(name: str, says: str) -> Row:
    """Rows of a table."""
    return data(name, lambda path: path.write_bytes((Path(tables().name) / name).read_bytes()), says)


def base(name: str, change: Callable[[Path], object], says: str) -> Row:
    """Return a base model that cannot be used, with good rows."""

    def arrange(bench: Bench) -> Sequence[str]:
        rows = bench.file("rows.jsonl", chat("yes") * 3 + chat("no"))
        return bench.stage("download", "--uri", rows, "--model-uri", model(change)(bench.base / "model"))

    return Row(name, arrange, 2, says, seconds=60)


def chat(answer: str, **more: Any) -> bytes:
    """One row as JSON lines."""
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer, **more}]
    return json.dumps({"messages": turns}, ensure_ascii=False).encode() + b"\n"


def deep(levels: int) -> str:
    """JSON text of lists within each other."""
    return "[" * levels + "]" * levels


def packed(opened: Callable[..., Any], begin: bytes, mebibytes: int) -> Callable[[Path], None]:
    """Write a packed file of one piece repeated."""

    def write(path: Path) -> None:
        with opened(path, "wb") as file:
            file.write(begin)
            for _ in range(mebibytes):
                file.write(b"a" * MEBIBYTE)

    return write


def sparse(path: Path) -> None:
    """A line of a gigabyte that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(b'{"messages": "')
        file.truncate(1 << 30)


def call(arguments: str) -> bytes:
    """Return a row with a call of a function."""
    return chat("", tool_calls=[{"type": "function", "function": {"name": "f", "arguments": arguments}}])


def config(**values: Any) -> Callable[[Path], None]:
    """Set values of config.json."""
    return lambda folder: edit(folder / "config.json", lambda value: value.update(values))


def tokens(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change tokenizer.json."""
    return lambda folder: edit(folder / "tokenizer.json", change)


def added(value: dict[str, Any]) -> None:
    """Add very many tokens."""
    first = value["added_tokens"][0]
    value["added_tokens"] += [{**first, "id": 264 + at, "content": f"<{at}>"} for at in range(50_000)]


def template(text: str) -> Callable[[Path], None]:
    """Give the model this chat template."""

    def change(folder: Path) -> None:
        (folder / "chat_template.jinja").write_text(text)
        edit(folder / "tokenizer_config.json", lambda value: value.pop("chat_template", None))

    return change


def items(item: bytes, count: int) -> bytes:
    """Return a list of equal items as JSON."""
    return b"[" + b",".join([item] * count) + b"]"


ENDS = r"Error: (\d+ of )?"
DEEP, LONG = ENDS + r".*nested more than 100 deep", ENDS + r".*(longer than 8 MiB|more than 1,048,576 values)"
UNPACKS = r"unpacks to more than 1,073,741,824 bytes, expected at most 1000 times its size"
FILLS = r"(takes|took) more than \d+ MiB of memory"
ENDLESS = r"did not end within 15 s"
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
REPEAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content * 1000000 }}<|im_end|>\n{% endfor %}"
DOUBLE = "{% set n = namespace(x=START) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}"

ROWS = [
    # lists within each other, and very many values
    data("deep.json", deep(400_000).encode(), DEEP),
    data("deep.jsonl", b'{"a":' * 200_000 + b"}" * 200_000, DEEP),
    data("items.json", items(deep(5000).encode(), 20), DEEP),
    data("values.json", b"[" + items(b"{}", 2_000_000) + b"]", LONG),
    data("values.jsonl", b'{"messages": ' + items(b"[]", 2_000_000) + b"}\n", LONG),
    data("names.jsonl", b"{" + b",".join(b'"%d":0' % n for n in range(1_100_000)) + b"}\n", "8 MiB|values"),
    data("messages.csv", b"messages\n" + deep(200_000).encode() + b"\n", "messages are text"),
    data("arguments.jsonl", call(deep(200_000)), DEEP),
    data("tools.jsonl", chat("yes")[:-2] + b',"tools":"' + deep(200_000).encode() + b'"}\n', DEEP),
    data("text.jsonl", chat("because the sea is deep " * 60_000), "characters, expected at most 1,048,576"),
    data("emoji.jsonl", chat("\U0001f600" * 2_300_000), LONG),
    data("sparse.jsonl", sparse, LONG),
    # CSV
    data("field.csv", b'prompt,completion\n"' + b"a" * (9 * MEBIBYTE), "more than 4 Mi characters"),
    data("columns.csv", b",".join(b"c%d" % n for n in range(300_000)), "has 300,000 columns"),
    # tables
    table("repeated.parquet", UNPACKS),
    table("cell.parquet", "the row has 20,971,528 bytes, expected at most 8,388,608"),
    table("page.parquet", "has a page of 70 MiB, expected at most 64 MiB"),
    table("pages.parquet", FILLS),
    table("list.parquet", FILLS),
    table("columns.parquet", "has 10,002 columns, expected at most 10,000"),
    table("nested.parquet", "messages are text"),
    table("batch.arrow", FILLS),
    table("file.arrow", FILLS),
    table("repeated.arrow", UNPACKS),
    table("lies.arrow", "is not a complete Arrow file"),
    # packed files
    data("bomb.jsonl.gz", packed(gzip.open, b'{"a":"', 1025), UNPACKS),
    data("field.csv.xz", packed(lzma.open, b'prompt,completion\n"', 60), "more than 4 Mi characters"),
    data("line.jsonl.bz2", packed(bz2.open, b'{"a":"', 60), LONG),
    # base models
    base("a million layers", config(num_hidden_layers=10**6), "num_hidden_layers as 1000000"),
    base("a vocabulary of 10^12", config(vocab_size=10**12), "vocab_size as 1000000000000"),
    base("a million experts", config(num_local_experts=10**6), "num_local_experts as 1000000"),
    base("a million layers of vision", config(vision_config={"depth": 10**6}), "depth as 1000000"),
    base("very many labels", config(num_labels=10**8), "num_labels as 100000000"),
    base("a long list of layer types", config(layer_types=["a"] * 500_000), "more than 400,000 values"),
    base("a config of 40 MB", config(x="x" * 40_000_000), "expected at most 33554432"),
    base("very many added tokens", tokens(added), "has 50000 of its 50260 tokens beyond the embeddings"),
    base("very many merges", tokens(lambda v: v.update(x=[0] * 2_100_000)), "more than 2,000,000 values"),
    # chat templates
    base("a template that loops", template(LOOP + "{{ messages[0].content }}"), ENDLESS),
    base("a template that doubles text", template(DOUBLE.replace("START", "'ab'") + "{{ n.x }}"), FILLS),
    base("a template that doubles lists", template(DOUBLE.replace("START", "[1]") + "{{ n.x }}"), FILLS),
    base("a template of a wide number", template("{{ '%1000000000d' % 5 }}"), f"{FILLS}|template"),
    base(
        "a template that repeats the text",
        template(REPEAT),
        FILLS,
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_bounds(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
