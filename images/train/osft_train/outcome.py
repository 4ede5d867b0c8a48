"""How training ended, whatever the backend says, and how its model is published."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from osft_train import changes, checkpoint, merge, metrics
from osft_train.base import Base
from osft_train.estimate import Plan
from osft_train.options import Options
from osft_train.work import ADAPTERS, MODELS, Work
from osft_workspace import Run, Transient, UserError
from osft_workspace.contents import Model
from osft_workspace.exits import StageError
from osft_workspace.text import counted


def check_steps(run: Run, work: Work, plan: Plan, options: Options) -> int:
    """Return the last step trained, once it is the last one planned.

    The backend says success also when it was stopped by SIGTERM, or when it skipped every step.

    Raises:
        Transient: it was stopped; the state is saved.
        StageError: it ended early without a reason.
    """
    steps = metrics.read_steps(work.dir, options.node_rank)
    metrics.check_finite(steps)
    last = steps[-1]["step"] if steps else 0
    if steps and trained_all(steps[-1], plan, options) and saved(steps[-1], work, options):
        return int(last)
    wanted, state = plan.steps or "some", work.newest_state()
    if state is not None:
        raise Transient(
            f"training received SIGTERM at step {state} of {wanted}; its full state is saved. Start again to "
            "go on."
        )
    raise StageError(
        f"the backend reports success after step {last} of {wanted}, and there is no model of the last one: "
        f"it skipped the rest. The log is {run.dir}/train.log."
    )


def trained_all(last: Mapping[str, Any], plan: Plan, options: Options) -> bool:
    """Return whether this is the last step of the run."""
    if plan.steps is None:
        return bool(last["total_tokens_accumulated"] >= options.extra["max_tokens"])
    return bool(last["step"] >= plan.steps)


def saved(last: Mapping[str, Any], work: Work, options: Options) -> bool:
    """Return whether node 0 saved the model of the last step.

    A stop in that step ends before it is saved, and models of earlier epochs may lie there.
    """
    if options.node_rank:
        return True
    at_end = options.save_final_checkpoint or options.extra.get("training_mode", "epoch") == "epoch"
    wanted = round(last["total_samples_accumulated"]) if at_end else 1
    return checkpoint.samples(work.dir, work.saved) >= wanted


def publish(run: Run, work: Work, base: Base) -> tuple[Path, Model]:
    """Add what was tuned, fixed and checked, to the result; return where it came from, and its size.

    Its checkpoint stays until the stage has its record.

    Raises:
        UserError: training has changed nothing.
        StageError: no model was saved.
    """
    chosen = checkpoint.choose(work.dir, work.saved)
    if chosen is None:
        folder = work.dir / work.saved.folder
        raise StageError(f"the backend saved no model below {folder}. See {run.dir}/train.log.")
    if work.saved == ADAPTERS:
        facts, learned = checkpoint.check_adapter(chosen), changes.has_learned(chosen)
    else:
        for _, path in checkpoint.candidates(work.dir):
            checkpoint.fix(run, path, base)
        facts, learned = checkpoint.check(chosen, base), changes.first_change(chosen, base.path) is not None
    check_learned(learned, metrics.read_steps(work.dir, 0))
    run.event("model checked", **facts)
    if work.saved == MODELS:
        checkpoint.link_tree(chosen, run.dir / "model")
    if (adapter := work.dir / ADAPTERS.folder / chosen.name).is_dir():
        merge.publish(adapter, run.dir / "adapter", base)
    return chosen, facts


def check_learned(learned: bool, steps: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError where training has left every weight as it was."""
    if not learned:
        rate = max((float(step["lr"]) for step in steps), default=0.0)
        raise UserError(
            f"{counted(len(steps), 'step')} with a learning rate of at most {rate:.3g} changed no weight of "
            "the base model, so nothing was tuned. Raise train.learningRate (--learning-rate), or "
            "train for more steps (train.epochs)."
        )
