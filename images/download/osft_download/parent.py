"""The base model that an earlier run of the workspace left (`model.fromRun`)."""

import os
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from osft_download.options import Options
from osft_workspace import Run, UserError, Workspace, chain, printable
from osft_workspace.links import Chain, Link
from osft_workspace.predecessors import open_record


def continued(workspace: Workspace, run_id: str, options: Options) -> tuple[Options, Chain | None]:
    """Return the options with the address of the parent's model, and the chain; None where none is continued.

    Raises:
        UserError: the parent cannot be continued, or a base model is named too.
    """
    if not options.from_run:
        return options, None
    default = next(field.default for field in fields(Options) if field.name == "model_uri")
    if options.model_uri != default:
        raise UserError(
            f"model.fromRun is '{printable(options.from_run)}' and model.uri is "
            f"'{printable(options.model_uri, 200)}': both name the base model. Remove one of them."
        )
    if options.model_revision:
        raise UserError(
            f"model.fromRun is '{printable(options.from_run)}' and model.revision is "
            f"'{printable(options.model_revision, 200)}': a run has no revisions. Remove model.revision."
        )
    found = recorded(workspace, run_id, options.from_run)
    if found is None:
        found = chain.find_parent(workspace, run_id, options.from_run).chain
    return replace(options, model_uri=address(workspace, found["links"][-1])), found


def recorded(workspace: Workspace, run_id: str, asked: str) -> Chain | None:
    """Return the chain of this run's own record where the run that it continued was removed since."""
    record = open_record(workspace, run_id, "download")
    found = record.details.get("chain") if record else None
    if not found or found["asked"] != asked or chain.meant(asked, chain.runs_in(workspace)):
        return None
    return {"asked": asked, "links": chain.earlier_links(record)} if record else None


def address(workspace: Workspace, link: Link) -> str:
    """Return the address of the model that a run left."""
    below = f"runs/{link['run']}/{link['model']['path']}"
    claim = os.environ.get("OSFT_WORKSPACE_CLAIM")
    return f"pvc://{claim}/{below}" if claim else str(workspace.root / below)


def inputs_of(inputs: dict[str, Any], found: Chain | None) -> dict[str, Any]:
    """Return the inputs of a run with the identity of its parent: another parent is another result."""
    if found is None:
        # A run that continues no other has the inputs that it had before there was this option.
        return {name: value for name, value in inputs.items() if name != "from_run"}
    link = found["links"][-1]
    # Not its records: an evaluation of the parent with other gates changes neither its model nor its rows.
    return {**inputs, "parent": {"model": link["model"]["digest"], "rows": link["rows"]["digest"]}}


def shared(run: Run, found: Chain | None) -> dict[str, str]:
    """Return the folders of the earlier tasks' held-out rows with their digests; logs what the chain is.

    A record that relies on them keeps them from being removed.
    """
    left: dict[str, str] = {}
    for link, why in chain.rows_in(run.workspace, links_of(found)):
        became = chain.check_link(run.workspace, link)
        run.event(
            "continues", run=link["run"], records=became or "verified", held_out=why or link["rows"]["rows"]
        )
        if not why:
            left[link["rows"]["path"]] = link["rows"]["digest"]
    return left


def links_of(found: Chain | None) -> Iterable[Link]:
    """Return the links of a chain, if there is one."""
    return found["links"] if found else ()
