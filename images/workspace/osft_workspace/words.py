"""Numbers as people write them: plain ASCII, and `typeset` for a page."""

import re
from collections.abc import Sequence

NONE = "-"
"""Shown where a number is missing."""
MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
HYPHEN = re.compile(r"(?<![\w.])-(?=\d)")
BEFORE_PERCENT = re.compile(r"(?<=\d) (?=%)|(?<=<) (?=\d)")


def percent(share: float) -> str:
    """Return a share between 0 and 1 as percent."""
    return f"{100 * share:.1f} %"


def signed(value: float, digits: int = 1) -> str:
    """Return a change with its sign; what rounds to nothing has no sign."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return f"{'-' if value < 0 else '+'}{text}"


def signed_plain(value: float) -> str:
    """Return a change of a figure that is not a share, in as many digits as the figure."""
    return f"{value:+.4g}" if value else "0"


def p_text(p_value: float | None) -> str:
    """Return a p-value for a table."""
    if p_value is None:
        return NONE
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def equals(p_value: float) -> str:
    """Return `= 0.03` or `< 0.001`."""
    text = p_text(p_value)
    return text if text.startswith("<") else f"= {text}"


def capital(text: str) -> str:
    """Return the text with its first letter upper-case, the rest as it is."""
    return text[:1].upper() + text[1:]


def listed(names: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def name_of(uri: str) -> str:
    """Return the usual name of a model of the hub; a folder's name is not informative."""
    return uri.rsplit("/", 1)[-1] if uri.startswith("hf://") else ""


def typeset(text: str) -> str:
    """Return figures as a page sets them: real minus signs, narrow spaces that do not break."""
    return "\N{EN DASH}" if text == NONE else BEFORE_PERCENT.sub(THIN, HYPHEN.sub(MINUS, text))
