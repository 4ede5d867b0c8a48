"""`osft check`: everything that can be known before a run starts."""

from collections.abc import Callable, Sequence

import click

from osft_pipeline.chart import flag_list, value_flags
from osft_pipeline.check import check
from osft_pipeline.commands import SETTINGS
from osft_pipeline.continued import continue_flags
from osft_pipeline.kubectl import Kubectl, cluster_options
from osft_pipeline.local import inputs
from osft_pipeline.local.options import continue_option, local_options, source_options
from osft_pipeline.local.run import Local
from osft_pipeline.terminal import Problems, plain


@click.command(context_settings=SETTINGS)
@click.argument("name", default="run")
@value_flags
@continue_option
@source_options
@click.option("--autoscaler", is_flag=True, help="Nodes are added on demand: do not compare pods with nodes.")
@click.option("--local", is_flag=True, help="Check a run on this machine; no cluster is asked.")
@cluster_options
@local_options(starts=False)
def main(
    name: str,
    sources: Callable[[Local], list[str]],
    earlier: str | None,
    autoscaler: bool,
    local: bool,
    kubectl: Kubectl,
    here: Local,
    **flags: Sequence[str],
) -> None:
    """Check everything that can be known before release NAME starts. Nothing is created.

    \b
    values     the chart's own rules, as helm applies them
    cluster    Kubeflow Trainer, your rights, nodes, quotas, storage classes, claims, keys of Secrets
    addresses  models and datasets of the hub: whether they exist and HF_TOKEN may read them

    All problems are listed together. What could not be checked, because a right or the network is missing, is
    named and does not count. Exit codes: 0 no problem was found, 2 at least one was. What only a pod can see
    (S3, the registry, the volume's free space, images) is checked by the preflight Job of the install.

    With --local this machine is checked in place of a cluster: environments or images, folders, variables and
    GPUs.
    """
    given = [*flag_list(flags), *sources(here)]
    given += continue_flags(name, given, earlier, None if local else kubectl)
    if local:
        findings = here.examine(name, given)
    else:
        inputs.refuse_paths(here.claims)
        findings = check(name, given, kubectl, autoscaler)
    for line in findings.fine:
        click.echo(f"ok        {plain(line)}")
    for line in findings.unasked:
        click.echo(f"not asked {plain(line)}")
    if findings.problems:
        raise Problems(findings.text())
