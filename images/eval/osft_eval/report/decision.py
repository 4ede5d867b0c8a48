"""What to do with the model: the first sentence of the report."""

from collections.abc import Mapping
from typing import Any

SHIP, LOOK, KEEP_BACK = "Ship it", "Look before you ship", "Do not ship"


def decision(headline: str, learned: str, kept: str, gates: Mapping[str, Any]) -> str:
    """Return what to do, and the headline as the reason.

    Ship the model if it learned, no gate failed, and nothing fell by more than expected by chance. Do not
    if a gate failed or nothing was learned. A person has to look at what the gates allowed, and at what was
    not tested.

    Args:
        learned: verdict on the held-out loss: learned, worse, unclear or untested.
        kept: verdict on tasks and groups: worse, better, unchanged or untested.
        gates: `gates` of results.json.
    """
    if gates["failures"] or learned in ("worse", "unclear"):
        word = KEEP_BACK
    elif learned == "learned" and kept in ("better", "unchanged"):
        word = SHIP
    else:
        word = LOOK
    return f"{word}: {headline[:1].lower()}{headline[1:]}"
