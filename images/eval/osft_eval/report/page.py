"""Rendering: a page that stands alone, and a short text. Everything from data is escaped."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~])")


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
    )
    found.filters["md"] = markdown_text
    found.filters["breakable"] = breakable
    return found


def render_html(view: Mapping[str, Any]) -> str:
    """The page: no script, no request, its own style."""
    style = (HERE / "style.css").read_text(encoding="utf-8")
    return str(environment().get_template("page.html").render(**view, style=style))


def render_markdown(view: Mapping[str, Any]) -> str:
    """The same in short, for terminals, pull requests and model cards."""
    return str(environment().get_template("page.md").render(**view))


def breakable(text: str) -> Any:
    """A text whose long names may break after an underscore, before they break anywhere."""
    from markupsafe import Markup, escape

    return escape(text).replace("_", Markup("_<wbr>"))


def markdown_text(text: Any) -> str:
    """A text that Markdown shows as it is, on one line."""
    return MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))
