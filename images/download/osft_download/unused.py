"""Options that only a hub has a use for, held against the addresses that are given with them."""

from collections.abc import Mapping
from typing import Any

from osft_download import hub, model, sources
from osft_workspace import UserError


def unused(given: Mapping[str, Any]) -> list[str]:
    """Sentences about options that change nothing.

    Raises:
        UserError: an option and the address itself say different things.
    """
    rows = [sources.parse(uri) for uri in (*given["uri"], *given["eval_uri"])]
    references = [hub.split_reference(rest) for rest in hub_names(rows)]
    base = [hub.split_reference(rest) for rest in hub_names([model.parse(given["model_uri"])])]
    own = {
        "config": [config for _, config, _ in references],
        "revision": [revision for _, _, revision in references],
        "model_revision": [revision for _, _, revision in base],
        "split": [""] * len(hub_names([sources.parse(uri) for uri in given["uri"]])),
    }
    found = []
    for option, said in own.items():
        wanted = given[option]
        if not wanted or "" in said or wanted in said:
            continue
        flag = f"--{option.replace('_', '-')}"
        if said:
            raise UserError(
                f"{flag} is {wanted!r}, and the address says {said[0]!r} itself. Leave one of them out."
            )
        found.append(f"{flag} is for the hub, and no address leads there")
    return found


def hub_names(addresses: list[sources.Address]) -> list[str]:
    """What follows hf:// in the addresses that have it."""
    return [address.rest for address in addresses if address.scheme == "hf"]
