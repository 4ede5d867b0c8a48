"""The record: the last thing a stage publishes, and the only thing another stage believes."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from osft_workspace.digests import digest_json, sha256_file, tree_digest, tree_files
from osft_workspace.exits import Refused, UserError
from osft_workspace.paths import Workspace
from osft_workspace.publish import fsync_path, write_atomic

SCHEMA = "osft-pipeline/record/v1"
FILE = "record.json"
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
        """The record in a stage's folder, or None where there is none.

        Raises:
            UserError: the file is not a record of this schema.
        """
        path = folder / FILE
        try:
            values = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise UserError(f"{path} is not JSON ({error}). Remove {folder} and start again.") from error
        if not isinstance(values, dict) or values.get("schema") != SCHEMA:
            seen = values.get("schema") if isinstance(values, dict) else type(values).__name__
            raise UserError(f"{path} has schema {seen!r}, expected {SCHEMA!r}. Use a new run id.")
        try:
            return cls(**values, dir=folder)
        except TypeError as error:
            raise UserError(
                f"{path} is not a whole record ({error}). Remove {folder} and start again."
            ) from error

    def publish(self) -> None:
        """Write the record to its folder, after every output it names is on disk."""
        for output in self.outputs:
            fsync_path(self.dir / output["path"])
        values = asdict(self)
        del values["dir"]
        write_atomic(
            self.dir / FILE, json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        )

    def path(self, name: str) -> Path:
        """An output of this record.

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

    def damage(self, root: Path) -> str | None:
        """What no longer agrees with this record, as half a sentence, or None when all is whole."""
        for output in self.outputs:
            path = self.dir / output["path"]
            if not path.is_file():
                return f"{output['path']} is gone"
            if path.stat().st_size != output["size"]:
                return f"{output['path']} has {path.stat().st_size} bytes, its record says {output['size']}"
            if sha256_file(path) != output["sha256"]:
                return f"{output['path']} has another sha256 than its record says"
        for name, digest in self.shared.items():
            if not (root / name).is_dir():
                return f"{name} is gone"
            if tree_digest(root / name) != digest:
                return f"{name} has another digest than the record says"
        return None


def list_outputs(folder: Path, names: list[str]) -> list[dict[str, Any]]:
    """Every file behind the named outputs with its size and digest.

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


def load_predecessor(workspace: Workspace, run_id: str, stage: str) -> Record:
    """The verified record of an earlier stage.

    Raises:
        UserError: there is none, it belongs to another run, or its files have changed.
        Refused: that stage's gate said no, so nothing may follow.
    """
    folder = workspace.stage_dir(run_id, stage)
    record = Record.load(folder)
    if record is None:
        raise UserError(
            f"{stage} of run {run_id} is not finished: there is no {folder / FILE}. Run {stage} first, "
            "or name a run where it is finished (runId)."
        )
    if (record.stage, record.run_id) != (stage, run_id):
        raise UserError(
            f"{folder / FILE} is the record of {record.stage} of run {record.run_id}, expected {stage} "
            f"of run {run_id}. Somebody copied it: remove {folder} and run {stage} again."
        )
    if record.status == "refused":
        raise Refused(f"{stage} refused run {run_id}: {record.message}")
    if record.status == "skipped":
        raise UserError(
            f"{stage} of run {run_id} was skipped ({record.message}), and this stage needs its result."
        )
    damage = record.damage(workspace.root)
    if damage:
        raise UserError(
            f"{stage} of run {run_id} is damaged: {damage}. Remove {folder} and run {stage} again."
        )
    return record
