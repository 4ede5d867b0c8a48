"""`osft-ops`, one command for each thing that the chart and `osft` run beside the stages."""

import json
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import click

from osft_ops import pruning
from osft_ops.kube import Api
from osft_ops.preflight import preflight_problems, training_problems
from osft_ops.wait import wait_trainjob
from osft_workspace import Record, chain
from osft_workspace.command import StageCommand, StageGroup
from osft_workspace.exits import UserError
from osft_workspace.log import event
from osft_workspace.options import Json
from osft_workspace.paths import STAGES, Workspace
from osft_workspace.predecessors import open_record
from osft_workspace.termination import say_end

workspace_option = click.option(
    "--workspace",
    envvar="OSFT_WORKSPACE",
    show_envvar=True,
    type=click.Path(path_type=Path),
    default=Path("/workspace"),
    show_default=True,
    help="Volume shared by all stages and runs.",
)
namespace_option = click.option("--namespace", help="Namespace; the pod's own by default.")


@click.group(cls=StageGroup)
def main() -> None:
    """What the chart and osft run beside the stages."""


@main.command(cls=StageCommand)
@workspace_option
@click.option(
    "--min-free-gib", type=float, default=0.0, show_default=True, help="Free space that is required, in GiB."
)
@click.option("--require-env", multiple=True, metavar="NAME=REMEDY", help="Variable that must not be empty.")
@click.option("--require-file", multiple=True, metavar="PATH=REMEDY", help="File that must exist.")
@click.option("--address", multiple=True, metavar="WHAT=URL", help="Address where a server must listen.")
@click.option("--plan-run", default="", metavar="RUN", help="Run whose download is done: plan its training.")
@click.option("--training", type=Json(dict, '{"gpus": 1}'), default="", help="As of osft-download.")
@click.option(
    "--training-limits", type=Json(dict, '{"gpuMemoryGiB": 80}'), default="", help="As of osft-download."
)
def preflight(
    workspace: Path,
    min_free_gib: float,
    require_env: tuple[str, ...],
    require_file: tuple[str, ...],
    address: tuple[str, ...],
    plan_run: str,
    training: dict[str, Any],
    training_limits: dict[str, Any],
) -> None:
    """Find everything that is wrong before any stage starts, and say it in one message."""
    problems = preflight_problems(workspace, min_free_gib, require_env, require_file, address)
    if plan_run and workspace.is_dir():
        problems += training_problems(Workspace(workspace.resolve()), plan_run, training, training_limits)
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        listed = " ".join(f"({number}) {problem}" for number, problem in enumerate(problems, 1))
        raise UserError(f"{count} before the start: {listed}")
    event("preflight", "all is well", secrets=len(require_env), addresses=len(address))
    say_end("all is well")


@main.command(cls=StageCommand)
@workspace_option
@click.option("--run-id", envvar="OSFT_RUN_ID", show_envvar=True, required=True, help="Folder below runs/.")
@click.option(
    "--stage", "stages", multiple=True, type=click.Choice(STAGES), help="Stages to check; all by default."
)
def verify(workspace: Path, run_id: str, stages: tuple[str, ...]) -> None:
    """Check that every stage of a run is done and its files are as its record says."""
    problems = []
    space = Workspace(workspace.resolve())
    for stage in stages or STAGES:
        record = open_record(space, run_id, stage)
        damage = record and record.damage(space.root)
        unnamed = record and record.unnamed()
        if record is None:
            problems.append(f"{stage} is not finished")
        elif record.status == "refused":
            problems.append(f"the gate of {stage} failed: {record.message}")
        elif damage:
            problems.append(f"{stage} is damaged: {damage}")
        elif unnamed:
            problems.append(f"{stage} {unnamed}, which its record does not name")
        else:
            event("verify", f"{stage} {record.status}", files=len(record.outputs), message=record.message)
            say_chain(space, record)
    if problems:
        raise UserError(f"run {run_id} is not complete: " + "; ".join(problems) + ".")
    say_end(f"run {run_id} is complete")


def say_chain(space: Workspace, record: Record) -> None:
    """Report the earlier runs of a chain: whether their records are those that the record names."""
    for link in chain.earlier_links(record) if record.stage == "download" else ():
        event("verify", "continues", run=link["run"], records=chain.check_link(space, link) or "verified")


@main.command(cls=StageCommand, name="wait-trainjob")
@click.argument("name")
@namespace_option
@click.option("--poll-seconds", type=float, default=2.0, show_default=True, help="Time between two checks.")
@click.option(
    "--timeout-seconds", type=float, default=0.0, show_default=True, help="Give up then; 0 = never."
)
def wait(name: str, namespace: str | None, poll_seconds: float, timeout_seconds: float) -> None:
    """Wait until a TrainJob is complete; fail with the failed stage's own sentence."""
    wait_trainjob(Api.in_pod(namespace), name, poll_seconds, timeout_seconds)


@main.command(cls=StageCommand)
@click.argument("targets", nargs=-1, required=True, metavar="KIND/NAME...")
@namespace_option
@click.option("--selector", default="", help="With a bare KIND: labels of the objects to delete.")
@click.option("--timeout-seconds", type=float, default=240.0, show_default=True, help="For all together.")
def delete(targets: tuple[str, ...], namespace: str | None, selector: str, timeout_seconds: float) -> None:
    """Delete objects with everything they own, and wait until they are deleted. Missing ones are ignored."""
    api = Api.in_pod(namespace)
    deadline = time.monotonic() + timeout_seconds
    for target in targets:
        kind, _, name = target.partition("/")
        if not name and not selector:
            raise UserError(f"{target!r} names no object: write KIND/NAME, or add --selector.")
        names = [name] if name else [item["metadata"]["name"] for item in api.list(kind, selector)]
        for one in names:
            event(
                "delete",
                "deleted" if api.delete(kind, one, deadline) else "did not exist",
                kind=kind,
                name=one,
            )


@main.command(cls=StageCommand)
@click.argument("runs", nargs=-1)
@workspace_option
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=pruning.DAYS,
    show_default=True,
    help="Without RUNS: runs in which nothing was written for this many days.",
)
@click.option(
    "--active",
    multiple=True,
    metavar="RUN",
    help="Run that counts as running though no stage of it is, such as one that waits for a GPU.",
)
@click.option(
    "--remove",
    "shown",
    type=click.File(),
    help="File (- is stdin) with a JSON list of items that an earlier call printed: remove unchanged ones.",
)
def prune(
    runs: tuple[str, ...], workspace: Path, days: float, active: tuple[str, ...], shown: IO[str] | None
) -> None:
    """Print as JSON which folders can be removed and what is kept; with --remove, remove them."""
    if shown is None:
        click.echo(json.dumps(asdict(pruning.plan(workspace, runs, timedelta(days=days), active))))
        return
    try:
        items = [pruning.Item(**item) for item in json.load(shown)]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"--remove holds something else than a JSON list of items ({error}). Give the items that an "
            "earlier call printed."
        ) from error
    removed, changed = pruning.remove(workspace, items, active)
    click.echo(json.dumps({"removed": [*map(asdict, removed)], "changed": [*map(asdict, changed)]}))
