"""What can be said about the images without building them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def call(*words: str, path: str = os.environ["PATH"]) -> "subprocess.CompletedProcess[str]":
    """Run scripts/build-images."""
    command = [sys.executable, ROOT / "scripts/build-images", *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": path})


def test_the_layer_that_train_and_eval_share_is_what_their_locks_agree_on() -> None:
    locks = ["images/train/requirements.txt", "images/eval/requirements.txt"]
    command = [sys.executable, "scripts/osft_images/shared_lock.py", *locks]
    wanted = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert (ROOT / "images/torch.txt").read_text() == wanted, "out of date. Run scripts/lock torch."
    assert "\ntorch==" in wanted and "\nnvidia-cudnn-cu13==" in wanted


def test_a_requirement_is_shared_where_both_locks_want_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(
        "both==1 ; a == 'x' \\\n    --hash=sha256:1\n    # via me\nother==1 \\\n    --hash=sha256:2\n"
    )
    second.write_text("both==1 ; b == 'y' \\\n    --hash=sha256:1\nother==2 \\\n    --hash=sha256:3\n")
    command = [sys.executable, ROOT / "scripts/osft_images/shared_lock.py", first, second]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.splitlines()[1:] == ["both==1 ; (a == 'x') and (b == 'y') \\", "    --hash=sha256:1"]


def test_an_unknown_stage_is_rejected() -> None:
    done = call("evaluate")
    assert done.returncode == 2
    assert "found evaluate; expected download, train, eval, register" in done.stderr


def test_missing_programs_are_named_with_how_to_get_them(tmp_path: Path) -> None:
    done = call(path=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == (
        "scripts/build-images: buildah mmdebstrap is missing. "
        "Install it (on Debian: apt-get install buildah mmdebstrap).\n"
    )
