"""What tasks are by their definitions alone: no item is read and no code of a task runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osft_workspace import UserError

MULTIMODAL = ("doc_to_image", "doc_to_audio")


@dataclass(frozen=True, slots=True)
class Planned:
    """One task as its file says."""

    config: Mapping[str, Any]
    file: Path | None
    """None for a task that is written in its group's file."""

    @property
    def output_type(self) -> str:
        """lm-eval's kind of request; empty for a task that is a Python class."""
        return "" if "class" in self.config else str(self.config.get("output_type") or "generate_until")

    @property
    def unsafe(self) -> bool:
        """Whether the task runs code that a model writes, or shows it images or sounds."""
        images = any(self.config.get(key) is not None for key in MULTIMODAL)
        return images or self.config.get("unsafe_code", False) is not False

    @property
    def fetches(self) -> bool:
        """Whether a function of lm-eval makes its items: those ask servers of their own."""
        import lm_eval

        own = self.file is not None and Path(lm_eval.__file__).parent in self.file.parents
        return own and bool({"class", "custom_dataset"} & set(self.config))


@dataclass(slots=True)
class Outline:
    """Tasks and groups below some names."""

    index: Mapping[str, Any]
    """lm-eval's, by name."""
    tasks: dict[str, Planned] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)

    def add(self, item: Any, over: Mapping[str, Any], parent: str = "") -> list[str]:
        """Add what one name, or one entry of a group, stands for, as lm-eval reads it.

        Args:
            over: what the groups around it change in every task.

        Returns:
            The names of its tasks.
        """
        given = item if isinstance(item, Mapping) else {"task": item}
        own = {key: value for key, value in given.items() if key not in ("task", "group")}
        name = str(given.get("group") or given["task"])
        entry = self.entry(name)
        if "group" in given and entry is None:
            return self.group(f"{parent}::{name}", given, over)
        if entry is None:
            return self.task(f"{parent}::{name}", None, {**over, **own})
        if entry.kind.name == "TAG":
            return [found for child in sorted(entry.tags) for found in self.add(child, over)]
        config = entry.cfg or read(entry.yaml_path)
        if entry.kind.name == "GROUP":
            return self.group(entry.name, config, {**over, **own})
        return self.task(entry.name, entry.yaml_path, {**config, **over, **own})

    def entry(self, name: str) -> Any:
        """lm-eval's entry of a name or a file; None for what is written in place."""
        from lm_eval.tasks._index import TaskIndex

        return self.index.get(name) or (TaskIndex.entry_from_path(Path(name)) if "/" in name else None)

    def group(self, name: str, config: Mapping[str, Any], over: Mapping[str, Any]) -> list[str]:
        """Add a group and what is in it."""
        from lm_eval.tasks._factory import GROUP_FIELD_NAMES

        changes = {key: value for key, value in config.items() if key not in GROUP_FIELD_NAMES}
        members = config.get("task")
        found = [
            task
            for item in (members if isinstance(members, list) else [])
            for task in self.add(item, {**changes, **over}, name)
        ]
        self.groups[name] = list(dict.fromkeys(found))
        return self.groups[name]

    def task(self, name: str, file: Path | None, config: Mapping[str, Any]) -> list[str]:
        """Add a task."""
        self.tasks[name] = Planned(config, file)
        return [name]

    def refuse_unsafe(self) -> None:
        """Raise UserError for a task that is not run here, before its items are fetched."""
        for name, task in self.tasks.items():
            if task.unsafe:
                raise unsafe(name)


def unsafe(name: str) -> UserError:
    """Return the sentence for a task that is not run here."""
    return UserError(
        f"task {name!r} runs code that the model writes, or shows it images. Neither is done here: "
        "remove it from eval.tasks."
    )


def read(path: Path) -> dict[str, Any]:
    """Read a task file with what it includes, without its functions."""
    from lm_eval.tasks._yaml_loader import load_yaml

    return dict(load_yaml(path, resolve_func=False))
