"""`osft migrate`: settings of other systems as a values file."""

import tempfile
from pathlib import Path

import click
import yaml

from osft_pipeline.commands import SETTINGS
from osft_pipeline.migrate import migrate
from osft_pipeline.migrate.sources import SYSTEMS
from osft_pipeline.rendering import HelmFailed, render_here
from osft_pipeline.terminal import plain
from osft_workspace import UserError

LARGEST = 4 << 20  # bytes


@click.command(context_settings=SETTINGS)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--from",
    "system",
    type=click.Choice(list(SYSTEMS)),
    help="The system the settings belong to; recognized by their names if left out.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here, not to stdout."
)
def main(file: click.File, system: str | None, output: Path | None) -> None:
    """Turn settings of another system into a values file for the chart.

    \b
    FILE is YAML or JSON, - for stdin:
      kfp           run parameters of the OSFT pipeline on Kubeflow Pipelines (phase_01_...)
      training-hub  keyword arguments of training_hub.osft()
      kaito         a Workspace with `tuning`, and its ConfigMap as a further document
      kep-2003      arguments of the train call

    Each parameter without a counterpart is listed in a comment, with the reason. Secrets are never copied.
    The result is rendered; problems that the chart finds in it are printed to stderr, with exit code 2.

    \b
    osft migrate run-parameters.yaml -o values.yaml
    cat workspace.yaml config-map.yaml | osft migrate -
    """
    content = file.read(LARGEST + 1)  # type: ignore[attr-defined]
    if len(content) > LARGEST:
        raise UserError(f"the file is larger than {LARGEST:,} bytes. Expected settings of one run.")
    try:
        documents = list(yaml.safe_load_all(content))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"the file is neither YAML nor JSON ({plain(error)}).") from error
    text = migrate(documents, system)
    if output:
        output.write_text(text)
    else:
        click.echo(text, nl=False)
    check(text)


def check(text: str) -> None:
    """Render the values. Raises HelmFailed with what the chart finds wrong."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as values:
        values.write(text)
        values.flush()
        try:
            render_here("run", ["--values", values.name])
        except HelmFailed as error:
            raise HelmFailed(f"these values do not render yet.\n{error.message}") from error
