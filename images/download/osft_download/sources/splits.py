"""Which split of a source is read, the same for the hub, folders and prefixes of S3."""

from collections.abc import Mapping, Sequence

from osft_download.sources import Order
from osft_workspace import UserError, printable

SPLITS = {  # the first that is there is read; an evaluation set must not be the training split by default
    "train": ("train_sft", "train_gen", "train", "training"),
    "eval": ("test_sft", "test_gen", "test", "validation", "valid", "dev", "eval"),
}
NAMED = 10  # files that an event names
LONGEST_NAMES = 400  # characters of them


def choose_split(order: Order, shown: str, splits: Sequence[str], what: str = "the dataset") -> str:
    """Return the split to read: the one named for training, or the first of `SPLITS` that is there.

    Raises:
        UserError: it is not there.
    """
    wanted = order.options.split if order.part == "train" else ""
    if wanted in splits:
        return wanted
    listed = printable(", ".join(splits), LONGEST_NAMES)
    there = f"It has {listed}."
    if wanted:
        raise UserError(f"{shown} has no split {wanted!r}. {there} Set data.split (--split).")
    if order.part == "eval" and len(splits) == 1:
        return splits[0]
    for name in SPLITS[order.part]:
        if name in splits:
            if len(splits) > 1:
                order.run.choice(f"{order.part} split", name, f"{what} has {listed}")
            return name
    advice = "Name one with data.split (--split)" if order.part == "train" else "Use a dataset that has one"
    raise UserError(f"{shown} has none of the splits {', '.join(SPLITS[order.part])}. {there} {advice}.")


def files_of_split(
    order: Order, shown: str, splits: Mapping[str, Sequence[str]], others: Sequence[str], what: str
) -> tuple[str, list[str]]:
    """Return the split that is read and its files; what is left out is named.

    `others` are names that are left out whatever the split.
    """
    split = choose_split(order, shown, list(splits), what)
    in_splits = {name for names in splits.values() for name in names}
    left_out = [name for name in others if name not in in_splits]
    if left_out:
        order.run.event(
            "files left out",
            source=shown,
            number=len(left_out),
            files=printable(", ".join(left_out[:NAMED]), LONGEST_NAMES),
        )
    return split, list(splits[split])
