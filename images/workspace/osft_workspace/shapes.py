"""Shapes of JSON values: what a value from a file that anybody may have edited is held to.

A detail of another type is a sentence when a record is opened, and a detail that stands in no shape cannot
be read, so that none is read unchecked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

from osft_workspace.text import excerpt

LONGEST_SHOWN = 60  # characters of a value in a sentence
LARGEST = 1e300
LARGEST_COUNT = 2**53


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is not looked into."""

    words: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value, or null."""

    shape: "Shape"


@dataclass(frozen=True, slots=True)
class Whole:
    """An object that has every key of its shape."""

    shape: dict[str, "Shape"]


Shape = Leaf | Maybe | Whole | list["Shape"] | dict[str, "Shape"]
"""A list holds the shape of its items. An object holds those of its keys, or under `*` that of all."""


def is_number(value: Any) -> bool:
    """Return whether a value is a number that any of our texts and registries can hold."""
    return type(value) in (int, float) and -LARGEST <= value <= LARGEST  # not NaN either


def is_count(value: Any) -> bool:
    """Return whether a value is a count of something."""
    return type(value) is int and 0 <= value <= LARGEST_COUNT


def is_first(value: Any) -> bool:
    """Return whether a value is a count and the number of the first row."""
    return isinstance(value, list) and len(value) == 2 and all(map(is_count, value))


def is_figure(value: Any) -> bool:
    """Return whether a value compares base and tuned model by numbers, if it compares them at all."""
    if not isinstance(value, dict):
        return True
    return all(value.get(side) is None or is_number(value[side]) for side in ("base", "tuned"))


TEXT = Leaf("a text", lambda value: isinstance(value, str))
NUMBER = Leaf("a number", is_number)
COUNT = Leaf("a count", is_count)
FLAG = Leaf("true or false", lambda value: isinstance(value, bool))
ANY = Leaf("anything", lambda value: True)
STATUS = Leaf("done, refused or skipped", {"done", "refused", "skipped"}.__contains__)
COUNT_AND_ROW = Leaf("a count and a row", is_first)
OBJECT: Shape = {"*": ANY}
LEAVES: dict[Any, Leaf] = {str: TEXT, float: NUMBER, int: COUNT, bool: FLAG, Any: ANY}


def shape_of(kind: Any) -> Shape:
    """Return the shape of a type.

    It is a TypedDict, a list, a dict with texts as keys, one of `LEAVES`, or one of these or None. A leaf in
    an annotation (`Annotated[list[int], COUNT_AND_ROW]`) is the shape.
    """
    if kind in LEAVES:
        return LEAVES[kind]
    if is_typeddict(kind):
        return shapes_of(kind)
    parts = get_args(kind)
    if get_origin(kind) is Annotated:
        return parts[1]  # type: ignore[no-any-return]
    if NoneType in parts:
        return Maybe(shape_of(next(part for part in parts if part is not NoneType)))
    return [shape_of(parts[0])] if get_origin(kind) is list else {"*": shape_of(parts[1])}


def shapes_of(kind: type) -> dict[str, Shape]:
    """Return the shape of each key of a TypedDict."""
    return {name: shape_of(item) for name, item in get_type_hints(kind, include_extras=True).items()}


FIELDS: dict[str, Shape] = {
    "stage": TEXT, "status": STATUS,
    "run_id": TEXT, "message": TEXT, "inputs": OBJECT, "inputs_digest": TEXT, "needs": {"*": TEXT},
    "outputs": [OBJECT], "shared": {"*": TEXT}, "metrics": {"*": NUMBER}, "details": OBJECT,
    "choices": [{"name": TEXT, "reason": TEXT}], "versions": {"*": TEXT}, "timings": OBJECT,
    "asked": {"*": TEXT},
}  # fmt: skip
"""The fixed fields of a record."""
TASK: Shape = {
    "title": Maybe(TEXT), "metric": Maybe(TEXT), "n": COUNT, "base": Maybe(NUMBER), "tuned": Maybe(NUMBER),
    "delta": Maybe(NUMBER), "gained": Maybe(COUNT), "lost": Maybe(COUNT), "p_value": Maybe(NUMBER), "*": ANY,
}  # fmt: skip
TABLE: dict[str, Shape] = {
    "columns": {"*": TEXT}, "rows": [{"*": ANY}], "note": TEXT, "generated": TEXT, "sentence": TEXT,
    "wording": Maybe(TEXT),
}  # fmt: skip
SUMMARY: Shape = {
    "headline": TEXT, "decision": Maybe(TEXT), "verdict": TEXT, "learned": TEXT, "mix": TEXT,
    "left_out": [TEXT],
    "chain": Maybe(
        {**TABLE, "line": TEXT, "first": [TEXT], "matrix": {"columns": [TEXT], "rows": [[TEXT]]}}
    ),
    "tables": {"learned": Maybe(TABLE), "kept": Maybe(TABLE)},
    "gates": {
        "state": TEXT, "word": TEXT, "why": TEXT, "room": TEXT, "sentence": TEXT,
        "rules": [TEXT], "failures": [TEXT],
        "closest": Maybe({"closest": TEXT, "allowed": NUMBER, "used": NUMBER}),
    },
}  # fmt: skip
"""What evaluation says in words."""
RESULTS: Shape = {
    "summary": SUMMARY,
    "groups": {"*": TASK},
    "tasks": {"*": TASK},
    "holdout": Maybe(
        {"n": COUNT, "generated": Maybe(COUNT), "*": Leaf("numbers of base and tuned", is_figure)}
    ),
    "gates": {
        "passed": FLAG,
        "rules": OBJECT,
        "failures": [TEXT],
        "limits": {"*": {"allowed": NUMBER, "used": NUMBER, "counts": FLAG}},
    },
    "skipped": [{"what": TEXT, "reason": TEXT}],
    "chain": {"average_loss": Maybe(NUMBER), "backward_transfer": Maybe(NUMBER), "runs": [TEXT], "*": ANY},
    "*": ANY,
}
"""What registration reads of results.json."""


TASK_RESULT: Shape = Whole(
    {
        "metric": TEXT, "filter": TEXT, "higher_is_better": FLAG, "value": NUMBER,
        "items": [Whole({"id": ANY, "question": ANY, "choices": ANY, "target": ANY, "answer": ANY,
                         "score": Maybe(NUMBER)})],
    }
)  # fmt: skip
"""What evaluation keeps of a task."""


def misfit(value: Any, shape: Shape, where: str = "") -> str | None:
    """Return the first value that does not fit, as the rest of a sentence, or None.

    Args:
        where: names of the keys that lead to the value.
    """
    if isinstance(shape, Maybe):
        return None if value is None else misfit(value, shape.shape, where)
    if isinstance(shape, Leaf):
        return None if shape.fits(value) else unlike(where, value, shape.words)
    if isinstance(shape, Whole):
        lacks = sorted(set(shape.shape) - set(value)) if isinstance(value, dict) else []
        return f"{where.lstrip('.')} lacks {lacks[0]}" if lacks else misfit(value, shape.shape, where)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return unlike(where, value, "a list")
        found = (misfit(item, shape[0], f"{where}[{number}]") for number, item in enumerate(value))
    else:
        if not isinstance(value, dict):
            return unlike(where, value, "an object")
        every = shape.get("*", ANY)
        found = (misfit(item, shape.get(key, every), f"{where}.{key}") for key, item in value.items())
    return next((problem for problem in found if problem), None)


def unlike(where: str, value: Any, words: str) -> str:
    """Return what is wrong with a value."""
    seen = f"'{excerpt(value, LONGEST_SHOWN)}'" if isinstance(value, str) else excerpt(value, LONGEST_SHOWN)
    return f"{excerpt(where.lstrip('.'), LONGEST_SHOWN)} is {seen}, expected {words}"


def inner(shape: Shape, key: str = "") -> Shape:
    """Return the shape of what lies below a key, or of the items of a list."""
    if isinstance(shape, Maybe | Whole):
        return inner(shape.shape, key)
    if isinstance(shape, list):
        return shape[0]
    return shape.get(key, shape.get("*", ANY)) if isinstance(shape, dict) else ANY


def known(shape: Shape) -> frozenset[str] | None:
    """Return the keys of an object that may be read; None: all."""
    if isinstance(shape, Maybe | Whole):
        return known(shape.shape)
    return frozenset(shape) if isinstance(shape, dict) and "*" not in shape else None
