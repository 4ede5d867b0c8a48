"""All figures of a comparison as one object: what --json prints, and what table and page show."""

from collections.abc import Iterator, Sequence

from osft_pipeline.compare import choice, measures, pairs, values
from osft_pipeline.compare.evidence import Evidence, reading
from osft_pipeline.local.records import Json
from osft_workspace.words import listed

ROWS = {
    "train.jsonl": "trained on other rows than",
    "eval.jsonl": "measured on other held-out rows than",
}
"""Output of download -> how a run differs in which it is another file."""


def compare(runs: Sequence[Evidence]) -> Json:
    """Return the comparison with the keys that docs/compare.md describes.

    Raises UserError where the results of a run are damaged.
    """
    own = [measured(one) for one in runs]
    same = choice.comparable(runs, own)
    tests, not_tested = pairs.between(runs)
    return {
        "runs": own,
        "values": values.differing(runs),
        "comparable": same,
        "front": choice.front([found for found in own if found["run"] in same]),
        "tests": tests,
        "notes": [*notes(runs, own, same), *not_tested],
        "choice": choice.choose(runs, own, same, tests),
    }


def measured(one: Evidence) -> Json:
    """Return a run's own figures. Raises UserError where its results are damaged."""
    with reading(one.run, one.where):
        list(pairs.measures(one, one))
        return measures.figures_of(one)


def notes(runs: Sequence[Evidence], own: Sequence[Json], same: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each thing that cannot be compared, and why."""
    for one in runs:
        if not one.results:
            reason = f" ({one.failure.sentence()})" if one.failure else ""
            yield (
                f"{one.letter} has no evaluation{reason}, so only its values, training, time and memory "
                "are shown."
            )
        elif not one.summary:
            yield (
                f"{one.letter} has an evaluation of another version, so its figures are not shown. Run its "
                "evaluation again."
            )
        elif not (one.items or one.rows):
            yield (
                f"{one.letter} kept no scores of single items (eval.logSamples is false), so it is not "
                "tested against the others."
            )
    first = runs[0]
    others = [found["letter"] for found in own if found["base"]["digest"] != own[0]["base"]["digest"]]
    yield from unlike(others, f"tuned from another base model than {first.letter}")
    for name, words in ROWS.items():
        digest = first.sha256("download", name)
        others = [one.letter for one in runs if one.sha256("download", name) != digest]
        yield from unlike(others, f"{words} {first.letter}")
    evaluated = [found for found in own if found["learned"] or found["kept"]]
    apart = [found["letter"] for found in evaluated if found["run"] not in same]
    if apart:
        yield (
            f"The picture of learned against kept and the choice leave out {listed(apart)}, because the base "
            "model, the held-out rows or the tasks are not those of the others."
        )


def unlike(letters: Sequence[str], how: str) -> Iterator[str]:
    """Yield the sentence on runs that differ from the first one."""
    if letters:
        yield f"{listed(letters)} {'was' if len(letters) == 1 else 'were'} {how}."
