"""The record: the last thing a stage publishes, and the only thing another stage believes."""

import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from osft_workspace import contents, shapes
from osft_workspace.answers import Misfit, parse_json
from osft_workspace.details import details_of
from osft_workspace.digests import digest_json, sha256_file, tree_digest, tree_entries, tree_files
from osft_workspace.exits import UserError
from osft_workspace.files import check_inside, is_folder, kind, read_regular, status_of
from osft_workspace.publish import write_atomic
from osft_workspace.text import excerpt, json_text, printable

SCHEMA = "osft-pipeline/record/v1"
FILE = "record.json"
LARGEST = 16 << 20  # bytes
MOST_VALUES = 800_000  # of 100,000 files of sources, with name, size and sha256
MOST_NAMED = 5  # files in a sentence
Status = Literal["done", "refused", "skipped"]


@dataclass(kw_only=True, slots=True)
class Record:
    """What one stage of one run was given, did and left behind."""

    schema: str = SCHEMA
    stage: str
    status: Status
    run_id: str
    message: str
    inputs: dict[str, Any]
    """What was asked, as it may be shown."""
    inputs_digest: str
    needs: dict[str, str]
    """Digest of each predecessor's record."""
    outputs: list[dict[str, Any]]
    """Files in the stage's folder: `path`, `size` in bytes, `sha256`."""
    shared: dict[str, str]
    """Folders in the workspace's cache that this record relies on, with their tree digests."""
    metrics: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    choices: list[dict[str, Any]] = field(default_factory=list)
    """Automatic choices: `name`, `value`, `reason`."""
    versions: dict[str, str] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    """Digest of each input as it was asked: what is shown of two addresses may be the same."""
    dir: Path = field(default=Path(), repr=False)
    """Where the stage's folder lies now; not part of the file."""

    @property
    def digest(self) -> str:
        """Digest of what later stages depend on; times and versions do not count."""
        return digest_json(
            [self.stage, self.status, self.inputs_digest, self.outputs, self.shared, self.details]
        )

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Return the record in a stage's folder, or None where there is none.

        Raises:
            UserError: the file is not a record of this schema.
        """
        path = folder / FILE
        try:
            values = parse_json(read_regular(path, f"the record {FILE}", LARGEST), MOST_VALUES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Misfit as error:
            raise UserError(
                f"{printable(path)} is a file {error}, expected a record as this version writes it. Remove "
                f"{printable(folder)} and start again."
            ) from error
        if not isinstance(values, dict) or values.get("schema") != SCHEMA:
            seen = values.get("schema") if isinstance(values, dict) else type(values).__name__
            raise UserError(f"{path} has schema '{excerpt(seen)}', expected {SCHEMA!r}. Use a new run id.")
        try:
            check_shape(values)
            record = cls(**values, dir=folder)
        except TypeError as error:
            raise UserError(
                f"{printable(path)} is not a complete record ({error}). Remove {printable(folder)} and start "
                "again."
            ) from error
        shape = contents.DETAILS.get(record.stage, shapes.ANY)
        record.details = details_of(record.details, f"the record {printable(path)}", shape)
        return record

    def publish(self) -> None:
        """Write the record to its folder; every output it names must be on disk already."""
        values = asdict(self)
        del values["dir"]
        write_atomic(self.dir / FILE, json_text(values, indent=1) + "\n")

    def path(self, name: str) -> Path:
        """Return an output of this record.

        Raises:
            UserError: the record names no such output.
        """
        prefix = name.rstrip("/") + "/"
        if not any(out["path"] == name or out["path"].startswith(prefix) for out in self.outputs):
            raise UserError(
                f"{self.stage} of run {self.run_id} left no {name!r}: it left "
                f"{', '.join(out['path'] for out in self.outputs[:8]) or 'nothing'}. Run {self.stage} again."
            )
        return self.dir / name

    def shared_path(self, root: Path, name: Any) -> Path:
        """Return a folder of the workspace that this record relies on.

        Raises:
            UserError: the record names no such folder.
        """
        if not isinstance(name, str) or name not in self.shared:
            known = printable(", ".join(self.shared), 400) or "none"
            raise UserError(
                f"a record of run {self.run_id} names the folder '{excerpt(name)}', expected one that the "
                f"record of {self.stage} relies on ({known}). Run {self.stage} again."
            )
        return root / name

    def damage(self, root: Path) -> str | None:
        """Return what no longer agrees with this record, as half a sentence, or None when all is whole."""
        home = self.dir.resolve()
        for output in self.outputs:
            path = self.dir / output["path"]
            status = status_of(path)
            if status is None:
                return f"{output['path']} is gone"
            if not stat.S_ISREG(status.st_mode) or path.resolve() != home / output["path"]:
                seen = "in a folder that is a link" if stat.S_ISREG(status.st_mode) else kind(status.st_mode)
                return f"{output['path']} is not a regular file but {seen}"
            if status.st_size != output["size"]:
                return f"{output['path']} has {status.st_size} bytes, its record says {output['size']}"
            if sha256_file(path) != output["sha256"]:
                return f"{output['path']} has a different sha256 than its record says"
        for name, digest in self.shared.items():
            check_inside(root, root / name)
            if not (root / name).is_dir():
                return f"{name} is gone"
            if tree_digest(root / name) != digest:
                return f"{name} has a different digest than the record says"
        return None

    def unnamed(self) -> str | None:
        """Files among the outputs that this record does not name, as half a sentence, or None."""
        names = {output["path"] for output in self.outputs}
        strangers = sorted(
            f"{top}/{name}"
            for top in {name.partition("/")[0] for name in names if "/" in name}
            if is_folder(self.dir / top)
            for name, _ in tree_entries(self.dir / top)
            if f"{top}/{name}" not in names
        )
        if not strangers:
            return None
        more = f" and {len(strangers) - MOST_NAMED} more" if len(strangers) > MOST_NAMED else ""
        return f"holds {', '.join(printable(name, 200) for name in strangers[:MOST_NAMED])}{more}"

    def check_closed(self) -> None:
        """Refuse files among the outputs that this record does not name: they might be read.

        Raises:
            UserError: naming them.
        """
        if unnamed := self.unnamed():
            raise UserError(
                f"{printable(self.dir)} {unnamed}, expected only files that its {FILE} names, because others "
                "would change what is read. Remove files that are not named, then start again."
            )


def check_shape(values: dict[str, Any]) -> None:
    """Look at the types of a record that anybody may have written. Raises TypeError with what is wrong."""
    details = contents.DETAILS.get(str(values.get("stage")), shapes.ANY)
    problem = shapes.misfit(values, shapes.FIELDS)
    problem = problem or shapes.misfit(values.get("details", {}), details, "details")
    if problem:
        raise TypeError(problem)
    for output in values.get("outputs", []):
        if not is_below(output.get("path")):
            raise TypeError("outputs holds something else than files of its folder")
        if not (shapes.is_count(output.get("size")) and isinstance(output.get("sha256"), str)):
            raise TypeError(f"the output {excerpt(output['path'])} has no size and sha256")
    if not all(map(is_below, values.get("shared", {}))):
        raise TypeError("shared holds something else than folders of the workspace")


def is_below(path: Any) -> bool:
    """Return whether a path of a record stays in its folder."""
    return isinstance(path, str) and "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def list_outputs(folder: Path, names: list[str]) -> list[dict[str, Any]]:
    """Return every file behind the named outputs with its size and digest.

    Raises:
        FileNotFoundError: the stage promised an output that it did not write.
    """
    files: list[Path] = []
    for name in names:
        path = folder / name
        if path.is_dir():
            files += tree_files(path)
        elif path.is_file():
            files.append(path)
        else:
            raise FileNotFoundError(f"the stage did not write its output {path}")
    return [
        {
            "path": path.relative_to(folder).as_posix(),
            "size": path.stat().st_size,
            "sha256": sha256_file(path),
        }
        for path in files
    ]
