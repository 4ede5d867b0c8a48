"""The chart's values files for known models and GPUs."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from osft_workspace import UserError

HEADER = re.compile(r"# yaml-language-server:.*\n# (?P<title>.*)\n# Figures: (?P<figures>.*)\n")


def presets(chart: Path) -> dict[str, Path]:
    """Return the presets of a chart by name."""
    return {path.stem: path for path in sorted((chart / "presets").glob("*.yaml"))}


def preset(name: str, chart: Path) -> Path:
    """Return the values file of a preset. Raises UserError for an unknown name, with those that are near."""
    known = presets(chart)
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or list(known)
    raise UserError(
        f"--preset {name} is not a preset of this chart, expected one of: {', '.join(near)}. Correct the "
        "name; osft run --help lists all."
    )


def table(paths: Sequence[Path]) -> str:
    """Return the headers of presets as a Markdown table. Raises ValueError for a file without one."""
    lines = ["| preset | for | where its figures come from |", "|---|---|---|"]
    for path in paths:
        found = HEADER.match(path.read_text())
        if found is None:
            raise ValueError(f"{path} does not begin with what it is for and '# Figures: ...'")
        link = f"[`{path.stem}`](../charts/osft-pipeline/presets/{path.name})"
        lines.append(f"| {link} | {found['title']} | {found['figures']} |")
    return "\n".join(lines)
