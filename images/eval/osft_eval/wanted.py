"""What an evaluation measures, and whether it can give what is asked of it."""

from collections.abc import Mapping, Sequence

from osft_eval.options import Options
from osft_workspace import UserError, excerpt

HOLDOUT_LOSS, HOLDOUT_EXACT = "holdout_loss", "holdout_exact_match"


def need_scores(options: Options, output_types: Mapping[str, str]) -> None:
    """Check that the backend gives what tasks need.

    Args:
        output_types: lm-eval's, by task; empty where it is unknown.

    Raises:
        UserError: tasks need log-probabilities, and a chat endpoint gives none.
    """
    scored = [name for name, kind in output_types.items() if kind not in ("", "generate_until")]
    if scored and not options.can_score:
        raise UserError(
            f"{excerpt(', '.join(scored))} need log-probabilities, which {options.base_url} does not give. "
            "Point eval.baseUrl at the server's /v1 (completions), or choose tasks that generate."
        )


def measured(names: Sequence[str], *, loss: bool, answers: bool) -> list[str]:
    """Return the figures of an evaluation, the one that stands for the model first.

    Args:
        names: groups, then tasks.
        loss: whether the held-out loss is measured.
        answers: whether held-out rows are answered.
    """
    return [*([HOLDOUT_LOSS] if loss else []), *names, *([HOLDOUT_EXACT] if answers else [])]


def primary_metric(options: Options, known: Sequence[str]) -> str:
    """Return the figure that stands for the model: as asked, else the first that is measured.

    Raises:
        UserError: it names something that is not measured, or nothing is.
    """
    if not known:
        raise UserError(
            "there is nothing to evaluate: no task, no held-out loss from a chat endpoint, and no held-out "
            "row that is answered. Set eval.holdout.generate above 0 or eval.tasks, or point eval.baseUrl at "
            "the server's /v1 (completions)."
        )
    if options.primary_metric and options.primary_metric not in known:
        raise UserError(
            f"--primary-metric {options.primary_metric!r} is not measured. "
            f"Measured: {excerpt(', '.join(known))}."
        )
    return options.primary_metric or known[0]
