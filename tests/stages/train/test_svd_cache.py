"""Decompositions are kept for the next training on the same base, and change nothing about it."""

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.stages.train.conftest import Stage
from tests.support import warm
from tests.support.tiny_model import chat_rows

ARGS = ("--effective-batch-size=8", "--num-epochs=1", "--max-steps=2")
MATRICES = 14


@pytest.fixture
def own(tmp_path: Path) -> Stage:
    """A workspace without a cache."""
    for name in ("workspace", "scratch"):
        (tmp_path / name).mkdir()
    return Stage(tmp_path / "workspace", tmp_path / "scratch")


def train(stage: Stage, run: str, *args: str) -> str:
    """Train a downloaded run; returns what was printed."""
    code, printed = stage.run(run, *ARGS, *args)
    assert code == 0, printed
    return printed


def weights(stage: Stage, run: str) -> str:
    """The digest of a tuned model's weights."""
    outputs = stage.record(run)["outputs"]
    return str(next(file["sha256"] for file in outputs if file["path"].endswith("model.safetensors")))


def counts(printed: str) -> tuple[int, int]:
    """How many decompositions were read, and how many were computed."""
    found = re.search(r"train decomposed from_cache=(\d+) computed=(\d+)", printed)
    assert found, printed
    return int(found[1]), int(found[2])


def kept(stage: Stage) -> list[Path]:
    return sorted((stage.workspace / "cache" / "osft").glob("*/*"))


def test_the_next_training_on_the_base_reads_them_and_ends_the_same(own: Stage) -> None:
    for run in ("without", "first", "second"):
        own.download(run, chat_rows(24))
    own.download("other", chat_rows(40)[16:])
    assert "train decomposed\n" in train(own, "without", "--no-svd-cache")
    assert kept(own) == []

    assert counts(train(own, "first")) == (0, MATRICES)
    files = kept(own)
    assert len(files) == MATRICES
    assert all(path.suffix == ".safetensors" for path in files), "a temporary file is left"
    assert weights(own, "first") == weights(own, "without")

    damaged, short, gone, *_ = files
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"\xff\xff\xff\xff")
    short.write_bytes(short.read_bytes()[:100])
    gone.unlink()
    printed = train(own, "second")
    assert counts(printed) == (MATRICES - 3, 3)
    for path, because in ((damaged, "its content has another digest"), (short, "[Hh]eader")):
        assert re.search(rf"decomposition damaged file={path.name} because=.*{because}", printed), printed
    assert weights(own, "second") == weights(own, "without")

    # Other rows, another ratio and two processes: all of them from the repaired cache.
    printed = train(own, "other", "--unfreeze-rank-ratio=0.5", "--nproc-per-node=2")
    assert counts(printed) == (MATRICES, 0)
    assert kept(own) == files


def test_a_folder_that_is_a_link_out_of_the_workspace_is_refused(own: Stage, tmp_path: Path) -> None:
    own.download("linked", chat_rows(24))
    (tmp_path / "outside").mkdir()
    (own.workspace / "cache" / "osft").symlink_to(tmp_path / "outside")
    code, printed = own.run("linked", *ARGS)
    assert code == 2, printed
    assert "cache/osft" in printed
    assert list((tmp_path / "outside").iterdir()) == []


CACHE = """
import sys, threading, torch
from pathlib import Path
from osft_train.worker.factors import Cache
said = []
svd = torch.linalg.svd
cache = Cache(Path(sys.argv[1]), svd, said.append)
torch.manual_seed(1)
"""


def python(script: str, folder: Path) -> Any:
    """What a script prints, that uses a cache in a folder."""
    return warm.output("train", CACHE + script, folder)


BITS = """
for shape in ((3, 8), (8, 3), (5, 5), (1, 4), (64, 256)):
    for kind in (torch.float32, torch.float64):
        matrix = torch.randn(shape, dtype=kind)
        plain = svd(matrix, full_matrices=False)
        for again in range(2):
            found = cache(matrix, full_matrices=False)
            for one, other in zip(plain, found, strict=True):
                assert torch.equal(one, other) and one.dtype == other.dtype
    cache(matrix.T, full_matrices=False)
assert torch.equal(cache(torch.eye(3)).S, torch.ones(3))
print(sum('"kept"' in line for line in said), sum('"made"' in line for line in said))
"""


def test_what_is_kept_is_what_torch_computes_bit_by_bit(tmp_path: Path) -> None:
    assert python(BITS, tmp_path / "cache").split() == ["10", "15"]


FULL = """
matrix = torch.randn(4, 4)
for _ in range(2):
    assert torch.equal(cache(matrix, full_matrices=False).S, svd(matrix, full_matrices=False).S)
print(*said, sep="\\n")
"""


def test_a_volume_that_takes_no_file_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    printed = python(FULL, tmp_path / "file" / "cache")
    assert printed.count('"not kept"') == 1
    assert printed.count('"made"') == 2


BESIDE = """
matrices = [torch.randn(40, 30) for _ in range(20)]
for matrix in matrices:
    found = cache(matrix, full_matrices=False)
    assert torch.equal(found.U, svd(matrix, full_matrices=False).U)
"""


def test_processes_that_begin_together_disturb_each_other_in_nothing(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def one() -> None:
        try:
            python(BESIDE, tmp_path / "cache")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(list((tmp_path / "cache").iterdir())) == 20
