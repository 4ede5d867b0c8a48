"""`osft sweep`: a run for every combination of some values, and their comparison."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from osft_pipeline.commands import SETTINGS
from osft_pipeline.kubectl import Kubectl, cluster_options
from osft_pipeline.local import inputs
from osft_pipeline.local.options import continue_option, local_options, place_options, source_options
from osft_pipeline.local.run import Local

if TYPE_CHECKING:
    from osft_pipeline.sweep.start import Place

KEYS_OF = {
    "--data": "data.uri",
    "--model": "model.uri",
    "--continue": "model.fromRun",
    "--registry": "register.address",
}
VALUE_FLAGS = ("--set", "--values", "--preset", "--reuse-values", "--reset-")
"""How flags of osft run and of helm begin that set values."""


@click.command(context_settings={**SETTINGS, "ignore_unknown_options": True})
@click.argument("helm", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-f",
    "--file",
    "path",
    required=True,
    metavar="SWEEP.yaml",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What to vary, as described below.",
)
@continue_option
@source_options
@place_options
@cluster_options
@local_options()
@click.option("--parallel", is_flag=True, help="Start all runs at once, on a cluster with a queue.")
@click.option(
    "-o",
    "--output",
    metavar="FILE.html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Page of the comparison.  [default: NAME.html]",
)
@click.option("--dry-run", is_flag=True, help="Only check the values, and list the runs.")
def main(
    helm: Sequence[str],
    path: Path,
    sources: Callable[[Local], list[str]],
    earlier: str | None,
    no_check: bool,
    autoscaler: bool,
    local: bool,
    kubectl: Kubectl,
    here: Local,
    parallel: bool,
    output: Path | None,
    dry_run: bool,
) -> None:
    """Start a run for every combination of values, one after the other, then compare them.

    \b
    SWEEP.yaml:
      name: ratio                  # the runs are ratio-1, ratio-2, ...
      base: {data: {uri: ...}}     # values of all runs; or values: a values file
      vary:
        train.unfreezeRankRatio: [0.1, 0.25, 0.5]
        train.learningRate: [1e-5, 5e-5]

    All values are checked before the first run starts. All runs share a workspace, so that base model, tokens
    and results of the base model are made once. A run that fails does not stop the others. The same command
    continues where it was stopped: finished stages report "already done".

    Flags are those of osft run, without those that set values; on a cluster every further flag is helm's own.
    Exit codes: 0 if all runs are done, 130 or 143 if stopped, otherwise that of the first run that failed.

    \b
    osft sweep -f ratio.yaml --local --data ./chat.jsonl --model ./base-model
    osft sweep -f ratio.yaml -n team --parallel
    """
    # Rendering and figures take time to import, which `osft sweep --help` does not need.
    from osft_pipeline.sweep.start import Here, There

    refuse_values(helm)
    place: Place = There(kubectl, helm, unchecked=no_check, autoscaler=autoscaler)
    more = sources(here)
    if local:
        refuse_cluster_flags(helm, parallel=parallel)
        place = Here(here)
    else:
        inputs.refuse_paths(here.claims)
    start(path, more, earlier, place, output, parallel=parallel, dry_run=dry_run)


def refuse_cluster_flags(helm: Sequence[str], *, parallel: bool) -> None:
    """Raise UsageError for flags of runs on a cluster."""
    from osft_pipeline.commands.run import refuse_options

    refuse_options(helm)
    if parallel:
        raise click.UsageError("--parallel is for runs on a cluster: this machine runs one at a time.")


def start(
    path: Path,
    more: Sequence[str],
    earlier: str | None,
    place: "Place",
    output: Path | None,
    *,
    parallel: bool,
    dry_run: bool,
) -> None:
    """Read the file, then list its runs or start them; ends with their exit code.

    Args:
        more: flags of all runs.
        earlier: the run that all of them continue.
        output: page of the comparison; None for one with the sweep's name.
    """
    from osft_pipeline.sweep.plan import read
    from osft_pipeline.sweep.run import Runs
    from osft_pipeline.sweep.start import There, continue_all, flags_of, run_ids

    sweep = read(path)
    refuse_twice([*sweep.runs[0].varied], [*more, *([f"model.fromRun={earlier}"] if earlier else [])])
    kubectl = place.kubectl if isinstance(place, There) else None
    with flags_of(sweep, more) as flags:
        continue_all(flags, earlier, kubectl)
        ids = run_ids(sweep, flags, place, checked=not dry_run)
        if dry_run:
            click.echo("\n".join(one.text() for one in sweep.runs))
            return
        at_once = place if parallel and isinstance(place, There) else None
        page = output or Path(f"{sweep.name}.html")
        raise SystemExit(Runs(sweep, flags, ids, place).go(page, at_once))


def refuse_twice(varied: Sequence[str], flags: Sequence[str]) -> None:
    """Raise UsageError for a key that the sweep varies and an option sets."""
    for option, key in KEYS_OF.items():
        if key in varied and any(flag.startswith(f"{key}=") for flag in flags):
            raise click.UsageError(f"{option} sets {key}, which the sweep varies. Leave out one of them.")


def refuse_values(helm: Sequence[str]) -> None:
    """Raise UsageError for helm's flags that set values: run ids and checks would not know of them."""
    for word in helm:
        flag = word.partition("=")[0]
        if flag.startswith(VALUE_FLAGS):
            raise click.UsageError(
                f"{flag} sets values of all runs: put them under base in the sweep's file, or into the file "
                "that its key values names."
            )
