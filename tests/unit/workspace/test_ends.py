"""However a stage ends: one printable sentence and the exit code that says who must act."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from osft_workspace import StageCommand, Transient, UserError
from osft_workspace.command import exit_code_of
from osft_workspace.digests import digest_json
from osft_workspace.termination import LIMIT

FORGED = "\x1b[2K\r2024-01-01T00:00:00Z train done\u2028\u202e\x85\nError: all is well\udcff"


def deep() -> Any:
    return json.loads("[" * 100_000)


def deep_value() -> Any:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    return digest_json(value)


def own_recursion() -> Any:
    return own_recursion()


def raised(error: BaseException) -> Any:
    def body() -> None:
        raise error

    return body


ENDS = {
    "a name that is not UTF-8": (
        lambda: digest_json({"/data/a\udcff.jsonl": 1}), 2, r"'/data/a\xff.jsonl' is not UTF-8"
    ),
    "a path that is not UTF-8": (lambda: "/data/b\udcfe".encode(), 2, r"'/data/b\xfe' is not UTF-8"),
    "a file that is not UTF-8": (
        lambda: b"ab\xffcd".decode(), 2, r"(near 'ab\xffcd'), expected UTF-8 text"
    ),
    "deep JSON": (deep, 2, "is nested deeper than can be read"),
    "a deep value": (deep_value, 2, "is nested deeper than can be read"),
    "no memory": (
        raised(MemoryError("Unable to allocate 3 TiB")), 2, "ran out of memory (Unable to allocate 3 TiB)"
    ),
    "recursion of ours": (own_recursion, 1, "unexpected RecursionError"),
    "another error": (raised(KeyError("x")), 1, "unexpected KeyError: 'x'. This is a bug."),
    "a message of several lines": (raised(UserError("one\n  two")), 2, "Error: one two\n"),
    "a forged message": (raised(UserError(FORGED)), 2, r"Error: \x1b[2K 2024-01-01T00:00:00Z train done "),
    "a forged answer": (raised(Transient(f"seen {FORGED}")), 75, r"Error: seen \x1b[2K "),
    "a forged bug": (raised(ValueError(FORGED)), 1, r"unexpected ValueError: \x1b[2K "),
    "a forged usage": (raised(click.BadParameter(FORGED)), 2, r"Error: Invalid value: \x1b[2K "),
    "a forged path": (raised(PermissionError(13, "denied", FORGED)), 2, r"may not use \x1b[2K\r2024"),
}  # fmt: skip


@pytest.mark.parametrize("end", list(ENDS))
def test_an_end_is_one_printable_message(
    end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body, code, sentence = ENDS[end]
    monkeypatch.setenv("OSFT_TERMINATION_LOG", str(tmp_path / "end"))
    command = click.command(cls=StageCommand, name="osft-test")(lambda: body())
    with pytest.raises(SystemExit) as stopped:
        command.main([])
    printed = capsys.readouterr().err
    assert stopped.value.code == code, printed
    assert sentence in printed
    lines = printed.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines), lines
    assert sum(line.startswith("Error: ") for line in lines) == 1
    told = (tmp_path / "end").read_text()
    assert told == lines[-1].removeprefix("Error: ")


def test_a_long_termination_message_is_cut_between_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSFT_TERMINATION_LOG", str(tmp_path / "end"))
    assert exit_code_of(UserError("x" + "ü" * 10_000)) == 2
    assert LIMIT - 2 <= len((tmp_path / "end").read_bytes()) <= LIMIT
    (tmp_path / "end").read_text()


def test_a_termination_log_without_a_reader_does_not_block_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "end")
    monkeypatch.setenv("OSFT_TERMINATION_LOG", str(tmp_path / "end"))
    assert exit_code_of(UserError("no")) == 2


def test_a_locale_without_utf8_shows_escapes() -> None:
    code = (
        "import click, osft_workspace as w\n"
        "@click.command(cls=w.StageCommand)\n"
        "def main(): w.event('train', 'seen', name='ü日本')\n"
        "main([])"
    )
    env = {"PYTHONIOENCODING": "ascii", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("train seen name=\\xfc\\u65e5\\u672c\n")


SWALLOWED = """
import os, signal
import click
from osft_workspace import StageCommand, log
@click.command(cls=StageCommand, name="osft-test")
def main():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        print("not reached")
    except:
        pass  # as libraries do with whatever an import of theirs raises
    print("a library goes on", flush=True)
    log.event("test", "next")
    print("not reached either")
main()
"""


def test_a_stop_that_a_library_swallows_ends_the_stage_at_its_next_line(tmp_path: Path) -> None:
    env = {**os.environ, "OSFT_TERMINATION_LOG": str(tmp_path / "end")}
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 75, done.stderr
    assert done.stdout == "a library goes on\n"
    assert "stopped by SIGTERM. Start it again to go on" in done.stderr
