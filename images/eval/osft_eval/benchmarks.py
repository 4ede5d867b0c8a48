"""Items of the hub that the download stage left in the workspace, in place of the hub."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from osft_workspace import Run
from osft_workspace.benchmarks import Elsewhere, Staged, Wanted, open_staged
from osft_workspace.contents import Benchmark

OF_THE_HUB = frozenset({"path", "name", "data_dir", "data_files", "revision"})


@dataclass(slots=True)
class Benchmarks:
    """Reads them, and remembers which were read."""

    run: Run
    revisions: Mapping[str, str]
    """Dataset -> revision, as download was given."""
    read: dict[Wanted, Staged] = field(default_factory=dict)

    @property
    def facts(self) -> list[Benchmark]:
        """What the record says of those that were read."""
        return [staged.facts for staged in self.read.values()]

    @property
    def shared(self) -> dict[str, str]:
        """Folders of the workspace that the result relies on, with their digests."""
        return {staged.path: staged.digest for staged in self.read.values()}

    def local(self, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the arguments of `datasets.load_dataset` for the copy in the workspace; None without one.

        Raises:
            UserError: the copy is not what download left.
        """
        try:
            wanted = Wanted.of(arguments.get("path"), arguments.get("name"), arguments)
        except Elsewhere:
            return None
        if wanted is None:
            return None
        wanted = wanted.at(self.revisions)
        staged = self.read.get(wanted) or open_staged(self.run.workspace, wanted)
        if staged is None:
            return None
        if wanted not in self.read:
            self.run.event("reading a benchmark", dataset=wanted.shown, revision=staged.revision)
            self.read[wanted] = staged
        others = {key: value for key, value in arguments.items() if key not in OF_THE_HUB}
        return {**others, **wanted.arguments(self.run.workspace.root / staged.path)}

    @contextmanager
    def in_place_of_the_hub(self) -> Iterator[None]:
        """Let `datasets`, and so the tasks of lm-eval, read these copies."""
        import datasets

        original = datasets.load_dataset

        def load_dataset(path: str, name: str | None = None, *rest: Any, **arguments: Any) -> Any:
            local = None if rest else self.local({"path": path, "name": name, **arguments})
            return original(**local) if local else original(path, name, *rest, **arguments)

        datasets.load_dataset = load_dataset
        try:
            yield
        finally:
            datasets.load_dataset = original
