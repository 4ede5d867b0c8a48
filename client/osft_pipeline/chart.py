"""The chart that this package carries, and helm, which renders and installs it."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click

from osft_pipeline.presets import preset, presets
from osft_workspace import UserError

Object = dict[str, Any]

PACKAGE = Path(__file__).resolve().parent
OLDEST = (3, 18)
FLAGS = {
    "values": "values file; later files win",
    "set": "one value: key=value",
    "set_string": "one value, always a string",
    "set_json": "one value as JSON",
    "set_file": "one value from a file",
    "set_literal": "one value, no character special",
}


@cache
def checkout() -> Path | None:
    """Return the checkout of osft-pipeline this package runs from or the current folder lies in, or None."""
    for folder in (PACKAGE.parents[1], *Path.cwd().parents, Path.cwd()):
        if (folder / "images" / "workspace").is_dir() and (folder / "charts" / "osft-pipeline").is_dir():
            return folder
    return None


def chart() -> Path:
    """Return the folder of the chart: the one in this package, or the checkout's for an editable install."""
    carried = PACKAGE / "chart"
    return carried if carried.is_dir() else PACKAGE.parents[1] / "charts" / "osft-pipeline"


def find_helm() -> str:
    """Return the helm of the checkout, or PATH's. Raises UserError where it is missing or too old."""
    own = checkout()
    if own is not None and (own / ".cache" / "bin" / "helm").exists():
        return str(own / ".cache" / "bin" / "helm")
    found = shutil.which("helm")
    if found is None:
        raise UserError(
            "helm was not found on PATH; 3.18 or later is needed. Install it (https://helm.sh/docs/intro); "
            "in a checkout `scripts/setup helm` builds one."
        )
    shown = subprocess.run([found, "version", "--short"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v(\d+)\.(\d+)", shown)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise UserError(
            f"{found} is helm {shown.strip() or 'of an unknown version'}; 3.18 or later is needed. Install a "
            "newer one; in a checkout `scripts/setup helm` builds one."
        )
    return found


@cache
def schema() -> Object:
    """Return the chart's schema of values."""
    found: Object = json.loads((chart() / "values.schema.json").read_text())
    return found


def resolved(node: Object) -> Object:
    """Return a schema with its reference followed."""
    name = str(node.get("$ref", "")).removeprefix("#/definitions/")
    return schema()["definitions"][name] if name else node


def value_flags(command: Any) -> Any:
    """Give a command helm's own value flags and --preset; `flag_list` makes words for helm of them."""
    for name, text in reversed(FLAGS.items()):
        flags = ["-f", "--values"] if name == "values" else [f"--{name.replace('_', '-')}"]
        command = click.option(*flags, name, multiple=True, help=f"Helm's own: {text}.")(command)
    text = (
        f"Values file of the chart for a model and its GPU, below all others: {', '.join(presets(chart()))}."
    )
    return click.option("--preset", multiple=True, metavar="NAME", help=text)(command)


def flag_list(flags: Mapping[str, Sequence[str]]) -> list[str]:
    """Return helm's value flags as words of a command line. Raises UserError for an unknown preset."""
    files = [f"--values={preset(name, chart())}" for name in flags["preset"]]
    others = [(key, value) for key, given in flags.items() if key != "preset" for value in given]
    return [*files, *(f"--{key.replace('_', '-')}={value}" for key, value in others)]
