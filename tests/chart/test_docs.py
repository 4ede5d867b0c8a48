"""Every command in the documentation is rendered, or exists with the flags it is given."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HELM = ROOT / ".cache" / "bin" / "helm4"
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "images/*.md",
        "images/*/README.md",
        "charts/osft-pipeline/README.md",
    )
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "sh", "bash")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


def commands(page: Path) -> list[list[str]]:
    """Command lines of a page's shell blocks, joined over backslashes, without comments."""
    found = []
    for language, block in FENCE.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines() if language in SHELL else []:
            line = re.sub(r"^([A-Z_]+=\S+ )+", "", line)
            if re.match(r"(make|helm|scripts/|\.venvs/)", line):
                found.append(shlex.split(line, comments=True))
    return found


ALL = [
    pytest.param(page, words, id=f"{page.name}: {' '.join(words)[:60]}")
    for page in PAGES
    for words in commands(page)
]


RENDERED = [
    case
    for case in ALL
    if case.values[1][:2] in (["helm", "install"], ["helm", "upgrade"], ["helm", "template"])
]


@pytest.mark.parametrize(("page", "words"), RENDERED)
def test_a_documented_helm_command_renders(page: Path, words: list[str]) -> None:
    release, chart, *flags = [word for word in words[2:] if word != "--install"]
    done = subprocess.run(
        [HELM, "template", release, chart, *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "kind:" in done.stdout


@pytest.mark.parametrize(("page", "words"), [case for case in ALL if case.values[1][0] == "make"])
def test_a_documented_target_is_listed_by_make_help(page: Path, words: list[str]) -> None:
    listed = subprocess.check_output(["make", "--no-print-directory", "help"], cwd=ROOT, text=True)
    target = words[1] if len(words) > 1 else "help"
    assert re.search(rf"^{re.escape(target)}\s", listed, re.MULTILINE) or target.startswith("venv-")


@pytest.mark.parametrize(
    ("page", "words"), [case for case in ALL if case.values[1][0].startswith(("scripts/", ".venvs/"))]
)
def test_a_documented_script_has_the_flags_it_is_given(page: Path, words: list[str]) -> None:
    script = ROOT / words[0]
    assert script.is_file()
    text = subprocess.run([script, "--help"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for flag in (word.split("=")[0] for word in words[1:] if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", text), f"{words[0]} --help does not know {flag}"


def test_the_readme_says_both_commands() -> None:
    assert [words[:2] for words in commands(ROOT / "README.md")][:2] == [["make", "demo"], ["make", "test"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not broken
