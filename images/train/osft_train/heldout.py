"""The loss of held-out rows, measured while training goes on: how far it has come, and when it came furthest.

A part of the rows that eval measures at the end: enough to see where it goes, and few enough to take little
time. mini-trainer measures it, as the mean over the learned tokens of the part.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from osft_rows.files import TokenFiles
from osft_train.data import Rows
from osft_train.estimate import Plan
from osft_train.extra import VALIDATION
from osft_train.options import AUTO, Options
from osft_workspace import Run, write_atomic

TIMES = 4
"""How often in a run, where the user does not say."""
LEAST, MOST = 32, 256
"""Rows of the part."""
SHARE = 0.1
"""Of the time of the training's own passes that measuring may take, once there are `LEAST` rows."""
FORWARD = 1 / 3
"""Cost of measuring a token, where training on it is 1."""
FIELDS = ("input_ids", "labels", "len", "num_loss_counted_tokens")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What is measured, and when."""

    path: str
    rows: int
    tokens: int
    every: int
    """Optimizer steps from one time to the next; the last one is measured too."""

    def arguments(self) -> dict[str, Any]:
        """Return the backend's arguments."""
        return {
            "validation_data_path": self.path,
            "validation_frequency": self.every,
        }

    def facts(self) -> dict[str, int]:
        """Return the part of the record."""
        return {name: value for name, value in asdict(self).items() if name != "path"}


def choose(run: Run, options: Options, plan: Plan, rows: Rows, target: Path) -> HeldOut | None:
    """Return what to measure, or None for nothing.

    Args:
        target: where the rows are written; the same rows on every node.
    """
    if options.eval_every == "0" or any(options.extra.get(name) for name in VALIDATION):
        return None
    files = TokenFiles.of(run.predecessors["download"], run.workspace.root)
    every = steps_between(plan, options)
    if not files.sets["eval"]["rows"]:
        run.choice("eval_every", 0, "no rows are held out")
        return None
    times = math.ceil(plan.steps / every) if plan.steps else TIMES * options.num_epochs
    trained = rows.tokens * (plan.steps / plan.steps_per_epoch if plan.steps else options.num_epochs)
    part = first_rows(files.eval, options, SHARE * trained / (times * FORWARD))
    tokens = sum(row["len"] for row in part)
    if not part or (options.block_size and tokens < options.block_size):
        run.choice("eval_every", 0, "no held-out row fits the training")
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, "".join(json.dumps(row) + "\n" for row in part))
    run.event("held-out loss will be measured", rows=len(part), tokens=tokens, every_steps=every)
    return HeldOut(str(target), len(part), tokens, every)


def steps_between(plan: Plan, options: Options) -> int:
    """Return the optimizer steps from one time to the next."""
    if options.eval_every == AUTO:
        return math.ceil((plan.steps or plan.steps_per_epoch * options.num_epochs) / TIMES)
    given = float(options.eval_every)
    return max(round(given if given >= 1 else given * plan.steps_per_epoch), 1)


def first_rows(source: Path, options: Options, most_tokens: float) -> list[dict[str, Any]]:
    """Return the first rows that training could take too; download drew them at random."""
    part: list[dict[str, Any]] = []
    tokens = 0
    with source.open("rb") as file:
        for line in file:
            row = json.loads(line)
            if len(part) == MOST or (len(part) >= LEAST and tokens + row["len"] > most_tokens):
                break
            learned = row.get("num_loss_counted_tokens", row["len"])
            if learned and (options.is_pretraining or row["len"] < options.max_seq_len):
                part.append({name: row[name] for name in FIELDS if name in row})
                tokens += row["len"]
    return part
