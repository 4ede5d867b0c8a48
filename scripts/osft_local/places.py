"""Where a container's mounts and variables lie on this machine."""

import base64
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osft_local.plan import Object, Step, annotations, labels, name_of
from osft_workspace import UserError

# What a process needs to find its way on this machine. Nothing else of the caller's environment reaches a
# stage: what works here works in the cluster.
INHERITED = (
    "PATH", "LANG", "LC_ALL", "TERM", "COLUMNS", "LINES", "COLORTERM", "NO_COLOR", "TZ", "USER", "LOGNAME",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """What the user says about this machine."""

    workspace: Path
    claims: Mapping[str, Path]
    """Folders that stand for other claims, and for mounted secrets and config maps of that name."""
    objects: Sequence[Object] = ()
    """Everything the chart rendered: its own Secrets and ConfigMaps are taken from here."""
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def rendered(self, kind: str, name: str) -> dict[str, bytes] | None:
        """Keys of a Secret or ConfigMap that the chart itself creates, or None."""
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
    """One attempt's folders: mount paths and what they are here, longest first."""

    scratch: Path
    paths: tuple[tuple[str, Path], ...]

    def local(self, text: str) -> str:
        """`text` with every mount path replaced by its folder here; `pvc://x/tmp` is not a mount path."""
        # One pass: a folder here may itself lie below what is a mount path there.
        folders = {mount: str(folder) for mount, folder in self.paths}
        mounts = "|".join(re.escape(mount) for mount in folders) or "(?!)"
        pattern = rf"(?<![\w./-])({mounts})(?![\w.-])"
        return re.sub(pattern, lambda found: folders[found[1]], text)

    @property
    def termination_log(self) -> Path:
        """Where the stage leaves its last sentence."""
        return self.scratch / "termination-log"


def prepare(step: Step, machine: Machine) -> Places:
    """Make the folders of one attempt. Raises UserError for a mount that has no counterpart here."""
    scratch = Path(tempfile.mkdtemp(prefix=f"osft-{step.stage}-"))
    volumes = {volume["name"]: volume for volume in step.pod["spec"].get("volumes") or []}
    try:
        paths = []
        for mount in step.container.get("volumeMounts") or []:
            folder = volume_folder(step, volumes[mount["name"]], mount, machine, scratch)
            if folder is not None:
                paths.append((mount["mountPath"].rstrip("/"), folder / mount.get("subPath", "")))
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return Places(scratch, tuple(sorted(paths, key=lambda pair: -len(pair[0]))))


def volume_folder(step: Step, volume: Object, mount: Object, machine: Machine, scratch: Path) -> Path | None:
    """The folder here of one mounted volume; None where the path itself is right."""
    if "emptyDir" in volume:
        if mount["mountPath"].rstrip("/") == "/dev/shm":
            return None  # a machine has its own
        folder = scratch / "volumes" / str(volume["name"])
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    claim: Object | None = volume.get("persistentVolumeClaim")
    if claim is not None:
        if mount["mountPath"].rstrip("/") == workspace_mount(step):
            machine.workspace.mkdir(parents=True, exist_ok=True)
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
    """Where the container looks for the workspace."""
    for entry in step.container.get("env") or []:
        if entry["name"] == "OSFT_WORKSPACE":
            return str(entry.get("value", "")).rstrip("/")
    return "/workspace"


def given_folder(step: Step, name: str, what: str, machine: Machine) -> Path:
    """The folder the user gave for a claim, secret or config map."""
    folder = machine.claims.get(name)
    if folder is None:
        raise UserError(
            f"stage {step.stage} mounts {what} {name!r}; no folder here stands for it. "
            f"Add --claim {name}=DIR."
        )
    if not folder.is_dir():
        raise UserError(
            f"--claim {name}={folder}: there is no such folder, and stage {step.stage} reads from it. "
            "Name a folder that exists."
        )
    return folder


def files_folder(
    step: Step, kind: str, source: Object, key: str, machine: Machine, folder: Path
) -> Path | None:
    """A mounted Secret or ConfigMap: the user's folder, else files written from what the chart creates."""
    name = source[key]
    content = machine.rendered(kind, name)
    if name in machine.claims or (content is None and not source.get("optional")):
        given = given_folder(step, name, kind.lower(), machine)
        content = {file.name: file.read_bytes() for file in given.iterdir() if file.is_file()}
    if content is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    items = source.get("items") or [{"key": key, "path": key} for key in content]
    for item in items:
        if item["key"] in content:
            file = folder / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_bytes(content[item["key"]])
    return folder


def environment(step: Step, machine: Machine, places: Places, bin_dir: Path) -> dict[str, str]:
    """The variables of one attempt: the container's own, and what the machine needs."""
    env = {name: machine.env[name] for name in INHERITED if name in machine.env}
    env["PATH"] = f"{bin_dir}{os.pathsep}{env.get('PATH', os.defpath)}"
    tmp = next((folder for mount, folder in places.paths if mount == "/tmp"), places.scratch)
    env["TMPDIR"] = str(tmp)
    given: dict[str, str] = {}
    for entry in step.container.get("env") or []:
        value = variable(entry, step, machine)
        if value is not None:
            given[entry["name"]] = value
    for name, value in given.items():
        env[name] = value if is_secret(step, name) else places.local(expand(value, given))
    env["OSFT_TERMINATION_LOG"] = str(places.termination_log)
    return env


def is_secret(step: Step, name: str) -> bool:
    """Whether a variable comes from a Secret; those are passed on untouched."""
    return any(
        entry["name"] == name and "secretKeyRef" in (entry.get("valueFrom") or {})
        for entry in step.container.get("env") or []
    )


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)` as the kubelet does; `$$` stands for one dollar, unknown names stay."""
    return re.sub(
        r"\$\$|\$\((\w+)\)",
        lambda found: "$" if found[0] == "$$" else env.get(found[1], found[0]),
        text,
    )


def variable(entry: Object, step: Step, machine: Machine) -> str | None:
    """One variable's value, or None when it is absent and may be."""
    source: dict[str, Any] = entry.get("valueFrom") or {}
    if not source:
        return str(entry.get("value", ""))
    if "fieldRef" in source:
        return pod_field(source["fieldRef"]["fieldPath"], step)
    if "resourceFieldRef" in source:
        resources = step.container.get("resources") or {}
        part, _, name = source["resourceFieldRef"]["resource"].partition(".")
        return str((resources.get(part) or {}).get(name, ""))
    kind = "Secret" if "secretKeyRef" in source else "ConfigMap"
    ref = source["secretKeyRef" if kind == "Secret" else "configMapKeyRef"]
    if machine.env.get(entry["name"]):
        return machine.env[entry["name"]]
    content = machine.rendered(kind, ref["name"])
    return content[ref["key"]].decode() if content and ref["key"] in content else None


def missing_variables(steps: list[Step], machine: Machine) -> list[str]:
    """A sentence for each secret or config key that a stage needs and that nothing here gives."""
    sentences: dict[str, str] = {}
    for step in steps:
        for entry in step.container.get("env") or []:
            source = entry.get("valueFrom") or {}
            ref = source.get("secretKeyRef") or source.get("configMapKeyRef")
            if ref and not ref.get("optional") and variable(entry, step, machine) is None:
                sentences.setdefault(
                    entry["name"],
                    f"stage {step.stage} takes {entry['name']} from key {ref['key']!r} of {ref['name']!r}: "
                    f"here set the variable {entry['name']}.",
                )
    return list(sentences.values())


def pod_field(path: str, step: Step) -> str:
    """A downward-API field of the pod that this process stands for."""
    found = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if found:
        values = labels(step.pod) if found[1] == "labels" else annotations(step.pod)
        return str(values.get(found[2], ""))
    known = {
        "metadata.name": step.job,
        "metadata.namespace": "local",
        "spec.nodeName": socket.gethostname(),
        "status.hostIP": "127.0.0.1",
        "status.podIP": "127.0.0.1",
    }
    return known.get(path, "")
