"""Makes text from outside safe to show on a terminal."""

import re

import click

from osft_workspace import redact_text
from osft_workspace.characters import json_text, one_line

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LONGEST_LINE = 4096  # characters; the kubelet keeps as many bytes of a message


def plain(text: object) -> str:
    """Return a text on one line for a terminal: without colours, control characters escaped."""
    return one_line(COLOURS.sub("", str(text)), LONGEST_LINE)


def plain_lines(text: str) -> str:
    """Return a text of several lines, each as `plain`: the kubelet keeps the end of a log."""
    return "\n".join(map(plain, text.split("\n")))


def plain_json(value: object) -> str:
    """Return JSON whose texts a terminal shows as they are."""
    return json_text(value, indent=1)


class Problems(click.ClickException):
    """What the user must fix, on as many lines as it takes."""

    exit_code = 2

    def __init__(self, text: str) -> None:
        super().__init__(plain_lines(redact_text(text.strip())))
