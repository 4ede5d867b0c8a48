"""A Model Registry server on its own MariaDB, for the demo and the tests: `scripts/local-registry`.

The registry answers on loopback. The database has no port: it listens on a socket in a folder that
only this user may enter, so it needs no password, and run by root it opens no door to others.

Only the standard library is imported: this runs before any environment is set up.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from osft_servers.servers import Failed, spawn, start_ticks, stop_process, wait_until

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".cache" / "demo" / "registry"
SERVER = ROOT / ".cache" / "bin" / "model-registry"
LIST = "/api/model_registry/v1alpha3/registered_models?pageSize=1"
SOCKET_PREFIX = "osft-registry-"
PORTS_TRIED = 3
PORT_TAKEN = "address already in use"
# Small: a demo's registry holds a handful of models.
DATABASE_OPTIONS = (
    "--innodb-log-file-size=16M",
    "--innodb-buffer-pool-size=32M",
    "--performance-schema=OFF",
    "--skip-log-bin",
)


def find(program: str) -> str:
    """Path of a MariaDB program; Debian keeps the server in sbin, which is not on everybody's PATH."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise Failed(
            f"{program} is missing. On Debian: apt-get install -y --no-install-recommends mariadb-server"
        )
    return found


def as_root() -> list[str]:
    """MariaDB refuses to run as root unless told that this is meant; the data then needs no other owner."""
    return ["--user=root"] if os.getuid() == 0 else []


def running(data: Path) -> dict[str, object] | None:
    """Return the state of the server that keeps this data, or None."""
    try:
        state: dict[str, object] = json.loads((data / "state.json").read_text())
    except (OSError, ValueError):
        return None
    return state if start_ticks(int(str(state["pid"]))) == state["started"] else None


def database_ready(path: Path) -> bool:
    """Return whether the database greets; it listens earlier, while a signal to end would still be lost."""
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.settimeout(1)
        client.connect(str(path))
        return bool(client.recv(1))
    return False


def registry_ready(address: str) -> bool:
    """Return whether the REST API answers with a list."""
    try:
        with urllib.request.urlopen(address + LIST, timeout=5) as answer:
            return "items" in json.load(answer)
    except (OSError, ValueError):
        return False


def choose_port(data: Path) -> int:
    """The port of last time when it is free, else any: at the same address a second run is "already done"."""
    remembered = data / "port"
    wanted = [int(remembered.read_text())] if remembered.exists() else []
    for port in (*wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            chosen: int = probe.getsockname()[1]
            remembered.write_text(f"{chosen}\n")
            return chosen
    raise Failed("no port is free on 127.0.0.1.")


def prepare_database(data: Path) -> Path:
    """The folder of the database, made once; an interrupted making leaves nothing that looks finished."""
    folder = data / "database"
    if not folder.exists():
        fresh = data / "database.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = [find("mariadb-install-db"), "--no-defaults", *as_root(), f"--datadir={fresh}"]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db", *DATABASE_OPTIONS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(
                f"mariadb-install-db ended with code {done.returncode}:\n{done.stdout[-1500:]}{done.stderr}"
            )
        (fresh / "create.sql").write_text("CREATE DATABASE IF NOT EXISTS mr CHARACTER SET utf8mb4;\n")
        fresh.rename(folder)
    return folder


def forget_socket(data: Path) -> None:
    """Remove the folder of the last socket; after a kill it is still there."""
    with contextlib.suppress(OSError):
        last = Path((data / "socket").read_text())
        if last.name.startswith(SOCKET_PREFIX):
            shutil.rmtree(last)


@contextlib.contextmanager
def database(data: Path) -> Iterator[Path]:
    """MariaDB over `data`; yields its socket."""
    folder, log = prepare_database(data), data / "mariadb.log"
    # A socket's path has at most 107 bytes, and a checkout may lie deep.
    short = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX))
    forget_socket(data)
    (data / "socket").write_text(str(short))
    try:
        command = [
            find("mariadbd"),
            "--no-defaults",
            *as_root(),
            f"--datadir={folder}",
            f"--socket={short / 's'}",
        ]
        command += [
            "--skip-networking",
            f"--pid-file={short / 'pid'}",
            f"--init-file={folder / 'create.sql'}",
        ]
        process = start_database([*command, *DATABASE_OPTIONS], short / "s", log)
        try:
            yield short / "s"
        finally:
            stop_process(process)
    finally:
        forget_socket(data)


def start_database(command: list[str], path: Path, log: Path) -> subprocess.Popen[bytes]:
    """MariaDB once it greets on its socket.

    A signal to end while it starts is lost, or even makes it deaf to all later ones; so until then it is
    killed, which its data survive.
    """
    process = spawn(command, log, when_we_die=signal.SIGKILL)
    try:
        wait_until(lambda: database_ready(path), process, log)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


@contextlib.contextmanager
def registry(data: Path, server: Path, database_socket: Path, listen: str | None) -> Iterator[str]:
    """The Model Registry server over the database; yields its address."""
    process, address = start_registry(data, server, database_socket, listen)
    try:
        yield address
    finally:
        stop_process(process)


def start_registry(
    data: Path, server: Path, database_socket: Path, listen: str | None
) -> tuple[subprocess.Popen[bytes], str]:
    """Return the server once it answers; without its own place it gives a taken port up for another."""
    log = data / "model-registry.log"
    for left in reversed(range(1 if listen else PORTS_TRIED)):
        host, _, port = (listen or f"127.0.0.1:{choose_port(data)}").rpartition(":")
        command = [str(server), "proxy", "--hostname", host, "--port", port]
        command += ["--embedmd-database-type", "mysql", "--embedmd-database-dsn"]
        process = spawn([*command, f"root@unix({database_socket})/mr?charset=utf8mb4"], log)
        address = f"http://{host}:{port}"
        try:
            wait_until(lambda: registry_ready(address), process, log)  # noqa: B023 - called here and now
            return process, address
        except BaseException:
            stop_process(process)
            if not left or PORT_TAKEN not in log.read_text(errors="replace"):
                raise
            (data / "port").unlink(missing_ok=True)
    raise AssertionError("not reached")


@contextlib.contextmanager
def serving(data: Path, server: Path, listen: str | None = None) -> Iterator[str]:
    """Both servers, with the state that `status` and `stop` read; yields the address.

    `listen` is `host:port`; without it a port of 127.0.0.1 is chosen.
    """
    if not server.exists():
        raise Failed(f"{server} is missing. `make tools` builds it from its Go module.")
    data.mkdir(parents=True, exist_ok=True)
    state = data / "state.json"
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(
                f"another process is starting or stopping the registry of {data}. Retry when it is done."
            ) from None
        with database(data) as path, registry(data, server, path, listen) as address:
            mine = {"pid": os.getpid(), "started": start_ticks(os.getpid()), "address": address}
            (data / "state.new").write_text(json.dumps(mine) + "\n")
            (data / "state.new").rename(state)
            try:
                yield address
            finally:
                state.unlink(missing_ok=True)
