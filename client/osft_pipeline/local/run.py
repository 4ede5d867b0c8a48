"""One run on this machine: rendered, checked, run and shown."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from osft_pipeline.chart import render_here
from osft_pipeline.local import summary
from osft_pipeline.local.asking import ask_models
from osft_pipeline.local.places import Machine, missing_mounts
from osft_pipeline.local.plan import Step, asked_gpus, plan
from osft_pipeline.local.processes import check_programs, describe
from osft_pipeline.local.runner import Runner, Stopped
from osft_pipeline.local.variables import missing_variables
from osft_pipeline.terminal import Problems


class Local:
    """Runs releases on this machine."""

    def __init__(self, workspace: Path, claims: Mapping[str, Path], backoff: float) -> None:
        self.machine, self.backoff = Machine(workspace, claims), backoff

    def run(self, name: str, flags: Sequence[str], dry_run: bool, ask: bool) -> int:
        """Render, check and run a release, and show its screen; return the run's exit code."""
        objects = render_here(name, flags)
        steps = plan(objects)
        machine = replace(self.machine, objects=objects)
        if not dry_run:
            check(steps, machine)
        run_id = next((step.run_id for step in steps if step.run_id), name)
        stages = ", ".join(step.stage for step in steps)
        click.echo(f"{summary.bold(run_id)}: {stages}\nworkspace {summary.near(machine.workspace)}")
        if dry_run:
            for step in steps:
                click.echo(f"\n{summary.bold(step.stage)}\n{describe(step, machine)}")
            return 0
        return self.run_steps(steps, machine, run_id, ask)

    def run_steps(self, steps: list[Step], machine: Machine, run_id: str, ask: bool) -> int:
        """Run what was checked; returns the run's exit code."""
        began = time.time()
        try:
            code = Runner(machine, self.backoff).run(steps)
        except Stopped as stopped:
            click.echo(
                f"\nstopped in {stopped.stage}. The same command continues from there: "
                "finished stages are not repeated.",
                err=True,
            )
            return 128 + stopped.number
        if code in (0, 3):
            click.echo()
            summary.show(machine.workspace, run_id)
        if code == 0 and ask and summary.changed_since(machine.workspace, run_id, began):
            click.echo(ask_models(machine.workspace, run_id))
        return code


def check(steps: list[Step], machine: Machine) -> None:
    """Gather everything that would stop the run later. Raises Problems with one line for each."""
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
        raise Problems("\n".join(problems))


def count_gpus(resource: str) -> int:
    """Return the number of accelerators of this machine, by their device files."""
    pattern = r"nvidia\d+" if resource.startswith("nvidia.com/") else r"renderD\d+"
    folder = Path("/dev") if resource.startswith("nvidia.com/") else Path("/dev/dri")
    return len([entry for entry in folder.glob("*") if re.fullmatch(pattern, entry.name)])
