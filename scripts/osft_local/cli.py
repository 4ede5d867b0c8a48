"""The command line of `scripts/run-local`."""

import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from osft_local import summary
from osft_local.places import Machine, missing_mounts
from osft_local.plan import Step, asked_gpus, plan
from osft_local.processes import check_programs, describe
from osft_local.render import ROOT, HelmFailed, render
from osft_local.runner import Runner, Stopped
from osft_local.variables import missing_variables
from osft_workspace import UserError

HELM_FLAGS = {
    "values": "values file; later files win",
    "set": "one value: key=value",
    "set_string": "one value, always a string",
    "set_json": "one value as JSON",
    "set_file": "one value from a file",
    "set_literal": "one value, no character special",
}


def helm_flags(command: Any) -> Any:
    """Give a command helm's own value flags; they are handed to helm as they are."""
    for name, text in reversed(HELM_FLAGS.items()):
        flags = ["-f", "--values"] if name == "values" else [f"--{name.replace('_', '-')}"]
        command = click.option(*flags, name, multiple=True, help=f"Helm's own: {text}.")(command)
    return command


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("name", required=False)
@helm_flags
@click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OSFT_LOCAL_WORKSPACE",
    default=ROOT / ".cache" / "local" / "workspace",
    show_default=".cache/local/workspace",
    show_envvar=True,
    help="Folder that stands for the workspace volume.",
)
@click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="NAME=DIR",
    help="Folder that stands for another claim (pvc://NAME/...) or a mounted secret of that name.",
)
@click.option(
    "--registry",
    envvar="OSFT_LOCAL_REGISTRY",
    show_envvar=True,
    metavar="ADDRESS|none",
    help="Short for --set register.address=ADDRESS; none: no registration.",
)
@click.option(
    "--backoff-seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Wait before the second attempt of a stage; doubles each time, at most 6 minutes.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be started, in order.")
@click.option("--ask", is_flag=True, help="Ask both models a held-out question when anything was done.")
@click.option("--summary", "only_summary", is_flag=True, help="Only show the last run's screen.")
def main(
    name: str | None,
    workspace: Path,
    claims: Sequence[str],
    registry: str | None,
    backoff_seconds: float,
    dry_run: bool,
    ask: bool,
    only_summary: bool,
    **flags: Sequence[str],
) -> None:
    """Run the pipeline on this machine, as the chart renders it.

    NAME is the release name. The chart is rendered by `helm template` with the given values; the containers
    found there run in order as local processes from .venvs, with folders here in place of their volumes.
    Secrets come from variables of the same name. Exit codes: 0 done, 2 fix something, 3 a gate refused, 75
    something was away, 124 deadline passed, 130 stopped; anything else is the failed stage's own.

    \b
    scripts/run-local demo -f charts/osft-pipeline/examples/demo.yaml --claim osft-demo=.cache/demo/claim
    scripts/run-local mine -f my-values.yaml --set train.learningRate=1e-5 --registry none
    """
    workspace = workspace.resolve()
    if only_summary:
        summary.show(workspace, summary.newest_run(workspace, name))
        return
    if not name:
        raise click.UsageError("Missing argument 'NAME': the release name, as in `helm install NAME`.")
    values = [*flag_list(flags), *registry_flags(registry)]
    machine = Machine(workspace, folders(claims))
    raise SystemExit(run(name, values, machine, backoff_seconds, dry_run=dry_run, ask=ask))


def flag_list(flags: dict[str, Sequence[str]]) -> list[str]:
    """Helm's flags as a list again."""
    return [f"--{key.replace('_', '-')}={value}" for key, given in flags.items() for value in given]


def registry_flags(registry: str | None) -> list[str]:
    """The value that --registry stands for."""
    if registry is None:
        return []
    return ["--set-string", f"register.address={'' if registry == 'none' else registry}"]


def folders(claims: Sequence[str]) -> dict[str, Path]:
    """--claim as a map. Raises UsageError for anything but NAME=DIR."""
    found = {}
    for claim in claims:
        name, equals, folder = claim.partition("=")
        if not (name and equals and folder):
            raise click.UsageError(f"--claim {claim!r}: expected NAME=DIR.")
        found[name] = Path(folder).resolve()
    return found


def run(name: str, flags: list[str], machine: Machine, backoff: float, *, dry_run: bool, ask: bool) -> int:
    """Render, check, run and show the screen; returns the run's exit code."""
    try:
        objects = render(name, flags)
    except HelmFailed as error:
        click.echo(error.message, err=True)
        return 2
    steps = plan(objects)
    machine = replace(machine, objects=objects)
    if not dry_run:
        check(steps, machine)
    run_id = next((step.run_id for step in steps if step.run_id), name)
    stages = ", ".join(step.stage for step in steps)
    click.echo(f"{summary.bold(run_id)}: {stages}\nworkspace {summary.near(machine.workspace)}")
    if dry_run:
        for step in steps:
            click.echo(f"\n{summary.bold(step.stage)}\n{describe(step, machine)}")
        return 0
    began = time.time()
    try:
        code = Runner(machine, backoff).run(steps)
    except Stopped as stopped:
        click.echo(
            f"\nstopped in {stopped.stage}. The same command goes on from there: "
            "finished stages are not repeated.",
            err=True,
        )
        return 128 + stopped.number
    if code in (0, 3):
        click.echo()
        summary.show(machine.workspace, run_id)
    if code == 0 and ask and summary.changed_since(machine.workspace, run_id, began):
        words = ["--workspace", str(machine.workspace), "--run", run_id]
        code = subprocess.run([ROOT / "scripts" / "ask", *words], check=False).returncode
    return code


def check(steps: list[Step], machine: Machine) -> None:
    """Gather everything that would stop the run later. Raises UserError with one line for each."""
    check_programs(steps)
    problems = [*missing_mounts(steps, machine), *missing_variables(steps, machine)]
    for stage, gpus in asked_gpus(steps).items():
        for resource, count in gpus.items():
            present = count_gpus(resource)
            if present < count:
                problems.append(
                    f"stage {stage} asks for {count} {resource}; this machine has {present}. "
                    f"Add --set {stage}.gpus={present}{' (it then runs on the CPU)' if not present else ''}."
                )
    if problems:
        raise UserError("\n".join(problems))


def count_gpus(resource: str) -> int:
    """Accelerators of this machine by their device files."""
    pattern = r"nvidia\d+" if resource.startswith("nvidia.com/") else r"renderD\d+"
    folder = Path("/dev") if resource.startswith("nvidia.com/") else Path("/dev/dri")
    return len([entry for entry in folder.glob("*") if re.fullmatch(pattern, entry.name)])


def entry() -> None:
    """Program entry: a broken pipe at the end of `run-local | head` is no error."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
