"""Every command in the documentation is rendered, or exists with the flags it is given."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HELM = ROOT / ".cache" / "bin" / "helm4"
CHART = "charts/osft-pipeline"
PUBLISHED = "oci://registry.example.com/charts/osft-pipeline"
CLUSTER = ROOT / "docs" / "cluster.md"
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "images/*.md",
        "images/*/README.md",
        "charts/osft-pipeline/README.md",
        "client/README.md",
    )
    for path in ROOT.glob(pattern)
)
OSFT = ROOT / ".venvs" / "client" / "bin" / "osft"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "sh", "bash")
CHECKED = re.compile(
    rf"make |scripts/|\.venvs/|osft |helm (install|upgrade|template) \S+ ({CHART}|{PUBLISHED})( |$)"
)
MARKS = ("Not run", "Run on the development cluster")
"""What a section says of commands that no test looks at."""
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


def commands(page: Path) -> list[list[str]]:
    """Return command lines of a page's shell blocks, joined over backslashes, without comments."""
    found = []
    for language, block in FENCE.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines() if language in SHELL else []:
            line = re.sub(r"^([A-Z_]+=\S+ )+", "", line)
            if re.match(r"(make|helm|osft |scripts/|\.venvs/)", line):
                found.append(shlex.split(line, comments=True))
    return found


ALL = [
    pytest.param(page, words, id=f"{page.name}: {' '.join(words)[:60]}")
    for page in PAGES
    for words in commands(page)
]


RENDERED = [case for case in ALL if case.values[1][0] == "helm" and CHECKED.match(" ".join(case.values[1]))]


@pytest.mark.parametrize(("page", "words"), RENDERED)
def test_a_documented_helm_command_renders(page: Path, words: list[str], released: Path) -> None:
    release, chart, *flags = [word for word in words[2:] if word != "--install"]
    chart = str(released) if chart == PUBLISHED else chart
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


@pytest.mark.parametrize(("page", "words"), [case for case in ALL if case.values[1][0] == "osft"])
def test_a_documented_osft_command_has_the_options_it_is_given(page: Path, words: list[str]) -> None:
    done = subprocess.run([OSFT, words[1], "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    known = done.stdout
    if words[1] == "run":  # passes helm's own options on
        known += subprocess.check_output([HELM, "upgrade", "--help"], text=True)
    for flag in (word.split("=")[0] for word in words[2:] if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", known), f"osft {words[1]} --help does not list {flag}"


def test_the_readme_says_both_commands() -> None:
    assert [words[:2] for words in commands(ROOT / "README.md")][:2] == [["make", "demo"], ["make", "test"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not broken


def sections(page: Path) -> list[str]:
    """Return a page, cut at its headings; a `#` inside a block is not a heading."""
    found, inside = [""], False
    for line in page.read_text().splitlines():
        inside ^= line.startswith("```")
        if re.match(r"#+ ", line) and not inside:
            found.append("")
        found[-1] += f"{line}\n"
    return found


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_a_command_that_no_test_looks_at_says_whether_it_was_run(page: Path) -> None:
    for section in sections(page):
        lines = [
            line
            for language, block in FENCE.findall(section)
            if language in ("sh", "bash")
            for line in block.replace("\\\n", " ").splitlines()
        ]
        unseen = [line for line in lines if not CHECKED.match(line)]
        assert not unseen or any(mark in section for mark in MARKS), unseen


def blocks(page: Path) -> list[str]:
    """Return the YAML blocks of a page."""
    return [block for language, block in FENCE.findall(page.read_text()) if language == "yaml"]


def rendering(*flags: str) -> list[dict[str, Any]]:
    """Return the objects that the chart makes of these values, with a data.uri and a registry of images."""
    given = "--set=data.uri=hf://org/dataset,images.registry=registry.example.com"
    command = [str(HELM), "template", "run1", CHART, given, *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@pytest.mark.parametrize(
    "block", [block for page in PAGES for block in blocks(page) if block.startswith("# values\n")]
)
def test_documented_values_render(block: str, tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(block)
    assert rendering(f"--values={path}")


EVERYTHING = (
    "--set=secrets.hf.create.token=a", "--set=workspace.keep=false", "--set=ordering=hooks",
    "--set=hooks.timeoutMinutes=60",
)  # fmt: skip
"""Values that bring every kind of object that the chart knows."""


def plural(kind: str) -> str:
    """Return the name of a kind in Roles."""
    return re.sub("ys$", "ies", f"{kind.lower()}s")


def test_the_role_for_installing_covers_what_the_chart_makes_and_grants() -> None:
    """Helm gets, creates, patches and deletes objects, and Kubernetes lets nobody grant more than he has."""
    [role] = [yaml.safe_load(block) for block in blocks(CLUSTER) if "kind: Role\n" in block]
    held = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    needed = set()
    for item in rendering(*EVERYTHING):
        group, _, _ = item["apiVersion"].rpartition("/")
        needed |= {(group, plural(item["kind"]), verb) for verb in ("get", "create", "patch", "delete")}
        for rule in item.get("rules", []):
            needed |= {
                (rule["apiGroups"][0], name, verb) for name in rule["resources"] for verb in rule["verbs"]
            }
    assert len({resource for _, resource, _ in needed}) >= 9
    assert not needed - held


def test_the_page_on_clusters_lists_the_rights_of_every_account() -> None:
    rows = {
        row.split("`")[1]: row for row in CLUSTER.read_text().splitlines() if row.startswith("| `<release>-")
    }
    roles = [item for item in rendering(*EVERYTHING) if item["kind"] == "Role"]
    assert {role["metadata"]["name"].replace("run1", "<release>") for role in roles} == set(rows)
    for role in roles:
        row = rows[role["metadata"]["name"].replace("run1", "<release>")]
        for rule in role["rules"]:
            for resource in rule["resources"]:
                assert re.search(rf"{', '.join(rule['verbs'])} on [^;]*`{resource}`", row), (rule, row)


def test_the_readme_builds_the_images_that_the_chart_asks_for() -> None:
    """Its loop names Containerfiles and a build context that are there, and pushes what pods pull."""
    [loop] = [
        block for _, block in FENCE.findall((ROOT / "README.md").read_text()) if "podman build" in block
    ]
    head = re.search(r"for stage in (.+); do", loop)
    build = re.search(r"build --tag (\S+) --file (\S+) (\S+)$", loop, re.MULTILINE)
    push = re.search(r"push (\S+)$", loop, re.MULTILINE)
    assert head and build and push and push[1] == build[1]
    pushed = set()
    for stage in head[1].split():
        tag, containerfile, context = (word.replace("$stage", stage) for word in build.groups())
        assert (ROOT / containerfile).is_file() and (ROOT / context).is_dir()
        pushed.add(tag)
    objects = yaml.safe_dump(rendering())
    asked = set(re.findall(r"image: (\S+)", objects))
    assert pushed == asked
