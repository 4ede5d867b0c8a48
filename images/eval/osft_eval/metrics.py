"""How well a generated answer agrees with the reference: one share between 0 and 1 for each metric.

Texts are compared case-folded, with runs of white space as one space.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

WORD = re.compile(r"\w+")


def normal(text: str) -> str:
    """Case-folded, runs of white space as one space, none at the ends."""
    return " ".join(text.casefold().split())


def exact_match(answer: str, reference: str) -> float:
    """1 when both say the same, letter for letter."""
    return float(normal(answer) == normal(reference))


def contains(answer: str, reference: str) -> float:
    """1 when the whole reference stands somewhere in the answer."""
    return float(normal(reference) in normal(answer))


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall over words, each counted as often as it stands there."""
    given, wanted = Counter(WORD.findall(normal(answer))), Counter(WORD.findall(normal(reference)))
    shared = (given & wanted).total()
    if not shared:
        return float(not given and not wanted)
    precision, recall = shared / given.total(), shared / wanted.total()
    return 2 * precision * recall / (precision + recall)


def rouge_l(answers: Sequence[str], references: Sequence[str]) -> float:
    """Mean F of the longest common subsequence of words (rouge_score, no stemming)."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    scores = [scorer.score(ref, ans)["rougeL"].fmeasure for ans, ref in zip(answers, references, strict=True)]
    return mean(scores)


def bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU of sacrebleu with its defaults, divided by 100."""
    import sacrebleu

    return float(sacrebleu.corpus_bleu(list(answers), [list(references)]).score) / 100


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


PER_ROW: dict[str, Callable[[str, str], float]] = {
    "exact_match": exact_match,
    "contains": contains,
    "f1": token_f1,
}
NAMES = (*PER_ROW, "rouge_l", "bleu")


def score_texts(answers: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return every metric over all rows. Raises ZeroDivisionError without rows."""
    scores = {
        name: mean([metric(ans, ref) for ans, ref in zip(answers, references, strict=True)])
        for name, metric in PER_ROW.items()
    }
    return {**scores, "rouge_l": rouge_l(answers, references), "bleu": bleu(answers, references)}
