"""What the names of files say: which hold rows, which only describe them, and which split they belong to.

Splits are found as the hub's `datasets` library finds them, so that a folder gives the rows that it would
give there.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".arrow")
PACKED = (".gz", ".zst", ".xz", ".bz2")
INFO = frozenset(
    {
        "config.json",
        "dataset_dict.json",
        "dataset_info.json",
        "dataset_infos.json",
        "metadata.json",
        "state.json",
    }
)
"""JSON files that tools write beside rows; never rows themselves."""
QUIET = re.compile(r"(readme|licen[cs]e|notice|changelog)(\..*)?|_success|.*\.(md|crc|lock)", re.IGNORECASE)
"""Files that are not expected to be read: leaving them out is not reported."""
KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SEPARATORS = "-._ 0-9"
SHARDED = re.compile(r"data/(?P<split>\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*")


def plain(name: str) -> str:
    """Return a file's name without the suffix of its packing."""
    return name[: -len(PurePosixPath(name).suffix)] if name.lower().endswith(PACKED) else name


def is_data(name: str) -> bool:
    """Return whether a file holds rows, by its name."""
    base = PurePosixPath(name).name
    return base not in INFO and plain(base).lower().endswith(SUFFIXES)


def is_quiet(name: str) -> bool:
    """Return whether a file is skipped silently: it describes the others."""
    base = PurePosixPath(name).name
    return base in INFO or QUIET.fullmatch(base) is not None


def splits_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Return split -> its files, in the order given; everything is `train` where no name says otherwise."""
    listed = list(names)
    sharded: dict[str, list[str]] = {}
    for name in listed:
        if match := SHARDED.fullmatch(name):
            sharded.setdefault(match["split"], []).append(name)
    if sharded:
        known = [split for split in KEYWORDS if split in sharded]
        return {split: sharded[split] for split in (*known, *sorted(sharded.keys() - set(known)))}
    for matches in (in_folder, in_name):
        found = {
            split: [name for name in listed if matches(name, words)] for split, words in KEYWORDS.items()
        }
        if any(found.values()):
            return {split: files for split, files in found.items() if files}
    return {"train": listed}


def in_folder(name: str, words: Sequence[str]) -> bool:
    """Whether a folder on the way to the file is named after a split: `train/`, `train_v2/`, `my-train/`."""
    any_word = "|".join(words)
    pattern = rf"(?:.*[{SEPARATORS}])?(?:{any_word})(?:[{SEPARATORS}].*)?"
    return any(re.fullmatch(pattern, part, re.DOTALL) for part in name.split("/")[:-1])


def in_name(name: str, words: Sequence[str]) -> bool:
    """Return whether the file itself is named after a split: `train.jsonl`, `my_train-1.jsonl`."""
    pattern = rf"(?:.*[{SEPARATORS}])?(?:{'|'.join(words)})[{SEPARATORS}].*"
    return re.fullmatch(pattern, name.rpartition("/")[2], re.DOTALL) is not None
