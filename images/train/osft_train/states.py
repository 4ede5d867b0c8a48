"""Full states of a training: sealed when they are saved, checked against the seal before one is loaded."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from osft_train.patches import original
from osft_workspace import sha256_file
from osft_workspace.digests import tree_files
from osft_workspace.files import read_regular
from osft_workspace.publish import write_atomic

FOLDER = "full_state_checkpoints"
SEAL = "files.json"
LARGEST_SEAL = 16 << 20  # bytes
STATE = re.compile(r"step_(\d+)")
THREADS = 8


def steps(checkpoints: Path) -> list[int]:
    """Steps of the full states that are there, the newest first."""
    folders = (path for path in (checkpoints / FOLDER).glob("step_*") if path.is_dir())
    names = [STATE.fullmatch(path.name) for path in folders]
    return sorted((int(name[1]) for name in names if name), reverse=True)


def digests(folder: Path) -> dict[str, str]:
    """Digest of every file of a state but its seal; several are read at once: each rank leaves its own."""
    files = [path for path in tree_files(folder) if path.name != SEAL]
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(sha256_file, files)
        return {
            path.relative_to(folder).as_posix(): digest for path, digest in zip(files, found, strict=True)
        }


def seal(folder: Path, owner: str) -> None:
    """Write the digests of a state's files beside them.

    Args:
        owner: digest of everything that decides the result of the training.
    """
    write_atomic(folder / SEAL, json.dumps({"owner": owner, "files": digests(folder)}) + "\n")


def damage(folder: Path, owner: str) -> str | None:
    """Return why training cannot resume from a state, in a few words, or None when it is whole and its own.

    Raises:
        UserError: something else than a file lies in the place of its seal.
    """
    try:
        said = json.loads(read_regular(folder / SEAL, "the digests of a full state", LARGEST_SEAL))
        whose, files = said["owner"], dict(said["files"])
    except FileNotFoundError:
        return "the digests of its files are missing"
    except (ValueError, TypeError, KeyError, RecursionError):
        return f"{SEAL} is not what this program writes"
    if whose != owner:
        return "it belongs to other inputs"
    found = digests(folder)
    other = sorted(name for name in {*files, *found} if files.get(name) != found.get(name))
    return f"{other[0]} is not what was saved" if other else None


def ask_by(file: Path) -> None:
    """Let mini-trainer ask for a full state and the end by this file, in this process."""
    checkpointer = original("mini_trainer.full_state_checkpoint:FullStateCheckpointer")
    checkpointer.__init__.__defaults__ = (str(file),)
