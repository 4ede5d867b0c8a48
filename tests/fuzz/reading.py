"""Rows from their file to their tokens, in download's own environment: one process for all files.

Run by .venvs/download's Python, which has pyarrow and transformers, it takes `suffix length`, a line, and
that many bytes, and answers with a line of JSON.
"""

import atexit
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.covered import Covered, ours
from tests.fuzz.held import Memory, Slow, within
from tests.support.model_folders import write_llama

ROOT = Path(__file__).resolve().parents[2]
MOST_ROWS = 1000
MEMORY = 192 << 20
"""Of which the stage allows itself 128 MiB for reading."""
MODULES = ("osft_download.readers", "osft_download.formats", "osft_download.chat", "osft_download.calls",
           "osft_download.rows", "osft_download.written", "osft_download.rules", "osft_rows")  # fmt: skip


class Reader:
    """Starts with the first file; a process that died or hung is started again."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.covered = (0, 0)
        """Lines that ran, and all lines."""

    def read(self, suffix: str, content: bytes) -> tuple[str, str]:
        """Return how it ended (`rows`, `refused`, `crashed`, `died`), and all that was said and written."""
        if self.process is None:
            self.process = subprocess.Popen(
                [ROOT / ".venvs" / "download" / "bin" / "python", "-m", "tests.fuzz.reading"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            )  # fmt: skip
            atexit.register(self.process.kill)
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(f"{suffix or '-'} {len(content)}\n".encode() + content)
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except Slow:
            self.process.kill()
            self.process = None
            raise
        if not answer:
            code, self.process = self.process.wait(), None
            return "died", f"with exit code {code}"
        ended, said, seen, total = json.loads(answer)
        self.covered = (seen, total)
        return str(ended), str(said)


def reading(folder: Path) -> Callable[[Path], tuple[str, str]]:
    """Return what reads a file, judges its rows and encodes the good ones."""
    from osft_download.formats import all_columns
    from osft_download.rows import Intake, Policy
    from osft_download.sources import DataFile, Fetched
    from osft_download.spool import Spool
    from osft_rows.encoder import RowEncoder
    from osft_rows.settings import Settings
    from osft_workspace import Run, UserError
    from osft_workspace.paths import Workspace

    settings = Settings(model=str(write_llama(folder / "model")), vocabulary=264, longest=200)
    encoder = RowEncoder(settings)
    run = Run("download", "run-1", Workspace(folder), folder, {})

    def judged(path: Path) -> None:
        with (folder / "rejected.jsonl").open("wb") as rejected, Spool(folder / "spool") as spool:
            intake = Intake(run, Policy(True, MOST_ROWS), "auto", all_columns({}), rejected)
            try:
                intake.take(Fetched(uri="rows", files=[DataFile(path, path.name)]), spool, held_out=False)
                intake.close(empty=not spool.offsets)
            finally:
                rejected.flush()
                print((folder / "rejected.jsonl").read_text())
        spool.file.close()
        for result in encoder.encode([line for _, line in spool.read(spool.offsets)], prompts=True):
            assert bool(result.line) != bool(result.reason), result
            print(result.reason)

    def read(path: Path) -> tuple[str, str]:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            try:
                with within():
                    judged(path)
            except UserError as error:
                return "refused", f"{said.getvalue()}{error.message}"
            except BaseException:
                return "crashed", traceback.format_exc()
        return "rows", said.getvalue()

    return read


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    with tempfile.TemporaryDirectory() as name:
        folder, memory = Path(name), Memory(MEMORY)
        read = reading(folder)
        lines = Covered(ours(*MODULES))
        lines.start()
        while line := sys.stdin.buffer.readline():
            suffix, length = line.split()
            path = folder / f"rows{suffix.decode().removeprefix('-')}"
            path.write_bytes(sys.stdin.buffer.read(int(length)))
            memory.check()
            ended, said = read(path)
            try:
                memory.check()
            except AssertionError as error:
                ended, said = "crashed", str(error)
            print(json.dumps([ended, said, lines.seen, lines.total]), file=answers, flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
