"""Figures as JSON lines, on stdout and in a file as soon as each is known, and as a table at the end."""

import json
import math
import time
from pathlib import Path
from typing import Any, TextIO


class Skipped(Exception):
    """A figure was not measured, for a reason that is not a fault."""


class Failed(Exception):
    """A figure was not measured, because something did not work."""


class Lines:
    """Everything found, in order."""

    def __init__(self, file: Path, stream: TextIO) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file, self.stream = file.open("w", encoding="utf-8"), stream
        self.started = time.monotonic()
        self.all: list[dict[str, Any]] = []

    def write(self, section: str, of: str, **facts: Any) -> None:
        """Write one line, at once."""
        line = {"section": section, "of": of, **facts, "at": round(time.monotonic() - self.started, 1)}
        self.all.append(line)
        text = json.dumps(line, allow_nan=False)
        self.file.write(text + "\n")
        self.file.flush()
        print(text, file=self.stream, flush=True)

    def figure(self, section: str, of: str, figure: str, value: float, unit: str, **facts: Any) -> None:
        """Write a figure.

        Args:
            of: what was measured, such as a method.
            facts: what else must be known to read it.

        Raises:
            Failed: it is not a finite number.
        """
        if not math.isfinite(value):
            raise Failed(f"{figure} is {value}")
        self.write(section, of, figure=figure, value=float(f"{value:.6g}"), unit=unit, **facts)

    def skipped(self, section: str, of: str, why: object) -> None:
        """Write that something was not measured."""
        self.write(section, of, skipped=str(why))

    def failed(self, section: str, of: str, why: object) -> None:
        """Write that something did not work."""
        self.write(section, of, failed=str(why))

    @property
    def failures(self) -> int:
        """How many things did not work."""
        return sum("failed" in line for line in self.all)

    def table(self) -> str:
        """Return all lines as a table, grouped by section."""
        rows = [("section", "of", "figure", "value")]
        sections = list(dict.fromkeys(line["section"] for line in self.all))
        for line in sorted(self.all, key=lambda line: sections.index(line["section"])):
            if "figure" in line:
                end = (line["figure"], f"{line['value']:,.6g} {line['unit']}".rstrip())
            else:
                end = next((f"{word}:", line[word]) for word in ("skipped", "failed") if word in line)
            rows.append((line["section"], line["of"], *end))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            "  ".join([*(row[column].ljust(widths[column]) for column in range(3)), row[3]]) for row in rows
        )
