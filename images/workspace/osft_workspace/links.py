"""What a record keeps of the runs before it: types of `details.chain` of download, as in `contents`."""

from typing import TypedDict


class ChainRows(TypedDict, total=False):
    """The held-out rows of an earlier run, in tokens."""

    path: str
    """Below the workspace."""
    digest: str
    rows: int


class ChainModel(TypedDict, total=False):
    """A model of a chain."""

    path: str
    """Below its run."""
    uri: str
    revision: str | None
    license: str | None
    digest: str
    share: float


class Link(TypedDict, total=False):
    """One earlier run of a chain."""

    run: str
    base: ChainModel
    """What it tuned."""
    model: ChainModel
    """What it left, and the next run tuned."""
    records: dict[str, str]
    """Stage -> digest of its record."""
    results: str
    """sha256 of its results.json; empty without evaluation."""
    rows: ChainRows
    sources: list[str]
    """Addresses of its rows."""


class Chain(TypedDict, total=False):
    """The runs before a run that continues another one."""

    asked: str
    """As in model.fromRun."""
    links: list[Link]
    """The first one first; the last one is the run that is continued."""
