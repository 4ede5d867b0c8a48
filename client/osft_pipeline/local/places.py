"""The folders of this machine in place of a container's mounts."""

import base64
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from osft_pipeline.chart import Object
from osft_pipeline.local.inputs import PREFIX
from osft_pipeline.local.plan import Step, name_of
from osft_pipeline.near import expected
from osft_workspace import UserError

SOURCES = {"persistentVolumeClaim": "claimName", "secret": "secretName", "configMap": "name"}
"""Kinds of volumes for which the user may give a folder, and the key of their name."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The folders, objects and variables of this machine that a run uses."""

    workspace: Path
    claims: Mapping[str, Path]
    """Folders in place of other claims, and of mounted Secrets and ConfigMaps of that name."""
    objects: Sequence[Object] = ()
    """Everything the chart rendered: its own Secrets and ConfigMaps are taken from here."""
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def rendered(self, kind: str, name: str) -> dict[str, bytes] | None:
        """Return the keys of a Secret or ConfigMap that the chart itself creates, or None."""
        for thing in self.objects:
            if thing["kind"] == kind and name_of(thing) == name:
                encoded, plain = ("data", "stringData") if kind == "Secret" else ("binaryData", "data")
                content = {key: str(value).encode() for key, value in (thing.get(plain) or {}).items()}
                for key, value in (thing.get(encoded) or {}).items():
                    content.setdefault(key, base64.b64decode(value))
                return content
        return None


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one attempt."""

    scratch: Path
    mounts: dict[str, Path]
    """Mount path -> folder here."""
    roots: dict[str, Path]
    """Folders that hold only mounts, such as /mnt/pvc -> folder here with a link for each."""

    def local(self, text: str) -> str:
        """Return text with every mount path replaced by its folder here; `pvc://x/tmp` is not one."""
        # One pass: a folder here may itself lie below what is a mount path there.
        longest_first = sorted(self.mounts, key=len, reverse=True)
        below = "|".join(map(re.escape, longest_first)) or "(?!)"
        exact = "|".join(map(re.escape, self.roots)) or "(?!)"
        pattern = rf"(?<![\w./-])(?:({below})(?![\w.-])|({exact})(?![\w./-]))"
        known = {**self.roots, **self.mounts}
        return re.sub(pattern, lambda found: str(known[found[0]]), text)

    @property
    def termination_log(self) -> Path:
        """Return where the stage writes its last message."""
        return self.scratch / "termination-log"

    @property
    def container_id(self) -> Path:
        """Return where a container engine writes the id of the stage's container."""
        return self.scratch / "container-id"


def prepare(step: Step, machine: Machine) -> Places:
    """Make the folders of one attempt. Raises UserError for a mount that has no counterpart here."""
    scratch = Path(tempfile.mkdtemp(prefix=f"osft-{step.stage}-"))
    volumes = {volume["name"]: volume for volume in step.pod["spec"].get("volumes") or []}
    try:
        mounts: dict[str, Path] = {}
        for mount in step.container.get("volumeMounts") or []:
            folder = volume_folder(step, volumes[mount["name"]], mount, machine, scratch)
            if folder is not None:
                mounts[mount["mountPath"].rstrip("/")] = folder / mount.get("subPath", "")
        return Places(scratch, mounts, mount_roots(mounts, scratch))
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def missing_mounts(steps: Iterable[Step], machine: Machine) -> list[str]:
    """Return a sentence for each mount that has no counterpart on this machine."""
    problems = []
    for step in steps:
        try:
            shutil.rmtree(prepare(step, machine).scratch)
        except UserError as error:
            problems.append(str(error))
    return list(dict.fromkeys(problems))


def unused_claims(steps: Iterable[Step], machine: Machine) -> list[str]:
    """Return a sentence for each folder that the user gave and no stage mounts."""
    mounted = {name for step in steps for name in mounted_names(step)}
    unused = [name for name in machine.claims if name not in mounted and not name.startswith(PREFIX)]
    known = sorted(name for name in mounted if not name.startswith(PREFIX))
    hint = "" if known else "The stages of this run mount none. Leave it out."
    return [
        f"--claim {name}={machine.claims[name]}: no stage mounts a claim, Secret or ConfigMap of that name. "
        f"{hint or expected(name, known)}"
        for name in unused
    ]


