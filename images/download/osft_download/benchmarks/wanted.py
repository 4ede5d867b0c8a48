"""What all tasks of an evaluation ask of the hub."""

from collections.abc import Mapping, Sequence

from osft_download.benchmarks import table
from osft_download.benchmarks.task_files import open_folder
from osft_workspace.benchmarks import Wanted

OWN = "osft_"
"""Begins the names of the tasks that the eval image ships."""


def wanted_by(tasks: Sequence[str], include_path: str, revisions: Mapping[str, str]) -> list[Wanted]:
    """Return what tasks, groups and patterns ask of the hub, each dataset and config once.

    Args:
        revisions: dataset -> branch, tag or commit, where its task does not name one.

    Raises:
        UserError: a name is unknown, or the items of a task cannot be downloaded.
    """
    known, files = table.read(), open_folder(include_path)
    found: list[Wanted] = []
    for name in tasks:
        own = files.matches(name) if files else []
        others = [match for match in known.matches(name) if match not in own]
        if not own and not others and not name.startswith(OWN) and name != "none":
            names = [*known.tasks, *known.groups, *(files.configs if files else ())]
            raise table.unknown(name, names)
        if files:
            found += [wanted for match in own for wanted in files.of(match, {})]
        found += [wanted for match in others for wanted in known.of(match)]
    return list(dict.fromkeys(wanted.at(revisions) for wanted in found))
