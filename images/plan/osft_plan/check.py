"""The check at the end of a download: does the training that is to come fit what was allowed?"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from osft_plan import change, plan
from osft_plan.memory import GIB
from osft_plan.model import Model
from osft_plan.plan import Limits, Plan
from osft_plan.rows import Rows
from osft_plan.training import Training
from osft_workspace import Record, UserError

Say = Callable[..., None]


def model_of(download: Record, root: Path) -> Model:
    """Return the base model that a download left.

    Raises:
        UserError: its files cannot be read.
    """
    facts = download.details["model"]
    folder = download.shared_path(root, facts["path"])
    return Model.of_folder(folder, f"the base model {facts.get('uri', folder)}")


def check(
    download: Record, root: Path, training: Mapping[str, Any], limits: Mapping[str, Any], say: Say
) -> None:
    """Plan the training of a download's rows, and log the plan.

    Args:
        training: values of `train`, as the chart has them.
        limits: values of `preflight.training`.
        say: takes what happened, and facts of it.

    Raises:
        UserError: it does not fit, with the smallest change after which it does; or there are limits and
            nothing can be planned.
    """
    allowed, wanted = Limits.of_values(dict(limits)), Training.of_values(training)
    try:
        model, rows = model_of(download, root), Rows.of_record(download, root)
        made = plan.make(model, wanted, rows, allowed)
    except UserError as error:
        if allowed != Limits() or not wanted.tokens:
            raise
        say("the training cannot be planned", seen=error.message)
        return
    log(made, say)
    found = change.misfits(made, allowed)
    if found:
        raise UserError(change.sentence(found, change.smallest(model, made, rows, allowed), made))


def log(made: Plan, say: Say) -> None:
    """Log a plan."""
    largest = max(made.terms, key=lambda name: made.terms[name])
    say(
        "plan of the training",
        steps=made.steps,
        rows=made.rows,
        rows_dropped=made.dropped,
        tokens_at_a_time=made.tokens_at_a_time,
        memory_gib=round(made.memory / GIB, 2),
        most_of_it=largest,
        disk_gib=round(sum(made.disk.values()) / GIB, 2),
        about_hours=round(made.hours, 2),
        speed=made.speed,
    )
