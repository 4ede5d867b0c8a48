"""The options of a stage: declared once as the fields of a frozen dataclass, and read from the command line.

@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    port: int = option(0, "Port of the server. 0: the scheme's.", type=click.IntRange(0, 65535))

@options_of(Options, "OSFT_REGISTER_")
def main(options: Options) -> None: ...
"""

import json
import math
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, Field, field, fields
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from osft_workspace.digests import digest_json
from osft_workspace.log import event
from osft_workspace.termination import say_end
from osft_workspace.text import excerpt

LONGEST_SHOWN = 80  # characters of a value in a sentence

Default = TypeVar("Default")
Command = Callable[..., None]
LAYER = "osft_workspace.options.layer"
"""In the metadata of click's context: a function that returns the options with those of a file under them."""


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


class Texts(Json):
    """A JSON object of texts, such as names of datasets and their revisions."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text, or say what was seen and what is expected."""
        found = super().convert(value, param, ctx)
        if not all(isinstance(item, str) and item for item in found.values()):
            seen = f"'{excerpt(value, LONGEST_SHOWN)}'"
            self.fail(f"{seen} is not an object of texts, expected like {self.example}.", param, ctx)
        return found


def option(
    default: Default, text: str, *, env: str = "", also: str = "", decides: bool = True, **attributes: Any
) -> Default:
    """Return a field that is an option, `--its-name`.

    Args:
        default: an object or a list is given and shown as JSON.
        text: what `--help` says.
        env: its environment variable; empty for the prefix and the field's name.
        also: a further environment variable.
        decides: whether another value makes another result (see `inputs_of`).
        attributes: of click's option, such as its `type` where the field's own type does not say enough.
    """
    about = {"env": env, "also": also, "decides": decides, "click": {"help": text, **attributes}}
    if isinstance(default, dict | list):
        return field(default_factory=lambda: copy(default), metadata=about)
    return field(default=default, metadata=about)


def inputs_of(options: Any) -> dict[str, Any]:
    """Return the options that decide the result, by name: the inputs of a record."""
    return {item.name: getattr(options, item.name) for item in fields(options) if item.metadata["decides"]}


def options_of(options: type[Any], prefix: str) -> Callable[[Command], Command]:
    """Add an option for each field, in their order; the command is called with all of them as `options`.

    Args:
        options: a dataclass whose every field is made by `option`.
        prefix: what the names of environment variables begin with.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def called(**given: Any) -> None:
            own = {item.name: given.pop(item.name) for item in fields(options)}
            layer = click.get_current_context().meta.get(LAYER)
            command(options=options(**(layer(own) if layer else own)), **given)

        function: Command = called
        for item in reversed(fields(options)):
            function = click_option(item, prefix)(function)
        return function

    return decorate


def click_option(item: Field[Any], prefix: str) -> Callable[[Command], Command]:
    """Return click's option for a field."""
    about = item.metadata
    attributes = {"type": click_type(item.type), **about["click"]}
    name = item.name.replace("_", "-")
    both = attributes["type"] is bool and not attributes.get("is_flag")
    given = json.dumps(item.default_factory()) if item.default_factory is not MISSING else item.default
    return click.option(
        f"--{name}/--no-{name}" if both else f"--{name}",
        default=given,
        envvar=[env for env in (about["env"] or prefix + item.name.upper(), about["also"]) if env],
        show_envvar=True,
        show_default=True,
        multiple=get_origin(item.type) is tuple,
        **attributes,
    )


def click_type(annotation: Any) -> Any:
    """Return what click reads as values of a type."""
    if isinstance(annotation, UnionType):
        return click_type(next(kind for kind in get_args(annotation) if kind is not NoneType))
    if get_origin(annotation) is tuple:
        return click_type(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    return click.Path(path_type=Path) if annotation is Path else annotation


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