def mounted_names(step: Step) -> Iterator[str]:
    """Yield the claims, Secrets and ConfigMaps that a step mounts, without the workspace."""
    volumes = {volume["name"]: volume for volume in step.pod["spec"].get("volumes") or []}
    for mount in step.container.get("volumeMounts") or []:
        if mount["mountPath"].rstrip("/") != workspace_mount(step):
            for source, key in SOURCES.items():
                if source in volumes[mount["name"]]:
                    yield str(volumes[mount["name"]][source][key])


def mount_roots(mounts: Mapping[str, Path], scratch: Path) -> dict[str, Path]:
    """Create the parents of mounts here, with a link for each mount in them."""
    roots: dict[str, Path] = {}
    for mount, folder in mounts.items():
        parent, _, name = mount.rpartition("/")
        if parent and parent not in mounts:
            root = roots.setdefault(parent, scratch / "mounts" / parent.lstrip("/"))
            root.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(folder)
    return roots


def volume_folder(step: Step, volume: Object, mount: Object, machine: Machine, scratch: Path) -> Path | None:
    """Return the folder here of a mounted volume; None if the path itself is right."""
    if "emptyDir" in volume:
        if mount["mountPath"].rstrip("/") == "/dev/shm":
            return None  # a machine has its own
        folder = scratch / "volumes" / str(volume["name"])
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    claim: Object | None = volume.get("persistentVolumeClaim")
    if claim is not None:
        if mount["mountPath"].rstrip("/") == workspace_mount(step):
            return machine.workspace
        return given_folder(step, claim["claimName"], "claim", machine)
    if "hostPath" in volume:
        return Path(volume["hostPath"]["path"])
    for kind, source, key in (("Secret", "secret", "secretName"), ("ConfigMap", "configMap", "name")):
        if source in volume:
            folder = scratch / "volumes" / str(volume["name"])
            return files_folder(step, kind, volume[source], key, machine, folder)
    kinds = ", ".join(key for key in volume if key != "name")
    raise UserError(
        f"stage {step.stage} mounts volume {volume['name']!r} ({kinds}), which has no counterpart here. "
        "Leave it out of this run's values."
    )


def workspace_mount(step: Step) -> str:
    """Return where the container expects the workspace."""
    for entry in step.container.get("env") or []:
        if entry["name"] == "OSFT_WORKSPACE":
            return str(entry.get("value", "")).rstrip("/")
    return "/workspace"


def given_folder(step: Step, name: str, what: str, machine: Machine) -> Path:
    """Return the folder that the user gave for a claim, Secret or ConfigMap."""
    folder = machine.claims.get(name)
    if folder is None:
        raise UserError(
            f"stage {step.stage} mounts {what} {name!r}, expected a folder of this machine in its place. "
            f"Add --claim {name}=DIR."
        )
    if not folder.is_dir():
        raise UserError(
            f"--claim {name}={folder}: the folder does not exist, and stage {step.stage} reads from it. "
            "Name a folder that exists."
        )
    return folder


def files_folder(
    step: Step, kind: str, source: Object, key: str, machine: Machine, folder: Path
) -> Path | None:
    """Return the files of a mounted Secret or ConfigMap: the user's, or those the chart creates."""
    name = source[key]
    content = machine.rendered(kind, name)
    if name in machine.claims or (content is None and not source.get("optional")):
        given = given_folder(step, name, kind.lower(), machine)
        content = {file.name: file.read_bytes() for file in given.iterdir() if file.is_file()}
    if content is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    items = source.get("items") or [{"key": key, "path": key} for key in content]
    missing = [item["key"] for item in items if item["key"] not in content]
    if missing and name in machine.claims:
        raise UserError(
            f"--claim {name}={machine.claims[name]}: the folder has no file {missing[0]!r}, which stages "
            "read. Put it there."
        )
    for item in items:
        if item["key"] in content:
            file = folder / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_bytes(content[item["key"]])
    return folder
