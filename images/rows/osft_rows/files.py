"""Where the tokens of a run lie, and what its download record says of them; all that later stages need."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from osft_workspace import Record, UserError


@dataclass(frozen=True, slots=True)
class TokenFiles:
    """The encoded rows of one run.

    `train` and `eval` are JSON lines: `input_ids`, `labels` (not for documents), `len`,
    `num_loss_counted_tokens`; held-out chats also have `prompt`, `reference` and `messages`.
    """

    train: Path
    eval: Path
    sets: Mapping[str, Mapping[str, int]]
    """`train` and `eval` -> `rows`, `tokens`, `learned`, and the tokens of the `longest` row."""
    settings: Mapping[str, Any]
    """As in `settings.Settings`, without the model's folder."""

    @classmethod
    def of(cls, download: Record, workspace: Path) -> Self:
        """Return the files that a record names.

        Raises:
            UserError: the record is of a version that left no tokens, or names a folder elsewhere.
        """
        found = download.details.get("tokens")
        if not isinstance(found, dict):
            raise UserError(
                f"the download record of run {download.run_id} names no tokens: it was written by an earlier "
                "version. Run download again with the image of this version."
            )
        folder = download.shared_path(workspace, found["path"])
        return cls(folder / "train.jsonl", folder / "eval.jsonl", found["sets"], found["settings"])
