"""What is fuzzed: each target takes bytes, as a file or a server holds them, and raises for a broken promise.

`test_seeds.py` runs the kept seeds and a fixed number of other inputs; `make fuzz` looks for new ones.
"""

import json
import os
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st
from markdown_it import MarkdownIt

from osft_register import api
from osft_register.address import Address
from osft_workspace import excerpt, printable, redact_text, redact_url
from osft_workspace.addresses import bare_user_end, find_place
from osft_workspace.asked import asked_value
from osft_workspace.exits import StageError
from osft_workspace.markdown import words
from osft_workspace.redact import redact_value
from osft_workspace.text import field, is_shown, json_text, sentence
from tests.fuzz.answers import Answers
from tests.fuzz.covered import Covered, ours
from tests.fuzz.held import Memory, within
from tests.fuzz.pieces import (
    ACTING,
    ADDRESSES,
    ANSWER,
    CANARY,
    FILES,
    FORMS,
    HIDDEN,
    LARGE,
    MARKS,
    SHOWS,
    TOKEN,
    changed,
    to_bytes,
    to_text,
)  # fmt: skip
from tests.fuzz.reading import Reader

SEEDS = Path(__file__).parent / "seeds"
PARTS = ("scheme", "user", "password", "host", "path", "around")
LONG, ONE_IN = 1 << 16, 16
"""Characters of a text that repeats an input, to find slow patterns, and how many inputs are repeated."""


@dataclass(frozen=True)
class Target:
    """One boundary.

    Attributes:
        check: raises for an input that breaks a promise of it.
        tokens: pieces that matter to it, from which inputs are made beside the seeds.
    """

    check: Callable[[bytes], None]
    tokens: tuple[bytes, ...]
    modules: tuple[str, ...] = ()
    """Of this process, whose lines it is to reach."""

    def hold(self, data: bytes) -> None:
        """Check an input, in bounded time and memory."""
        with within():
            self.check(data)
        MEMORY.check()

    def inputs(self, name: str, more: Sequence[bytes] = ()) -> st.SearchStrategy[bytes]:
        """Return inputs: its seeds and `more`, changed and put together with its tokens and any bytes."""
        kept = [path.read_bytes() for path in sorted((SEEDS / name).iterdir())]
        seeds = st.sampled_from([*kept, *more])
        piece = st.sampled_from(self.tokens) | st.binary(max_size=8) | st.text(max_size=4).map(to_bytes)
        pieces = st.lists(piece, max_size=12).map(b"".join)
        return seeds | pieces | changed(seeds, piece) | changed(pieces, seeds)


def is_long(data: bytes) -> bool:
    """Return whether an input is also tried repeated: some are, the same ones in every run."""
    return bool(data) and zlib.crc32(data) % ONE_IN == 0


