"""`osft ask`: one question, both models' answers side by side."""

from pathlib import Path

import click

from osft_pipeline.commands import SETTINGS
from osft_pipeline.local.asking import ask_models
from osft_pipeline.local.workspaces import workspace_option


@click.command(context_settings=SETTINGS)
@click.argument("question", required=False)
@workspace_option
@click.option("--run", "run_id", help="Run id or release name; the newest trained run if left out.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--system", help="A system turn before the question; the chat template's own if left out.")
@click.option("--trust-remote-code", is_flag=True, help="For models that bring their own Python code.")
def main(
    question: str | None,
    workspace: Path,
    run_id: str | None,
    max_new_tokens: int,
    system: str | None,
    trust_remote_code: bool,
) -> None:
    """Ask both models of a run on this machine: the base and the tuned one, greedily, side by side.

    Without QUESTION the first held-out row is asked.
    """
    click.echo(
        ask_models(
            workspace,
            run_id,
            question,
            system=system,
            max_new_tokens=max_new_tokens,
            trust_remote_code=trust_remote_code,
        )
    )
