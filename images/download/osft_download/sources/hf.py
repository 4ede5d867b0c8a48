"""Rows from the hub: `hf://org/name[:config][@revision]`, or just `org/name`.

The `datasets` library says which files a config and split mean, as its users know them; the files' bytes are
read by our own readers, so that rows stay as they were written.
"""

from dataclasses import fields
from functools import cache
from typing import Any

from osft_download import hub
from osft_download.meter import Meter
from osft_download.sources import Address, DataFile, Fetched, Order
from osft_download.sources.hub_card import check_cards
from osft_download.sources.splits import choose_split
from osft_workspace import UserError, printable, redact_url
from osft_workspace.exits import StageError
from osft_workspace.limits import limited_memory

PARQUET = (
    "If its page shows rows, the hub has them as parquet: set data.revision=refs/convert/parquet (--revision)"
)
LONGEST_SHOWN = 200  # characters of a library's text in a sentence
MEMORY = 96 << 20
"""Bytes that `datasets` may take for the card and the list of files."""
ON_THE_HUB = frozenset({"hf", "file", "local"})
"""Kinds of addresses that `datasets` itself needs."""
MEANING = frozenset(
    {
        *(
            "field",
            "names",
            "column_names",
            "header",
            "skiprows",
            "skipfooter",
            "nrows",
            "comment",
            "filters",
        ),
        *("quotechar", "quoting", "doublequote", "escapechar", "lineterminator", "dialect", "encoding"),
    }
)
"""Options in a dataset's card without which its files say something else; `sep` is read."""


def fetch(address: Address, order: Order) -> Fetched:
    """Load the files of one split at one commit.

    Raises:
        UserError: no such dataset, revision, config or split, no access, or files of another kind.
        Transient: the hub cannot be reached.
    """
    options = order.options
    name, config, revision = hub.split_reference(address.rest.removeprefix("datasets/"))
    repo = hub.Repo(order.run, "dataset", name, revision or options.revision, options.timeout_seconds)
    sizes = repo.files()
    if sizes:
        repo.enter(next(iter(sizes)))
    check_cards(repo, sizes, order.work)
    found = builder(repo, config or options.config)
    separator = card_separator(repo, found.config)
    split = choose_split(order, address.shown, [str(split) for split in found.config.data_files or {}])
    names = [name_in_repo(repo, url) for url in found.config.data_files[split]]
    meter = Meter(order.run, f"loading {name}", sum(sizes.get(file, 0) for file in names))
    files = []
    for file in names:
        files.append(DataFile(repo.load(file, order.work, meter), file, separator))
        meter.at(sum(sizes.get(loaded.name, 0) for loaded in files))
    facts = {"config": found.config.name, "split": split}
    return Fetched(uri=address.shown, files=files, revision=repo.revision, facts=facts)


def builder(repo: hub.Repo, config: str) -> Any:
    """Return the `datasets` builder of a config, which knows its files.

    Raises:
        UserError: no such config, or none is named and there are several, or no data at all.
    """
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    stay_on_the_hub()
    try:
        with limited_memory(MEMORY):
            return repo.call(
                lambda: datasets.load_dataset_builder(repo.name, name=config or None, revision=repo.revision),
                reads_cards=True,
            )
    except StageError:
        raise
    except Exception as error:  # the library names no types for a card or a file list that it cannot read
        raise unresolved(repo, config, error) from error


def unresolved(repo: hub.Repo, config: str, error: Exception) -> UserError:
    """Return the sentence for a config whose files `datasets` does not find."""
    import yaml

    if isinstance(error, MemoryError):
        return UserError(
            f"reading the card (README.md) and the file list of the {repo.where} takes more than "
            f"{MEMORY >> 20} MiB of memory, expected less. Name a revision with a smaller card (--revision), "
            "or the files themselves by https://."
        )
    if isinstance(error, yaml.YAMLError):
        return UserError(
            f"the card (README.md) of the {repo.where} is not YAML: {first_line(error)}. Name a revision "
            "where it is (--revision), or the files themselves by https://."
        )
    if isinstance(error, ImportError) or "Protocol not known" in str(error):
        return elsewhere(repo, first_line(error))  # addresses in the card of another file system
    if not isinstance(error, ValueError):
        return unreadable(repo, error)
    names = config_names(repo)
    if config in names or (not config and len(names) < 2):
        return unreadable(repo, error)
    what = f"no config {config!r}" if config else "several configs and none is named"
    return UserError(
        f"the {repo.where} has {what}. It has {', '.join(names[:20])}. Set data.config (--config), or "
        f"write hf://{repo.name}:<config>."
    )


def config_names(repo: hub.Repo) -> list[str]:
    """Return the names of a dataset's configs."""
    import datasets

    with limited_memory(MEMORY):
        return list(repo.call(lambda: datasets.get_dataset_config_names(repo.name, revision=repo.revision)))


@cache
def stay_on_the_hub() -> None:
    """Let no card have files looked for elsewhere: fsspec asks any server, by clients that know no bounds."""
    from fsspec.registry import known_implementations

    for protocol in set(known_implementations) - ON_THE_HUB:
        del known_implementations[protocol]


def card_separator(repo: hub.Repo, config: Any) -> str:
    """Return what separates cells where the card of a dataset says it, or nothing.

    Raises:
        UserError: the card has its files read in a way that is not supported here.
    """
    given = {
        item.name: getattr(config, item.name)
        for item in fields(config)
        if item.name in MEANING and getattr(config, item.name) not in (item.default, "utf-8", "utf8")
    }
    separator = str(getattr(config, "sep", None) or ",")
    if len(separator) != 1:
        given["sep"] = separator
    if given:
        options = printable(", ".join(f"{name}: {value}" for name, value in given.items()), LONGEST_SHOWN)
        raise UserError(
            f"the card (README.md) of the {repo.where} has its files read with {options}, which is not "
            f"supported here. {PARQUET}, or write the rows as JSON lines."
        )
    return "" if separator == "," else separator


def unreadable(repo: hub.Repo, error: Exception) -> UserError:
    """Return the sentence for a repository that `datasets` finds no data in."""
    return UserError(
        f"the {repo.where} holds no data files that can be read: {first_line(error)}. {PARQUET}."
    )


def elsewhere(repo: hub.Repo, seen: str) -> UserError:
    """Return the sentence for a card that leads out of its repository."""
    return UserError(f"the {repo.where} points to files elsewhere ({seen}). Name that place as data.uri.")


def first_line(error: Exception) -> str:
    """What a library says, bounded: it tries a local folder first and then lists every suffix it knows."""
    lines = str(error).strip().rpartition(" Hub either: ")[2].splitlines()
    return printable((lines[0] if lines else type(error).__name__).rstrip("."), LONGEST_SHOWN)


def name_in_repo(repo: hub.Repo, url: str) -> str:
    """`hf://datasets/<name>@<commit>/<file>` -> `<file>`.

    Raises:
        UserError: the dataset's card points to another place.
    """
    prefix = f"hf://datasets/{repo.name}@{repo.revision}/"
    if not url.startswith(prefix):
        raise elsewhere(repo, redact_url(url))
    return url.removeprefix(prefix)
