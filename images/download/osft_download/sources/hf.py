"""Rows from the hub: `hf://org/name[:config][@revision]`, or just `org/name`.

The `datasets` library says which files a config and split mean, as its users know them; the files' bytes are
read by our own readers, so that rows stay as they were written.
"""

from typing import Any

from osft_download import hub
from osft_download.meter import Meter
from osft_download.sources import Address, DataFile, Fetched, Order
from osft_workspace import UserError, redact_url
from osft_workspace.exits import StageError

LONGEST_SHOWN = 200  # characters of a library's text in a sentence
SPLITS = {  # the first that is there is read; an evaluation set must not be the training split by default
    "train": ("train_sft", "train_gen", "train", "training"),
    "eval": ("test_sft", "test_gen", "test", "validation", "valid", "dev", "eval"),
}


def fetch(address: Address, order: Order) -> Fetched:
    """Load the files of one split at one commit.

    Raises:
        UserError: no such dataset, revision, config or split, no access, or files of another kind.
        Transient: the hub cannot be reached.
    """
    settings = order.settings
    name, config, revision = hub.split_reference(address.rest.removeprefix("datasets/"))
    repo = hub.Repo(order.run, "dataset", name, revision or settings.revision, settings.timeout_seconds)
    sizes = repo.files()
    if sizes:
        repo.enter(next(iter(sizes)))
    found = builder(repo, config or settings.config)
    split = choose_split(order, address, [str(split) for split in found.config.data_files or {}])
    names = [name_in_repo(repo, url) for url in found.config.data_files[split]]
    meter = Meter(order.run, f"loading {name}", sum(sizes.get(file, 0) for file in names))
    files = []
    for file in names:
        files.append(DataFile(repo.load(file, order.work, meter), file))
        meter.at(sum(sizes.get(loaded.name, 0) for loaded in files))
    facts = {"config": found.config.name, "split": split}
    return Fetched(uri=address.shown, files=files, revision=repo.revision, facts=facts)


def builder(repo: hub.Repo, config: str) -> Any:
    """The `datasets` builder of a config, which knows its files.

    Raises:
        UserError: no such config, or none is named and there are several, or no data at all.
    """
    import datasets
    import yaml

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    try:
        return repo.call(
            lambda: datasets.load_dataset_builder(repo.name, name=config or None, revision=repo.revision)
        )
    except ValueError as error:
        names = repo.call(lambda: datasets.get_dataset_config_names(repo.name, revision=repo.revision))
        if config in names or (not config and len(names) < 2):
            raise unreadable(repo, error) from error
        what = f"no config {config!r}" if config else "several configs and none is named"
        raise UserError(
            f"the {repo.where} has {what}. It has {', '.join(names[:20])}. Set data.config (--config), or "
            f"write hf://{repo.name}:<config>."
        ) from error
    except StageError:
        raise
    except yaml.YAMLError as error:
        raise UserError(
            f"the card (README.md) of the {repo.where} is not YAML: {first_line(error)}. Name a revision "
            "where it is (--revision), or the files themselves by https://."
        ) from error
    except ImportError as error:  # a file system that is not installed, for addresses in the card
        raise elsewhere(repo, first_line(error)) from error
    except Exception as error:  # the library names no types for a card or a file list that it cannot read
        raise unreadable(repo, error) from error


def unreadable(repo: hub.Repo, error: Exception) -> UserError:
    """The sentence for a repository that `datasets` finds no data in."""
    return UserError(
        f"the {repo.where} holds no data files that can be read: {first_line(error)}. If its page "
        "shows rows, the hub has them as parquet: set data.revision=refs/convert/parquet (--revision)."
    )


def elsewhere(repo: hub.Repo, seen: str) -> UserError:
    """The sentence for a card that leads out of its repository."""
    return UserError(f"the {repo.where} points to files elsewhere ({seen}). Name that place as data.uri.")


def first_line(error: Exception) -> str:
    """What a library says, bounded: it tries a local folder first and then lists every suffix it knows."""
    lines = str(error).strip().rpartition(" Hub either: ")[2].splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:LONGEST_SHOWN]


def choose_split(order: Order, address: Address, splits: list[str]) -> str:
    """The split to read: the one named for training, or the first of `SPLITS` that is there.

    Raises:
        UserError: it is not there.
    """
    wanted = order.settings.split if order.part == "train" else ""
    if wanted in splits:
        return wanted
    there = f"It has {', '.join(splits)}."
    if wanted:
        raise UserError(f"{address.shown} has no split {wanted!r}. {there} Set data.split (--split).")
    if order.part == "eval" and len(splits) == 1:
        return splits[0]
    for name in SPLITS[order.part]:
        if name in splits:
            if len(splits) > 1:
                order.run.choice(f"{order.part} split", name, f"the dataset has {', '.join(splits)}")
            return name
    advice = "Name one with data.split (--split)" if order.part == "train" else "Use a dataset that has one"
    raise UserError(
        f"{address.shown} has none of the splits {', '.join(SPLITS[order.part])}. {there} {advice}."
    )


def name_in_repo(repo: hub.Repo, url: str) -> str:
    """`hf://datasets/<name>@<commit>/<file>` -> `<file>`.

    Raises:
        UserError: the dataset's card points to another place.
    """
    prefix = f"hf://datasets/{repo.name}@{repo.revision}/"
    if not url.startswith(prefix):
        raise elsewhere(repo, redact_url(url))
    return url.removeprefix(prefix)
