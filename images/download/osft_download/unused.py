"""Options that only some addresses use, checked against the addresses that are given."""

from collections.abc import Mapping
from typing import Any

from osft_download import hub, sources
from osft_download.stage import Options
from osft_workspace import UserError


def unused(given: Mapping[str, Any], options: Options) -> list[str]:
    """Sentences about options that change nothing.

    Raises:
        UserError: an option and the address itself say different things.
    """
    references = [hub.split_reference(rest) for rest in hub_names([*options.uri, *options.eval_uri])]
    base = [hub.split_reference(rest) for rest in hub_names([options.model_uri])]
    own = {
        "config": [config for _, config, _ in references],
        "revision": [revision for _, _, revision in references],
        "model_revision": [revision for _, _, revision in base],
        # Folders and prefixes have splits too; whether an address is one shows when it is read.
        "split": [""] * sum(address.scheme not in ("http", "https") for address in options.uri),
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
        where = "the hub, folders and prefixes" if option == "split" else "the hub"
        found.append(f"{flag} is for {where}, and no address is of that kind")
    return found


def hub_names(addresses: list[sources.Address]) -> list[str]:
    """Return what follows hf:// in the addresses that have it."""
    return [address.rest for address in addresses if address.scheme == "hf"]
