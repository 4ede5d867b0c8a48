"""`osft fetch`: copies what a run left, with its digests checked."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from osft_pipeline.commands import SETTINGS
from osft_pipeline.local import summary
from osft_pipeline.local.records import read
from osft_pipeline.local.workspaces import workspace_option
from osft_workspace import Record, UserError, sha256_file
from osft_workspace.text import counted


@click.command(context_settings=SETTINGS)
@click.argument("run", required=False)
@click.argument("paths", nargs=-1)
@workspace_option
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="Folder to copy into; RUN by default."
)
def main(run: str | None, paths: Sequence[str], workspace: Path, to: Path | None) -> None:
    """Copy the tuned model of RUN, or any file or folder that its records name, with sha256 checked.

    RUN is a run id or a release name; the newest run if left out. PATHS are as in the run's folder:
    eval/report.html, train/metrics.jsonl, download. Files that are there already with the right
    digest are left as they are, so an interrupted copy goes on.

    \b
    osft fetch mine                                  the tuned model, to ./mine-1a2b3c4d/train/model
    osft fetch mine eval/report.html --to /tmp       one file
    """
    run_id = summary.newest_run(workspace, run)
    run_dir = workspace / "runs" / run_id
    target = to or Path(run_id)
    wanted = list(paths) or [model_path(run_dir)]
    files = [file for path in wanted for file in outputs(run_dir, path)]
    for stage, output in files:
        name = f"{stage}/{output['path']}"
        copy(run_dir / name, target / name, str(output["sha256"]))
    size = summary.size(sum(int(output["size"]) for _, output in files))
    click.echo(
        f"{counted(len(files), 'file')}, {size}, in {summary.near(target)}; every sha256 is as recorded"
    )


def model_path(run_dir: Path) -> str:
    """Return the folder of the model that goes on. Raises UserError where training has not finished."""
    records = {stage: read(run_dir / stage / "record.json") for stage in summary.STAGES}
    model = summary.tuned_model(run_dir, records)
    if model is None:
        raise UserError(f"run {run_dir.name} has no tuned model: its training has not finished.")
    return model.relative_to(run_dir).as_posix()


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


def copy(source: Path, target: Path, digest: str) -> None:
    """Copy one file, published by a rename when its digest is right. Raises UserError when it is not."""
    if target.is_file() and sha256_file(target) == digest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, part)
        if sha256_file(part) != digest:
            raise UserError(f"{source} has another sha256 than its record says. Run that stage again.")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
