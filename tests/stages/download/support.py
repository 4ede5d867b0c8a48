"""One start of `osft-download`, and the rows it is given."""

import json
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import warm
from tests.support.sandbox import executable, stage_env
from tests.support.stages import write_hollow_model

RUN = "run-1"
SHORT_ROWS = {"OSFT_DATA_MIN_TOKENS": "0"}  # what the tests here give is shorter than rows worth training on


def chat(question: str, answer: str = "Yes.") -> dict[str, Any]:
    """One chat row."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def lines(rows: list[Any]) -> bytes:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


CHAT = lines([chat(f"Question {number}?") for number in range(20)])


@dataclass
class End:
    """How a start ended."""

    code: int
    printed: str
    dir: Path

    @property
    def error(self) -> str:
        """The one sentence."""
        return next(line for line in self.printed.splitlines() if line.startswith("Error: "))

    @property
    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.dir / "record.json").read_bytes()))

    def lines(self, name: str) -> list[bytes]:
        """Return a result's lines, or those that a failed start left."""
        folder = self.dir / "unfinished" if self.code else self.dir
        return (folder / name).read_bytes().splitlines()

    def rows(self, name: str) -> list[Any]:
        """Return a result's rows."""
        return [json.loads(line) for line in self.lines(name)]

    def failed(self, code: int) -> str:
        """Assert the exit code, and that nothing is published; returns the sentence."""
        assert self.code == code, self.printed
        assert not (self.dir / "record.json").exists()
        assert "Traceback" not in self.printed
        assert not (self.dir / "unfinished" / "work").exists()
        return self.error


class Stage:
    """A workspace, a hollow model and a place for data; `run` starts the stage there."""

    forks = True
    """Whether starts may be forks; not where the memory or the processors of this process matter."""

    def __init__(self, base: Path) -> None:
        self.base, self.workspace, self.data = base, base / "workspace", base / "data"
        for folder in (self.workspace, self.data, base / "scratch"):
            folder.mkdir()
        self.model = write_hollow_model(base / "hollow")

    def file(self, name: str, content: bytes) -> str:
        """Write a data file; returns its path as a URI."""
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def command(self, *args: str, run: str = RUN, model: str | None = None) -> list[str]:
        own = ["--workspace", str(self.workspace), "--run-id", run, "--model-uri", model or str(self.model)]
        return [executable("download"), *own, *args]

    def run(self, *args: str, run: str = RUN, model: str | None = None, **env: str) -> End:
        """Start the stage with these arguments and wait for its end."""
        command = self.command(*args, run=run, model=model)
        folder = self.workspace / "runs" / run / "download"
        whole = stage_env(self.workspace, self.base / "scratch", SHORT_ROWS | env)
        if self.forks and warm.may_fork(env, command):
            return End(*warm.run(command, whole, seconds=200), folder)
        # A shell between: the kernel counts the caller's peak memory to a program that it starts itself.
        done = subprocess.run(
            ["sh", "-c", '"$@"; exit $?', "sh", *command],
            env=whole,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
            check=False,
        )
        return End(done.returncode, done.stdout, folder)

    def good(self, *args: str, run: str = RUN, model: str | None = None, **env: str) -> End:
        """As `run`, and it must end well."""
        end = self.run(*args, run=run, model=model, **env)
        assert end.code == 0, end.printed
        return end


def run_all(stage: Stage, starts: Mapping[str, tuple[list[str], dict[str, str]]]) -> dict[str, End]:
    """Several starts side by side, each in its own run: most of their time they wait for a server."""
    with ThreadPoolExecutor(4) as pool:
        ends = {
            name: pool.submit(stage.run, *args, run=f"run-{number}", **env)
            for number, (name, (args, env)) in enumerate(starts.items())
        }
        return {name: end.result() for name, end in ends.items()}


def download_python() -> str:
    """Return the stage's own Python, which has pyarrow."""
    return str(Path(executable("download")).with_name("python"))


def write_parquet(path: Path, rows: list[Any]) -> str:
    """Write rows as parquet, with the stage's own pyarrow; returns the path."""
    code = "import json,sys,pyarrow,pyarrow.parquet as p; "
    code += "p.write_table(pyarrow.Table.from_pylist(json.load(sys.stdin)), sys.argv[1], row_group_size=7)"
    subprocess.run(
        [download_python(), "-c", code, str(path)],
        input=json.dumps(rows).encode(),
        env={"PATH": os.environ["PATH"]},
        check=True,
    )
    return str(path)
