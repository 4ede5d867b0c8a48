"""Finding the model that goes on: the tuned model, or a mix of it with the base model."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from osft_eval.catalogue import Catalogue
from osft_eval.holdout import Holdout
from osft_eval.mix.blend import Unmixable, blend
from osft_eval.mix.halves import CHOOSING, JUDGING, Half
from osft_eval.mix.rule import Scored, choose, next_share, scored
from osft_eval.models import Models
from osft_eval.options import Options
from osft_eval.parts import LOSS, Part, parts_of
from osft_workspace import Run, UserError, digest_json, tree_digest

CANDIDATE = "mix"
"""Folder for the mix that is measured, among what starts leave for each other."""
FEWEST = 2
"""Items and rows without which nothing can be compared."""
Measure = Callable[[Models, str, list[Part]], dict[str, Any]]
"""Measures parts on `base` or `tuned` of two models."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What goes on, and what judges it."""

    models: Models
    rows: Holdout | None
    half: Half | None
    """The items that judge; None: all."""
    facts: dict[str, Any] | None
    """`mix` of results.json; None where none was asked for."""
    why_not: str = ""
    """Why no mix was made although the options ask for one."""


def settle(
    run: Run, options: Options, models: Models, catalogue: Catalogue, rows: Holdout | None, measure: Measure
) -> Chosen:
    """Choose the share, and write the model that goes on.

    Raises:
        UserError: a fixed share of models that have no mix, or what `measure` raises.
    """
    if options.mix_mode == "off":
        return Chosen(models, rows, None, None)
    fixed = options.mix_mode == "fixed"
    try:
        if fixed:
            share = float(options.mix_share or 0)
            facts = {"mode": "fixed", "share": share}
            return Chosen(written(run, models, share), rows, None, facts)
        if why := unable(options, catalogue, rows):
            raise Unmixable(why)
        assert rows is not None
        return Search(run, options, models, catalogue, rows, measure).run_all()
    except Unmixable as error:
        if fixed:
            raise UserError(
                f"eval.mix.mode is fixed, and these models cannot be mixed: {error}. Set it to off."
            ) from error
        run.event("left out", part="the mix", reason=str(error))
        return Chosen(models, rows, None, None, str(error))


def unable(options: Options, catalogue: Catalogue, rows: Holdout | None) -> str:
    """Return why no share can be chosen; empty where one can."""
    if options.backend == "openai":
        return "eval.backend is openai, which serves models as they are"
    if rows is None or len(rows.rows) < 2 * FEWEST:
        return "there are too few held-out rows to choose a share by"
    if not any(len(task.eval_docs) >= 2 * FEWEST for task in choosing_tasks(catalogue).values()):
        return "eval.tasks has no task with choices by which a share can be chosen"
    return ""


def choosing_tasks(catalogue: Catalogue) -> dict[str, Any]:
    """Return the tasks that take no generation: those that are quick to ask again and again."""
    return {
        name: task for name, task in catalogue.tasks.items() if task.config.output_type == "multiple_choice"
    }


@dataclass(frozen=True, slots=True)
class Search:
    """Measures one share after another on the choosing half."""

    run: Run
    options: Options
    models: Models
    catalogue: Catalogue
    rows: Holdout
    measure: Measure

    def run_all(self) -> Chosen:
        """Return the model that goes on."""
        half = Half(CHOOSING, self.options.seed)
        rows = half.rows_of(self.rows, 0)
        catalogue = replace(self.catalogue, tasks=choosing_tasks(self.catalogue))
        parts = parts_of(self.options, catalogue, rows, half)
        tokens = sum(row.tokens for row in rows.rows)
        base = self.measure(self.models, "base", parts)
        names, tolerance = compared(base), self.options.mix_tolerance
        seen: list[Scored] = []
        while len(seen) < self.options.mix_candidates and (share := next_share(seen, tolerance)) is not None:
            mix = self.candidate(share)
            found = self.measure(mix, "tuned", parts)
            one = scored(
                share, (base[LOSS], found[LOSS]), tokens, (values(base, names), values(found, names))
            )
            self.run.event(
                "mix measured",
                share=share,
                held_out_loss=round(one.loss, 3),
                fall_in_points=round(one.fall, 2),
                error=round(one.error, 2),
                holds=one.holds(tolerance),
            )
            seen.append(one)
        best = choose(seen, tolerance)
        self.run.choice("mix share", best.share, reason(best, tolerance))
        facts = {
            "mode": "auto",
            "share": best.share,
            "tolerance": tolerance,
            "items": len(values(base, names)),
            "rows": len(rows.rows),
            "shares": [one.shown(tolerance) for one in sorted(seen, key=lambda one: one.share)],
        }
        judging = Half(JUDGING, self.options.seed)
        judges = judging.rows_of(self.rows, self.options.holdout_generate)
        return Chosen(written(self.run, self.models, best.share), judges, judging, facts)

    def candidate(self, share: float) -> Models:
        """Return the models with the mix of a share in the tuned one's place."""
        if share == 1:
            return self.models
        folder = self.run.home / "work" / CANDIDATE
        digest = digest_json([self.models.base_details["digest"], self.models.goes_on["digest"], share])
        make = partial(blend, self.models.base, self.models.tuned, share, folder)
        return self.models.mixed(share, folder, digest, make)


def reason(best: Scored, tolerance: float) -> str:
    """Return why a share was chosen, for log and record."""
    if not best.holds(tolerance):
        return f"no share keeps what the base model knew within {tolerance:g} points; this one fell least"
    return f"it learned most among the shares whose fall and its error are within {tolerance:g} points"


def compared(results: Mapping[str, Any]) -> list[str]:
    """Return the tasks whose items have scores from 0 to 1, of which more is better.

    Raises:
        Unmixable: there are none.
    """
    found = [
        name
        for name, result in results.items()
        if name != LOSS
        and result["higher_is_better"]
        and all(item["score"] is not None and 0 <= item["score"] <= 1 for item in result["items"])
    ]
    if not found:
        raise Unmixable("no task of eval.tasks scores single items from 0 to 1")
    return found


def values(results: Mapping[str, Any], names: Iterable[str]) -> list[float]:
    """Return the scores of all items of some tasks."""
    return [item["score"] for name in names for item in results[name]["items"]]


def written(run: Run, models: Models, share: float) -> Models:
    """Return the models with the mix as this stage leaves it; 1 is the tuned model itself."""
    shutil.rmtree(run.home / "work" / CANDIDATE, ignore_errors=True)
    if share == 1:
        return models
    folder = run.dir / models.tuned.kind
    blend(models.base, models.tuned, share, folder)
    return models.mixed(share, folder, tree_digest(folder))
