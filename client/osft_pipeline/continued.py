"""`--continue RUN`: the values that make a run go on from the model of an earlier one."""

from collections.abc import Sequence

import click

from osft_pipeline import claim_pod
from osft_pipeline.chart import Object
from osft_pipeline.kubectl import Kubectl
from osft_pipeline.local import inputs
from osft_pipeline.planner import texts
from osft_pipeline.rendering import render_here
from osft_pipeline.sources import find
from osft_workspace import Transient, UserError

FROM_RUN = "--from-run="


def continue_flags(
    name: str, given: Sequence[str], earlier: str | None, kubectl: Kubectl | None
) -> list[str]:
    """Return helm's flags for --continue; none without it.

    Args:
        given: helm's flags for everything else.
        kubectl: the cluster; None for a run on this machine, where all runs are in one workspace.

    Raises:
        HelmFailed: the other values do not render.
        UsageError, UserError: they name another earlier run, or another claim.
        Transient: the cluster is unavailable.
    """
    if not earlier:
        return []
    objects = render_here(name, given)
    named = {word.removeprefix(FROM_RUN) for word in texts(objects) if word.startswith(FROM_RUN)}
    if others := sorted(named - {earlier}):
        raise click.UsageError(
            f"--continue is {earlier!r} and the values set model.fromRun to {others[0]!r}. Remove one of "
            "them."
        )
    found = ["--set-string", f"model.fromRun={inputs.escaped(earlier)}"]
    return found if kubectl is None else [*found, *claim_flags(name, objects, earlier, kubectl)]


def claim_flags(name: str, objects: Sequence[Object], earlier: str, kubectl: Kubectl) -> list[str]:
    """Return the value that names the claim of the earlier run; none where it is the one that is rendered.

    Raises UserError where the values name another claim, or that of the run is not known; or Transient.
    """
    own, default = claim_of(claim_pod.choose(objects)), f"{name}-workspace"
    try:
        claim = claim_of(find(earlier, kubectl)[2])
    except (UserError, Transient) as error:
        if own != default and isinstance(error, UserError):
            return []  # The release of that run is gone, and the values name its claim.
        raise type(error)(
            f"the claim of run {earlier} (--continue) is not known: {error.message} If its release was "
            "uninstalled, name the claim: --set workspace.existingClaim=<claim>."
        ) from error
    if own == claim:
        return []
    if own != default:
        raise UserError(
            f"run {earlier} (--continue) is in the claim {claim}, and workspace.existingClaim is {own}. "
            "A run is continued in its own workspace: remove workspace.existingClaim."
        )
    return ["--set-string", f"workspace.existingClaim={claim}"]


def claim_of(template: Object | None) -> str:
    """Return the claim that a pod mounts as its workspace; empty where nothing is rendered."""
    return claim_pod.claim_name(template) if template else ""
