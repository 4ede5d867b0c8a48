"""Ask a server that answers as the lines on stdin say, in one process of a stage's environment.

    python -m tests.support.answered <client> < answers

Each line is a pickled list of replies in base64, given one after the other and then again; None stands for
what a good server answers. Prints how often each exit code came, what ended as a bug, and the peak of memory
in bytes, as JSON. `client` is registry, http, s3 or hub; the stage's own functions are called.
"""

import base64
import contextlib
import io
import json
import os
import pickle
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from osft_workspace import answers
from osft_workspace.command import exit_code_of
from osft_workspace.memory import PeakMemory
from osft_workspace.paths import Workspace
from osft_workspace.stage import Run
from tests.support.listings import GOOD
from tests.support.scripted import Reply, Scripted

TIMEOUT = 0.5  # seconds


def of_download(base: Path, uri: Callable[[str], str]) -> Callable[[str], None]:
    """Rows by the download stage."""
    from osft_download import net, sources
    from osft_download.options import Options

    net.FIRST_PAUSE_SECONDS = 0.0  # the number of tries stays

    def ask(url: str) -> None:
        options = Options(s3_endpoint=url, s3_region="eu-1", timeout_seconds=TIMEOUT)
        run = Run("download", "run-1", Workspace(base), base, {})
        with tempfile.TemporaryDirectory(dir=base) as work:
            sources.fetch(sources.parse(uri(url)), sources.Order(run, Path(work), options, "train"))

    return ask


def of_register(base: Path) -> Callable[[str], None]:
    """One version by the register stage."""
    from osft_register import api
    from osft_register.options import Options
    from osft_register.registration import Wish, register
    from osft_register.stage import connect

    api.WAITS = (0.0,)
    run = Run("register", "run-1", Workspace(base), base, {})
    wish = Wish(
        name="osft-model",
        version="run-1",
        policy="update",
        model={"owner": "me"},
        version_fields={"author": "me"},
        properties={},
        marks={"osft_run_id": "run-1"},
        artifact={"uri": "pvc://ws/x", "customProperties": {}},
    )

    def ask(url: str) -> None:
        register(connect(run, Options(address=url, timeout_seconds=TIMEOUT)), wish)

    return ask


def main() -> None:
    """Ask for each line of stdin, and print what came of it."""
    client = sys.argv[1]
    answers.LONGEST_PAUSE = 0.0  # seconds that a server may ask to wait
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        replies: list[Reply | None] = [None]
        server = Scripted(lambda asked: replies[(asked.number - 1) % len(replies)] or GOOD[client](asked))
        if client == "hub":
            os.environ["HF_ENDPOINT"] = server.url
        uris: dict[str, Callable[[str], str]] = {
            "http": lambda url: f"{url}/rows.jsonl",
            "s3": lambda url: "s3://chats/rows.jsonl",
            "hub": lambda url: "hf://org/rows",
        }
        ask = of_register(base) if client == "registry" else of_download(base, uris[client])
        told = answer_all(server, replies, ask)
    print(json.dumps(told))


def answer_all(server: Scripted, replies: list[Reply | None], ask: Callable[[str], None]) -> dict[str, Any]:
    """Ask once for each line of stdin."""
    codes: Counter[int] = Counter()
    bugs: list[str] = []
    with PeakMemory() as memory:
        for line in sys.stdin:
            replies[:] = pickle.loads(base64.b64decode(line))
            server.asked.clear()
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                try:
                    ask(server.url)
                    code = 0
                except Exception as error:
                    code = exit_code_of(error)
            codes[code] += 1
            if code not in (0, 2, 75):
                bugs.append(f"{replies!r:.600}\n{said.getvalue()[-2500:]}")
    return {"codes": dict(codes), "bugs": bugs[:5], "peak": memory.bytes}


if __name__ == "__main__":
    main()
