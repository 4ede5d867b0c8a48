"""One sweep from its first run to the comparison of all."""

from collections.abc import Mapping
from pathlib import Path

import click

from osft_pipeline.compare.figures import compare
from osft_pipeline.compare.output import present
from osft_pipeline.sweep.plan import Combination, Sweep
from osft_pipeline.sweep.start import STOPPED, Place, There, evidence, in_order
from osft_pipeline.terminal import plain
from osft_workspace.text import counted

FEWEST = 2


class Runs:
    """The runs of a sweep: values are checked, and none is started yet."""

    def __init__(
        self, sweep: Sweep, flags: Mapping[str, list[str]], ids: Mapping[str, str], place: Place
    ) -> None:
        self.sweep, self.flags, self.ids, self.place = sweep, flags, ids, place

    def go(self, output: Path, at_once: There | None) -> int:
        """Run all, on a cluster perhaps at once, compare them and write the page; return the exit code."""
        ends = self.on(at_once) if at_once else in_order(self.sweep.runs, self.one)
        stopped = next((code for code, _ in ends.values() if code in STOPPED), None)
        if stopped is not None:
            click.echo("The sweep is stopped. The same command continues it.", err=True)
            return stopped
        failed = {name: end for name, end in ends.items() if end[0] != 0}
        click.echo(f"\n{counted(len(ends) - len(failed), 'run')} of {len(ends)} done.")
        for name, (code, why) in failed.items():
            click.echo(plain(f"{name} failed with exit code {code}{f': {why}' if why else '.'}"))
        self.compare(output)
        return next((code for code, _ in failed.values()), 0)

    def one(self, run: Combination) -> tuple[int, str]:
        """Run one to its end."""
        return self.place.run(run.name, self.flags[run.name], self.ids[run.name])

    def on(self, there: There) -> dict[str, tuple[int, str]]:
        """Start all runs on the cluster, then wait for each."""
        started = in_order(self.sweep.runs, lambda run: there.start(run.name, self.flags[run.name]))
        running = [run for run in self.sweep.runs if started[run.name][0] == 0]
        return {**started, **in_order(running, lambda run: there.wait(run.name))}

    def compare(self, output: Path) -> None:
        """Compare what the runs left, and write the page."""
        found = evidence([*self.ids.values()], self.place)
        if len(found) < FEWEST:
            click.echo("Fewer than two runs left a record, so nothing is compared.", err=True)
            return
        click.echo()
        present(compare(found), output)
