"""One run on this machine: rendered, checked, run and shown."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from osft_pipeline.check import addresses, hub
from osft_pipeline.check.findings import Findings
from osft_pipeline.local import failures, screens, summary
from osft_pipeline.local.asking import ask_models
from osft_pipeline.local.children import Starter, describe
from osft_pipeline.local.containers import Containers
from osft_pipeline.local.places import Machine, missing_mounts, unused_claims
from osft_pipeline.local.plan import Step, asked_gpus, plan
from osft_pipeline.local.processes import Processes, environments
from osft_pipeline.local.runner import Runner, Stopped
from osft_pipeline.local.variables import missing_variables
from osft_pipeline.rendering import render_here
from osft_pipeline.terminal import Problems
from osft_workspace import UserError, exits

PROCESS = "process"


class Local:
    """Runs releases on this machine: as processes, or with a container engine."""

    def __init__(
        self,
        workspace: Path,
        claims: dict[str, Path],
        backoff: float = 10.0,
        *,
        engine: str = PROCESS,
        ask: bool = False,
    ) -> None:
        # One dict: folders that --data and --model name are added to it later.
        self.machine, self.claims = Machine(workspace, claims), claims
        self.backoff, self.ask = backoff, ask
        self.starter: Starter = Processes() if engine == PROCESS else Containers(engine)

    def run(self, name: str, flags: Sequence[str], *, dry_run: bool = False) -> int:
        """Render, check and run a release, and show its screen; return the run's exit code."""
        steps, machine = self.ready(name, flags, checked=not dry_run)
        if self.ask and not dry_run:
            environments()  # which load both models at the end
        run_id = next((step.run_id for step in steps if step.run_id), name)
        stages = ", ".join(step.stage for step in steps)
        click.echo(f"{summary.bold(run_id)}: {stages}\nworkspace {summary.near(machine.workspace)}")
        if dry_run:
            for step in steps:
                click.echo(f"\n{summary.bold(step.stage)}\n{describe(step, machine, self.starter)}")
            return 0
        return self.run_steps(steps, machine, run_id)

    def ready(self, name: str, flags: Sequence[str], *, checked: bool) -> tuple[list[Step], Machine]:
        """Return what a run of these values starts. Raises HelmFailed, UserError or Problems."""
        objects = render_here(name, flags)
        steps, machine = plan(objects), replace(self.machine, objects=objects)
        if checked:
            check(steps, machine, self.starter)
        return steps, machine

    def examine(self, name: str, flags: Sequence[str]) -> Findings:
        """Return what would stop the run, as far as it can be known; nothing is started.

        Raises HelmFailed for values that do not render.
        """
        objects = render_here(name, flags)
        findings = Findings(fine=["values: they render"])
        try:
            check(plan(objects), replace(self.machine, objects=objects), self.starter)
            findings.fine.append("this machine: it has what the stages need")
        except (UserError, Problems) as error:
            findings.problems += error.message.splitlines()
        hub.check(addresses(objects), findings)
        return findings

    def run_steps(self, steps: list[Step], machine: Machine, run_id: str) -> int:
        """Run what was checked; returns the run's exit code."""
        began = time.time()
        run_dir = machine.workspace / "runs" / run_id
        failures.clear(run_dir)
        runner = Runner(machine, self.backoff, self.starter)
        try:
            code = runner.run(steps)
        except Stopped as stopped:
            click.echo(
                f"\nstopped in {stopped.stage}. The same command continues from there: "
                "finished stages are not repeated.",
                err=True,
            )
            return 128 + stopped.number
        if code not in (0, exits.REFUSED):
            failures.keep(run_dir, runner.stage, code, runner.message)
        else:
            click.echo()
            screens.show(machine.workspace, run_id)
        if code == 0 and self.ask and summary.changed_since(machine.workspace, run_id, began):
            click.echo(ask_models(machine.workspace, run_id))
        return code


def check(steps: list[Step], machine: Machine, starter: Starter) -> None:
    """Gather everything that would stop the run later. Raises Problems with one line for each."""
    starter.check(steps)
    problems = [
        *missing_mounts(steps, machine),
        *unused_claims(steps, machine),
        *missing_variables(steps, machine),
    ]
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
