"""The variables of a container, from its pod and from what this machine needs."""

import json
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osft_pipeline.chart import Object
from osft_pipeline.local.places import Machine, Places
from osft_pipeline.local.plan import Step, annotations, labels
from osft_workspace.claims import FOLDERS

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
WAIT_POLICY = ("OMP_WAIT_POLICY", "passive")  # threads that spin would slow down the machine

# What a process needs on this machine. A stage gets nothing else of the caller's environment, so that what
# works here works in the cluster.
INHERITED = (
    "PATH", "LANG", "LC_ALL", "TERM", "COLUMNS", "LINES", "COLORTERM", "NO_COLOR", "TZ", "USER", "LOGNAME",
    *PROXIES,
    "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME",
)  # fmt: skip


def environment(step: Step, machine: Machine, places: Places, bin_dir: Path) -> dict[str, str]:
    """Return the variables of one attempt: the container's own, and what the machine needs."""
    env = {name: machine.env[name] for name in INHERITED if name in machine.env}
    env["PATH"] = f"{bin_dir}{os.pathsep}{env.get('PATH', os.defpath)}"
    env[WAIT_POLICY[0]] = WAIT_POLICY[1]
    env["TMPDIR"] = str(places.mounts.get("/tmp", places.scratch))
    for name, value in declared(step, machine).items():
        env[name] = value if is_secret(step, name) else places.local(value)
    env["OSFT_TERMINATION_LOG"] = str(places.termination_log)
    return env | folders(step, machine)


def folders(step: Step, machine: Machine) -> dict[str, str]:
    """Return the variable by which a stage names folders of this machine, where a cluster has claims."""
    workspace = declared(step, machine).get("OSFT_WORKSPACE_CLAIM")
    known = {**machine.claims, **({workspace: machine.workspace} if workspace else {})}
    return {FOLDERS: json.dumps({claim: str(folder) for claim, folder in known.items()})}


def declared(step: Step, machine: Machine) -> dict[str, str]:
    """Return the variables that the container declares, with the paths of the container."""
    given: dict[str, str] = {}
    for entry in step.container.get("env") or []:
        value = variable(entry, step, machine)
        if value is not None:
            given[entry["name"]] = value
    return {name: value if is_secret(step, name) else expand(value, given) for name, value in given.items()}


def is_secret(step: Step, name: str) -> bool:
    """Return whether a variable comes from a Secret; those are passed on unchanged."""
    return any(
        entry["name"] == name and "secretKeyRef" in (entry.get("valueFrom") or {})
        for entry in step.container.get("env") or []
    )


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)` as the kubelet does; `$$` is one dollar, unknown names stay."""
    return re.sub(
        r"\$\$|\$\((\w+)\)",
        lambda found: "$" if found[0] == "$$" else env.get(found[1], found[0]),
        text,
    )


def variable(entry: Object, step: Step, machine: Machine) -> str | None:
    """Return a variable's value, or None if it is absent."""
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
    """Return a sentence for each key of a Secret or ConfigMap that a stage needs and nothing here gives."""
    sentences: dict[str, str] = {}
    for step in steps:
        for entry in step.container.get("env") or []:
            source = entry.get("valueFrom") or {}
            ref = source.get("secretKeyRef") or source.get("configMapKeyRef")
            if ref and not ref.get("optional") and variable(entry, step, machine) is None:
                sentences.setdefault(
                    entry["name"],
                    f"stage {step.stage} takes {entry['name']} from key {ref['key']!r} of {ref['name']!r}: "
                    f"set the variable {entry['name']} here.",
                )
    return list(sentences.values())


def pod_field(path: str, step: Step) -> str:
    """Return a downward-API field of the pod that this process stands for."""
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
