"""Installs the chart, after what `osft check` asks."""

import subprocess
from collections.abc import Sequence

import click

from osft_pipeline.chart import chart, find_helm
from osft_pipeline.check import check
from osft_pipeline.kubectl import Kubectl
from osft_pipeline.terminal import Problems, plain


def refuse_problems(name: str, flags: list[str], kubectl: Kubectl, *, autoscaler: bool) -> None:
    """Raise Problems with what would stop the run; print what could not be checked to stderr."""
    findings = check(name, flags, kubectl, autoscaler)
    for line in findings.unasked:
        click.echo(f"not asked {plain(line)}", err=True)
    if findings.problems:
        raise Problems(
            f"{findings.text()}\nNothing was created. --no-check (check=False) starts the run anyway."
        )


def install(name: str, flags: Sequence[str], *, dry_run: bool) -> int:
    """Install or upgrade the release, or render it; returns an exit code, 2 where helm failed."""
    action = ["template"] if dry_run else ["upgrade", "--install"]
    code = subprocess.run([find_helm(), *action, name, str(chart()), *flags], check=False).returncode
    return 2 if code == 1 else code
