"""Finding tasks and loading their items, before any model is loaded."""

import difflib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osft_eval.causes import is_network, named, shown
from osft_eval.outline import Outline, read, unsafe
from osft_workspace import Transient, UserError, digest_json, excerpt
from osft_workspace.files import check_files

OWN_TASKS = Path(__file__).parent / "tasks"
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
OFF = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
REMEDY = "Check its task file and its items (eval.includePath), or remove it from eval.tasks."
MOST_SHOWN = 3
"""Files that one sentence names."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The tasks of one evaluation, with their items."""

    tasks: dict[str, Any]
    """lm_eval Task objects by name, in the order asked for."""
    groups: dict[str, list[str]]
    """Names of the tasks in each group that was asked for, subgroups included."""
    titles: dict[str, str]
    own: frozenset[str]
    """Names of tasks and groups that this image ships."""

    def kind(self, name: str) -> str:
        """`retention` for the image's own suite, `benchmark` for everything else."""
        return "retention" if name in self.own else "benchmark"


def load_catalogue(names: Sequence[str], include_path: str) -> Catalogue:
    """Find tasks and groups by name or pattern, and load their items.

    Raises:
        UserError: a name is unknown, a task cannot be run here, or its items are missing or on a hub that may
            not be reached.
        Transient: the hub did not answer.
    """
    if not names:
        return Catalogue({}, {}, {}, frozenset())
    manager = open_manager(names, include_path)
    wanted = list(dict.fromkeys(match for name in names for match in find(manager, name, include_path)))
    for name in wanted:
        outline_of(manager, [name]).refuse_unsafe()
    loaded = load(manager, wanted)
    groups = {
        name: [task.task_name for task in group.get_all_tasks()] for name, group in loaded["groups"].items()
    }
    return Catalogue(
        dict(loaded["tasks"]), groups, titles(loaded), own_names(manager, [*loaded["tasks"], *groups])
    )


def open_manager(names: Sequence[str], include_path: str) -> Any:
    """Return lm-eval's index of tasks; its own thousands are read only for a name of theirs.

    Raises:
        UserError: the folder of further tasks does not exist.
    """
    from lm_eval.tasks import TaskManager

    if include_path and not Path(include_path).is_dir():
        raise UserError(
            f"--include-path {excerpt(include_path)} is not a folder. It must hold lm-eval task files "
            "(*.yaml): correct eval.includePath, or mount the folder there (eval.pod.extraVolumes)."
        )
    if include_path:
        check_files(Path(include_path), (".yaml", ".yml", ".py"), "an lm-eval task file (eval.includePath)")
    paths = [OWN_TASKS, *([Path(include_path)] if include_path else [])]
    manager = TaskManager(include_path=list(paths), include_defaults=False)
    if any(not matches(manager, name) for name in names):
        manager = TaskManager(include_path=list(paths), include_defaults=True)
    return manager


def matches(manager: Any, name: str) -> list[str]:
    """Return what a name or pattern stands for; nothing when it is unknown."""
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return [name]
    return [str(match) for match in manager.match_tasks([name])]


def find(manager: Any, name: str, include_path: str) -> list[str]:
    """Return what a name or pattern stands for.

    Raises:
        UserError: nothing; with the names that look most alike, and the task files that cannot be read.
    """
    found = matches(manager, name)
    if found:
        return found
    near = difflib.get_close_matches(name, manager.all_tasks, n=5, cutoff=0.6)
    hint = f"Near: {excerpt(', '.join(near))}." if near else "No task has a similar name."
    broken = "".join(
        f" The file {excerpt(str(path))} there cannot be read ({why})."
        for path, why in unreadable(include_path)
    )
    raise UserError(
        f"task {name!r} is unknown to lm-eval, to this image and to --include-path. {hint}{broken} "
        "Set eval.tasks to names that exist; osft_retention needs no download."
    )


def unreadable(include_path: str) -> list[tuple[Path, str]]:
    """The first task files of a folder that lm-eval leaves out because it cannot read them, and why."""
    found = []
    for path in sorted(Path(include_path).glob("**/*.yaml")) if include_path else []:
        try:
            read(path)
        except Exception as error:  # of any kind, as lm-eval passes over it
            found.append((path, shown(error)))
    return found[:MOST_SHOWN]


