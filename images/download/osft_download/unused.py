"""Options that only some addresses use, checked against the addresses that are given."""

from osft_download import hub, sources
from osft_download.options import Options
from osft_download.stage import Addresses
from osft_workspace import UserError


def unused(options: Options, addresses: Addresses) -> list[str]:
    """Sentences about options that change nothing.

    Raises:
        UserError: an option and the address itself say different things.
    """
    references = [hub.split_reference(rest) for rest in hub_names([*addresses.train, *addresses.held_out])]
    base = [hub.split_reference(rest) for rest in hub_names([addresses.model])]
    own = {
        "config": (options.config, [config for _, config, _ in references]),
        "revision": (options.revision, [revision for _, _, revision in references]),
        "model-revision": (options.model_revision, [revision for _, _, revision in base]),
        # Folders and prefixes have splits too; whether an address is one shows when it is read.
        "split": (
            options.split,
            [""] * sum(not address.scheme.startswith("http") for address in addresses.train),
        ),
    }
    found = []
    for name, (wanted, said) in own.items():
        if not wanted or "" in said or wanted in said:
            continue
        if said:
            raise UserError(
                f"--{name} is {wanted!r}, and the address says {said[0]!r} itself. Leave one of them out."
            )
        where = "the hub, folders and prefixes" if name == "split" else "the hub"
        found.append(f"--{name} is for {where}, and no address is of that kind")
    return found


def hub_names(addresses: list[sources.Address]) -> list[str]:
    """Return what follows hf:// in the addresses that have it."""
    return [address.rest for address in addresses if address.scheme == "hf"]
