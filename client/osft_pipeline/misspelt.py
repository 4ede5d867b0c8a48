"""What helm reports about values that the chart's schema does not allow, with similar names."""

import re
from collections.abc import Iterator, Sequence

from osft_pipeline.chart import Object, resolved, schema
from osft_pipeline.near import near, simple

VIOLATION = re.compile(r"^- at '(?P<place>[^']*)': (?P<what>.*)$")
UNKNOWN = re.compile(r"additional propert(?:y|ies) (?P<names>.*) not allowed$")
NAME = re.compile(r"'((?:[^'\\]|\\.)*)'")
CHARTS_OWN = re.compile(r"problems? in the values; nothing was created\.\n(?P<lines>(?:- .*\n?)+)")
FEW = 12
SCHEMA = "values don't meet the specifications of the schema"


def problems(said: str, more: str) -> str:
    """Return all problems in the values: those of the schema, in `said`, and the chart's own, in `more`.

    `more` is what helm reports where it does not apply the schema.
    """
    found: list[str] = []
    meant: set[str] = set()
    for line in said.splitlines():
        if violation := VIOLATION.match(line):
            found += [f"- {sentence}" for sentence in sentences(violation["place"], violation["what"], meant)]
        elif line.startswith(" "):  # one of the ways in which a value may be written
            found.append(line)
    own = CHARTS_OWN.search(more)
    found += [line for line in own["lines"].splitlines() if not follows(line, meant)] if own else []
    count = sum(line.startswith("- ") for line in found)
    return "\n".join([f"{count} problem{'s' * (count > 1)} in the values; nothing was created.", *found])


def sentences(place: str, what: str, meant: set[str]) -> Iterator[str]:
    """Yield a sentence for each value that a violation names; add what the user may have meant to `meant`."""
    section = place.strip("/").replace("/", ".")
    unknown = UNKNOWN.search(what)
    if not unknown:
        yield f"{section or 'the values'}: {what}"
        return
    for name in NAME.findall(unknown["names"]):
        key = joined(section, name)
        similar = similar_keys(section, name)
        meant.update(similar)
        hint = f"Did you mean {' or '.join(similar)}?" if similar else listed(section)
        yield f"{key} is not a value of the chart. {hint}"


def listed(section: str) -> str:
    """Return what to say about the keys of a section: all of them, or where they are described."""
    names = properties(section)
    if section and 0 < len(names) <= FEW:
        return f"Expected one of {section}: {', '.join(names)}."
    return "The chart's README describes all values."


def follows(line: str, meant: set[str]) -> bool:
    """Return whether a problem is only there because a key is misspelt."""
    return line.removeprefix("- ").partition(" ")[0] in meant


def similar_keys(section: str, name: str) -> list[str]:
    """Return the keys beside an unknown one that are like it, otherwise those of its name elsewhere."""
    names = properties(section)
    like = near(name, names) or [one for one in names if len(name) > 1 and initials(one) == name.lower()]
    beside = [joined(section, one) for one in like]
    return beside or [key for key in all_keys() if simple(key.rpartition(".")[2]) == simple(name)][:3]


def initials(key: str) -> str:
    """Return what some write for a key: lr for learningRate."""
    return key[0] + "".join(char.lower() for char in key if char.isupper())


def properties(section: str) -> Object:
    """Return the schemas of the keys of a section, by name; none where the user chooses the names."""
    node = schema()
    for part in filter(None, section.split(".")):
        node = resolved(node).get("properties", {}).get(part, {})
    found: Object = resolved(node).get("properties", {})
    return found


def all_keys(section: str = "", above: Sequence[str] = ()) -> Iterator[str]:
    """Yield all keys of the values, from the shallowest section down in each."""
    for name, node in properties(section).items():
        key = joined(section, name)
        yield key
        reference = str(node.get("$ref", ""))
        if reference not in above:
            yield from all_keys(key, [*above, reference] if reference else above)


def joined(section: str, name: str) -> str:
    """Return the key of a name in a section."""
    return f"{section}.{name}" if section else name
