"""Rendering: a page that stands alone, and a short text. Everything from data is escaped.

Control characters, reversed reading order and secrets are taken out of all texts here, wherever they come
from.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osft_workspace import printable, redact_text
from osft_workspace.markdown import words
from osft_workspace.text import LONGEST_SENTENCE
from osft_workspace.words import typeset

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
TAB = 4
"""Columns."""
LONGEST = 20_000
"""Characters of one text on the page: the first rows are the longest."""
READ = 2 * LONGEST
"""Characters that are read of a text, so that no secret is cut before it is known."""


@cache
def environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=shown,
    )
    found.filters["md"] = markdown_text
    found.filters["breakable"] = breakable
    found.filters["typeset"] = typeset
    return found


def render_html(view: Mapping[str, Any]) -> str:
    """Return the page: no script, no request, its own style."""
    style = (HERE / "style.css").read_text(encoding="utf-8")
    return str(environment().get_template("page.html").render(**view, style=style))


def render_markdown(view: Mapping[str, Any]) -> str:
    """Return the same in short, for terminals, pull requests and model cards."""
    return str(environment().get_template("page.md").render(**view))


def shown(value: Any) -> Any:
    """Return what an expression writes: texts on as many lines as they have, each printable."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    lines = redact_text(value[:READ]).expandtabs(TAB).split("\n")
    text = "\n".join(printable(line) for line in lines)
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


def breakable(text: str) -> Any:
    """Return a text whose long names may break after an underscore, before they break anywhere."""
    from markupsafe import Markup, escape

    return escape(shown(text)).replace("_", Markup("_<wbr>"))


def markdown_text(text: Any) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return words(" ".join(str(text)[:READ].split()), LONGEST_SENTENCE)
