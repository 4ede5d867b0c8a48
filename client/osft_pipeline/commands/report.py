"""`osft report`: what a run on this machine learned and what it kept."""

import shutil
import webbrowser
from pathlib import Path

import click

from osft_pipeline.commands import SETTINGS
from osft_pipeline.local import summary
from osft_pipeline.local.workspaces import workspace_option
from osft_workspace import UserError


@click.command(context_settings=SETTINGS)
@click.argument("run", required=False)
@workspace_option
@click.option("--open", "in_browser", is_flag=True, help="Open the report in a browser.")
@click.option(
    "--copy", "target", type=click.Path(path_type=Path), help="Copy report.html to this file or folder."
)
def main(run: str | None, workspace: Path, in_browser: bool, target: Path | None) -> None:
    """Show what RUN learned, what it kept, what it cost and where everything lies.

    RUN is a run id or a release name; the newest run if left out. --open and --copy take the page of the
    evaluation, report.html, which needs nothing beside it.
    """
    run_id = summary.newest_run(workspace, run)
    page = workspace / "runs" / run_id / "eval" / "report.html"
    if (in_browser or target) and not page.is_file():
        raise UserError(f"run {run_id} has no report: expected {page}. Its evaluation has not finished.")
    if target:
        click.echo(f"copied to {summary.near(Path(shutil.copy(page, target)))}")
    if in_browser and not webbrowser.open(page.resolve().as_uri()):
        raise UserError(f"no browser was found. Open {page.resolve()} in one, or copy it with --copy.")
    if not (in_browser or target):
        summary.show(workspace, run_id)
