"""What the cluster changes on the machine, and how it is undone.

Taken: three addresses on the loopback interface, one cgroup in each hierarchy, /run/<name>. The bridge comes
with the first pod. kubelet and the bridge plugin set some kernel parameters; their values are kept and put
back. Nothing listens on a real interface, and no firewall rule is made.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from osft_cluster.places import Cluster
from osft_cluster.servers import STARTED
from osft_servers.servers import start_ticks

SYSCTLS = (
    *("kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
    *("vm/overcommit_memory", "vm/panic_on_oom", "net/ipv4/ip_forward"),
)
PROC_SYS = Path("/proc/sys")
KILL_SECONDS = 10


def addresses(cluster: Cluster) -> list[str]:
    """Return what is put on the loopback interface."""
    return [cluster.api, cluster.node, cluster.dns]


def in_use(cluster: Cluster) -> list[str]:
    """Describe what is there already under the cluster's names: its own leftovers, or another program's."""
    shown = subprocess.run(["ip", "-oneline", "address"], capture_output=True, text=True, check=True).stdout
    links = [line.split() for line in shown.splitlines()]
    found = [
        f"address {a} on {words[1]}" for words in links for a in words if a.startswith(f"{cluster.network}.")
    ]
    return [*found, *left(cluster)]


def left(cluster: Cluster) -> list[str]:
    """What is there under the cluster's own name. Addresses have none: they may be another cluster's."""
    return [str(path) for path in (cluster.run, *cgroups(cluster)) if path.exists()]


def cgroups(cluster: Cluster) -> list[Path]:
    """The cluster's cgroup: one folder in each hierarchy. Version 1 and 2 may be mounted side by side."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(words[1]) / cluster.name for words in mounts if words[2] in ("cgroup", "cgroup2")]


def take(cluster: Cluster) -> None:
    """Make what the servers need, and keep the kernel parameters that they will change."""
    # A cluster whose /run is gone, such as after a restart of the machine, may have left its data.
    clear(cluster.live)
    kept = {name: (PROC_SYS / name).read_text() for name in SYSCTLS if (PROC_SYS / name).exists()}
    (cluster.run / "sysctls.json").write_text(json.dumps(kept))
    for address in addresses(cluster):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    for cgroup in cgroups(cluster):
        cgroup.mkdir()
        # An empty cpuset lets no process in.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (cgroup / name).exists():
                (cgroup / name).write_text((cgroup.parent / name).read_text())


def give_back(cluster: Cluster) -> None:
    """Undo everything, also after servers that were killed. Fine when nothing is there."""
    end_servers(cluster)
    end_shims(cluster)
    end_cgroups(cluster)
    commands = [["address", "delete", f"{address}/32", "dev", "lo"] for address in addresses(cluster)]
    for command in (["link", "delete", cluster.bridge], *commands):
        subprocess.run(["ip", *command], capture_output=True, check=False)
    with contextlib.suppress(OSError, ValueError):
        for name, value in json.loads((cluster.run / "sysctls.json").read_text()).items():
            (PROC_SYS / name).write_text(value)
    clear(cluster.run)
    clear(cluster.live)


def end_servers(cluster: Cluster) -> None:
    """Kill the servers that outlived who started them."""
    with contextlib.suppress(OSError):
        lines = (cluster.run / STARTED).read_text().splitlines()
        for number, ticks in (map(int, line.split()) for line in lines):
            deadline = time.monotonic() + KILL_SECONDS
            while start_ticks(number) == ticks and time.monotonic() < deadline:
                os.kill(number, signal.SIGKILL)
                time.sleep(0.02)


def end_shims(cluster: Cluster) -> None:
    """Kill what holds containers for our containerd; each is known by the socket in its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"containerd-shim" in words[0] and str(cluster.containerd).encode() in words:
                    os.kill(int(entry.name), signal.SIGKILL)


def end_cgroups(cluster: Cluster) -> None:
    """Kill every process of every pod, then remove the cgroups, the innermost first."""
    deadline = time.monotonic() + KILL_SECONDS
    while (left := members(cluster)) and time.monotonic() < deadline:
        for number in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.05)
    for cgroup in cgroups(cluster):
        for folder in sorted([*cgroup.rglob("*/"), cgroup], key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()


def members(cluster: Cluster) -> set[int]:
    """Processes in the cluster's cgroups."""
    files = (path for cgroup in cgroups(cluster) for path in cgroup.rglob("cgroup.procs"))
    found: set[int] = set()
    for path in files:
        with contextlib.suppress(OSError):
            found.update(int(line) for line in path.read_text().split())
    return found


def clear(folder: Path) -> None:
    """Remove a folder, after unmounting what lies below it, the last mounted first."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        point = line.split()[1].encode().decode("unicode_escape")
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)
