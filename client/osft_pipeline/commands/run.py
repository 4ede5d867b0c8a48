"""`osft run`: starts a run on the cluster, or with --local runs the rendered stages on this machine."""

import shlex
from collections.abc import Callable, Sequence

import click

from osft_pipeline.chart import flag_list, value_flags
from osft_pipeline.commands import SETTINGS
from osft_pipeline.continued import continue_flags
from osft_pipeline.install import install, refuse_problems
from osft_pipeline.kubectl import Kubectl, cluster_options
from osft_pipeline.local import inputs
from osft_pipeline.local.options import continue_option, local_options, place_options, source_options
from osft_pipeline.local.run import Local
from osft_pipeline.local.workspaces import called


@click.command(context_settings={**SETTINGS, "ignore_unknown_options": True})
@click.argument("name")
@click.argument("helm", nargs=-1, type=click.UNPROCESSED)
@value_flags
@continue_option
@source_options
@place_options
@cluster_options
@local_options()
@click.option(
    "--dry-run", is_flag=True, help="Only show what would run: commands with --local, otherwise objects."
)
def main(
    name: str,
    helm: Sequence[str],
    sources: Callable[[Local], list[str]],
    earlier: str | None,
    local: bool,
    no_check: bool,
    autoscaler: bool,
    kubectl: Kubectl,
    here: Local,
    dry_run: bool,
    **flags: Sequence[str],
) -> None:
    """Start a run of release NAME; the same values again continue the same run.

    On the cluster of your kubeconfig this is `helm upgrade --install NAME` with the chart that osft carries;
    every further flag is helm's own (--timeout 24h --wait). Problems that `osft check` finds are reported
    before anything is created. The command ends when helm does: at once with `ordering: cluster`, when the
    model is registered with `ordering: hooks`.

    With --local the rendered containers run in order on this machine, with folders in place of their volumes
    and variables of the same name in place of their Secrets: as processes, or with --engine podman or docker
    as containers. Exit codes: 0 done, 2 something must be fixed, 3 the gate failed, 75 something was
    unavailable, 124 a deadline passed, 130 stopped; others are the failed stage's own.

    \b
    osft run mine --data hf://org/dataset -f my-values.yaml -n team
    osft run mine --local --data ./chat.jsonl --model ./base-model --set train.gpus=0,eval.gpus=0
    osft run next --local --data ./more.jsonl --continue mine
    osft run mine --local --engine podman --data ./chat.jsonl --set images.registry=registry.example.com
    """
    given = [*flag_list(flags), *sources(here)]
    given += continue_flags(name, given, earlier, None if local else kubectl)
    if local:
        refuse_options(helm)
        raise SystemExit(here.run(name, given, dry_run=dry_run))
    inputs.refuse_paths(here.claims)
    given += kubectl.helm_flags()
    if dry_run:
        install(name, [*given, *helm], dry_run=True)
        return
    if not no_check:
        refuse_problems(name, given, kubectl, autoscaler=autoscaler)
    install(name, [*given, *helm], dry_run=False)
    click.echo(f"\nWatch it: {called()} {shlex.join(['follow', name, *kubectl.flags])}")


def refuse_options(helm: Sequence[str]) -> None:
    """Raise UsageError for a flag of helm's, which --local does not install with."""
    if helm:
        command = click.get_current_context().info_name
        raise click.UsageError(f"{helm[0]!r} is not an option of osft {command} --local.")
