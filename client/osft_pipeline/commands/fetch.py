"""`osft fetch`: copies what a run left, with its digests checked."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from osft_pipeline.commands import SETTINGS
from osft_pipeline.kubectl import Kubectl, cluster_options
from osft_pipeline.local import summary
from osft_pipeline.local.workspaces import workspace_option
from osft_pipeline.sources import Source, opened
from osft_workspace import Record, UserError, sha256_file
from osft_workspace.text import counted
from osft_workspace.tuned import Tuned


@click.command(context_settings=SETTINGS)
@click.argument("run", required=False)
@click.argument("paths", nargs=-1)
@cluster_options
@workspace_option
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to copy into; the run id by default.",
)
def main(run: str | None, paths: Sequence[str], kubectl: Kubectl, workspace: Path, to: Path | None) -> None:
    """Copy the tuned model of RUN, or any file or folder that its records name, with sha256 checked.

    RUN is a run id or a release name; the newest run if left out. PATHS are as in the run's folder:
    eval/report.html, train/metrics.jsonl, download. Files that are there already with the right
    digest are left as they are, so an interrupted copy continues where it stopped.

    With -n, --context or --kubeconfig RUN is a run on the cluster; without them a run of this machine, or,
    where it has none of that name, one on the cluster. Files of a run on the cluster are read by a pod that
    mounts its claim for as long as the command takes.

    \b
    osft fetch mine                                  the tuned model, to ./mine-1a2b3c4d/train/model,
                                                     or an adapter that was not merged, to train/adapter
    osft fetch mine -n team --to ./model             the same from the cluster
    osft fetch mine eval/report.html --to /tmp       one file
    """
    with opened(run, workspace, kubectl) as source:
        target = to or Path(source.run_dir.name)
        records = summary.records_of(source.run_dir)
        wanted = list(paths) or [tuned_model(source.run_dir.name, records).path]
        files = [file for path in wanted for file in outputs(source.run_dir, path)]
        total = sum(int(output["size"]) for _, output in files)
        with Copying(total) as bar:
            for stage, output in files:
                copy(source, f"{stage}/{output['path']}", target, output, bar)
                bar.before += int(output["size"])
    click.echo(
        f"{counted(len(files), 'file')}, {summary.size(total)}, in {summary.near(target)}; "
        "every sha256 is as recorded"
    )
    if not paths and (base := tuned_model(source.run_dir.name, records).base):
        uri = records["train"]["details"]["base"].get("uri")
        click.echo(f"It is an adapter for the base model {uri}, which is {base} in the workspace.")


class Copying(Progress):
    """A bar on a terminal that follows the size of the file that is being written."""

    def __init__(self, total: int) -> None:
        self.part, self.before = Path(), 0
        columns = (BarColumn(), DownloadColumn(True), TransferSpeedColumn(), TimeRemainingColumn())
        super().__init__(*columns, console=Console(stderr=True), transient=True)
        self.disable = not self.console.is_terminal
        self.add_task("", total=total)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bar as it stands at this moment."""
        now = self.part.stat().st_size if self.part.is_file() else 0
        for task in self.task_ids:
            self.update(task, completed=self.before + now)
        return super().get_renderables()


def tuned_model(run_id: str, records: Mapping[str, Any]) -> Tuned:
    """Return the model that goes on. Raises UserError where training has not finished."""
    tuned = Tuned.of_run(records)
    if tuned is None:
        raise UserError(f"run {run_id} has no tuned model: its training has not finished. Fetch it later.")
    return tuned


def outputs(run_dir: Path, path: str) -> list[tuple[str, dict[str, Any]]]:
    """Return stage and record of each file at or below a path of the run. Raises UserError for none."""
    stage, _, below = path.strip("/").partition("/")
    record = Record.load(run_dir / stage) if stage in summary.STAGES else None
    found = [
        output
        for output in (record.outputs if record else [])
        if not below or output["path"] == below or output["path"].startswith(f"{below}/")
    ]
    if not found:
        kept = sorted(
            {f"{stage}/{output['path'].partition('/')[0]}" for output in record.outputs} if record else []
        )
        there = ", ".join(
            kept or [name for name in summary.STAGES if (run_dir / name / "record.json").exists()]
        )
        raise UserError(
            f"run {run_dir.name} has no recorded file {path!r}. It has: {there or 'nothing yet'}."
        )
    return [(stage, output) for output in found]


def copy(source: Source, name: str, folder: Path, output: Mapping[str, Any], bar: Copying) -> None:
    """Copy one file, published by a rename when its digest is right. Raises UserError when it is not."""
    target, digest = folder / name, str(output["sha256"])
    if target.is_file() and sha256_file(target) == digest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{digest[:12]}.part")
    bar.part = part
    source.copy(name, part, int(output["size"]))
    if sha256_file(part) != digest:
        part.unlink()
        raise UserError(
            f"{source.shown(source.run_dir / name)} has a different sha256 than its record says. "
            "Run that stage again."
        )
    part.replace(target)
