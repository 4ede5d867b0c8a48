"""What the task files of `eval.includePath` ask of the hub; no code of theirs runs."""

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from osft_download.benchmarks import table
from osft_workspace import UserError, excerpt, printable
from osft_workspace.benchmarks import Elsewhere, Wanted
from osft_workspace.files import check_files, read_regular

LARGEST = 4 << 20  # bytes of a task file
DEEPEST = 20  # files that include each other, and groups in groups
ABOUT_ITEMS = ("dataset_path", "dataset_name", "dataset_kwargs")
OF_GROUPS = ("group", "task", "tag", "include")
Config = Mapping[str, Any]


class Loader(yaml.SafeLoader):
    """YAML in which `!function` is a word."""


Loader.add_constructor("!function", lambda loader, node: str(node.value))


def read_file(path: Path, depth: int = 0) -> dict[str, Any]:
    """Read a task file and what it includes. Raises ValueError for one that lm-eval does not read either."""
    config = yaml.load(read_regular(path, "an lm-eval task file", LARGEST, follow=True), Loader)
    if not isinstance(config, dict) or depth > DEEPEST:
        raise ValueError(f"{path} is not an object, or files include each other")
    included = config.pop("include", [])
    merged: dict[str, Any] = {}
    for name in included if isinstance(included, list) else [included]:
        merged |= read_file(path.parent / str(name), depth + 1)
    return merged | config


class TaskFiles:
    """The tasks, groups and tags of a folder."""

    def __init__(self, folder: Path) -> None:
        self.configs: dict[str, Config] = {}
        self.tags: dict[str, list[str]] = {}
        for path in sorted(folder.glob("**/*.yaml")):
            try:
                config = read_file(path)
            except (ValueError, OSError, yaml.YAMLError):
                continue  # as lm-eval does; evaluation names the file where its task is asked for
            self.add(config)

    def add(self, config: Config) -> str:
        """Add what a file defines; returns its name, empty where it defines nothing."""
        name = config.get("group") if isinstance(config.get("group"), str) else config.get("task")
        if not isinstance(name, str):
            return ""
        self.configs.setdefault(name, config)
        tags = config.get("tag") or []
        for tag in [tags] if isinstance(tags, str) else tags:
            self.tags.setdefault(str(tag), []).append(name)
        return name

    def matches(self, name: str) -> list[str]:
        """Return the names here that a name, a pattern or a file stands for."""
        if name.endswith((".yaml", ".yml")) and Path(name).is_file():
            return [self.add(read_file(Path(name)))]
        return fnmatch.filter([*self.configs, *self.tags], name)

    def of(self, item: Any, over: Config, depth: int = 0) -> Iterator[Wanted]:
        """Yield what a name, or an entry of a group, asks of the hub.

        Args:
            over: what the groups around it change in every task.

        Raises:
            UserError: something that cannot be downloaded.
        """
        given: Config = item if isinstance(item, Mapping) else {"task": item}
        own = {key: value for key, value in given.items() if key not in OF_GROUPS}
        name = str(given.get("group") or given.get("task"))
        if depth > DEEPEST:
            raise UserError(f"group {excerpt(name)!r} in eval.includePath contains itself. Correct its file.")
        if isinstance(given.get("task"), list):
            yield from self.members(given, {**over, **own}, depth)
        elif name in self.tags:
            for task in self.tags[name]:
                yield from self.of(task, over, depth + 1)
        elif name in self.configs and isinstance(self.configs[name].get("task"), list):
            yield from self.members(self.configs[name], {**over, **own}, depth)
        elif name not in self.configs and table.read().matches(name):
            yield from built_in(name, {**over, **own})
        else:
            yield from asked(name, {**self.configs.get(name, {}), **over, **own})

    def members(self, group: Config, over: Config, depth: int) -> Iterator[Wanted]:
        """Yield what the tasks of a group ask."""
        changes = {key: value for key, value in group.items() if key in ABOUT_ITEMS}
        for item in group["task"]:
            yield from self.of(item, {**changes, **over}, depth + 1)


def built_in(name: str, over: Config) -> Iterator[Wanted]:
    """Yield what a task of lm-eval asks, in a group of a file. Raises UserError where it changes that."""
    if changed := [key for key in ABOUT_ITEMS if key in over]:
        raise UserError(
            f"a group of eval.includePath changes {changed[0]} of {excerpt(name)!r}, which is a task of "
            "lm-eval: its items cannot be downloaded. Write that task as a file of its own there."
        )
    yield from table.read().of(name)


def asked(name: str, config: Config) -> Iterator[Wanted]:
    """Yield what a task's own settings ask."""
    if config.get("unsafe_code", False) is not False:
        raise table.cannot_be_staged(name, "unsafe")
    if "class" in config or config.get("custom_dataset") or not config.get("dataset_path"):
        return  # its own code, which runs offline: evaluation says what is missing
    try:
        found = Wanted.of(
            config["dataset_path"], config.get("dataset_name"), config.get("dataset_kwargs") or {}
        )
    except Elsewhere as error:
        raise UserError(
            f"the task {excerpt(name)!r} of eval.includePath reads {excerpt(str(error))}, expected files "
            "beside it or one dataset of the hub. Put the file into that folder, or remove the task from "
            "eval.tasks."
        ) from error
    if found is not None:
        yield found


def open_folder(path: str) -> TaskFiles | None:
    """Read a folder of task files; None where none is named. Raises UserError where it is not here."""
    if not path:
        return None
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(
            f"eval.includePath {printable(path)} is not a folder in the download pod, which needs its task "
            "files to know what to download. Put the folder on the workspace, or mount it there too "
            "(data.pod.extraVolumes, data.pod.extraVolumeMounts)."
        )
    check_files(folder, (".yaml", ".yml"), "an lm-eval task file (eval.includePath)")
    return TaskFiles(folder)
