"""Everything that can be known to be wrong before a stage starts, said in one message."""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from osft_workspace import claims
from osft_workspace.exits import UserError
from osft_workspace.hosts import forbidden, kind_of
from osft_workspace.log import event
from osft_workspace.paths import Workspace
from osft_workspace.predecessors import open_record
from osft_workspace.redact import redact_url

CONNECT_SECONDS = 5.0
CONNECT_TRIES = 3  # a Service may be a second or two older than its endpoints
DEFAULT_PORTS = {"http": 80, "https": 443}
REGISTRY = "register.address"


def split_pair(text: str) -> tuple[str, str]:
    """`NAME=what to do` as a pair."""
    name, _, remedy = text.partition("=")
    return name, remedy


def workspace_problems(root: Path, min_free_gib: float) -> list[str]:
    """Return whether the volume is there, writable and large enough."""
    if not root.is_dir():
        return [f"there is no workspace at {root}: mount the volume there (workspace.* in the values)."]
    problems = []
    try:
        with tempfile.NamedTemporaryFile(dir=root, prefix=".preflight-"):
            pass
    except OSError as error:
        who = f"uid {os.getuid()} with groups {sorted({os.getgid(), *os.getgroups()})}"
        problems.append(
            f"the workspace {root} cannot be written by {who} ({error.strerror}): make it writable by "
            "group 0 (mode 2775), or set stageDefaults.podSecurityContext to what the volume expects."
        )
    free = shutil.disk_usage(root).free / 2**30
    if free < min_free_gib:
        problems.append(
            f"the workspace {root} has {free:.1f} GiB free, expected at least {min_free_gib:g}: enlarge "
            "its claim, remove old runs with osft prune, or lower workspace.minFreeGiB."
        )
    return problems


def address_problem(address: str, what: str) -> str | None:
    """Report a problem if no server listens at an address; the stage checks the protocol."""
    shown = redact_url(address)
    try:
        parts = urlsplit(address if "//" in address else f"http://{address}")
        host, port = parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError as error:
        return f"{what} has the address {shown!r}, which cannot be read ({error}): write http(s)://host:port."
    if parts.scheme not in DEFAULT_PORTS:
        return f"{what} has the address {shown!r} with the scheme {parts.scheme}: write http(s)://host:port."
    if not host or not port:
        return f"{what} has the address {shown!r} without a host and port: write http(s)://host:port."
    if wrong := forbidden(host):
        return f"{what} has the address {shown!r}: {wrong}, to which no stage may send requests. Correct it."
    if what != REGISTRY and behind_proxy(parts.scheme, host):
        return None  # only the proxy knows; the download uses it
    reason = "no answer"
    for attempt in range(CONNECT_TRIES):
        if attempt:
            time.sleep(1.0)
        try:
            with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
                return None
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
    return f"{what} at {shown} cannot be reached ({reason}): {advice(host, what)}"


def advice(host: str, what: str) -> str:
    """Return what to do about a host that does not answer, by who runs it."""
    if kind_of(host) != "public":
        return "correct the address, or start it first."
    if what == REGISTRY:
        return "check the address and the network, or leave it empty to skip registration."
    proxy, place = (
        ("HTTPS_PROXY", "of this machine (--data, --model)")
        if claims.is_local()
        else ("HTTPS_PROXY in data.pod.env", "on a volume (pvc://<claim>/<path>)")
    )
    return (
        f"check the address and this network's access to the internet. Behind a proxy set {proxy}; without "
        f"internet use rows and a model {place}."
    )


def behind_proxy(scheme: str, host: str) -> bool:
    """Return whether requests to a host go through a proxy of the environment, as a run here inherits it."""
    return scheme in getproxies_environment() and not proxy_bypass_environment(host)


def training_problems(
    workspace: Workspace, run_id: str, training: Mapping[str, Any], limits: Mapping[str, Any]
) -> list[str]:
    """Return what does not fit of the training of a run whose download is not part of this install."""
    from osft_plan.check import check

    try:
        download = open_record(workspace, run_id, "download")
        if download is None:
            return [
                f"data.enabled is false and run {run_id} has no finished download in the workspace: set "
                "data.enabled to true, or runId to a run whose download is done."
            ]
        check(download, workspace.root, training, limits, partial(event, "preflight"))
    except UserError as error:
        return [error.message]
    return []


def preflight_problems(
    workspace: Path,
    min_free_gib: float,
    env: tuple[str, ...],
    files: tuple[str, ...],
    addresses: tuple[str, ...],
) -> list[str]:
    """Return every problem, each a sentence with its remedy; an empty list when all is well."""
    problems = workspace_problems(workspace, min_free_gib)
    for name, remedy in map(split_pair, env):
        if not os.environ.get(name):
            problems.append(f"{name} is empty or missing: {remedy}")
    for name, remedy in map(split_pair, files):
        if not Path(name).is_file():
            problems.append(f"the file {name} is missing: {remedy}")
    for pair in addresses:
        what, _, address = pair.partition("=")
        problem = address_problem(address, what)
        if problem:
            problems.append(problem)
    return problems
