"""Numbers and states as people write them."""

from collections.abc import Mapping, Sequence
from typing import Any

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
SURE = 0.05


def percent(share: float) -> str:
    """A share between 0 and 1."""
    return f"{100 * share:.1f}{THIN}%"


def signed(value: float, digits: int = 1) -> str:
    """A change, with a real minus sign; what rounds to nothing has no sign."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return f"{MINUS if value < 0 else '+'}{text}"


def signed_plain(value: float) -> str:
    """A change of a figure that is no share, in as many digits as the figure."""
    text = f"{value:+.4g}".replace("-", MINUS)
    return text.lstrip("+" + MINUS) if value == 0 else text


def p_text(p_value: float | None) -> str:
    """A p-value."""
    if p_value is None:
        return "–"  # noqa: RUF001 (a dash in a table cell)
    return (
        "<\N{NARROW NO-BREAK SPACE}0.001"
        if p_value < 0.001
        else f"{p_value:.3f}"
        if p_value < 0.1
        else f"{p_value:.2f}"
    )


def equals(p_value: float) -> str:
    """`= 0.03` or `< 0.001`."""
    text = p_text(p_value)
    return text if text.startswith("<") else f"=\u00a0{text}"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def capital(text: str) -> str:
    """The text with its first letter upper-case, the rest as it is."""
    return text[:1].upper() + text[1:]


def learned_state(holdout: Mapping[str, Any] | None) -> str | None:
    """learned, worse, unclear; None where no held-out loss was measured."""
    if not holdout or "loss" not in holdout:
        return None
    if holdout["p_value"] >= SURE:
        return "unclear"
    return "learned" if holdout["delta"] < 0 else "worse"


def kept_state(compared: Sequence[Mapping[str, Any]]) -> str | None:
    """forgot when any comparison fell for sure, else kept; None where nothing was tested."""
    verdicts = {task["verdict"] for task in compared} - {"untested"}
    if not verdicts:
        return None
    return "forgot" if "worse" in verdicts else "kept"


LEARNED = {
    "learned": "It learned the new rows",
    "worse": "It got worse at the new rows",
    "unclear": "It did not clearly learn the new rows",
}
KEPT = {"kept": "no forgetting was found", "forgot": "it forgot some of what it knew"}


def headline(learned: str | None, kept: str | None) -> str:
    """The result in one sentence."""
    if learned and kept:
        joint = ", but " if (learned == "learned") != (kept == "kept") else ", and "
        return f"{LEARNED[learned]}{joint}{KEPT[kept]}."
    if learned:
        return f"{LEARNED[learned]}."
    return f"{capital(KEPT[kept])}." if kept else "Nothing could be tested item by item."
