"""The files of people that `datasets` reads whole, looked at within bounds before it does.

A library that runs out of memory in the middle may end in any way, also in none: a thread waits for another
that never started.
"""

from pathlib import Path

from osft_download.hub import Repo
from osft_download.sources.card import CARD
from osft_download.sources.card_text import Unbounded, check_yaml
from osft_workspace import UserError
from osft_workspace.answers import Misfit, check_size, size

SETTINGS, INFOS = ".huggingface.yaml", "dataset_infos.json"
LARGEST = 4 << 20
"""Bytes of one file; cards that list thousands of configs have some megabytes."""
MOST_VALUES = 200_000
"""Values and keys of dataset_infos.json, which takes less memory than YAML."""


def check_cards(repo: Repo, sizes: dict[str, int], work: Path) -> None:
    """Look at those files of a dataset that say what its data are.

    Args:
        sizes: file -> bytes, as the hub lists them.
        work: folder to load them into.

    Raises:
        UserError: one is too large, holds too many values or is nested too deep.
        Transient: the hub cannot be reached.
    """
    for name in (CARD, SETTINGS, INFOS):
        if name in sizes:
            if sizes[name] > LARGEST:
                raise refused(repo, name, f"has {size(sizes[name])}, expected at most {size(LARGEST)}")
            look(repo, name, repo.load(name, work).read_bytes())


def look(repo: Repo, name: str, content: bytes) -> None:
    """Raise UserError where a file is more than it may be; what else is wrong with it, the library says."""
    import yaml
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    text = content.decode("utf-8", "replace")
    try:
        if name == INFOS:
            check_size(content, MOST_VALUES)
        elif name == SETTINGS:
            check_yaml(text)
        elif head := REGEX_YAML_BLOCK.search(text):
            check_yaml(head[2])
    except Misfit as error:
        raise refused(repo, name, f"comes {error}") from error
    except Unbounded as error:
        raise refused(repo, name, str(error)) from error
    except yaml.YAMLError:
        return


def refused(repo: Repo, name: str, seen: str) -> UserError:
    """Return the sentence for a file that is not read."""
    return UserError(
        f"the file {name} of the {repo.where} {seen}. Name a revision with a smaller one (--revision), or "
        "the data files themselves by https://."
    )
