"""Reads a sweep: which runs with which values, and what is wrong with its file."""

import copy
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, permutations, product
from pathlib import Path
from typing import Any

import yaml

from osft_pipeline.near import expected
from osft_pipeline.terminal import Problems, plain
from osft_pipeline.values import place
from osft_workspace.text import excerpt
from osft_workspace.training_file import doubled

KEYS = ("name", "base", "values", "vary")
NAME = re.compile(r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?")
"""With a dash and the number of a run it is the name of a release, of which helm allows 53 characters."""
MOST = 256
"""Runs of one sweep: more are most likely a mistake."""


class Loader(yaml.SafeLoader):
    """Reads 1e-5 as a number, as helm does."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass(frozen=True, slots=True)
class Combination:
    """One run of a sweep."""

    name: str
    """Of the release: <name of the sweep>-<number>."""
    varied: dict[str, Any]
    """Key of the values -> its value in this run."""
    values: dict[str, Any]
    """`base` with them."""

    def text(self) -> str:
        """Return name and values on one line."""
        shown = ", ".join(f"{key} {json.dumps(value)}" for key, value in self.varied.items())
        return plain(f"{self.name}: {shown}")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a file asks for."""

    name: str
    file: Path | None
    """Values file below those of each run."""
    runs: list[Combination]
    problems: list[str]
    """Of the file, a sentence each."""


def read(path: Path) -> Sweep:
    """Return the sweep of a file; of one with problems, those runs that can be made out.

    Raises Problems where the file is not a map.
    """
    try:
        text = path.read_text()
        found = yaml.load(text, Loader)
        json.dumps(found, skipkeys=True, default=str)  # refuses aliases that go in a circle
        aliases = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader))
        twice = [] if aliases else [*doubled(yaml.compose(text, Loader))]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Problems(f"{path} is not YAML ({' '.join(str(error).split())}). Correct it.") from error
    if not isinstance(found, dict):
        raise Problems(f"{path} is not a map, expected the keys name, base or values, and vary.")
    problems = [
        *(f"{key} stands twice, expected each key once: the last would win. Remove one." for key in twice),
        *problems_of(found, path.parent),
    ]
    values = found.get("values") if isinstance(found.get("values"), str) else None
    file = path.parent / values if values and (path.parent / values).is_file() else None
    name = found["name"] if is_name(found.get("name")) else "sweep"
    # Of too many runs one is enough to find what else is wrong: checking each takes a call of helm.
    runs = list(islice(combinations(name, found), MOST + 1))
    return Sweep(name, file, runs if len(runs) <= MOST else runs[:1], problems)


def problems_of(found: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield a sentence for each problem of a sweep's file."""
    for key in found:
        if key not in KEYS:
            yield f"{key} is not a key of a sweep. {expected(str(key), KEYS)}"
    name, values = found.get("name"), found.get("values")
    if not is_name(name):
        yield (
            f"name is {shown(name)}, expected lower-case letters, digits and dashes, at most 49, such as "
            "ratio: the runs are ratio-1, ratio-2 and so on."
        )
    if found.get("base") is not None and values is not None:
        yield "base and values are both set, expected one of them. Remove one."
    if not isinstance(found.get("base") or {}, dict):
        yield f"base is {shown(found['base'])}, expected a map of the chart's values."
    if values is not None and not (isinstance(values, str) and (folder / values).is_file()):
        yield f"values is {shown(values)}, expected the path of a values file, relative to the sweep's file."
    yield from problems_of_lists(found.get("vary"))


def problems_of_lists(vary: Any) -> Iterator[str]:
    """Yield a sentence for each problem of what is varied."""
    if not isinstance(vary, dict) or not vary:
        yield (
            f"vary is {shown(vary)}, expected a map of keys of the values and lists, such as "
            "train.learningRate: [1e-5, 5e-5]."
        )
        return
    for key, options in vary.items():
        where = f"vary.{key}"
        if not isinstance(options, list):
            yield f"{where} is {shown(options)}, expected a list of values."
        elif not options:
            yield f"{where} is an empty list, expected one or more values. Remove the key or add a value."
        else:
            texts = [json.dumps(option, sort_keys=True, default=str) for option in options]
            for text in dict.fromkeys(text for text in texts if texts.count(text) > 1):
                yield f"{where} has {excerpt(text)} more than once. Remove one: both would be the same run."
    for key, below in permutations(map(str, vary), 2):
        if below.startswith(f"{key}."):
            yield f"vary.{key} and vary.{below} set the same value, expected one of them. Remove one."
    count = math.prod(len(options) for options in vary.values() if isinstance(options, list))
    if count > MOST:
        yield f"vary gives {count:,} runs, expected at most {MOST}. Shorten the lists."


def is_name(name: Any) -> bool:
    """Return whether a sweep may have this name."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def shown(value: Any) -> str:
    """Return a value in a sentence."""
    return "missing" if value is None else excerpt(json.dumps(value, default=str))


def combinations(name: str, found: Mapping[str, Any]) -> Iterator[Combination]:
    """Yield a run for every combination of the lists that have values; the last key changes fastest."""
    base, vary = (part if isinstance(part := found.get(key), dict) else {} for key in ("base", "vary"))
    lists = {str(key): options for key, options in vary.items() if isinstance(options, list) and options}
    for number, chosen in enumerate(product(*lists.values()), start=1):
        varied = dict(zip(lists, chosen, strict=True))
        values = copy.deepcopy(base)
        for key, value in varied.items():
            place(values, key, value)
        yield Combination(f"{name}-{number}", varied, values)
