"""`osft compare`: what several runs learned and kept, side by side, and which one to ship."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from osft_pipeline.commands import SETTINGS
from osft_pipeline.kubectl import Kubectl, cluster_options
from osft_pipeline.local import summary
from osft_pipeline.local.workspaces import workspace_option
from osft_pipeline.sources import LocalSource, Source, opened
from osft_pipeline.terminal import Problems, plain_json
from osft_workspace import UserError

if TYPE_CHECKING:
    from osft_pipeline.compare.evidence import Evidence

FEWEST = 2


@click.command(context_settings=SETTINGS)
@click.argument("runs", nargs=-1, metavar="RUN...")
@cluster_options
@workspace_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the page to this HTML file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, described below.")
def main(runs: Sequence[str], kubectl: Kubectl, workspace: Path, output: Path | None, as_json: bool) -> None:
    """Compare two or more runs: what differs, what each learned and kept, and which one to ship.

    RUN is a run id, a release name (its newest run), or the address of a registered version. Only records
    are read: no model is loaded. With -n, --context or --kubeconfig the runs are on the cluster, as for
    osft report; a pod that mounts the claim reads their files.

    The tuned models are tested as pairs on the items that both were given. What cannot be compared is named.
    A run qualifies if its held-out loss fell, its gates did not fail and, without gates, nothing that the
    base model knew fell by more than expected by chance. Of the runs that qualify, those that learned most
    are chosen, and among them the one that kept most.

    --json prints: runs (an object for each), values (key of the values, then run, then value: only those
    that differ), comparable and front (runs), tests, notes and choice (run or null, and why).
    docs/compare.md describes every key.

    \b
    osft compare ratio-1 ratio-2 -o ratio.html
    osft compare mine other -n team --json
    """
    read = gathered(runs, kubectl, workspace)
    # scipy takes time to import, which neither --help nor a refusal needs.
    from osft_pipeline.compare.figures import compare
    from osft_pipeline.compare.output import present, write

    found = compare(read)
    if as_json:
        write(found, output)
        click.echo(plain_json(found))
    else:
        present(found, output)


def gathered(names: Sequence[str], kubectl: Kubectl, workspace: Path) -> "list[Evidence]":
    """Read all runs. Raises UsageError for too few, Problems with a line for each that cannot be read."""
    if len(names) < FEWEST:
        raise click.UsageError(
            f"found {len(names) or 'no'} RUN, expected two or more. `osft runs` lists what there is."
        )
    from osft_pipeline.compare.evidence import gather, letter

    found: list[Evidence] = []
    problems: list[str] = []
    for name in names:
        try:
            with source_of(name, kubectl, workspace) as source:
                one = gather(source, letter(len(found)))
        except UserError as error:
            problems.append(error.message)
            continue
        twice = next((other for other in found if other.where == one.where), None)
        if twice:
            problems.append(f"{name} is the run {one.run}, which is already given. Name each run once.")
        else:
            found.append(one)
    if problems:
        raise Problems("\n".join(problems))
    return found


@contextmanager
def source_of(name: str, kubectl: Kubectl, workspace: Path) -> Iterator[Source]:
    """Open a run by id, release or version. Raises UsageError, UserError or Transient."""
    from osft_pipeline.compare.versions import is_address, place_of

    if not is_address(name):
        with opened(name, workspace, kubectl) as source:
            yield source
        return
    place = place_of(name)
    if place.workspace:
        yield LocalSource(place.workspace, summary.newest_run(place.workspace, place.run))
        return
    there = kubectl if kubectl.flags or not place.namespace else Kubectl.of(place.namespace, None, None)
    with opened(place.run, workspace, there) as source:
        yield source
