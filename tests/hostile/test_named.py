"""Files that options and variables name, such as CA files and credentials: pipes, devices, folders."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from osft_workspace.named_files import FILES, FOLDERS, USUAL
from tests.hostile.runs import ODD, Change, download, evaluate, pipe, register, train
from tests.hostile.table import RUN, Bench, Row, check
from tests.support.registry import make_certificates
from tests.support.tuned_run import make_tuned_run

Command = Callable[[Bench], list[str]]


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


KINDS: dict[str, tuple[Change, str]] = {
    **{kind: (make, f"is a {kind}, expected a") for kind, make in ODD.items()},
    "folder": (Path.mkdir, "is a folder, expected a"),
    "file of 10 GB": (large, "has 10737418240 bytes, expected a"),
}


def named(variable: str, kind: str, command: Command) -> Row:
    """Return a command whose environment names something that is not a file."""
    make, says = KINDS[kind]

    def arrange(bench: Bench) -> list[str]:
        make(bench.base / "named")
        bench.env[variable] = str(bench.base / "named")
        make_tuned_run(bench.workspace, RUN)
        return command(bench)

    return Row(
        f"{variable} names a {kind}, {command.__name__}", arrange, 2, rf"\(named by {variable}\) {says}",
        seconds=30,
    )  # fmt: skip


def at_home(path: str, kind: str) -> Row:
    """Something in the place where libraries look for a file of the user's."""
    make, says = KINDS[kind]

    def arrange(bench: Bench) -> list[str]:
        place = Path(path.replace("~", str(bench.base / "scratch" / "home")))
        place.parent.mkdir(parents=True)
        make(place)
        return download(bench)

    return Row(f"{path} is a {kind}", arrange, 2, says, seconds=30)


def hub_token(kind: str) -> Row:
    """Something in the place of the hub's own token."""
    make, says = KINDS[kind]

    def arrange(bench: Bench) -> list[str]:
        folder = bench.base / "scratch" / "hf_home"
        folder.mkdir()
        make(folder / "token")
        return download(bench)

    return Row(f"the hub's token is a {kind}", arrange, 2, rf"\(named by HF_HOME\) {says}", seconds=30)


def ca_file(kind: str, make: Change, says: str) -> Row:
    """Return what is given to register as the CA of the registry."""

    def arrange(bench: Bench) -> list[str]:
        make(bench.base / "ca")
        make_tuned_run(bench.workspace, RUN)
        words = ("--address=https://127.0.0.1:9", f"--ca-file={bench.base / 'ca'}", "--claim=c")
        return bench.stage("register", *words)

    return Row(f"--ca-file is a {kind}", arrange, 2, says, seconds=30)


def tasks(name: str, make: Change, kind: str) -> Row:
    """Return what lies among the task files of --include-path."""

    def arrange(bench: Bench) -> list[str]:
        folder = bench.base / "tasks" / "inside"
        folder.mkdir(parents=True)
        make(folder / name)
        words = ("--gpus=0", f"--include-path={folder.parent}", "--tasks=osft_capitals")
        return bench.stage("eval", "--check", *words)

    return Row(
        f"--include-path holds {name}, a {kind}",
        arrange,
        2,
        f"inside/{name} is a {kind}, expected an lm-eval",
    )


def not_a_certificate(path: Path) -> None:
    path.write_text("no certificate")


def certificates(path: Path) -> None:
    path.mkdir()
    make_certificates(path)


kinds = cycle(KINDS)
ROWS = [
    *(
        named(variable, kind, download)
        for variable, kind in zip(FILES, kinds, strict=False)
        if not (variable in FOLDERS and kind == "folder")
    ),
    *(named("SSL_CERT_FILE", kind, command) for command in (register, train, evaluate) for kind in KINDS),
    *(at_home(path, kind) for path, kind in zip(USUAL, kinds, strict=False)),
    hub_token("pipe"),
    *(ca_file(kind, make, f"is a {kind}, expected a CA file") for kind, make in ODD.items()),
    ca_file("folder", Path.mkdir, "is a folder, expected a CA file"),
    ca_file("folder of certificates", certificates, "is a folder, expected a CA file"),
    ca_file("file of 10 GB", large, "has 10737418240 bytes, expected a CA file"),
    ca_file("file of another kind", not_a_certificate, "cannot be used as a CA file"),
    tasks("a.yaml", pipe, "pipe"),
    tasks("b.yml", ODD["device"], "device"),
    tasks("c.py", pipe, "pipe"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_named(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
