"""The development cluster itself: it starts beside another one and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from osft_cluster.places import Cluster
from osft_cluster.services import push_busybox
from tests.e2e.harness import BIN, DEV_CLUSTER, ROOT, call, eventually

TWO = Cluster("osft-two", "10.197", ROOT / ".cache" / "cluster-osft-two")
SECOND = (f"--name={TWO.name}", f"--network={TWO.network}")
WORD = "word:1"
SYSCTLS = ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "net/ipv4/ip_forward")

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


def machine() -> dict[str, object]:
    """Everything of this machine that a cluster may change."""
    rules = call("iptables-save").stdout if Path("/usr/sbin/iptables-save").exists() else ""
    return {
        "addresses": call("ip", "-brief", "address").stdout,
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if "osft-two" in line],
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("*/osft*")),
        "rules": [line for line in rules.splitlines() if not line.startswith("#")],
        "sysctls": {name: Path("/proc/sys", name).read_text() for name in SYSCTLS},
        "run": sorted(path.name for path in Path("/run").glob("osft*")),
        "processes": processes(),
    }


def processes() -> list[str]:
    """Command lines of everything that belongs to the second cluster."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if b"osft-two" in words and entry.parent.name != str(os.getpid()):
            found.append(words.replace(b"\0", b" ").decode())
    return found


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """What a failed test leaves must not be the next one's `before`."""
    yield
    call(DEV_CLUSTER, *SECOND, "down")


def push_word(word: str) -> None:
    """An image that says a word, under the one tag that all words share."""
    push_busybox(TWO, WORD, "echo", word)


def said(kubeconfig: str, name: str) -> str:
    """What a pod of that image says."""
    kubectl = (BIN / "kubectl", f"--kubeconfig={kubeconfig}")
    done = call(
        *kubectl,
        "run",
        name,
        f"--image={TWO.images}/{WORD}",
        "--restart=Never",
        "--image-pull-policy=IfNotPresent",
    )
    assert done.returncode == 0, done.stderr
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    assert call(*kubectl, "wait", ended, f"pod/{name}", "--timeout=60s").returncode == 0
    return call(*kubectl, "logs", name).stdout.strip()


def run_a_pod(kubeconfig: str) -> None:
    """Something that mounts, holds a network and runs."""
    kubectl = (BIN / "kubectl", f"--kubeconfig={kubeconfig}")
    words = ("run", "one", f"--image={TWO.images}/pause:1", "--restart=Never")
    assert call(*kubectl, *words).returncode == 0
    assert call(*kubectl, "wait", "--for=condition=Ready", "pod/one", "--timeout=60s").returncode == 0


def start() -> str:
    """Start the second cluster; its kubeconfig."""
    up = call(DEV_CLUSTER, *SECOND, "up")
    assert up.returncode == 0, up.stdout + up.stderr
    return call(DEV_CLUSTER, *SECOND, "kubeconfig").stdout.strip()


def test_it_leaves_the_machine_as_it_was() -> None:
    before = machine()
    run_a_pod(start())
    again = call(DEV_CLUSTER, *SECOND, "up")
    assert again.returncode == 0 and "runs already" in again.stdout
    taken = call(DEV_CLUSTER, "--name=osft-three", SECOND[1], "up")
    assert taken.returncode == 2 and "address 10.197.0.1/32" in taken.stderr + taken.stdout
    assert "not running" in call(DEV_CLUSTER, "--name=osft-three", SECOND[1], "down").stdout
    assert call(DEV_CLUSTER, *SECOND, "status").returncode == 0, "another one's down leaves the addresses"
    assert call(DEV_CLUSTER, *SECOND, "down").returncode == 0
    assert machine() == before
    assert call(DEV_CLUSTER, *SECOND, "status").returncode == 1
    assert "not running" in call(DEV_CLUSTER, *SECOND, "down").stdout


def test_another_checkout_leaves_a_running_one_alone(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / ".cache").mkdir()
    for built in (".venvs", ".cache/bin"):
        (tmp_path / built).symlink_to(ROOT / built)
    elsewhere = (tmp_path / "scripts" / "dev-cluster", *SECOND)
    kubeconfig = start()
    up = call(*elsewhere, "up")
    assert up.returncode == 2 and f"for {TWO.home}" in up.stdout, up.stdout
    assert f"for {TWO.home}" in call(*elsewhere, "status").stdout
    run_a_pod(kubeconfig)


@pytest.mark.parametrize(("number", "begun"), [(signal.SIGINT, 0), (signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_signal_ends_what_up_has_begun(number: signal.Signals, begun: int, tmp_path: Path) -> None:
    """Before its first step is done and after some; also started as shells start what is to ignore Ctrl-C."""
    before = machine()
    said = tmp_path / "said"
    command = ["env", "--ignore-signal=INT", DEV_CLUSTER, *SECOND, "up"]
    with said.open("wb") as output:
        up = subprocess.Popen(command, stdout=output, stderr=output)
    assert eventually(lambda: TWO.run.exists() and said.read_text().count(" s  ") >= begun, 60, every=0.1)
    up.send_signal(number)
    assert up.wait(60) == 1, said.read_text()
    assert machine() == before


def kill_its_keeper() -> None:
    listed = subprocess.run(["pgrep", "-f", "dev-cluster --name=osft-two"], capture_output=True, text=True)
    for number in listed.stdout.split():
        os.kill(int(number), signal.SIGKILL)


def test_one_that_was_killed_is_cleared_up_by_up_and_by_down() -> None:
    before = machine()
    run_a_pod(start())
    kill_its_keeper()
    assert call(DEV_CLUSTER, *SECOND, "status").returncode == 1
    up = call(DEV_CLUSTER, *SECOND, "up")
    assert up.returncode == 0 and "cleared up after one that was killed" in up.stdout, up.stdout + up.stderr
    run_a_pod(call(DEV_CLUSTER, *SECOND, "kubeconfig").stdout.strip())
    kill_its_keeper()
    assert call(DEV_CLUSTER, *SECOND, "down").returncode == 0
    assert eventually(lambda: machine() == before, 30), machine()


def test_a_pod_takes_what_was_loaded_last() -> None:
    """A node keeps what it pulled; `load` lets it forget a tag that means something else by now."""
    kubeconfig = start()
    push_word("first")
    load()
    assert said(kubeconfig, "one") == "first"
    push_word("second")
    assert said(kubeconfig, "two") == "first"
    load()
    assert said(kubeconfig, "three") == "second"


def load() -> None:
    """The smallest of the images, and what comes with every load."""
    loaded = call(DEV_CLUSTER, *SECOND, "load", "register")
    assert loaded.returncode == 0, loaded.stderr
