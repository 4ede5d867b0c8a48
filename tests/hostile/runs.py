"""Finished runs, claims and hubs that were changed: what the rows of `test_files` are made of."""

import atexit
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from tests.hostile.table import RUN, Bench, Row
from tests.support.hub import Hub, Repo
from tests.support.sandbox import executable
from tests.support.stages import write_hollow_model
from tests.support.tuned_run import make_tuned_run

CHAT = b'{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]}\n'
Change = Callable[[Path], object]
"""What is done to a run's folder."""


def claim(bench: Bench) -> Path:
    """Return a mounted claim with rows and a model in it, and another folder that no value names."""
    root = bench.base / "claims" / "claim"
    root.mkdir(parents=True)
    bench.env["OSFT_PVC_ROOT"] = str(root.parent)
    for folder in (root, root.parent):
        (folder / "rows.jsonl").write_bytes(CHAT)
        write_hollow_model(folder / "model")
    (root / "out").symlink_to(root.parent)
    return root


def address(uri: str, says: str, *, key: str = "data.uri") -> Row:
    """Return an address that points outside its claim, as rows, as held-out rows, or as the model."""

    def arrange(bench: Bench) -> list[str]:
        claim(bench)
        rows, model = "pvc://claim/rows.jsonl", "pvc://claim/model"
        given = {"data.uri": rows, "model.uri": model, key: uri}
        more = ("--eval-uri", uri) if key == "data.evalUri" else ()
        return bench.stage("download", "--uri", given["data.uri"], "--model-uri", given["model.uri"], *more)

    return Row(f"{key} {uri}", arrange, 2, says)


def register(bench: Bench) -> list[str]:
    return bench.stage("register", "--address", "", "--name", "m")


def verify(bench: Bench) -> list[str]:
    ops = executable("download", "osft-ops")
    return [ops, "verify", "--workspace", str(bench.workspace), "--run-id", RUN, "--stage=train"]


def evaluate(bench: Bench) -> list[str]:
    return bench.stage("eval", "--gpus=0")


def train(bench: Bench) -> list[str]:
    return bench.stage("train", "--gpus=0")


def download(bench: Bench) -> list[str]:
    rows = bench.file("rows.jsonl", CHAT * 20)
    return bench.stage("download", "--uri", rows, "--model-uri", write_hollow_model(bench.base / "model"))


def next_run(bench: Bench) -> list[str]:
    """Return the download of another run, which starts from the model of this one."""
    bench.env["OSFT_WORKSPACE_CLAIM"] = "claim"
    model = f"pvc://claim/runs/{RUN}/train/model"
    rows = bench.file("rows.jsonl", CHAT * 20)
    return bench.stage("download", "--uri", rows, "--model-uri", model, run="run-2")


def changed(
    name: str, command: Callable[[Bench], list[str]], change: Change, says: str, code: int = 2
) -> Row:
    """Return a finished run that was changed, and the next command over it."""

    def arrange(bench: Bench) -> list[str]:
        (bench.base / "outside").mkdir()
        change(make_tuned_run(bench.workspace, RUN))
        return command(bench)

    return Row(name, arrange, code, says)


@cache
def downloaded() -> Path:
    """Return a workspace with a finished download whose record was deleted, made once."""
    base = Path(tempfile.mkdtemp(prefix="osft-hostile-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    bench = Bench(base, ExitStack())
    bench.workspace.mkdir()
    env = {**os.environ, "OSFT_DATA_MIN_TOKENS": "0"}
    subprocess.run(download(bench), check=True, env=env, stdout=subprocess.DEVNULL)
    (bench.workspace / "runs" / RUN / "download" / "record.json").unlink()
    return bench.workspace


def again(name: str, pattern: str, change: Change, says: str, code: int = 2) -> Row:
    """Return a download that was done, whose cache was changed and whose record was deleted."""

    def arrange(bench: Bench) -> list[str]:
        shutil.copytree(downloaded(), bench.workspace, dirs_exist_ok=True)
        found = list((bench.workspace / "cache").glob(pattern))
        assert found
        for path in found:
            change(path)
        return download(bench)

    return Row(name, arrange, code, says)


def put(name: str, text: str = "{{ 'planted' }}") -> Change:
    """Drop a file into a run."""

    def change(run: Path) -> None:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)

    return change


def move_out(name: str) -> Change:
    """Put a link to a place outside of the workspace where something was, or would be."""

    def change(run: Path) -> None:
        path = run / name
        target = run.parents[2] / "outside" / path.name
        if path.exists():
            shutil.move(path, target)
        else:
            target.mkdir()
            path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    return change


def run_out(run: Path) -> None:
    target = run.parents[2] / "outside" / run.name
    shutil.move(run, target)
    run.symlink_to(target)


def to_neighbour(run: Path) -> None:
    run.rename(run.with_name("other"))
    run.symlink_to("other")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5)) if os.geteuid() == 0 else path.symlink_to("/dev/zero")


def unix_socket(path: Path) -> None:
    short = Path(tempfile.mkdtemp()) / "socket"  # the path of a socket is at most 107 bytes long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short))
    shutil.move(short, path)
    short.parent.rmdir()


def instead(make: Change, name: str = "") -> Change:
    """Put something else in the place of a file."""

    def change(folder: Path) -> None:
        path = folder / name if name else folder
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)

    return change


def record(stage: str, edit: Callable[[dict], object]) -> Change:  # type: ignore[type-arg]
    """Edit a record."""

    def change(run: Path) -> None:
        path = run / stage / "record.json"
        values = json.loads(path.read_text())
        edit(values)
        path.write_text(json.dumps(values))

    return change


def output(path: str) -> Change:
    return record("train", lambda values: values["outputs"].append({"path": path, "size": 1, "sha256": "x"}))


def token(make: Change) -> Callable[[Bench], list[str]]:
    def command(bench: Bench) -> list[str]:
        make(bench.base / "token")
        return [*bench.stage("register", "--name", "m"), "--address=http://127.0.0.1:9", "--claim=c",
                f"--token-file={bench.base / 'token'}"]  # fmt: skip

    return command


def hub(
    name: str, repo: Callable[[dict[str, bytes]], Repo], code: int, says: str, kind: str = "datasets"
) -> Row:
    """Return a hub whose names or ETags are not plain."""

    def arrange(bench: Bench) -> list[str]:
        server = Hub()
        bench.closing.callback(server.close)
        bench.env |= {**server.env(), "HF_TOKEN": ""}
        model = write_hollow_model(bench.base / "model")
        files = {path.name: path.read_bytes() for path in model.iterdir()} if kind == "models" else {}
        server.repos = {f"{kind}/org/odd": repo(files)}
        uri = "hf://org/odd" if kind == "datasets" else str(bench.file("rows.jsonl", CHAT * 20))
        return bench.stage(
            "download", "--uri", uri, "--model-uri", model if kind == "datasets" else "hf://org/odd"
        )

    return Row(f"hub: {name}", arrange, code, says)


ODD: dict[str, Change] = {"pipe": pipe, "socket": unix_socket, "device": device}
"""What is not a file -> how it is made."""
