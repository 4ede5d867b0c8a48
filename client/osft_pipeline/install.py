"""Installs the chart, after what `osft check` asks."""

import subprocess
from collections.abc import Sequence

import click

from osft_pipeline.chart import chart, find_helm
from osft_pipeline.check import check
from osft_pipeline.kubectl import Kubectl, failure
from osft_pipeline.rendering import ClusterAway, HelmFailed, explained
from osft_pipeline.terminal import Problems, plain
from osft_workspace import Transient

ERROR = "Error: "
WAITED = "timed out waiting"  # for a hook: the cluster was there all the time
LATER = (
    "The cluster does not answer. Check the network and the context of the kubeconfig, then run the same "
    "command again."
)


def refuse_problems(name: str, flags: list[str], kubectl: Kubectl, *, autoscaler: bool) -> None:
    """Raise Problems with what would stop the run; print what could not be checked to stderr."""
    findings = check(name, flags, kubectl, autoscaler)
    for line in findings.unasked:
        click.echo(f"not asked {plain(line)}", err=True)
    if findings.problems:
        raise Problems(
            f"{findings.text()}\nNothing was created. --no-check (check=False) starts the run anyway."
        )


def install(name: str, flags: Sequence[str], *, dry_run: bool) -> None:
    """Install or upgrade the release, or render it. Raises HelmFailed."""
    action = ["template"] if dry_run else ["upgrade", "--install"]
    command = [find_helm(), *action, name, str(chart()), *flags]
    said = ""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as helm:
        # Warnings are shown when they come, the error at the end with what follows from it.
        for line in helm.stderr or ():
            if said or line.startswith(ERROR):
                said += line
            else:
                click.echo(line, nl=False, err=True)
    if helm.returncode != 0:
        words = said or f"helm ended with exit code {helm.returncode}. The output above says why."
        if WAITED not in said and isinstance(failure(said), Transient):
            raise ClusterAway(f"{words.strip()}\n{LATER}")
        raise HelmFailed(explained(words, name, flags))
