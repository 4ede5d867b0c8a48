"""One table names what is replaced in the engine; another version of the engine is noticed at the start."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.sandbox import executable

PYTHON = Path(executable("train")).with_name("python")


def patches(**env: str) -> subprocess.CompletedProcess[str]:
    """Show and check the table, as a maintainer does after an update."""
    return subprocess.run(
        [PYTHON, "-m", "osft_train.patches"],
        capture_output=True, text=True, timeout=500, check=False, env={**os.environ, **env},
    )  # fmt: skip


def test_the_installed_engine_is_the_one_that_the_patches_were_written_for() -> None:
    done = patches()
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    version = re.search(r"^rhai-innovation-mini-trainer==(\S+)", lock(), re.MULTILINE)
    assert version
    assert last == f"{len(lines)} names are as in rhai-innovation-mini-trainer {version[1]}"


def test_a_changed_engine_is_named_before_training(tmp_path: Path) -> None:
    engine = next(PYTHON.parents[1].glob("lib/python*/site-packages/mini_trainer"))
    shutil.copytree(engine, tmp_path / "mini_trainer")
    changed = tmp_path / "mini_trainer" / "sampler.py"
    changed.write_text(changed.read_text().replace("def mb_collate_fn(", "def mb_collate_fn(  # new\n    "))
    gone = tmp_path / "mini_trainer" / "osft_utils.py"
    gone.write_text(gone.read_text() + "\nthe_torch = torch\ndel torch\n")
    done = patches(PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert (
        "the training engine is not the one that this stage adapts: mini_trainer.sampler:mb_collate_fn has "
        "changed, mini_trainer.osft_utils:torch is gone. Found rhai-innovation-mini-trainer" in done.stderr
    )
    assert "expected 0.9.0. Install that version, or adapt osft_train/patches.py." in done.stderr


def lock() -> str:
    """The train image's locked requirements."""
    return Path("images/train/requirements.txt").read_text()
