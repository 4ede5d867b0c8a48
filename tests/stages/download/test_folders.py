"""Folders on a volume as people leave them: splits, packed parts, `save_to_disk`; nothing outside is read."""

import bz2
import gzip
import json
import lzma
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stages.download.support import CHAT, End, Stage, chat, download_python, lines, run_all

ALL = ("--train-fraction=1", "--no-shuffle")


def rows(tag: str, count: int = 4) -> bytes:
    return lines([chat(f"{tag} {number}?") for number in range(count)])


def python(code: str, *args: str) -> None:
    """Run code in the stage's own Python, which has pyarrow and datasets."""
    subprocess.run([download_python(), "-c", code, *args], check=True, stderr=subprocess.DEVNULL)


def zstd(text: bytes, folder: Path) -> bytes:
    """Text packed with zstd, in two frames, as parallel packers write it."""
    code = "import sys, pyarrow as p; t = open(sys.argv[1], 'rb').read(); parts = (t[:50], t[50:]); "
    code += "packed = [p.compress(part, 'zstd', asbytes=True) for part in parts]; "
    code += "open(sys.argv[1], 'wb').write(b''.join(packed))"
    path = folder / "packed"
    path.write_bytes(text)
    python(code, str(path))
    return path.read_bytes()


SAVE = """
import json, sys, datasets
for name, tags in {"one": ["train"], "dict": ["train_sft", "test_sft"]}.items():
    sets = {
        tag: datasets.Dataset.from_list([
            {"prompt": f"{tag} {n}?", "completion": "Yes."} for n in range(4)
        ])
        for tag in tags
    }
    saved = datasets.DatasetDict(sets) if name == "dict" else sets["train"]
    saved.save_to_disk(f"{sys.argv[1]}/{name}", **({"num_shards": 3} if name == "one" else {}))
    if name == "one":
        saved.save_to_disk(f"{sys.argv[1]}/{name}", num_shards=2)
"""


@pytest.fixture(scope="module")
def made(shared_stage: Stage) -> Stage:
    for name, tag in {
        "files/train.jsonl": "train",
        "files/test.jsonl": "test",
        "files/validation.jsonl": "validation",
        "dirs/data/train/a.jsonl": "train",
        "dirs/data/test/a.jsonl": "test",
        "dirs/data/unused.jsonl": "unused",
        "shards/data/train-00000-of-00002.jsonl": "train",
        "shards/data/train-00001-of-00002.jsonl": "more",
        "shards/data/dpo-00000-of-00001.jsonl": "dpo",
        "info/rows.jsonl": "info",
        "metadata/rows.jsonl": "rows",
        "metadata/config.json": "config",
        "metadata/.hidden.jsonl": "hidden",
        "metadata/readme.jsonl": "readme",
        "evals/test.jsonl": "test",
        "evals/dev.jsonl": "dev",
    }.items():
        shared_stage.file(name, rows(tag))
    shared_stage.file("metadata/sub/metadata.json", json.dumps([chat("Array?")], indent=1).encode())
    for name in ("dataset_info.json", "state.json", "README.md", "LICENSE", "notes.txt", "part.zip"):
        shared_stage.file(f"info/{name}", b'{"description": "x",\n "citation": "y"}')
    packed = {"a.jsonl.gz": gzip.compress, "c.jsonl.xz": lzma.compress, "d.csv.bz2": bz2.compress}
    for name, pack in packed.items():
        text = rows(name) if "csv" not in name else b"prompt;completion\n" + f"{name} 0?;Yes.\n".encode()
        shared_stage.file(f"packed/{name}", pack(text))
    shared_stage.file("packed/b.jsonl.zst", zstd(rows("b.jsonl.zst"), shared_stage.base))
    python(SAVE, str(shared_stage.data))
    return shared_stage


