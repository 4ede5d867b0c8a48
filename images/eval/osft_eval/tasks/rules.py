"""Judges answers by rules that need no model; lm_eval imports this file from where the task's YAML lies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

MOST_WORDS = 25
"""Of an answer in one short sentence. The 40 tokens after which an answer is cut are more of them."""
WORDS = {
    "French": (
        "la le les de du des est et il elle je ne pas un une en dans pour sur que qui nous vous on ce se au"
    ).split(),
    "Spanish": "la el los las de del es y un una en que se no por para con su al lo como más muy nos".split(),
    "English": "the of is and to a in that it for with as are was be this you not on have can i or".split(),
}
"""Words by which a language is recognized: the most frequent ones of each."""


def words_of(answer: str) -> list[str]:
    """Return the words in lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:['\u2019-][^\W_]+)*", answer.casefold())


def contains(answer: str, wanted: str) -> bool:
    """Whether the word is in the answer."""
    return wanted.casefold() in words_of(answer)


def begins(answer: str, wanted: str) -> bool:
    """Whether the word is the first."""
    return words_of(answer)[:1] == [wanted.casefold()]


def repeats(answer: str, wanted: str) -> bool:
    """Whether the answer is these words and no others."""
    return words_of(answer) == words_of(wanted)


def lists(answer: str, wanted: str) -> bool:
    """Whether the answer is a list with these numbers, and something behind each."""
    lines = [line.strip() for line in answer.strip().splitlines() if line.strip()]
    numbers = [match[1] for line in lines if (match := re.match(r"(\d+)[.):]\s*\S", line))]
    return len(numbers) == len(lines) and numbers == wanted.split()


def stops(answer: str, wanted: str) -> bool:
    """Whether the answer is a short text that ends with a sentence, and so was not cut."""
    return 0 < len(words_of(answer)) <= MOST_WORDS and answer.rstrip().endswith((".", "!", "?"))


def speaks(answer: str, wanted: str) -> bool:
    """Whether most of the words that tell languages apart are of this one, and there are at least two."""
    found = words_of(re.sub(r"['\u2019]", " ", answer))
    counts = {language: sum(word in known for word in found) for language, known in WORDS.items()}
    others = [count for language, count in counts.items() if language != wanted]
    return counts[wanted] >= 2 and counts[wanted] > max(others)


RULES: dict[str, Callable[[str, str], bool]] = {
    "contains": contains,
    "begins": begins,
    "repeats": repeats,
    "lists": lists,
    "stops": stops,
    "speaks": speaks,
}


def judge(doc: Mapping[str, str], results: Sequence[str]) -> dict[str, float]:
    """Return lm_eval's metric of one item: 1 where the answer does what the item asks for."""
    return {"followed": float(RULES[doc["rule"]](results[0], doc["wanted"]))}
