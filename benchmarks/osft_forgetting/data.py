"""Rows of three kinds: each a folder with train.jsonl and holdout.jsonl, no row in both.

- python: what the functions of Python's standard library do (those of the demo).
- words: what rare English words mean; the definitions of WordNet 3.0, from Debian's package wordnet-base.
- json: sentences about people, written as JSON; made here.
"""

import itertools
import json
import random
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "forgetting"
WORDNET = "wordnet-base=1:3.0-37"
TRAIN, HELD_OUT = 2000, 200
SEED = 42
Row = tuple[str, str]


def folder_of(kind: str) -> Path:
    """Return the folder with the rows of a kind, made where they are not there."""
    if kind == "python":
        return ROOT / ".cache" / "demo" / "claim"
    folder = CACHE / kind
    if not (folder / "train.jsonl").exists():
        rows = list({"words": words, "json": people}[kind]())
        random.Random(SEED).shuffle(rows)
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "holdout.jsonl", rows[:HELD_OUT])
        write(folder / "train.jsonl", rows[HELD_OUT : HELD_OUT + TRAIN])
    return folder


def write(file: Path, rows: list[Row]) -> None:
    """Write rows as chats of one turn."""
    with file.open("w", encoding="utf-8") as out:
        for question, answer in rows:
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            out.write(json.dumps({"messages": turns}, ensure_ascii=False) + "\n")


def words() -> Iterator[Row]:
    """Yield nouns of one meaning with their definitions."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["apt-get", "-qq", "download", WORDNET], cwd=scratch, check=True)
        (package,) = Path(scratch).glob("*.deb")
        subprocess.run(["dpkg", "-x", package, scratch], check=True)
        lines = (Path(scratch) / "usr/share/wordnet/data.noun").read_text().splitlines()
    senses = [line.split(" | ", 1) for line in lines if not line.startswith("  ")]
    found = [(head.split()[4].replace("_", " "), gloss.split(";")[0].strip()) for head, gloss in senses]
    meanings = Counter(word for word, _ in found)
    for word, meaning in found:
        if meanings[word] == 1 and re.fullmatch("[a-z ]{4,20}", word) and 40 <= len(meaning) <= 160:
            yield f'What does "{word}" mean?', f"{meaning[0].upper()}{meaning[1:]}."


def people() -> Iterator[Row]:
    """Yield sentences about invented people with the JSON that says the same."""
    first = "Ada Ben Cleo Dan Eva Finn Gita Hugo Ines Jan Kira Leo Mona Nils Olga Paul".split()
    last = "Abel Brandt Costa Duarte Egger Fonseca Gruber Haas Ibsen Jansen Keller Lund".split()
    work = "baker carpenter nurse pilot teacher painter lawyer farmer".split()
    chance = random.Random(SEED)
    for name, surname, job in itertools.product(first, last, work):
        year, children = chance.randint(1940, 2005), chance.randint(0, 5)
        said = f"{name} {surname}, a {job} born in {year}, has {children or 'no'} children."
        facts = {"given": name, "family": surname, "job": job, "born": year, "children": children}
        yield f"Write this as JSON: {said}", json.dumps(facts)
