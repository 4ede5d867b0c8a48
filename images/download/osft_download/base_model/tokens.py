"""Tokens of a model's tokenizer against the rows of its embeddings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osft_download.base_model.json_files import LARGEST_TOKENIZER, read_object
from osft_workspace import Run, UserError, excerpt, printable
from osft_workspace.model_sizes import ADVICE

SHOWN = 40  # characters of a token in a sentence


def check_tokens(run: Run, where: str, folder: Path, rows: int, *, resize: bool) -> None:
    """Check that every token has a row in the embeddings; more rows than tokens are padding.

    Raises:
        UserError: a token has none and adding rows was not requested, or an id is not a number.
    """
    ids: dict[int, str] = {}
    for token, number in tokens_of(folder, where):
        if type(number) is not int or number < 0:
            raise UserError(
                f"the tokenizer of {where} gives the token '{excerpt(token, SHOWN)}' the id "
                f"{printable(number, SHOWN)}, expected a whole number from 0 on. {ADVICE}"
            )
        ids.setdefault(number, str(token))
    beyond = sorted(number for number in ids if number >= rows)
    if not beyond:
        return
    first = f"'{excerpt(ids[beyond[0]], SHOWN)}' with id {beyond[0]}"
    if resize:
        run.event("rows are added to the embeddings", tokens=len(beyond), rows=rows, first=first)
        return
    raise UserError(
        f"the tokenizer of {where} has {len(beyond)} of its {len(ids)} tokens beyond the embeddings, which "
        f"have {rows} rows; the first is {first}. Set model.resizeEmbeddings (--resize-embeddings) to true "
        "to add rows, which start untrained, or name a model whose tokenizer fits."
    )


def tokens_of(folder: Path, where: str) -> Iterator[tuple[Any, Any]]:
    """Yield tokens and ids of tokenizer.json, or of the older files where there is none."""
    path = folder / "tokenizer.json"
    if path.is_file():
        yield from of_tokenizer(read_object(path, where, LARGEST_TOKENIZER))
    else:
        yield from of_older_files(folder, where)
    if (path := folder / "tokenizer_config.json").is_file():
        listed = read_object(path, where).get("added_tokens_decoder")
        for number, token in (listed if isinstance(listed, dict) else {}).items():
            content = token.get("content") if isinstance(token, dict) else token
            yield content, int(number) if str(number).isdecimal() else number


def of_tokenizer(value: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the vocabulary and the added tokens of a tokenizer.json."""
    model = value.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        yield from vocabulary.items()
    elif isinstance(vocabulary, list):  # Unigram: pairs of token and score
        yield from (
            (item[0] if isinstance(item, list) and item else item, at) for at, item in enumerate(vocabulary)
        )
    added = value.get("added_tokens")
    for token in added if isinstance(added, list) else []:
        if isinstance(token, dict):
            yield token.get("content"), token.get("id")


def of_older_files(folder: Path, where: str) -> Iterator[tuple[Any, Any]]:
    """Yield what vocab.json, vocab.txt, added_tokens.json or a SentencePiece model hold."""
    for name in ("vocab.json", "added_tokens.json"):
        if (folder / name).is_file():
            yield from read_object(folder / name, where, LARGEST_TOKENIZER).items()
    if (folder / "vocab.txt").is_file():
        with (folder / "vocab.txt").open("rb") as file:
            yield from ((line.decode(errors="replace").rstrip("\n"), at) for at, line in enumerate(file))
    for name in ("tokenizer.model", "spiece.model"):
        if (folder / name).is_file():
            yield from ((f"piece {at}", at) for at in range(pieces(folder / name)))


def pieces(path: Path) -> int:
    """Count the pieces of a SentencePiece model; 0 for a file of another kind (such as tiktoken's)."""
    from sentencepiece import SentencePieceProcessor

    try:
        return int(SentencePieceProcessor(model_file=str(path)).vocab_size())
    except (RuntimeError, OSError):
        return 0
