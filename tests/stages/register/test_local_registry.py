"""`scripts/local-registry`: started, found, used and stopped, whatever happens to its parent."""

import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = str(ROOT / "scripts" / "local-registry")


def call(data: Path, action: str, *command: str) -> subprocess.CompletedProcess[str]:
    args = [SCRIPT, action, "--data", str(data), *(["--", *command] if command else [])]
    return subprocess.run(args, capture_output=True, text=True, timeout=120)


def users_of(data: Path) -> list[int]:
    """Processes that were started for this data: its path is in their command line or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(data).encode() in words:
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry") / "data"


def test_start_status_stop(data: Path) -> None:
    started = call(data, "start")
    assert started.returncode == 0, started.stderr
    address = started.stdout.strip()
    try:
        assert httpx.get(f"{address}/api/model_registry/v1alpha3/registered_models").json()["items"] == []
        assert call(data, "start").stdout.strip() == address
        assert call(data, "status").stdout.strip() == address
        beside = call(data, "run", "sh", "-c", "echo $OSFT_LOCAL_REGISTRY")
        assert beside.stdout.strip() == address
        assert call(data, "status").returncode == 0, "run must leave running what it found running"
    finally:
        stopped = call(data, "stop")
    assert stopped.stdout.strip() == "stopped"
    assert call(data, "status").returncode == 1
    assert users_of(data) == []


def test_run_gives_the_commands_code_and_the_same_address_each_time(data: Path) -> None:
    first = call(data, "run", "sh", "-c", "echo $OSFT_LOCAL_REGISTRY; exit 7")
    again = call(data, "run", "sh", "-c", "echo $OSFT_LOCAL_REGISTRY; exit 7")
    assert (first.returncode, again.returncode) == (7, 7), first.stderr + again.stderr
    assert first.stdout == again.stdout
    assert users_of(data) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_stopped_run(data: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [SCRIPT, "run", "--data", str(data), "--", "sh", "-c", "echo $OSFT_LOCAL_REGISTRY; exec sleep 300"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert httpx.get(address).status_code == 404
        process.send_signal(number)
        process.communicate(timeout=60)
        wait_until_gone(data)
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
    finally:
        process.kill()
    assert call(data, "status").returncode == 1


@pytest.mark.parametrize("signals", [(signal.SIGKILL,), (signal.SIGTERM, signal.SIGINT)])
def test_nothing_outlives_a_start_that_was_cut_off(data: Path, signals: tuple[signal.Signals, ...]) -> None:
    """At several moments of MariaDB's start, in which it may not hear a signal to end."""
    assert call(data, "run", "true").returncode == 0, "the database is made"
    for moment in range(6):
        written = (data / "mariadb.log").stat().st_size
        process = subprocess.Popen([SCRIPT, "serve", "--data", str(data)], stdout=subprocess.DEVNULL)
        while (data / "mariadb.log").stat().st_size == written:
            time.sleep(0.005)
        time.sleep(moment * 0.03)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.02)
        assert process.wait(60) != 0
        wait_until_gone(data)
    assert call(data, "run", "true").returncode == 0


def wait_until_gone(data: Path) -> None:
    deadline = time.monotonic() + 30
    while users_of(data) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert users_of(data) == []


def test_a_missing_server_program_is_named(data: Path) -> None:
    done = subprocess.run(
        [SCRIPT, "start", "--data", str(data), "--server", "/nowhere/model-registry"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "local-registry: /nowhere/model-registry is missing. `make tools` builds it from its Go module.\n"
    )