def outline_of(manager: Any, names: Sequence[str]) -> Outline:
    """Return what names stand for, by their files. Raises UserError for a file that makes no sense."""
    outline = Outline(manager.task_index)
    for name in names:
        with named(f"task {name!r} cannot be read", REMEDY):
            outline.add(name, {})
    return outline


def load(manager: Any, names: list[str]) -> Any:
    """Load tasks one by one, so that an error can name the task."""
    tasks: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    for name in names:
        try:
            with named(f"task {name!r} cannot be loaded", REMEDY):
                loaded = load_one(manager, name)
        except Exception as error:
            if not is_network(error):
                raise
            raise away(name, error) from error
        for task in loaded["tasks"].values():
            if not len(task.eval_docs):
                raise without_items(task.task_name, "its dataset is empty")
            if getattr(task, "UNSAFE_CODE", False) or getattr(task, "MULTIMODAL", False):
                raise unsafe(task.task_name)
        tasks |= loaded["tasks"]
        groups |= loaded["groups"]
    return {"tasks": tasks, "groups": groups}


def load_one(manager: Any, name: str) -> Any:
    """Load a task or group. Raises UserError for items that are missing or none."""
    try:
        return manager.load([name])
    except FileNotFoundError as error:
        from datasets.exceptions import DatasetNotFoundError

        if isinstance(error, DatasetNotFoundError):
            raise away(name, error) from error
        raise
    except StopIteration as error:  # lm-eval and datasets look at the first item
        raise without_items(name, type(error).__name__) from error
    except IndexError as error:
        if "size 0" in str(error):
            raise without_items(name, f"{type(error).__name__} {error}") from error
        raise


def without_items(name: str, seen: str) -> UserError:
    """Return the sentence for a task with nothing to ask."""
    return UserError(
        f"task {name!r} has no items that lm-eval can read ({excerpt(seen)}), and at least one is expected. "
        "Check its data files, its split and what it leaves out, or remove it from eval.tasks."
    )


class HubIsOff(UserError):
    """Items lie on a hub that may not be reached."""


def is_off() -> bool:
    """Return whether the hub is switched off for this process."""
    return any(os.environ.get(name) for name in OFF)


def away(name: str, error: Exception) -> UserError | Transient:
    """Return the sentence for a task whose items are not here."""
    if is_off():
        return HubIsOff(
            f"task {name!r} needs items that are neither in this image nor among the benchmarks in the "
            f"workspace, and the hub is switched off here ({shown(error)}). Set eval.downloadBenchmarks to "
            "true and start download again, or fill the datasets cache below HF_HOME, or evaluate "
            "osft_retention, which needs no download."
        )
    if isinstance(error, FileNotFoundError):
        return UserError(
            f"the items of task {name!r} were not found ({shown(error)}). Check the name of its dataset, "
            "and HF_TOKEN where it is gated."
        )
    return Transient(
        f"the items of task {name!r} could not be fetched ({shown(error)}). The hub may answer later."
    )


def titles(loaded: Any) -> dict[str, str]:
    """Return what people call each task and group."""
    named = {}
    for name, task in loaded["tasks"].items():
        metadata = task.config.metadata or {}
        named[name] = str(metadata.get("title") or task.config.task_alias or name)
    for name, group in loaded["groups"].items():
        named[name] = str((group.metadata or {}).get("title") or group.alias or name)
    return named


def own_names(manager: Any, names: Sequence[str]) -> frozenset[str]:
    """Return names whose definition lies in this image."""
    paths = {name: getattr(manager.task_index.get(name), "yaml_path", None) for name in names}
    return frozenset(name for name, path in paths.items() if path and OWN_TASKS in Path(path).parents)


def content_digest(task: Any) -> str:
    """Digest of everything in a task that decides a score: its definition, its items and its shots."""
    shots = list(task.fewshot_docs()) if task.config.num_fewshot else []
    text = json.dumps([task.dump_config(), list(task.eval_docs), shots], sort_keys=True, default=str)
    return digest_json(ADDRESS.sub("", text))
