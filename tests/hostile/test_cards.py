"""Cards of datasets, on a hub and in a folder: aliases that repeat, long heads, and files elsewhere."""

import json
from pathlib import Path

import pytest

from tests.hostile.table import Bench, Row, check
from tests.hostile.test_servers import download
from tests.support.hub import Hub, Repo
from tests.support.listings import ROWS
from tests.support.scripted import Reply, Scripted
from tests.support.stages import write_hollow_model

DATA = "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/*.jsonl\n"
LAUGHS = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
QUADRATIC = f"a: &a {'x' * 30_000}\nb: [{','.join(['*a'] * 30_000)}]\n"
MANY = "tags:\n" + "- a\n" * 240_000
ALLOWED = "tags:\n" + "- a\n" * 49_000
DEEP = f"a: {'[' * 5000}{']' * 5000}\n"
NAMED = "configs:\n- config_name: &n [" + ",".join(["*m"] * 9) + "]\n  data_files: data/*.jsonl\n"
HEADS = {
    "a billion laughs": LAUGHS + DATA,
    "a billion laughs as the name of a config": LAUGHS + DATA.replace("default", "*a9"),
    "a billion laughs as data_files": LAUGHS + "configs:\n- config_name: default\n  data_files: *a9\n",
    "a long text that is repeated": QUADRATIC + DATA,
    "very many tags": MANY + DATA,
    "a deep list": DEEP + DATA,
    "an alias of itself": "a: &a [*a]\n" + DATA,
    "many tags": ALLOWED + DATA,
}
READ = ("an alias of itself", "many tags")
"""Heads within the bounds, so that the rows are taken."""
ENDS = {2: "Error: .*(card|head of|README)", 0: "download done"}


def in_folder(what: str, head: str, code: int) -> Row:
    """Return a copied dataset folder with this head of its card."""

    def arrange(bench: Bench) -> list[str]:
        bench.file("set/data/rows.jsonl", ROWS)
        card = bench.file("set/README.md", f"---\n{head}---\n".encode())
        return download(bench, str(card.parent))

    return Row(f"folder with {what}", arrange, code, ENDS[code], seconds=60)


def on_hub(what: str, code: int, says: str, files: dict[str, bytes]) -> Row:
    """Return a dataset of the hub with these files beside its rows."""

    def arrange(bench: Bench) -> list[str]:
        server = Hub()
        bench.closing.callback(server.close)
        bench.env |= {**server.env(), "HF_TOKEN": ""}
        server.repos = {"datasets/org/rows": Repo({**files, "data/rows.jsonl": ROWS})}
        model = write_hollow_model(bench.base / "model")
        return bench.stage("download", "--uri=hf://org/rows", f"--model-uri={model}", "--timeout-seconds=4")

    return Row(f"hub: {what}", arrange, code, says, seconds=90)


def with_card(what: str, head: str, code: int) -> Row:
    """Return a dataset of the hub with this head of its card."""
    return on_hub(what, code, ENDS[code], {"README.md": f"---\n{head}---\n".encode()})


BIG, LAUGHING = b"---\n" + b"a: b # x\n" * 600_000 + b"---\n", (LAUGHS + DATA).encode()


def elsewhere(scheme: str) -> Row:
    """Return a card of the hub that names files of another server, which must not be contacted."""

    def never(asked: object) -> Reply:
        raise AssertionError("asked")

    def arrange(bench: Bench) -> list[str]:
        other = bench.closing.enter_context(Scripted(never))
        bench.closing.callback(lambda: asked_nothing(other))
        path = f"{scheme}://127.0.0.1:{other.port}/rows.jsonl"
        head = f"---\nconfigs:\n- config_name: default\n  data_files: {json.dumps(path)}\n---\n"
        return on_hub("", 2, "", {"README.md": head.encode()}).arrange(bench)  # type: ignore[return-value]

    return Row(
        f"hub: a card that names {scheme}://", arrange, 2, "points to files elsewhere .*Name that place"
    )


def asked_nothing(server: Scripted) -> None:
    assert not server.asked


ROWS_OF_TABLE = [
    *(
        make(what, head, 0 if what in READ else 2)
        for make in (in_folder, with_card)
        for what, head in HEADS.items()
    ),
    on_hub("a README.md of 5 MB", 2, "README.md .* has 5.*MB, expected at most", {"README.md": BIG}),
    on_hub("a billion laughs in .huggingface.yaml", 2, "holds more than", {".huggingface.yaml": LAUGHING}),
    on_hub("deep dataset_infos.json", 2, "nested more than", {"dataset_infos.json": b"[" * 100_000}),
    *map(elsewhere, ("ftp", "webhdfs", "http", "github", "jupyter", "dbfs")),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS_OF_TABLE, ids=lambda row: row.name)
def test_cards(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
