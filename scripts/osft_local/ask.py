"""The command line of `scripts/ask`: one question, both models' answers side by side."""

import json
import os
import shutil
import textwrap
import time
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import click

from osft_local import summary
from osft_workspace import UserError

GAP = "    "


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model said."""

    title: str
    text: str
    seconds: float
    """Loading and answering."""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("question", required=False)
@click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OSFT_LOCAL_WORKSPACE",
    default=summary.DEMO,
    show_default=".cache/demo/workspace",
    show_envvar=True,
    help="Workspace that holds the run.",
)
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
    """Ask both models of a run: the base and the tuned one, greedily, side by side.

    Without QUESTION the first held-out row is asked.
    """
    run_id = summary.newest_run(workspace, run_id, stage="train")
    run_dir = workspace / "runs" / run_id
    records = {stage: summary.read(run_dir / stage / "record.json") for stage in summary.STAGES}
    rows = held_out(run_dir / "download" / "eval.jsonl")
    question = question or next(iter(rows), None)
    if not question:
        raise UserError(f"{summary.near(run_dir)} has no held-out row to ask. Give a question.")
    base = workspace / str(records["download"]["details"]["model"]["path"])
    tuned = summary.tuned_model(run_dir, records)
    turns = [{"role": "system", "content": system}] if system else []
    turns.append({"role": "user", "content": question})
    answers = []
    for title, folder in (("base model", base), ("tuned model", tuned)):
        if folder is None or not (folder / "config.json").is_file():
            raise UserError(
                f"the {title} of run {run_id} is gone: expected {folder}. Run the pipeline again to make it."
            )
        answers.append(answer(title, folder, turns, max_new_tokens, trust_remote_code))
    click.echo(layout(question, answers, rows.get(question)))


def held_out(path: Path) -> dict[str, str]:
    """Question -> answer of the held-out rows of one question and one answer."""
    found = {}
    if path.is_file():
        with path.open() as file:
            for line in file:
                turns = [turn for turn in json.loads(line).get("messages") or [] if turn["role"] != "system"]
                if [turn["role"] for turn in turns] == ["user", "assistant"]:
                    found[str(turns[0]["content"])] = str(turns[1]["content"])
    return found


def answer(
    title: str, folder: Path, turns: list[dict[str, str]], max_new_tokens: int, trust_remote_code: bool
) -> Answer:
    """Load a model and let it answer greedily, as any user of transformers would."""
    # Threads that spin while they wait take the time of whatever else runs.
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", OMP_WAIT_POLICY="passive")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    began = time.monotonic()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Token by token, bfloat16 takes three times as long as float32 on a CPU.
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=trust_remote_code)
    model.to(device)
    prompt = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(device)
    with torch.inference_mode():
        tokens = model.generate(**prompt, max_new_tokens=max_new_tokens, do_sample=False)
    text = tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    return Answer(title, str(text).strip(), time.monotonic() - began)


def layout(question: str, answers: list[Answer], reference: str | None) -> str:
    """The question, the answers in two columns, and the row's own answer where the question is a row's."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    column = (width - len(GAP) - 2) // 2
    cells = [
        [f"{one.title}, {one.seconds:.1f} s", "-" * column, *wrap(one.text or "(nothing)", column)]
        for one in answers
    ]
    lines = [f"  {left:{column}}{GAP}{right}".rstrip() for left, right in zip_longest(*cells, fillvalue="")]
    lines[0] = summary.bold(lines[0])
    shown = [summary.bold(line) for line in wrap(question, width)]
    if reference:
        own = [f"  {line}" for line in wrap(reference, width - 2)]
        lines += ["", summary.bold("  the held-out row's own answer"), *own]
    return "\n".join([*shown, "", *lines])


def wrap(text: str, width: int) -> list[str]:
    """Text in lines of at most `width`; its own line breaks stay."""
    return [line for part in text.splitlines() for line in textwrap.wrap(part, width) or [""]]
