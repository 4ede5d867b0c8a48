"""What a record says beyond its fixed fields. Anybody may have edited it: what is missing is a sentence."""

from typing import Any

from osft_workspace.exits import UserError
from osft_workspace.shapes import ANY, Shape, inner, known
from osft_workspace.text import excerpt


class Details(dict[str, Any]):
    """An object of a record that names what it lacks, and lets only what has a shape be read."""

    __slots__ = ("known", "record")
    known: frozenset[str] | None
    """Keys that have a shape; None: all."""
    record: str
    """What the record is called in sentences."""

    def __missing__(self, key: str) -> Any:
        """Raise UserError in place of KeyError."""
        raise UserError(
            f"{self.record} lacks '{excerpt(key)}' in its details, expected what this version writes. Run "
            "that stage again, with images of one version."
        )

    def __getitem__(self, key: str) -> Any:
        """Return a value whose shape was checked."""
        self.check(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As `__getitem__`, with a default for what is missing."""
        self.check(key)
        return super().get(key, default)

    def check(self, key: str) -> None:
        """Raise AssertionError for a key that no shape names: a stage would read it unchecked."""
        if self.known is not None and key not in self.known:
            raise AssertionError(
                f"{key} of {self.record} is read and has no type in osft_workspace/contents.py"
            )


def details_of(value: Any, record: str, shape: Shape = ANY) -> Any:
    """Return a JSON value whose objects are `Details`.

    Args:
        record: what the record is called in sentences.
        shape: the value's, which it fits.
    """
    if isinstance(value, dict):
        found = Details((key, details_of(item, record, inner(shape, key))) for key, item in value.items())
        found.record, found.known = record, known(shape)
        return found
    if isinstance(value, list):
        return [details_of(item, record, inner(shape)) for item in value]
    return value
