"""Where a comparison goes: to the terminal, and to a page."""

from pathlib import Path

import click

from osft_pipeline.compare.table import screen
from osft_pipeline.local import summary
from osft_pipeline.local.records import Json
from osft_workspace import write_atomic


def present(found: Json, output: Path | None) -> None:
    """Print a comparison, and write its page."""
    click.echo(screen(found))
    write(found, output)
    if output:
        click.echo(f"\nwritten to {summary.near(output)}")


def write(found: Json, output: Path | None) -> None:
    """Write the page of a comparison, if one is asked for."""
    if output:
        from osft_pipeline.compare.page import page

        write_atomic(output, page(found))
