"""The splits that the card of a dataset names, for a copy of it on a volume.

The hub reads `configs` in the head of README.md before it looks at names of files; a copy of the repository
that was read by names alone would train on the rows that the card keeps for tests.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from osft_workspace import UserError, printable

CARD = "README.md"
LARGEST = 1 << 20  # bytes
HEAD = re.compile(r"\s*---[^\S\n]*\n(.*?)\n---", re.DOTALL)
WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
LONGEST_SHOWN = 200  # characters of names in a sentence
ADVICE = "Name the files to read in data.uri and data.evalUri instead, which may be lists"


def configs_of(root: Path) -> list[dict[str, Any]]:
    """Return the configs with `data_files` in the card of a folder; none where it has no card, or no such."""
    path = root / CARD
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        return []
    head = HEAD.match(path.read_text(encoding="utf-8", errors="replace"))
    if head is None or "data_files" not in head[1]:
        return []
    import yaml

    from osft_download.sources.card_text import Unbounded, load_yaml

    try:
        said = load_yaml(head[1])
    except Unbounded as error:
        raise UserError(
            f"the head of {printable(path)} names data_files and {error}, expected a card as the hub "
            "accepts it. Correct it, or remove it from the folder."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(
            f"the head of {printable(path)} names data_files and is not YAML. Correct it, or remove it from "
            "the folder."
        ) from error
    configs = said.get("configs") if isinstance(said, dict) else None
    listed = configs if isinstance(configs, list) else []
    return [config for config in listed if isinstance(config, dict) and config.get("data_files")]


def card_splits(root: Path, names: Sequence[str]) -> dict[str, list[str]] | None:
    """Return split -> files as the card of a folder says, or None if it does not say.

    Args:
        names: the data files below the folder.

    Raises:
        UserError: the card has several configs and none is the default, or names files that do not exist.
    """
    configs = configs_of(root)
    if not configs:
        return None
    default = [c for c in configs if c.get("default") is True] or [
        c for c in configs if c.get("config_name") == "default"
    ]
    chosen = configs if len(configs) == 1 else default
    if len(chosen) != 1:
        listed = printable(", ".join(str(c.get("config_name")) for c in configs), LONGEST_SHOWN)
        raise UserError(
            f"the card {printable(root / CARD)} has several configs ({listed}) and none is the "
            f"default. {ADVICE}."
        )
    found: dict[str, list[str]] = {}
    for split, pattern in patterns(chosen[0]["data_files"]):
        files = [name for name in names if matches(name, pattern)]
        if not files:
            raise UserError(
                f"the card {printable(root / CARD)} names {printable(pattern, LONGEST_SHOWN)} as files of "
                f"the split {printable(split, LONGEST_SHOWN)}, and the folder has no such file. Copy the "
                f"dataset again. {ADVICE}."
            )
        found[split] = [*found.get(split, []), *(name for name in files if name not in found.get(split, []))]
    return found or None


def patterns(said: Any) -> Iterator[tuple[str, str]]:
    """Yield splits and the patterns of their files, in every form that a card may have them."""
    if isinstance(said, dict):
        said = [{"split": split, "path": path} for split, path in said.items()]
    for item in said if isinstance(said, list) else [said]:
        entry = item if isinstance(item, dict) else {"path": item}
        paths = entry.get("path")
        for path in paths if isinstance(paths, list) else [paths]:
            yield str(entry.get("split") or "train"), str(path).removeprefix("./")


def matches(name: str, pattern: str) -> bool:
    """Whether the name of a file fits a pattern, whose `*` does not cross folders and whose `**` does."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.fullmatch("".join(WILD.get(part) or re.escape(part) for part in parts), name) is not None
