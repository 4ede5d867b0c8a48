"""`scripts/english` finds the phrases of its table in every kind of file, and nothing in better sentences."""

import csv
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECK = ROOT / "scripts/english"
with (ROOT / "scripts/english.tsv").open(newline="") as lines:
    TABLE = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
ODD = TABLE[0]["odd"].rstrip(".")
HEAD, LAST = ODD.rsplit(" ", 1)


def checked(path: Path, text: str) -> tuple[int, list[str]]:
    """Return exit code and lines of the check of a file that holds `text`."""
    path.write_text(text)
    done = subprocess.run([CHECK, path], capture_output=True, text=True)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def test_every_phrase_of_the_table_is_found_and_named_with_what_is_better(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    code, found = checked(page, "\n\n".join(row["odd"] for row in TABLE))
    assert code == 1
    for number, row in enumerate(TABLE):
        hits = [line for line in found if line.startswith(f"{page}:{2 * number + 1}: '")]
        assert any(line.endswith(f"Write: {row['instead']}") for line in hits), row


def test_the_better_sentences_of_the_table_pass(tmp_path: Path) -> None:
    assert checked(tmp_path / "page.md", "\n\n".join(row["better"] for row in TABLE)) == (0, [])


FILES = {
    "a comment in Python": ("a.py", f"x = 1  # {ODD}\n", 1),
    "a docstring": ("a.py", f'"""Return it.\n\n{ODD}\n"""\n', 3),
    "a string in two parts": ("a.py", f'raise E(\n    "{HEAD} "\n    f"{LAST}"\n)\n', 2),
    "the name of a test": ("a.py", f"def test_{ODD.split('.')[-1].replace(' ', '_')}() -> None:\n", 1),
    "a page": ("a.md", f"# Title\n\n- {ODD}\n", 3),
    "a page where the line ends in the phrase": ("a.md", f"{HEAD}\n{LAST}\n", 1),
    "a comment in values": ("a.yaml", f"# {ODD}\nkey: 1\n", 1),
    "a template": ("a.tpl", f'{{{{- fail "{ODD}" -}}}}\n', 1),
    "the notes of a chart": ("NOTES.txt", f"\n{ODD}\n", 2),
    "a script": ("a.sh", f"echo '{ODD}' >&2\n", 1),
    "a script whose comment goes on": ("a", f"# {HEAD}\n# {LAST}\n", 1),
    "a page of a report": ("a.html", f"<p>{ODD}</p>\n", 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(FILES))
def test_a_phrase_is_found_in_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    name, text, line = FILES[kind]
    code, found = checked(tmp_path / name, text)
    assert code == 1
    assert [hit.partition(": ")[0] for hit in found] == [f"{tmp_path / name}:{line}"]