STARTS = {
    "files": (["files"], ["train"], 'split value=train reason="the folder has train, validation, test"'),
    "named": (["files", "--split=validation"], ["validation"], ""),
    "dirs": (["dirs"], ["train"], "files left out source="),
    "shards": (["shards"], ["train", "more"], 'reason="the folder has train, dpo"'),
    "dpo": (["shards", "--split=dpo"], ["dpo"], ""),
    "info": (["info"], ["info"], 'number=2 files="notes.txt, part.zip"'),
    "metadata": (
        ["metadata"],
        ["readme", "rows"],
        'number=2 files="sub/metadata.json (holds rows under the name of an info file; rename it to use '
        "them), config.json (holds rows",
    ),
    "packed": (["packed"], ["a.jsonl.gz", "b.jsonl.zst", "c.jsonl.xz", "d.csv.bz2"], "separator of d.csv"),
    "one": (["one"], ["train"], "number=3 files="),
    "dict": (["dict"], ["train_sft"], "the folder has train_sft, test_sft"),
}  # fmt: skip
MISTAKES = {
    "no split": (["files", "--split=dev"], "has no split 'dev'. It has train, validation, test. Set"),
    "no train": (["evals"], "train_sft, train_gen, train, training. It has validation, test. Name one"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ends(made: Stage) -> dict[str, End]:
    every = {name: given for name, (given, *_) in (STARTS | MISTAKES).items()}
    return run_all(
        made,
        {
            name: (["--uri", str(made.data / folder), *more, *ALL], {})
            for name, (folder, *more) in every.items()
        },
    )


@pytest.mark.parametrize("name", list(STARTS))
def test_a_folder_gives_the_rows_of_its_split(ends: dict[str, End], name: str) -> None:
    _, tags, said = STARTS[name]
    assert ends[name].code == 0, ends[name].printed
    questions = [row["messages"][0]["content"] for row in ends[name].rows("train.jsonl")]
    assert list(dict.fromkeys(question.rpartition(" ")[0] for question in questions)) == tags
    assert said in ends[name].printed


@pytest.mark.parametrize("name", list(MISTAKES))
def test_a_split_that_is_not_there_is_named_with_those_that_are(ends: dict[str, End], name: str) -> None:
    assert MISTAKES[name][1] in ends[name].failed(2)


def test_an_evaluation_set_is_read_from_the_test_files(made: Stage) -> None:
    folder = str(made.data / "files")
    end = made.good("--uri", folder, "--eval-uri", folder, run="both")
    assert end.rows("eval.jsonl") == [chat(f"test {number}?") for number in range(4)]
    assert "chose eval split value=test" in end.printed


def test_splits_of_random_folders_are_those_of_the_datasets_library(stage: Stage) -> None:
    code = """
import random, sys
from pathlib import Path
from datasets.data_files import get_data_patterns, resolve_pattern
from osft_download.names import splits_of
words = ["train", "training", "test", "dev", "val", "eval", "data", "x", "latest", "trainer"]
draw, seen = random.Random(7), set()
for case in range(150):
    root = Path(sys.argv[1]) / str(case)
    for _ in range(draw.randint(1, 5)):
        parts = [
            draw.choice(["", "my-", "v1.", "a"]) + draw.choice(words) + draw.choice(["", "_1", " 2", "s"])
            for _ in range(draw.randint(1, 3))
        ]
        path = root.joinpath(*parts[:-1], parts[-1] + draw.choice([".jsonl", "-00000-of-00001.jsonl"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    theirs = {}
    for split, patterns in get_data_patterns(str(root)).items():
        files = set()
        for pattern in patterns:
            try:
                found = resolve_pattern(pattern, str(root))
                files |= {Path(file).relative_to(root).as_posix() for file in found}
            except FileNotFoundError:
                pass
        theirs[str(split)] = sorted(files)
    ours = {split: sorted(files) for split, files in splits_of(names).items()}
    assert ours == theirs, (names, ours, theirs)
    seen |= set(ours)
assert {"train", "validation", "test"} <= seen, seen
"""
    subprocess.run([download_python(), "-c", code, str(stage.data)], check=True)


OUT = "is a link that points outside"


def linked(stage: Stage, name: str, target: str) -> str:
    """Return a folder with rows and a link; returns its path."""
    folder = Path(stage.file(f"{name.replace('/', '-')}/a.jsonl", CHAT)).parent
    (folder / name).symlink_to(target)
    return str(folder)


def fifo(stage: Stage) -> str:
    folder = Path(stage.file("fifo/a.jsonl", CHAT)).parent
    os.mkfifo(folder / "b.jsonl")
    return str(folder)


def bound_socket(stage: Stage) -> str:
    folder = Path(stage.file("socket/a.jsonl", CHAT)).parent
    with socket.socket(socket.AF_UNIX) as made_here:
        made_here.bind(str(folder / "s.jsonl"))
    return str(folder / "s.jsonl")


def stray_name(stage: Stage) -> str:
    folder = Path(stage.file("stray/a.jsonl", CHAT)).parent
    (folder / os.fsdecode(b"b\xff.jsonl")).write_bytes(CHAT)
    return str(folder)


def hub_cache(stage: Stage, target: str) -> str:
    repo = stage.data / f"hub{len(target)}" / "datasets--org--name"
    (repo / "blobs").mkdir(parents=True)
    (repo / "blobs" / "abc").write_bytes(CHAT)
    snapshot = repo / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "train.jsonl").symlink_to(target)
    return str(snapshot)


CLOSED: dict[str, tuple[Callable[[Stage], str], str]] = {
    "a file": (lambda stage: linked(stage, "b.jsonl", "/etc/passwd"), f"b.jsonl {OUT}"),
    "the environment": (lambda stage: linked(stage, "c.jsonl", "/proc/self/environ"), f"c.jsonl {OUT}"),
    "no data": (lambda stage: linked(stage, "d.txt", "/proc/self/environ"), f"d.txt {OUT}"),
    "a folder": (lambda stage: linked(stage, "e", "/etc"), f"e {OUT}"),
    "the folder above": (lambda stage: linked(stage, "f", ".."), f"f {OUT}"),
    "nothing": (
        lambda stage: linked(stage, "g.jsonl", "gone"),
        "is not a regular file, or a link to nothing",
    ),
    "itself": (lambda stage: linked(stage, "h.jsonl", "h.jsonl"), "is a link to itself"),
    "blobs of another": (lambda stage: hub_cache(stage, "../../../../a.jsonl"), f"train.jsonl {OUT}"),
    "environ as address": (lambda stage: "/proc/self/environ", "lies in /proc or /sys, expected a file or"),
    "environ by a link": (
        lambda stage: linked(stage, "i.jsonl", "/proc/self/environ") + "/i.jsonl",
        "lies in /proc or /sys",
    ),
    "a pipe": (fifo, "b.jsonl is not a regular file"),
    "a pipe as address": (lambda stage: fifo_alone(stage), "is neither a file nor a folder"),
    "a socket": (bound_socket, "is neither a file nor a folder"),
    "a stray byte": (
        stray_name,
        "b\\xff.jsonl is not UTF-8, expected one that a record can hold. Rename it.",
    ),
    "above": (lambda stage: "pvc://claim/a/../../b", "contains '..'"),
    "above behind ?": (lambda stage: "pvc://claim/?/../../b.jsonl", "contains '..'"),
    "absolute": (lambda stage: "pvc://claim//etc/passwd", "has nothing between two slashes"),
    "out of the claim": (
        lambda stage: f"pvc://claim/{out_of_claim(stage)}",
        "points outside its claim, to /etc/",
    ),
    "a break": (lambda stage: "/data/a\n2026 forged.jsonl", "/data/a\\n2026 forged.jsonl"),
}


def fifo_alone(stage: Stage) -> str:
    os.mkfifo(stage.data / "alone.jsonl")
    return str(stage.data / "alone.jsonl")


def out_of_claim(stage: Stage) -> str:
    (stage.data / "claim").mkdir(exist_ok=True)
    (stage.data / "claim" / "link").symlink_to("/etc")
    return "link/passwd"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, End]:
    stage = Stage(tmp_path_factory.mktemp("closed"))
    (stage.data / "claim").mkdir()
    env = {"OSFT_PVC_ROOT": str(stage.data), "WANDB_API_KEY": "canary-0123456789"}
    return run_all(stage, {name: (["--uri", make(stage)], env) for name, (make, _) in CLOSED.items()})


