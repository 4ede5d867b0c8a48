"""The mix in words and as a picture: what every share learned, against what it kept."""

from collections.abc import Mapping
from typing import Any

from osft_workspace.text import counted
from osft_workspace.words import signed

Figures = Mapping[str, Any]
LEAST_POINTS, LEAST_GAIN = 2.0, 0.02
"""Height and width of the picture at least, in points and nats per token: noise must not fill it."""
LEFT, RIGHT, TOP, BOTTOM = 44.0, 348.0, 12.0, 164.0
"""Of the picture, in its own units; `page.html` draws the rest."""


def in_words(found: Figures | None) -> str:
    """Return which model goes on, and why; empty where no mix was asked for."""
    if not found:
        return ""
    share = found["share"]
    goes_on = (
        "The tuned model goes on as it is"
        if share == 1
        else f"The model that goes on is a mix: {part(share)} of the tuned weights and "
        f"{part(1 - share)} of the base model's"
    )
    if found["mode"] == "fixed":
        return f"{goes_on}, as eval.mix.share says."
    shares = {one["share"]: one for one in found["shares"]}
    best, tuned = shares[share], shares[1]
    asked = f"{counted(found['items'], 'item')} and {counted(found['rows'], 'row')} that do not judge it"
    if not best["holds"]:
        return (
            f"{goes_on}. No share that was measured on {asked} keeps what the base model knew within "
            f"{found['tolerance']:g} points; this one fell least, by {best['fall']:.1f} points."
        )
    why = f"On {asked}, it learned most among the shares that fell by at most {found['tolerance']:g} points"
    return f"{goes_on}. {why}: {change(best)}{'' if share == 1 else f'; the tuned model: {change(tuned)}'}."


def part(share: float) -> str:
    """Return a share in percent, without digits that say nothing."""
    return f"{100 * share:.4g} %"


def name(share: float) -> str:
    """Return what the picture calls a share."""
    return {0.0: "base", 1.0: "tuned"}.get(share) or part(share)


def change(one: Figures) -> str:
    """Return what a share learned and kept."""
    return f"loss {signed(-one['gain'], 3)}, {signed(-one['fall'])} points"


def picture(found: Figures | None) -> dict[str, Any] | None:
    """Return the points of the picture in its units, from base to tuned; None where no share was searched.

    To the right is what was learned, upwards what was kept; the base model is the first point.
    """
    if not found or "shares" not in found:
        return None
    base = {"share": 0.0, "gain": 0.0, "fall": 0.0, "holds": True}
    shares = [base, *found["shares"]]
    gains = [one["gain"] for one in shares]
    least, most = min(gains), max(LEAST_GAIN, *gains)
    low = min(-LEAST_POINTS, *(-one["fall"] for one in shares))
    high = max(LEAST_POINTS / 2, *(-one["fall"] for one in shares))
    points = [
        {
            "x": LEFT + (RIGHT - LEFT) * (one["gain"] - least) / (most - least),
            "y": BOTTOM - (BOTTOM - TOP) * (-one["fall"] - low) / (high - low),
            "name": name(one["share"]) if one["share"] in (0, 1, found["share"]) else "",
            "label": f"{part(one['share'])} of the tuned weights: {change(one)}",
            "chosen": one["share"] == found["share"],
        }
        for one in shares
    ]
    zero = BOTTOM - (BOTTOM - TOP) * (0 - low) / (high - low)
    limit = BOTTOM - (BOTTOM - TOP) * (-found["tolerance"] - low) / (high - low)
    return {
        "points": points,
        "zero": zero,
        "limit": limit if limit <= BOTTOM else None,
        "tolerance": f"{found['tolerance']:g}",
        "most": signed(-most, 2),
        "left": LEFT,
        "right": RIGHT,
        "bottom": BOTTOM,
    }
