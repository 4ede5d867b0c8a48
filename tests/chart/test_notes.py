"""What `helm install` says at the end: commands that fit what was installed, to be pasted as they are."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.chart.rendering import (
    CHART,
    DATA,
    HOOKS,
    Object,
    one,
    overlay,
    refusal,
    render,
    run_helm,
    run_id,
    stage_pods,
)


def notes(values: Object) -> str:
    """Return the notes of an install. Helm 3 shows none without a cluster."""
    flags = ("install", "run1", str(CHART), "--dry-run=client", "--namespace", "team")
    return run_helm("helm4", flags, json.dumps(overlay(DATA, values))).partition("NOTES:")[2]


def commands(values: Object) -> list[list[str]]:
    """Return the command lines of the notes, as a shell reads them."""
    lines = [line.strip() for line in notes(values).splitlines() if line.startswith("  ")]
    assert all(line.startswith(("kubectl ", "helm ", "echo | kubectl ")) for line in lines)
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("values", [{}, HOOKS], ids=["cluster", "hooks"])
def test_commands_name_what_is_there(values: Object) -> None:
    objects = render(values)
    for words in commands(values):
        assert "team" in words, words
        assert not re.search(r"<\w", " ".join(words)), "a placeholder cannot be pasted"
        if "trainjob" in words:
            assert words[words.index("trainjob") + 1] == one(objects, "TrainJob")["metadata"]["name"]
        for word in words:
            if word.startswith("osft-pipeline/run="):
                assert word == f"osft-pipeline/run={run_id(objects)}"


def test_the_notes_say_how_to_follow_check_repeat_and_remove() -> None:
    text = notes({"register": {"address": "registry"}})
    for needed in ("get trainjob", "logs -f", "helm test run1", "report.html", "last message"):
        assert needed in text
    assert "helm rollback run1 1" in text and "helm uninstall run1" in text
    assert "not registered" not in text
    assert "register.address is empty: the model will be evaluated and not registered." in notes({})


def test_the_notes_find_a_download_that_runs_inside_the_training_pod() -> None:
    text = notes({"data": {"runAs": "initContainer"}})
    assert text.count("status.initContainerStatuses[0].state.terminated.message") == 1
    assert "--all-containers --ignore-errors" in text
    assert "initContainer" not in notes({}) and "--all-containers" not in notes({})


def test_with_hooks_the_notes_name_the_timeout_and_how_to_recover() -> None:
    text = notes(HOOKS)
    assert "--timeout (60 minutes by hooks.timeoutMinutes)" in text
    assert "client is killed" in text
    assert "trainjob" not in text


def test_the_command_for_the_report_reads_the_claim_in_a_restricted_pod() -> None:
    (words,) = [words for words in commands({}) if "run1-read" in words]
    assert words[-2:] == [">", "report.html"]
    (given,) = [word.removeprefix("--overrides=") for word in words if word.startswith("--overrides=")]
    spec = json.loads(given)["spec"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    (container,) = spec["containers"]
    report = f"/workspace/runs/{run_id(render())}/eval/report.html"
    assert container["command"] == ["sh", "-c", f"read go; cat {report}"]
    assert container["stdin"] and container["stdinOnce"]
    assert container["image"] == stage_pods(render())["download"].container["image"]
    assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == "run1-workspace"
    assert not [words for words in commands({"eval": {"enabled": False}}) if "run1-read" in words]


def test_a_suspended_run_is_told_how_to_start() -> None:
    (words,) = [words for words in commands({"queue": {"suspend": True}}) if "patch" in words]
    assert json.loads(words[-1]) == {"spec": {"suspend": False}}


def test_the_notes_say_what_uninstall_leaves() -> None:
    assert notes({}).strip().endswith("removes everything except claim run1-workspace.")
    assert "including the workspace with all models" in notes({"workspace": {"keep": False}})


def test_no_secret_value_is_shown() -> None:
    assert "canary" not in notes({"secrets": {"hf": {"create": {"token": "canary"}}}})


STUB = """#!/bin/sh
printf '%s\\0' "${0##*/}" "$@" >>"$CALLS"
printf '\\001' >>"$CALLS"
"""


def calls(lines: list[str], folder: Path) -> list[list[str]]:
    """Return the programs that a shell starts for these lines, with the words that each is given."""
    for name in ("helm", "kubectl"):
        (folder / name).write_text(STUB)
        (folder / name).chmod(0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(folder / "calls")}
    subprocess.run(["sh", "-eu"], input="\n".join(lines), cwd=folder, env=env, text=True, check=True)
    made = (folder / "calls").read_text().split("\1")
    return [call.split("\0")[:-1] for call in made if call]


@pytest.mark.parametrize("values", [{}, HOOKS], ids=["cluster", "hooks"])
def test_a_shell_reads_each_command_as_one_program_with_its_words(values: Object, tmp_path: Path) -> None:
    lines = [line.strip() for line in notes(values).splitlines() if line.startswith("  ")]
    seen = calls(lines, tmp_path)
    plain = [line.removeprefix("echo | ").removesuffix(" > report.html") for line in lines]
    assert seen == [shlex.split(line) for line in plain]
    assert {path.name for path in tmp_path.iterdir()} == {"helm", "kubectl", "calls", "report.html"}


WORDS = (
    "a b",
    "a;touch x",
    "$(touch x)",
    "`touch x`",
    "a'b",
    'a"b',
    "a|b",
    "a&b",
    "a>b",
    "*",
    "",
    "~",
    "a\\b",
)


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_a_word_that_a_shell_would_act_on_is_quoted(helm: str, tmp_path: Path) -> None:
    """Such names are refused before the notes are written, so the helper that quotes is tested by itself."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: words, version: 0.1.0}")
    helper = (CHART / "templates" / "_notes.tpl").read_text()
    (tmp_path / "templates" / "_notes.tpl").write_text(helper)
    line = '{{ range .Values.words }} {{ include "osft-pipeline.shell" . }}{{ end }}'
    (tmp_path / "templates" / "words.yaml").write_text(f"words: |-\n  helm{line}\n")
    text = run_helm(helm, ("template", "run1", str(tmp_path)), json.dumps({"words": WORDS}))
    (line,) = [line.strip() for line in text.splitlines() if line.startswith("  helm")]
    folder = tmp_path / "bin"
    folder.mkdir()
    assert calls([line], folder) == [["helm", *WORDS]]


@pytest.mark.parametrize("namespace", ["a b", "a;id", "$(id)", "x\nhostPID: true", "Team", "a" * 64])
def test_a_namespace_that_no_cluster_has_is_refused(namespace: str) -> None:
    assert "the namespace is called" in refusal({}, namespace=namespace)
