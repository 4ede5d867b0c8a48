"""The models of a run: its base, and the one that was tuned from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from osft_eval.weights import Weights
from osft_workspace import Record, Run, UserError
from osft_workspace.contents import Model
from osft_workspace.model_sizes import read_config
from osft_workspace.tuned import Tuned, adapter_of


@dataclass(frozen=True, slots=True)
class Models:
    """The two models of a run."""

    base: Path
    tuned: Weights
    record: Record
    """Of training."""
    goes_on: Model
    """What the record says of the tuned model, or of the mix in its place."""

    @property
    def folders(self) -> tuple[tuple[str, Path], ...]:
        """Configuration and tokenizer of each."""
        return ("base", self.base), ("tuned", self.tuned.folder)

    @property
    def base_details(self) -> Mapping[str, Any]:
        details: Mapping[str, Any] = self.record.details["base"]
        return details

    def mixed(self, share: float, folder: Path, digest: str, make: Callable[[], None] | None = None) -> Self:
        """Return the models with a mix in place of the tuned one.

        Args:
            share: of the tuned weights.
            folder: of the mix; its name is what it is called in the result of this stage.
            digest: of what it is made from, or of its files.
            make: writes it, before it is loaded.
        """
        tuned = (
            Weights(self.tuned.folder, folder, self.tuned.facts) if self.tuned.adapter else Weights(folder)
        )
        title = f"mix of {100 * share:g} %"
        goes_on: Model = {**self.goes_on, "path": f"eval/{folder.name}", "digest": digest, "share": share}
        return replace(self, tuned=replace(tuned, title=title, make=make), goes_on=goes_on)


def find_models(run: Run) -> Models:
    """Base and tuned model, as the records name them.

    Raises:
        UserError: a record names another folder than download or train left, or one without a model.
    """
    record, root = run.predecessors["train"], run.workspace.root
    base = run.predecessors["download"].shared_path(root, record.details["base"]["path"])
    said = Tuned.of(record.details)
    found = record.path(said.path.removeprefix("train/"))
    tuned = Weights(found)
    if said.base:
        tuned = Weights(record.shared_path(root, said.base), found, adapter_of(record.details))
    models = Models(base, tuned, record, record.details["model"])
    for which, folder in models.folders:
        if not (folder / "config.json").is_file():
            raise UserError(
                f"the {which} model has no config.json in {folder}. Run download and train again."
            )
        read_config(folder, f"the {which} model")
    return models
