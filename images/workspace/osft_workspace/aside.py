"""Work aside: a new result is made in a folder of its own and takes the old one's place once it is whole.

In a stage's folder:

- `unfinished/`: what a start makes. Its `record.json` comes last, by one rename, and decides: without it the
  old result stays the stage's; with it the new one is, and a later start only moves what is not moved yet.
- `finished/`: the same folder while its files move up, after the old result was removed.
"""

import shutil
from pathlib import Path

from osft_workspace.files import check_plain, is_folder, status_of
from osft_workspace.publish import FOLDER_MODE, fsync_path, set_mode
from osft_workspace.record import FILE

LOCK = ".lock"
UNFINISHED = "unfinished"
FINISHED = "finished"
WHY = "which an earlier start of this stage leaves for this one"


def begin(home: Path, keep: tuple[str, ...]) -> None:
    """Make `unfinished/` empty for a new start.

    Args:
        keep: names in the stage's folder that starts leave for each other, such as checkpoints.

    Raises:
        UserError: one of them, or `unfinished/`, is a link or holds a link, a pipe or a device.
    """
    for name in (*keep, UNFINISHED):
        check_plain(home / name, WHY)
    folder = home / UNFINISHED
    folder.mkdir(exist_ok=True)
    set_mode(folder, FOLDER_MODE)
    # Not the folder itself: another node of this start may write its log there already.
    for path in folder.iterdir():
        remove(path)


def settle(home: Path, keep: tuple[str, ...]) -> None:
    """Give a finished result its place, from wherever an earlier start was killed on the way.

    Raises:
        UserError: `unfinished/` or `finished/` is a link or holds a link, a pipe or a device.
    """
    for name in (UNFINISHED, FINISHED):
        check_plain(home / name, WHY)
    move_up(home)
    unfinished = home / UNFINISHED
    if status_of(unfinished / FILE) is None:
        return
    remove_result(home, keep)
    unfinished.rename(home / FINISHED)
    fsync_path(home)
    move_up(home)


def remove_result(home: Path, keep: tuple[str, ...]) -> None:
    """Remove the old result, its record first: no record may name files that are gone."""
    (home / FILE).unlink(missing_ok=True)
    fsync_path(home)
    for path in home.iterdir():
        if path.name not in (LOCK, UNFINISHED, FINISHED, *keep):
            remove(path)


def move_up(home: Path) -> None:
    """Move what is in `finished/` to the stage's folder, the record last."""
    finished = home / FINISHED
    if not is_folder(finished):
        return
    for path in sorted(finished.iterdir(), key=lambda path: path.name == FILE):
        path.rename(home / path.name)
    fsync_path(home)
    finished.rmdir()


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder."""
    if is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
