"""What of a plan does not fit, and the smallest change of the values after which everything fits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from osft_plan import plan
from osft_plan.memory import GIB
from osft_plan.model import Model
from osft_plan.plan import Limits, Plan
from osft_plan.rows import Rows
from osft_plan.training import ADAPTERS, BATCHES, OSFT, Training
from osft_workspace import UserError

MOST_GPUS = 8
"""Of a node."""
FIELDS = {
    "train.maxTokensPerGpu": "tokens",
    "train.maxSequenceLength": "longest",
    "train.unfreezeRankRatio": "ratio",
    "train.gpus": "gpus",
    "train.nodes": "nodes",
    "train.method": "method",
    "train.epochs": "epochs",
    "train.maxSteps": "max_steps",
}
"""Values that a change names -> fields of `Training`."""
Change = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Misfit:
    """One limit that a plan exceeds."""

    key: str
    """Of the value that limits it."""
    text: str
    """What was found and what was expected."""


def misfits(made: Plan, limits: Limits) -> list[Misfit]:
    """Return what does not fit."""
    found = []
    if limits.memory is not None and made.memory > limits.memory:
        largest = max(made.terms, key=lambda name: made.terms[name])
        found.append(
            Misfit(
                "preflight.training.gpuMemoryGiB",
                f"training needs {made.memory / GIB:.1f} GiB of memory on each GPU, of which the term "
                f"{largest} is {made.terms[largest] / GIB:.1f}, and preflight.training.gpuMemoryGiB is "
                f"{limits.memory / GIB:g}",
            )
        )
    if limits.hours is not None and made.hours > limits.hours:
        found.append(
            Misfit(
                "preflight.training.maxHours",
                f"training takes about {made.hours:.1f} hours at the speed of {made.speed}, and "
                f"preflight.training.maxHours is {limits.hours:g}",
            )
        )
    if limits.dropped is not None and made.dropped_share > limits.dropped:
        found.append(
            Misfit(
                "preflight.training.maxDroppedShare",
                f"{made.dropped:,} of {made.dropped + made.rows:,} rows ({made.dropped_share:.1%}) are "
                f"dropped, and preflight.training.maxDroppedShare is {limits.dropped:g}",
            )
        )
    return found


def changed(training: Training, change: Change) -> Training:
    """Return the training with a change of the values."""
    fields: dict[str, Any] = {FIELDS[key]: value for key, value in change.items()}
    if "gpus" in fields:
        fields["processes"] = fields["gpus"]
    if fields.get("method") in ADAPTERS and training.batch == BATCHES[training.method]:
        fields["batch"] = BATCHES[fields["method"]]
    return replace(training, **fields)


def smallest(model: Model, made: Plan, rows: Rows, limits: Limits) -> Change | None:
    """Return the first change after which everything fits, or None where none is known.

    Changes that leave the result as it is come first, and those of two values after those of one.
    """
    alone = list(candidates(model, made, rows, limits))
    both = ({**one, **other} for one, other in combinations(alone, 2) if not set(one) & set(other))
    for change in (*alone, *both):
        try:
            after = plan.make(model, changed(made.training, change), rows, limits)
        except UserError:
            continue
        if not misfits(after, limits):
            return change
    return None


def candidates(model: Model, made: Plan, rows: Rows, limits: Limits) -> Iterator[Change]:
    """Yield changes of one value, or of two that go together, the one that changes least first."""
    training = made.training
    keys = {misfit.key.rpartition(".")[2] for misfit in misfits(made, limits)}
    if "gpuMemoryGiB" in keys:
        yield from fewer_tokens(model, made, rows, limits)
    if keys & {"gpuMemoryGiB", "maxHours"} and training.gpus:
        more = (count for count in (2, 4, MOST_GPUS) if count > training.gpus)
        yield from ({"train.gpus": count} for count in more)
    if "maxHours" in keys and limits.hours is not None:
        share = max(limits.hours * 3600 - made.start_seconds, 0) / max(made.seconds, 1e-9)
        fewer = range(training.epochs - 1, 0, -1)
        yield from ({"train.epochs": epochs} for epochs in fewer if epochs <= training.epochs * share)
        if steps := int(made.steps * share):
            yield {"train.maxSteps": steps}
    if "gpuMemoryGiB" in keys:
        if training.method == OSFT:
            lower = (round(training.ratio * part, 4) for part in (0.5, 0.2))
            yield from ({"train.unfreezeRankRatio": ratio} for ratio in lower)
        yield from ({"train.method": method} for method in ADAPTERS if method != training.method)


def fewer_tokens(model: Model, made: Plan, rows: Rows, limits: Limits) -> Iterator[Change]:
    """Yield the largest smaller train.maxTokensPerGpu that fits, with no row dropped."""
    training = made.training
    taken = training.rows(rows)
    fits = plan.fitting(model, training, taken, limits.memory)
    if fits >= made.tokens_at_a_time:
        return
    # A row must be shorter than train.maxSequenceLength, which may not exceed the tokens of a GPU.
    fits = max(fits, min(taken.longest + 1, training.longest)) if not training.block else fits
    change: dict[str, Any] = {"train.maxTokensPerGpu": fits}
    if training.longest > fits:
        change["train.maxSequenceLength"] = fits
    yield change


def words(change: Change) -> str:
    """Return a change as helm's words: `train.gpus=2,train.epochs=1`."""
    return ",".join(f"{key}={value}" for key, value in change.items())


def sentence(found: list[Misfit], change: Change | None, made: Plan) -> str:
    """Return the one message for everything that does not fit."""
    said = "; ".join(misfit.text for misfit in found)
    if change:
        return f"the training does not fit: {said}. The smallest change that fits is --set {words(change)}."
    raised = " or ".join(misfit.key for misfit in found)
    return (
        f"the training does not fit: {said}. No change of one or two values of train makes it fit: raise "
        f"{raised}{hint(found, made)}."
    )


def hint(found: list[Misfit], made: Plan) -> str:
    """Return what else to do about rows that are dropped."""
    dropped = any(misfit.key.endswith("maxDroppedShare") for misfit in found)
    return (
        f", or train.maxSequenceLength (now {made.training.longest}) where rows are long" if dropped else ""
    )
