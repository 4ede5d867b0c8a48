"""`osft report`: what a run learned and what it kept."""

import shutil
import webbrowser
from pathlib import Path

import click

from osft_pipeline.commands import SETTINGS
from osft_pipeline.kubectl import Kubectl, cluster_options
from osft_pipeline.local import summary
from osft_pipeline.local.figures import as_object
from osft_pipeline.local.records import read
from osft_pipeline.local.workspaces import workspace_option
from osft_pipeline.sources import RESULTS, lasting_page, opened, page_of
from osft_pipeline.terminal import plain_json
from osft_workspace import UserError


@click.command(context_settings=SETTINGS)
@click.argument("run", required=False)
@cluster_options
@workspace_option
@click.option("--open", "in_browser", is_flag=True, help="Open the report in a browser.")
@click.option(
    "--copy", "target", type=click.Path(path_type=Path), help="Copy report.html to this file or folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, described below.")
def main(
    run: str | None,
    kubectl: Kubectl,
    workspace: Path,
    in_browser: bool,
    target: Path | None,
    as_json: bool,
) -> None:
    """Show what RUN learned, what it kept, what it cost and where everything is.

    RUN is a run id or a release name; the newest run if left out. Of a run that failed it shows where and
    why. --open and --copy take the page of the evaluation, report.html, a single file.

    With -n, --context or --kubeconfig RUN is a run on the cluster; without them a run of this machine, or,
    where it has none of that name, one on the cluster. Files of a run on the cluster are read by a pod that
    mounts its claim for as long as the command takes.

    --json prints: run, state (done, refused, failed, incomplete), failure (null, or an object of stage,
    exitCode, message, ended), stages (an object for each that finished: status, message, seconds,
    peakMemoryBytes), model, report, version (where they are, or null), and results, which are those of
    eval/results.json, or null.

    \b
    osft report mine                        the newest run of release mine
    osft report mine -n team --open         the page of a run on the cluster
    """
    with opened(run, workspace, kubectl) as source:
        if as_json:
            results = read(source.bring(RESULTS))
            click.echo(plain_json(as_object(source.run_dir, source.shown, results, source.failure())))
            return
        if not (in_browser or target):
            source.bring(RESULTS)
            click.echo(summary.screen(source.run_dir, source.shown, source.next_step(), source.failure()))
            return
        page = Path(shutil.copy(page_of(source), target)) if target else lasting_page(source)
    if target:
        click.echo(f"copied to {summary.near(page)}")
    if in_browser and not webbrowser.open(page.resolve().as_uri()):
        raise UserError(f"no browser was found. Open {page.resolve()} in one, or copy it with --copy.")
