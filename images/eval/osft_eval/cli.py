"""`osft-eval`: what the tuned model learned and what it kept, against its base on the same items."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from osft_workspace import Outcome, Run, StageCommand, run_stage, stage_options
from osft_workspace.options import Json, check_option

Function = TypeVar("Function", bound=Callable[..., Any])
# How much is said, not what is measured.
TALK = ("verbosity",)


def option(name: str, default: Any, text: str, **more: Any) -> Callable[[Function], Function]:
    """One option with its environment name."""
    variable = "OSFT_EVAL_" + name.split("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(
        name, default=default, envvar=variable, show_envvar=True, show_default=True, help=text, **more
    )


@click.command(cls=StageCommand, name="osft-eval")
@stage_options
@check_option("OSFT_EVAL_CHECK")
@option(
    "--tasks",
    ("osft_retention",),
    "lm-eval task, group or pattern; repeat for more. `none`: only held-out rows.",
    multiple=True,
)
@option("--include-path", "", "Folder with more lm-eval task files.")
@option("--num-fewshot", None, "Few-shot examples. Empty: as the task defines.", type=click.IntRange(min=0))
@option("--limit", 0, "Number of items of each task. 0: all.", type=click.IntRange(min=0))
@option("--batch-size", "auto", "Largest number of rows in one forward pass. auto: what fits on the device.")
@option(
    "--gen-kwargs", "{}", 'Arguments of every generation, a JSON object such as {"temperature": 0.7}.',
    type=Json(dict, '{"temperature": 0.7}'),
)  # fmt: skip
@option(
    "--model-args", "{}",
    "Arguments of lm-eval's model, a JSON object; under `base` or `tuned` for that model only.",
    type=Json(dict, '{"dtype": "bfloat16"}'),
)  # fmt: skip
@option("--backend", "hf", "Backend that runs the models.", type=click.Choice(["hf", "vllm", "openai"]))
@option("--base-url", "", "OpenAI-compatible server, such as http://server:8000/v1 (backend openai).")
@option("--gpus", 1, "GPUs in this container. 0: CPU.", type=click.IntRange(min=0))
@option("--chat-template/--no-chat-template", False, "Write task prompts with the chat template.")
@option(
    "--log-samples/--no-log-samples", True, "Keep every item with both answers, in files and in the report."
)
@option("--seed", 42, "Seed of shots and sampling.")
@option("--holdout/--no-holdout", True, "Measure on the held-out rows.")
@option("--holdout-limit", 0, "Held-out rows used. 0: all.", type=click.IntRange(min=0))
@option(
    "--holdout-generate",
    50,
    "Held-out rows to generate answers for (text metrics). 0: none.",
    type=click.IntRange(min=0),
)
@option("--holdout-max-new-tokens", 256, "Largest number of tokens of an answer.", type=click.IntRange(min=1))
@option(
    "--gates",
    "{}",
    "Gates that must pass before registration, a JSON object: maxTaskDrop (points), tasks {name: points}, "
    "holdoutMustImprove, significance.",
    type=Json(dict, '{"maxTaskDrop": 3}'),
)
@option(
    "--primary-metric",
    "",
    "holdout_loss, a task, a group or holdout_exact_match. Empty: held-out loss, otherwise the first "
    "group or task, otherwise exact match.",
)
@option("--verbosity", "INFO", "Log level; the libraries' own messages appear at DEBUG.",
        type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False))  # fmt: skip
@option("--trust-remote-code", False, "Run code that comes with the model.", is_flag=True)
def main(workspace: Path, run_id: str, check: bool, **options: Any) -> None:
    """Compare the tuned model with its base: tasks, held-out rows, gates and the report."""
    if check:
        from osft_eval.check import check as check_options

        check_options(options, options["verbosity"].upper())
        return
    from osft_eval.settings import RESULTS_SCHEMA, read_settings

    settings = read_settings(options)

    def body(run: Run) -> Outcome:
        from osft_eval.stage import evaluate

        return evaluate(run, settings, options["verbosity"].upper())

    inputs = {name: value for name, value in options.items() if name not in TALK}
    inputs["results_schema"] = RESULTS_SCHEMA
    run_stage(
        "eval", workspace, run_id, inputs=inputs, needs=("train", "download"), body=body, keep=("work",)
    )
