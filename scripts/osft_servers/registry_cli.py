"""The command line of `scripts/local-registry`."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from osft_servers import ending
from osft_servers.parent import die_with_parent
from osft_servers.registry import DATA, ROOT, SERVER, running, serving
from osft_servers.servers import STOP_SECONDS, Failed, start_ticks

VARIABLE = "OSFT_LOCAL_REGISTRY"
LOOK_SECONDS = 0.2


def end(signum: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)


def serve(data: Path, server: Path, listen: str | None) -> int:
    """Serve until a signal comes."""
    ending.hear()
    with serving(data, server, listen) as address:
        print(address, flush=True)
        # Not signal.pause(): it would sleep through a signal that came a moment before.
        while True:
            ending.leave_if_asked()
            time.sleep(LOOK_SECONDS)


def start(data: Path, server: Path) -> int:
    """Start a process that serves, and return when it answers."""
    state = running(data)
    if state is None:
        data.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(ROOT / "scripts" / "local-registry"), "serve"]
        with (data / "serve.log").open("w") as log:
            process = subprocess.Popen(
                [*command, "--data", str(data), "--server", str(server)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        while (state := running(data)) is None:
            if process.poll() is not None:
                raise Failed((data / "serve.log").read_text().strip().removeprefix("local-registry: "))
            time.sleep(0.05)
    print(state["address"])
    return 0


def stop(data: Path) -> int:
    """End the process that serves this data; fine when there is none."""
    state = running(data)
    if state is None:
        print("not running")
        return 0
    pid = int(str(state["pid"]))
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 2 * STOP_SECONDS
    while start_ticks(pid) == state["started"]:
        if time.monotonic() > deadline:
            raise Failed(f"process {pid} does not end. Look at {data}/mariadb.log.")
        time.sleep(0.05)
    print("stopped")
    return 0


def status(data: Path) -> int:
    """Print the address, or say that there is none."""
    state = running(data)
    print(state["address"] if state else "not running")
    return 0 if state else 1


def run(data: Path, server: Path, command: list[str]) -> int:
    """Run a command beside the servers and return its code; servers that ran before are left alone."""
    if not command:
        raise Failed("run needs a command: scripts/local-registry run -- COMMAND ...")
    ending.hear()
    die_with_parent(os.getppid(), signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        state = running(data)
        address = str(state["address"]) if state else stack.enter_context(serving(data, server))
        parent = os.getpid()
        child = subprocess.Popen(
            command,
            env={**os.environ, VARIABLE: address},
            preexec_fn=lambda: die_with_parent(parent, signal.SIGTERM),
        )
        # A terminal sends Ctrl-C to the command as well: it decides, and we end after it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        if ending.asked():
            child.terminate()
        code = child.wait()
        return code if code >= 0 else 128 - code


HELP = f"""\
{DATA.relative_to(ROOT)} keeps the data unless --data names another folder; it stays when the servers stop.

  start          start both servers and print the registry's address
  stop           stop them; status: print the address, exit 1 when they are not running
  serve          stay in the foreground until SIGTERM or Ctrl-C
  run -- CMD     run CMD with {VARIABLE}=http://127.0.0.1:PORT beside the servers, and stop them after it
"""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="A real Model Registry server on a real MariaDB, on loopback.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("start", "stop", "status", "serve", "run"))
    parser.add_argument("--data", type=Path, default=DATA, help="folder for the database, its port and logs")
    parser.add_argument("--listen", help="host:port for serve, in place of a free port of 127.0.0.1")
    parser.add_argument("--server", type=Path, default=SERVER, help="the model-registry program")
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    given = parser.parse_args(words[:cut])
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    data, server = given.data.resolve(), given.server
    try:
        match given.action:
            case "start":
                return start(data, server)
            case "stop":
                return stop(data)
            case "status":
                return status(data)
            case "serve":
                return serve(data, server, given.listen)
            case _:
                return run(data, server, words[cut + 1 :])
    except Failed as error:
        print(f"local-registry: {error}", file=sys.stderr)
        return 2