@pytest.mark.parametrize("name", list(CLOSED))
def test_nothing_outside_the_named_place_is_read(closed: dict[str, End], name: str) -> None:
    assert CLOSED[name][1] in closed[name].failed(2)
    assert "canary" not in closed[name].printed
    assert "root:x" not in closed[name].printed


def test_links_that_stay_inside_and_an_address_that_is_one_are_read(stage: Stage) -> None:
    snapshot = hub_cache(stage, "../../blobs/abc")
    end = stage.good("--uri", snapshot, *ALL, run="hub")
    assert end.lines("train.jsonl") == CHAT.splitlines()
    (stage.data / "latest.jsonl").symlink_to(f"{snapshot}/train.jsonl")
    end = stage.good("--uri", str(stage.data / "latest.jsonl"), *ALL, run="link")
    assert end.record["details"]["sources"][0]["files"][0]["name"] == "latest.jsonl"
    mounted = stage.data / "mounted"
    (mounted / "..2026").mkdir(parents=True)
    (mounted / "..2026" / "rows.jsonl").write_bytes(CHAT)
    (mounted / "..data").symlink_to("..2026")
    (mounted / "rows.jsonl").symlink_to("..data/rows.jsonl")
    assert len(stage.good("--uri", str(mounted), *ALL, run="config").lines("train.jsonl")) == 20
