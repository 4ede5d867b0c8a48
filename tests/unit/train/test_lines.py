"""Several processes write into the worker's log."""

import os
import subprocess
import sys
from collections import Counter

WRITER = """
import sys
from osft_train.worker.lines import keep_lines_whole, write_line
keep_lines_whole()
sys.stdin.readline()
for _ in range(3000):
    {statement}
"""
STATEMENTS = {
    "print('what mini-trainer prints')": "what mini-trainer prints",
    "print('a warning', file=sys.stderr)": "a warning",
    "write_line('what the stage reads')": "what the stage reads",
}


def test_lines_of_processes_stay_whole() -> None:
    """With PYTHONUNBUFFERED, as in the images."""
    read, write = os.pipe()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER.format(statement=statement)],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=write,
            stderr=write,
        )
        for statement in STATEMENTS
    ]
    os.close(write)
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()  # all begin
    with os.fdopen(read, encoding="utf-8") as log:
        lines = Counter(filter(None, log.read().split("\n")))
    assert [writer.wait() for writer in writers] == [0] * len(writers)
    assert lines == dict.fromkeys(STATEMENTS.values(), 3000)


def test_a_line_begins_after_a_progress_bar() -> None:
    """It has no end of line yet."""
    bar = "import os\nos.write(1, b'50 %')\n"
    script = f"{bar}from osft_train.worker.lines import write_line\nwrite_line('{{}}')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "{}" in done.stdout.split("\n")
