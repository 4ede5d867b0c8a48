"""Kinds of options that several stages have, strict where click is not."""

import json
import math
from collections.abc import Callable
from typing import Any

import click

from osft_workspace.digests import digest_json
from osft_workspace.log import event
from osft_workspace.termination import say_end
from osft_workspace.text import excerpt

LONGEST_SHOWN = 80  # characters of a value in a sentence


class Number(click.FloatRange):
    """A range that `nan` and `inf` are outside of; click lets nan through every border."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text, or say what is wrong with it."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{excerpt(value)} is not a valid number.", param, ctx)
        return number


class Json(click.ParamType[Any]):
    """A JSON object or list, empty for empty text; what no record could hold, such as NaN, is refused."""

    def __init__(self, kind: type, example: str) -> None:
        self.kind, self.example = kind, example
        self.name = f"json {'object' if kind is dict else 'list'}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text, or say what was seen and what is expected."""
        if isinstance(value, self.kind):
            return value
        seen = f"'{excerpt(value, LONGEST_SHOWN)}'"
        try:
            found = json.loads(value) if value else self.kind()
            digest_json(found)
        except (ValueError, RecursionError) as error:
            self.fail(f"{seen} is not JSON ({error}), expected like {self.example}.", param, ctx)
        if not isinstance(found, self.kind):
            self.fail(f"{seen} is JSON of another type, expected like {self.example}.", param, ctx)
        return found


def without_run(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    """Let a check go without --run-id: it looks at no run."""
    if value:
        context.default_map = {"run_id": "none", **(context.default_map or {})}
    return value


def check_option(env: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`--check`, the same for every stage."""
    return click.option(
        "--check",
        is_flag=True,
        is_eager=True,
        callback=without_run,
        envvar=env,
        show_envvar=True,
        help="Report every problem with the options that can be found without a run, a model, a GPU or a "
        "network, and exit.",
    )


def say_checked(stage: str) -> None:
    """Report that a check found no problem."""
    event(stage, "all is well")
    say_end("all is well")