def check_redaction(data: bytes) -> None:
    """No form of a secret of the environment shows; any text is taken, and the result is stable.

    Some of the forms for each input, the same ones in every run.
    """
    os.environ["HF_TOKEN"] = CANARY
    for form in FORMS[zlib.crc32(data) % 5 :: 5]:
        text = to_text(data.replace(HIDDEN, form.encode()))
        once = redact_text(text)
        assert redact_text(once) == once, (once, redact_text(once))
        kept = json_text(redact_value({text: [text]}))
        json.loads(kept)
        shown = excerpt(text)
        assert len(shown) <= 200
        for left in (once, kept, shown, field(text), excerpt([text])):
            assert not any(part in left for part in SHOWS), (form, left)
        field(text).encode()
        asked_value([text])
    if is_long(data):
        text = to_text(data) * (LONG // len(data))
        redact_text(text)
        redact_url(text)


def check_address(data: bytes) -> None:
    """The parts of an address, each a line: its password never shows, its host always does.

    As it may be typed: after the parts stands the sentence around it, with `{}` in its place.
    """
    parts = dict(zip(PARTS, to_text(data).split("\n"), strict=False))
    scheme, user, password, host, path, around = (parts.get(name, "") for name in PARTS)
    url = f"{scheme}{user}:{password}@{host}{path}"
    for text in (url, data.decode("utf-8", "replace")):
        redact_url(text)
        find_place("https://", text)
        find_place("hf://", text)
        bare_user_end(text)
        asked_value([text])
    if is_long(data):
        for text in (url, to_text(data)):
            redact_url(text * (LONG // len(text)) if text else "")
            bare_user_end(text * (LONG // len(text)) if text else "")
    once = redact_url(url)
    assert redact_url(once) == once, (once, redact_url(once))
    if not is_fair(scheme, user, password, host, path):
        return
    sentence_with = around.replace("{}", url, 1) if "{}" in around else url
    for shown in (once, redact_text(url), redact_text(sentence_with), redact_value([url])[0]):
        assert password not in shown, (url, shown)
    assert host in once and host in redact_text(url), (url, once, redact_text(url))


def is_fair(scheme: str, user: str, password: str, host: str, path: str) -> bool:
    """Return whether parts make an address that holds just one password, which nothing else repeats.

    `https://a.b:123/c@host` holds no credential: by the rules of URLs `a.b` is its host and 123 its port.
    """
    whole = re.fullmatch(r"(https?|s3|git\+ssh|ftp|S3|HTTPS):/{1,3}|", scheme)
    named = re.fullmatch(
        r"([a-z][a-z0-9-]*\.)+(example|test)(:\d{1,5})?|\[[0-9a-f:]*::[0-9a-f:]*\](:\d{1,5})?", host
    )
    plain = re.fullmatch(r"[a-z][a-z0-9._-]{0,20}", user)
    rest = re.fullmatch(r"(/[a-z0-9._-]*)*([?#][a-z0-9=&%._-]*)?", path)
    good = re.fullmatch(r"[!-~]{8,40}", password) and not re.search(r"[@\[\]'\"<>]|:/|//", password)
    bare = bool(scheme) or not re.search(r"[/(\[{,;=]", password + user)
    port = "." in user and re.match(r"\d{1,5}/", password)
    return (
        bool(whole and named and plain and rest and good and bare and not port)
        and password not in scheme + user + host + path
    )


def check_text(data: bytes) -> None:
    """Whatever is shown is one bounded line of visible characters, and JSON reads as the same value."""
    text = to_text(data)
    for shown in (printable(text), sentence(text), field(text), excerpt(data), excerpt({text: [data]})):
        assert all(is_shown(char) for char in shown), ascii(shown)
        assert len(shown.splitlines()) <= 1
        shown.encode()
    assert len(sentence(text)) <= 4000 and len(excerpt(data)) <= 200
    assert printable(printable(text)) == printable(text)
    parsed = MARKDOWN.parse(f"- T: {words(text)}.")
    assert {child.type for token in parsed for child in token.children or []} == {"text"}, words(text)
    if is_long(data):
        for show in (printable, sentence, words, field):
            show(text * (LONG // max(1, len(text))))
    kept = json_text({"a": [text]}, indent=1)
    assert json.loads(kept) == {"a": [text]} and all(is_shown(char) or char == "\n" for char in kept)


def check_answer(data: bytes) -> None:
    """A registry's answer, from its status line on: the client returns what it asked for or says why not."""
    for sign, content in LARGE.items():
        data = data.replace(sign, content)
    with ANSWERS.giving(data.replace(HIDDEN, TOKEN.encode())) as url:
        os.environ["OSFT_REGISTRY_TOKEN"] = TOKEN
        registry = api.Registry(
            Address(url, "127.0.0.1", False, True), TOKEN, False, 5.0, lambda *_, **__: None
        )
        try:
            for ask in CALLS:
                said = answered(registry, ask)
                assert all(is_shown(char) for char in said) and len(said) <= 4000, ascii(said)
                assert TOKEN not in said, said
        finally:
            registry.http.close()


def answered(registry: api.Registry, ask: Callable[[api.Registry], object]) -> str:
    """Ask, and return the sentence of an error; what is returned instead must fit a record."""
    try:
        json.dumps(ask(registry))
    except (StageError, api.Conflict) as error:
        return error.message if isinstance(error, StageError) else field(error)
    return ""


def check_reader(data: bytes) -> None:
    """A file, whose name is the first line: rows or one sentence, never an exception of a library.

    Its rows are judged and encoded too. A secret in a row shows in no log line and no list of rejected rows.
    """
    name, _, content = data.partition(b"\n")
    suffix = re.sub(rb"[^a-z.]", b"", name)[:20].decode()
    os.environ["HF_TOKEN"] = TOKEN  # for the process that reads
    ended, said = READER.read(suffix, content.replace(HIDDEN, TOKEN.encode()))
    assert ended in ("rows", "refused"), said
    assert all(is_shown(char) or char == "\n" for char in said), ascii(said)
    assert TOKEN not in said, said


MEMORY = Memory(96 << 20)
CALLS: tuple[Callable[[api.Registry], object], ...] = (
    lambda registry: registry.connect(),
    lambda registry: registry.model_named("model"),
    lambda registry: list(registry.list("model_versions/1/artifacts")),
    lambda registry: registry.create("registered_models", {"name": "model"}),
    lambda registry: registry.update("model_versions", {"id": "1", "name": "model"}, {"author": "me"}),
)
MARKDOWN = MarkdownIt().enable(["table", "strikethrough"])
ANSWERS, READER = Answers(), Reader()
api.WAITS = ()  # a retry here is another input
REDACTING = ("osft_workspace.redact", "osft_workspace.addresses", "osft_workspace.secret_values")
SHOWING = ("osft_workspace.text", "osft_workspace.characters", "osft_workspace.markdown")
ASKING = ("osft_register.api", "osft_register.things", "osft_workspace.answers", "osft_workspace.guard")
TARGETS = {
    "addresses": Target(check_address, (*ADDRESSES, *MARKS), (*REDACTING, "osft_workspace.asked")),
    "redaction": Target(check_redaction, (*ADDRESSES, *MARKS, *ACTING), REDACTING),
    "texts": Target(check_text, (*ACTING, *MARKS), SHOWING),
    "answers": Target(check_answer, (*ANSWER, *ACTING), ASKING),
    "readers": Target(check_reader, (*FILES, *ACTING)),
}


def covering(target: Target) -> Callable[[], tuple[int, int]]:
    """Count the lines that a target's inputs reach; return a function that reports reached and all lines."""
    if not target.modules:
        return lambda: READER.covered
    lines = Covered(ours(*target.modules))
    lines.start()
    return lambda: (lines.seen, lines.total)
