"""The files of a dataset's repository at one commit, and which of them a task reads."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osft_download import hub_paths
from osft_download.hub import Repo
from osft_download.sources.card import CARD
from osft_download.sources.hf import MEMORY, first_line, stay_on_the_hub
from osft_download.sources.hub_card import INFOS, SETTINGS, check_cards
from osft_workspace import Run, UserError, printable
from osft_workspace.benchmarks import Wanted
from osft_workspace.limits import limited_memory

CARDS = (CARD, SETTINGS, INFOS)
"""Files that say which files a config has."""
CONFIG = (
    "Correct dataset_name of the task, name a revision that has it (eval.benchmarkRevisions), or remove the "
    "task from eval.tasks."
)


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit."""

    repo: Repo
    sizes: Mapping[str, int]
    """File -> bytes."""
    root: Path
    """Folder with the same names: the cards, and empty files for everything else."""

    def files_of(self, wanted: Wanted) -> tuple[str, list[str]]:
        """Return the config and the files that a task reads, as `datasets` finds them among these names.

        Raises:
            UserError: the config or its files are not there.
        """
        prefix = f"{self.root.resolve()}/"
        config, splits = self.config_of(wanted)
        found = dict.fromkeys(str(file) for files in splits.values() for file in files)
        if outside := [file for file in found if not file.startswith(prefix)]:
            raise UserError(
                f"the card of the {self.repo.where} names files elsewhere ({printable(outside[0], 200)}), "
                f"expected files of that dataset. {CONFIG}"
            )
        return config, sorted(file.removeprefix(prefix) for file in found)

    def config_of(self, wanted: Wanted) -> tuple[str, Mapping[Any, Sequence[Any]]]:
        """Return the name of the config, and split -> files below `root`."""
        import datasets

        datasets.disable_progress_bars()
        datasets.logging.set_verbosity_error()
        stay_on_the_hub()
        try:
            with limited_memory(MEMORY):
                config = datasets.load_dataset_builder(**wanted.arguments(self.root)).config
                return str(config.name), dict(config.data_files or {})
        except Exception as error:  # the library names no types for a card or a file list it cannot read
            raise UserError(
                f"the {self.repo.where} at {self.repo.revision} does not have the files that a task of "
                f"eval.tasks reads ({self.why(error)}). {CONFIG}"
            ) from error

    def why(self, error: Exception) -> str:
        """Return the library's words without the place of our scratch folder."""
        if isinstance(error, MemoryError):
            return f"its card and list of files take more than {MEMORY >> 20} MiB of memory"
        return first_line(error).replace(f"{self.root}/", "").replace(str(self.root), "the repository")


@dataclass(slots=True)
class Listings:
    """Repositories that were listed by this start, so that all configs of one come from the same commit."""

    run: Run
    timeout: float
    scratch: Path
    known: dict[tuple[str, str], Listing] = field(default_factory=dict)

    def of(self, wanted: Wanted) -> Listing:
        """Return the repository of a benchmark. Raises UserError or Transient as the hub says."""
        key = (wanted.dataset, wanted.revision)
        if key not in self.known:
            self.known[key] = self.ask(wanted, self.scratch / str(len(self.known)))
        return self.known[key]

    def ask(self, wanted: Wanted, folder: Path) -> Listing:
        """List a repository, and load what describes it."""
        repo = Repo(self.run, "dataset", wanted.dataset, wanted.revision, self.timeout)
        sizes = repo.files()
        root = folder / wanted.dataset.rpartition("/")[2]  # a script of this name is found, and refused
        if sizes:
            repo.enter(next(iter(sizes)))
        check_cards(repo, sizes, folder / "cards")
        root.mkdir(parents=True)
        for name in sizes:
            hub_paths.check_name(repo.where, name)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if name in CARDS:
                shutil.copyfile(folder / "cards" / name, root / name)
            else:
                (root / name).touch()
        return Listing(repo, sizes, root)
