"""Benchmarks of the hub in the workspace: download leaves them, evaluation reads them without a network.

A task asks for items with the words of `datasets.load_dataset`. Those that name a dataset of the hub make a
`Wanted`, whose key is the name of the note in which download says what it left, and where.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from osft_workspace.contents import Benchmark
from osft_workspace.digests import digest_json, tree_digest
from osft_workspace.exits import UserError
from osft_workspace.files import DIGEST, check_inside, is_folder, read_regular
from osft_workspace.paths import Workspace
from osft_workspace.publish import write_atomic
from osft_workspace.shapes import COUNT, TEXT, Whole, misfit

SCHEMA = "osft-pipeline/benchmark/v1"
HUB = "hf://datasets/"
READERS = frozenset({"json", "csv", "parquet", "text", "arrow", "xml"})
"""Names that `datasets` takes for a format of files and not for a dataset."""
LARGEST_NOTE = 4 << 20  # bytes
SHAPE = Whole({"schema": TEXT, "revision": TEXT, "digest": TEXT, "bytes": COUNT, "files": COUNT})


class Elsewhere(Exception):
    """Items that are neither on the hub nor beside their task file."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one call of `datasets.load_dataset` asks of the hub."""

    dataset: str
    config: str = ""
    revision: str = ""
    """As the task's file says; empty where it does not."""
    folder: str = ""
    """`data_dir`."""
    files: str = ""
    """`data_files` as JSON: split -> names in the repository. Empty: those of the config."""
    reader: str = ""
    """Format of the files, where the call names one of `READERS` and files by hf:// addresses."""

    @classmethod
    def of(cls, path: Any, name: Any, arguments: Mapping[str, Any]) -> "Wanted | None":
        """Return what a call asks of the hub, or None where it names files of this machine.

        Raises:
            Elsewhere: it names files on another server, or of several datasets.
        """
        place = str(path or "")
        files = by_split(arguments.get("data_files"))
        if place in READERS:
            return cls.of_addresses(place, files)
        if not place or place[0] in "/.~":
            return None
        if any("://" in file for file in every(files)):
            raise Elsewhere(next(file for file in every(files) if "://" in file))
        return cls(
            place,
            str(name or ""),
            str(arguments.get("revision") or ""),
            str(arguments.get("data_dir") or ""),
            json.dumps(files, sort_keys=True) if files else "",
        )

    @classmethod
    def of_addresses(cls, reader: str, files: Mapping[str, list[str]]) -> "Wanted | None":
        """As `of`, for files that are named by their addresses."""
        away = [file for file in every(files) if "://" in file]
        if not away:
            return None
        owners = {"/".join(file.removeprefix(HUB).split("/")[:2]) for file in away}
        if len(owners) > 1 or not all(file.startswith(HUB) for file in every(files)):
            raise Elsewhere(away[0])
        (owner,) = owners
        named = {
            split: [file.removeprefix(f"{HUB}{owner}/") for file in listed] for split, listed in files.items()
        }
        dataset, _, revision = owner.partition("@")
        return cls(dataset, revision=revision, files=json.dumps(named, sort_keys=True), reader=reader)

    def at(self, revisions: Mapping[str, str]) -> "Wanted":
        """Return the same at the revision that values name for its dataset, where the task names none."""
        return replace(self, revision=self.revision or revisions.get(self.dataset, ""))

    @property
    def named_files(self) -> dict[str, list[str]]:
        """`files` as an object."""
        return dict(json.loads(self.files)) if self.files else {}

    @property
    def shown(self) -> str:
        """The name for sentences, such as `allenai/ai2_arc (ARC-Easy)`."""
        return f"{self.dataset} ({self.config})" if self.config else self.dataset

    def arguments(self, root: Path) -> dict[str, Any]:
        """Return what makes `datasets` read the same from a copy of the repository below `root`."""
        if self.reader:
            files = {
                split: [str(root / file) for file in listed] for split, listed in self.named_files.items()
            }
            return {"path": self.reader, "data_files": files}
        given = {"name": self.config, "data_dir": self.folder, "data_files": self.named_files}
        return {"path": str(root), **{key: value for key, value in given.items() if value}}


def by_split(files: Any) -> dict[str, list[str]]:
    """Return `data_files` as `datasets` takes them, split by split; files of no split are those of train."""
    if not files:
        return {}
    splits = files if isinstance(files, Mapping) else {"train": files}
    return {
        str(split): [str(name) for name in (listed if isinstance(listed, list) else [listed])]
        for split, listed in splits.items()
    }


def every(files: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield the names of all splits."""
    return (name for listed in files.values() for name in listed)


@dataclass(frozen=True, slots=True)
class Staged:
    """A benchmark in the workspace."""

    wanted: Wanted
    revision: str
    """Commit."""
    digest: str
    """Of the folder."""
    bytes: int
    files: int

    @property
    def path(self) -> str:
        """Below the workspace."""
        return f"cache/benchmarks/{self.digest.removeprefix('sha256:')}"

    @property
    def facts(self) -> Benchmark:
        """What records say of it."""
        return {
            "dataset": self.wanted.dataset,
            "config": self.wanted.config or None,
            "revision": self.revision,
            "path": self.path,
            "digest": self.digest,
            "bytes": self.bytes,
            "files": self.files,
        }


def place_of(workspace: Workspace, wanted: Wanted) -> Path:
    """Return the name, without suffix, of what download leaves beside the folders for itself."""
    key = digest_json([SCHEMA, asdict(wanted)]).removeprefix("sha256:")
    return workspace.benchmarks / ".staging" / key[:32]


def note(workspace: Workspace, staged: Staged) -> None:
    """Write down what is there."""
    value = {"schema": SCHEMA, "wanted": asdict(staged.wanted), **staged.facts}
    write_atomic(place_of(workspace, staged.wanted).with_suffix(".json"), json.dumps(value, indent=1) + "\n")


def find(workspace: Workspace, wanted: Wanted) -> Staged | None:
    """Return what download noted, or None where its note is missing or unusable."""
    try:
        content = read_regular(
            place_of(workspace, wanted).with_suffix(".json"), "a note on a benchmark", LARGEST_NOTE
        )
        value = json.loads(content)
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if misfit(value, SHAPE) is not None or value["schema"] != SCHEMA or not DIGEST.fullmatch(value["digest"]):
        return None
    return Staged(wanted, value["revision"], value["digest"], value["bytes"], value["files"])


def is_whole(workspace: Workspace, staged: Staged) -> bool:
    """Return whether the folder is there with the files that were noted. Raises UserError for a bad link."""
    folder = workspace.root / staged.path
    check_inside(workspace.root, folder)
    return is_folder(folder) and tree_digest(folder) == staged.digest


def open_staged(workspace: Workspace, wanted: Wanted) -> Staged | None:
    """Return a benchmark whose files are whole, or None where download downloaded none.

    Raises:
        UserError: its files are not those that download staged.
    """
    found = find(workspace, wanted)
    if found is not None and not is_whole(workspace, found):
        raise UserError(
            f"the benchmark {wanted.shown} in {found.path} of the workspace is missing or has a different "
            f"digest than {found.digest}, which download noted. Start download again: it fetches them again."
        )
    return found
