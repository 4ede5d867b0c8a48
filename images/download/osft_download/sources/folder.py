"""What lies below a folder on a volume. Nothing outside of it is read, whatever its links say.

A volume may be written to by others: a link to /proc/self/environ or to another claim would carry secrets
into rows, models and their records.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from osft_download.formats import Undecided, all_columns, format_of
from osft_download.names import INFO, is_data, is_quiet, splits_of
from osft_download.readers.json_text import read_json_array, read_json_lines
from osft_download.rules import RejectedRow
from osft_download.sources import DataFile
from osft_download.sources.card import card_splits
from osft_workspace import UserError, printable

HUB_CACHE = ("models--", "datasets--")
SPACE = 1000  # bytes of a file in which its first bracket is looked for
LARGEST_INFO = 1 << 20  # bytes of state.json or dataset_dict.json


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a folder: their names below it, sorted."""

    data: dict[str, Path]
    """Name -> the regular file that it stands for."""
    left_out: list[str]
    splits: dict[str, list[str]]


def fence(root: Path) -> Path:
    """Return the folder that nothing may lead out of.

    It is the folder itself; a snapshot in the hub's cache links to the blobs of its own repository.
    """
    real = root.resolve()
    for parent in real.parents:
        if parent.name.startswith(HUB_CACHE) and real.relative_to(parent).parts[0] == "snapshots":
            return parent
    return real


def check_link(path: Path, limit: Path) -> None:
    """Check that a link stays inside.

    Raises:
        UserError: it leads out of the folder, or in a circle.
    """
    try:
        real = path.resolve()
    except (RuntimeError, OSError) as error:
        raise UserError(f"{printable(path)} is a link to itself, expected a file. Remove it.") from error
    if not real.is_relative_to(limit):
        raise UserError(
            f"{printable(path)} is a link that points outside {printable(limit)}, to "
            f"{printable(path.readlink())}, and only files inside the folder are read. Copy the file "
            "there, or name it by its own address."
        )


def files_below(root: Path) -> Iterator[Path]:
    """Yield what is not a folder below a folder; hidden names are left out, each folder is read once.

    Raises:
        UserError: a link leads out of the folder.
        PermissionError: a folder may not be read, which is an error and not a gap.
    """
    limit, seen, links = fence(root), {identity(root)}, list[Path]()
    yield from walk(root, limit, seen, links)
    while links:  # what they lead to was read where it lies, unless that is hidden
        link = links.pop(0)
        if identity(link) not in seen:
            seen.add(identity(link))
            yield from walk(link, limit, seen, links)


def walk(start: Path, limit: Path, seen: set[tuple[int, int]], links: list[Path]) -> Iterator[Path]:
    """Yield what is not a folder below `start`; folders behind links are only noted."""
    todo = [start]
    while todo:
        inside = []
        for path in sorted(todo.pop().iterdir()):
            if path.name.startswith("."):
                continue
            if path.is_symlink():
                check_link(path, limit)
            if not path.is_dir():
                yield path
            elif path.is_symlink():
                links.append(path)
            elif identity(path) not in seen:
                seen.add(identity(path))
                inside.append(path)
        todo += reversed(inside)


def identity(folder: Path) -> tuple[int, int]:
    """Return what identifies a folder, whatever its name."""
    state = folder.stat()
    return state.st_dev, state.st_ino


def listing(root: Path) -> Listing:
    """Return the data files below a folder, what is left out, and the splits that names and info files say.

    Raises:
        UserError: a data file is a pipe, a socket, a device or a link to nothing, or its name is not UTF-8.
    """
    paths = {path.relative_to(root).as_posix(): path for path in files_below(root)}
    data: dict[str, Path] = {}
    left_out: list[str] = []
    inside = {path.resolve() for path in paths.values() if not path.is_symlink()}
    for name, path in sorted(paths.items()):
        if is_data(name) and not (path.is_symlink() and path.resolve() in inside):
            data[name] = regular(path)
        elif holds_rows(path):
            left_out.insert(0, f"{name} (holds rows under the name of an info file; rename it to use them)")
        elif not is_quiet(name):
            left_out.append(name)
    for name in stale_shards(root, data):
        left_out.append(name)
        del data[name]
    names = list(data)
    splits = saved_splits(root, names) or card_splits(root, names) or splits_of(names)
    return Listing(data, left_out, splits)


def regular(path: Path) -> Path:
    """Return the real file behind a data file's name.

    Raises:
        UserError: there is none, or its name is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"the name of {printable(path)} is not UTF-8, expected one that a record can hold. Rename it."
        ) from error
    if not path.is_file():
        raise UserError(
            f"{printable(path)} is not a regular file, or a link to nothing. Remove it, or name the files to "
            "read one by one."
        )
    return path.resolve()


def holds_rows(path: Path) -> bool:
    """Return whether a file that is named like an info file begins with a row of a known format."""
    if path.name not in INFO or path.is_symlink() or not path.is_file():
        return False
    file = DataFile(path, path.name)
    try:
        with path.open("rb") as begun:
            read = read_json_array if begun.read(SPACE).lstrip().startswith(b"[") else read_json_lines
        _, _, row = next(read(file), (0, None, None))
        format_of(row, "auto", all_columns({}))
    except (UserError, RejectedRow, OSError):
        return False
    except Undecided:
        return True
    return True


def info(path: Path) -> dict[str, object]:
    """Return what a small JSON file of the datasets library says, or nothing where it is not one."""
    if path.name not in INFO or path.is_symlink() or not path.is_file():
        return {}
    if path.stat().st_size > LARGEST_INFO:
        return {}
    try:
        said = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def stale_shards(root: Path, names: dict[str, Path]) -> list[str]:
    """Return the Arrow files beside a state.json that does not name them: caches, or left by an earlier save.

    Raises:
        UserError: a file that it names is missing.
    """
    stale = []
    arrow = [name for name in names if name.endswith(".arrow")]
    for folder in sorted({name.rpartition("/")[0] for name in arrow}):
        files = info(root / folder / "state.json").get("_data_files")
        if not isinstance(files, list):
            continue
        start = f"{folder}/" if folder else ""
        wanted = {f"{start}{file.get('filename')}" for file in files if isinstance(file, dict)}
        here = {name for name in arrow if name.rpartition("/")[0] == folder}
        if missing := sorted(wanted - here):
            raise UserError(
                f"{printable(root / folder)} is not a complete dataset of save_to_disk: state.json names "
                f"{printable(missing[0])}, which is missing. Save or copy it again."
            )
        stale += sorted(here - wanted)
    return stale


def saved_splits(root: Path, names: list[str]) -> dict[str, list[str]] | None:
    """Return the splits that a DatasetDict was saved with, each a folder, or None."""
    splits = info(root / "dataset_dict.json").get("splits")
    if not isinstance(splits, list):
        return None
    found = {
        str(split): [name for name in names if name.startswith(f"{split}/") and name.endswith(".arrow")]
        for split in splits
    }
    return {split: files for split, files in found.items() if files} or None
