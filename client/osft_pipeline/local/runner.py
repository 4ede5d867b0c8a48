"""Runs steps in order, with the retries and deadlines of their Jobs."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from types import FrameType

import click

from osft_pipeline.chart import Object
from osft_pipeline.local.children import Child, Ended, Starter, run_once
from osft_pipeline.local.failures import ADVICE, BUG, LATE
from osft_pipeline.local.places import Machine
from osft_pipeline.local.plan import Step
from osft_pipeline.local.summary import size
from osft_workspace.log import duration

BACKOFF_LIMIT = 6  # Kubernetes' defaults
LONGEST_WAIT = 360.0


class Stopped(Exception):
    """The user stopped the run; `number` is the signal."""

    def __init__(self, number: int, stage: str) -> None:
        super().__init__(stage)
        self.number, self.stage = number, stage


def action(spec: Object, container: str, code: int) -> str:
    """Return what the Job's podFailurePolicy says about an exit code: FailJob, Ignore or Count."""
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or []:
        wanted = rule.get("onExitCodes")
        if wanted is None or wanted.get("containerName", container) != container:
            continue
        if (code in wanted["values"]) == (wanted["operator"] == "In"):
            return str(rule["action"])
    return "Count"


def peak_memory(ended: Ended) -> str:
    """Return the peak memory as the end of a sentence; nothing where it is not known."""
    return f", peak memory {size(ended.peak)}" if ended.peak else ""


class Runner:
    """Runs the steps of one install on this machine."""

    def __init__(self, machine: Machine, backoff: float, starter: Starter) -> None:
        self.machine, self.backoff, self.starter = machine, backoff, starter
        self.child: Child | None = None
        self.stage = ""
        self.signal: int | None = None
        self.message = ""
        """What the stage that ended the run said last."""

    def run(self, steps: Sequence[Step]) -> int:
        """Run all steps; returns 0 or the code of the step that ended the run. Raises Stopped."""
        before = {number: signal.signal(number, self.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for index, step in enumerate(steps, start=1):
                self.stage = step.stage
                head = click.style(f"[{index}/{len(steps)}] {step.stage}", bold=True)
                click.echo(f"\n{head}")
                code = self.run_step(step, head)
                if code != 0:
                    return code
            return 0
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def run_step(self, step: Step, head: str) -> int:
        """Run all attempts of one step; return its last exit code."""
        limit = step.job_spec.get("backoffLimit", BACKOFF_LIMIT)
        began = time.monotonic()
        failed = 0
        while True:
            ended = self.attempt(step, began)
            took = duration(time.monotonic() - began)
            if ended.code == 0:
                click.echo(f"{head} done in {took}{peak_memory(ended)}")
                return 0
            act = "FailJob" if ended.late else action(step.job_spec, step.container["name"], ended.code)
            failed += act != "Ignore"
            if act == "FailJob" or failed > limit:
                self.message = ended.message
                self.report(head, ended, took, failed)
                return LATE if ended.late else ended.code
            wait = min(self.backoff * 2 ** max(failed - 1, 0), LONGEST_WAIT)
            attempt = f"attempt {failed + 1} of {limit + 1} in {duration(wait)}"
            click.echo(f"{head} ended with code {ended.code}; {attempt}")
            self.sleep(wait)

    def attempt(self, step: Step, began: float) -> Ended:
        """Run one attempt, within what is left of the step's deadline."""
        left = None if step.deadline is None else max(step.deadline - (time.monotonic() - began), 0.1)
        ended = run_once(step, self.machine, self.starter, left, self.now_running)
        self.child = None
        if self.signal is not None:
            raise Stopped(self.signal, self.stage)
        return ended

    def now_running(self, child: Child) -> None:
        """Remember the child; a signal that came while it started is passed on."""
        self.child = child
        if self.signal is not None:
            child.stop()

    def sleep(self, seconds: float) -> None:
        """Wait between attempts; a signal ends it."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.signal is not None:
                raise Stopped(self.signal, self.stage)
            time.sleep(min(left, 0.2))

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Stop the stage at the first signal, and kill it at the next one."""
        again = self.signal is not None
        self.signal = self.signal or number
        if self.child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if again:
                self.child.kill()
            else:
                # os.write: the interrupted code may be in the middle of a buffered write itself.
                os.write(2, f"\nstopping {self.stage}; press Ctrl-C again to kill it\n".encode())
                self.child.stop()

    @staticmethod
    def report(head: str, ended: Ended, took: str, attempts: int) -> None:
        """Say how a step failed and what to do; its own sentence stands right above."""
        code = LATE if ended.late else ended.code
        cost = f"{took}{f' in {attempts} attempts' if attempts > 1 else ''}{peak_memory(ended)}"
        click.echo(f"{head} failed with code {ended.code} after {cost}", err=True)
        click.echo(f"  {ADVICE.get(code, BUG)}", err=True)
