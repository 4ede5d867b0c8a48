"""Long rows and large vocabularies, good ones: what they take of memory, and where they stop being taken."""

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.table import Bench, Row, check
from tests.support.model_folders import HIDDEN, edit, llama_tensors, write_llama, write_safetensors

SENTENCE = "the sea is deep "
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MANY = "has more than 262,144 tokens, expected no more: split it"


def chat(answer: str) -> str:
    """One row of a question and its answer."""
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": turns})


def document(text: str) -> str:
    """One row of plain text."""
    return json.dumps({"document": text})


def words(folder: Path) -> None:
    """Merge the words of `SENTENCE`, so that its tokens have four characters each."""
    edit(folder / "tokenizer.json", lambda value: merge(value, ["Ġthe", "Ġsea", "Ġis", "Ġdeep"]))
    resize(folder, 300)


def merge(value: dict, texts: Sequence[str]) -> None:  # type: ignore[type-arg]
    """Add tokens to a tokenizer, each made of its beginning and its last letter."""
    known, merges = value["model"]["vocab"], value["model"]["merges"]
    for text in texts:
        for end in range(2, len(text) + 1):
            if text[:end] not in known:
                known[text[:end]] = len(known)
                merges.append(f"{text[: end - 1]} {text[end - 1]}")
    for number, token in enumerate(value["added_tokens"]):
        token["id"] = len(known) + number


def vocabulary(
    size: int, *, old: bool = False, prefix: str = "", pairs: bool = False
) -> Callable[[Path], None]:
    """Give a model so many tokens of four letters, in a file without a space too many.

    Args:
        old: whether tokenizer_config.json does not list the added tokens, as before transformers 4.34.
        prefix: begins each of those tokens.
        pairs: whether the file is indented and merges are lists, as transformers writes them today.
    """

    def change(folder: Path) -> None:
        made = (prefix + "".join(letters) for letters in itertools.product(LETTERS, repeat=4))
        path = folder / "tokenizer.json"
        edit(path, lambda value: merge(value, list(itertools.islice(made, size))))
        written = json.loads(path.read_text())
        if pairs:
            written["model"]["merges"] = [both.split(" ") for both in written["model"]["merges"]]
        layout: dict[str, Any] = {"indent": 2} if pairs else {"separators": (",", ":")}
        path.write_text(json.dumps(written, ensure_ascii=False, **layout))
        resize(folder, len(written["model"]["vocab"]) + 4)
        if not old:
            listed = {str(token.pop("id")): token for token in written["added_tokens"]}
            edit(folder / "tokenizer_config.json", lambda value: value.update(added_tokens_decoder=listed))

    return change


def far(folder: Path) -> None:
    """Give the token of a letter an id far behind all others."""
    edit(folder / "tokenizer.json", lambda value: value["model"]["vocab"].update(y=900_000))


def resize(folder: Path, rows: int) -> None:
    """Give a model embeddings for so many tokens."""
    edit(folder / "config.json", lambda value: value.update(vocab_size=rows))
    shapes = {**llama_tensors(), "model.embed_tokens.weight": ("F32", (rows, HIDDEN))}
    write_safetensors(folder / "model.safetensors", shapes)


def row(
    name: str,
    lines: Sequence[str],
    code: int,
    says: str,
    change: Callable[[Path], None] | None = None,
    more: Sequence[str] = (),
    megabytes: int | None = None,
) -> Row:
    """Rows and a base model, and further words of the command."""

    def arrange(bench: Bench) -> Sequence[str]:
        model = write_llama(bench.base / "model")
        if change:
            change(model)
        rows = bench.file("rows.jsonl", "\n".join(lines).encode())
        kind = ["--pretraining"] if "document" in json.loads(lines[0]) else []
        return bench.stage("download", "--uri", rows, "--model-uri", model, *kind, *more)

    return Row(name, arrange, code, says, megabytes, seconds=200)


CHATS, TEXTS = [chat(f"yes {at}") for at in range(40)], [document(f"a text {at}") for at in range(40)]
DONE = "download done"
ROWS = [
    row("a chat of 256,000 tokens", [chat(SENTENCE * 16_000), *CHATS], 0, DONE),
    row("a document of 256,000 tokens", [document(SENTENCE * 16_000), *TEXTS], 0, DONE),
    row("a chat of 720,000 characters, 4 a token", [chat(SENTENCE * 45_000), *CHATS], 0, DONE, words),
    row("a document of 720,000 characters", [document(SENTENCE * 45_000), *TEXTS], 0, DONE, words),
    row("a chat of a million tokens", [chat(SENTENCE * 60_000), *CHATS], 2, f"writes it {MANY}"),
    row("a document of a million tokens", [document(SENTENCE * 60_000), *TEXTS], 2, f"the document {MANY}"),
    row("a document of 260,000 emoji", [document("\U0001f600" * 260_000), *TEXTS], 2, f"the document {MANY}"),
    row("a document of 200,000 ideograms", [document("\u6771" * 200_000), *TEXTS], 2, f"the document {MANY}"),
    row("a vocabulary of 50,000", CHATS, 0, DONE, vocabulary(50_000)),
    row("a vocabulary of 150,000", CHATS, 0, DONE, vocabulary(150_000)),
    row("a vocabulary of 260,000", CHATS, 0, DONE, vocabulary(260_000)),
    row("a vocabulary of 260,000, old", CHATS, 0, DONE, vocabulary(260_000, old=True)),
    row("a vocabulary of 260,000 words", CHATS, 0, DONE, vocabulary(260_000, prefix="sea", pairs=True),
        megabytes=400),
    row("a token with an id far behind", CHATS, 0, "learned=244", far, ["--resize-embeddings"]),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_large(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
