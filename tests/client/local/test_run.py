"""One run of the whole pipeline on a tiny model: stopped, killed, taken up again, refused."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.client.local.support import OSFT, ROOT, call, living, stages, wait_for
from tests.support.tiny_values import TINY

ALL = ["preflight", "download", "train", "eval", "register"]
CANARY = "hf_canary_42b7d0"
VALUES = {
    **TINY,
    "eval": {"gpus": 0, "limit": 4, "holdout": {"limit": 16, "generate": 2, "maxNewTokens": 8}},
    "register": {"address": "http://127.0.0.1:9", "name": "tiny", "pod": {"retries": 1}},
    "workspace": {"minFreeGiB": 1},
}


@dataclass
class Story:
    """The calls of one run, in order."""

    folder: Path
    outputs: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def env(self) -> dict[str, str]:
        return {"HF_TOKEN": CANARY, "TMPDIR": str(self.tmp)}

    @property
    def words(self) -> list[str]:
        tiny = ROOT / ".cache" / "tests" / "tiny"
        values = self.folder / "values.yaml"
        return [
            *(str(OSFT), "run", "tiny", "--local", "-f", str(values), "--claim", f"tiny={tiny}"),
            *("--workspace", str(self.folder / "workspace"), "--backoff-seconds", "0.1"),
        ]

    def interrupted(self, name: str, when: str, number: signal.Signals) -> None:
        """Call, wait until the output holds `when`, and signal osft alone."""
        log = self.folder / f"{name}.log"
        with log.open("w") as file:
            process = subprocess.Popen(self.words, stdout=file, stderr=file, env={**os.environ, **self.env})
        wait_for(lambda: when in log.read_text() or process.poll() is not None)
        process.send_signal(number)
        self.codes[name] = process.wait()
        wait_for(lambda: not living(str(self.folder)), 20)
        self.left[name] = living(str(self.folder))
        self.outputs[name] = log.read_text()

    def whole(self, name: str, *more: str) -> None:
        """Call and wait for the end."""
        done = call(*self.words, *more, **self.env)
        self.codes[name], self.outputs[name] = done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script, data = ROOT / "scripts" / "local-registry", tmp_path_factory.mktemp("registry")
    started = call(script, "start", "--data", data)
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip()
    call(script, "stop", "--data", data)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Story:
    tiny = [
        ROOT / ".venvs/train/bin/python",
        ROOT / "tests/support/tiny_model.py",
        ROOT / ".cache/tests/tiny",
    ]
    assert call(*tiny).returncode == 0
    story = Story(tmp_path_factory.mktemp("run"))
    story.tmp.mkdir()
    (story.folder / "values.yaml").write_text(yaml.safe_dump(VALUES))
    story.interrupted("ctrl-c", " train start ", signal.SIGINT)
    story.interrupted("killed", " eval start ", signal.SIGKILL)
    story.whole("registry away")
    story.whole("registry back", "--registry", registry)
    story.whole("again", "--registry", registry)
    return story


def test_ctrl_c_stops_the_stage_and_says_how_to_go_on(story: Story) -> None:
    assert story.codes["ctrl-c"] == 130
    assert "stopped in train. The same command continues from there" in story.outputs["ctrl-c"]
    assert story.left["ctrl-c"] == []


def test_the_next_call_goes_on_after_ctrl_c(story: Story) -> None:
    assert re.findall(r" (\w+) already done ", story.outputs["killed"]) == ["download"]


def test_a_killed_osft_leaves_no_process(story: Story) -> None:
    assert story.codes["killed"] == -signal.SIGKILL
    assert story.left["killed"] == []


def test_the_next_call_goes_on_after_a_kill(story: Story) -> None:
    assert re.findall(r" (\w+) already done ", story.outputs["registry away"]) == ["download", "train"]


def test_an_unavailable_registry_is_retried_as_often_as_the_job_says(story: Story) -> None:
    output = story.outputs["registry away"]
    assert story.codes["registry away"] == 75
    assert "register ended with code 75; attempt 2 of 2" in output
    assert "register failed with code 75" in output
    assert output.count("127.0.0.1:9") >= 2


def test_another_registry_address_is_the_same_run(story: Story) -> None:
    output = story.outputs["registry back"]
    assert story.codes["registry back"] == 0, output
    assert re.findall(r" (\w+) already done ", output) == ["download", "train", "eval"]
    assert len(list((story.folder / "workspace" / "runs").iterdir())) == 1


def test_the_screen_ends_the_run_with_the_registered_version(story: Story, registry: str) -> None:
    screen = story.outputs["registry back"].partition("What was learned")[2]
    assert "What was kept" in screen
    assert re.search(rf"version +{re.escape(registry)}\S+", screen)
    assert re.search(r"osft ask --workspace", screen)


def test_the_card_and_the_version_name_folders_of_this_machine(story: Story, registry: str) -> None:
    (run,) = (story.folder / "workspace" / "runs").iterdir()
    card = (run / "register" / "model-card.md").read_text()
    assert "pvc://" not in card and "storageUri" not in card
    assert f'path = "{run}/train/model"' in card and str(ROOT / ".cache" / "tests" / "tiny") in card
    record = json.loads((run / "register" / "record.json").read_text())
    assert record["details"]["uri"] == f"file://{run}/train/model"


def test_a_second_run_with_the_same_values_is_done_four_times(story: Story) -> None:
    assert story.codes["again"] == 0
    assert re.findall(r" (\w+) already done ", story.outputs["again"]) == ALL[1:]


def test_the_stages_run_in_order(story: Story) -> None:
    assert stages(story.outputs["again"]) == ALL


def test_no_secret_is_printed_or_kept(story: Story) -> None:
    assert not any(CANARY in output for output in story.outputs.values())
    for path in (story.folder / "workspace").rglob("*.*"):
        if path.is_file() and path.stat().st_size < 2**20:
            assert CANARY.encode() not in path.read_bytes(), path


def test_both_models_answer_a_held_out_question(story: Story) -> None:
    done = call(OSFT, "ask", "--workspace", story.folder / "workspace", "--max-new-tokens", "8")
    assert done.returncode == 0, done.stderr
    for words in ("base model", "tuned model", "the held-out row's own answer"):
        assert words in done.stdout
    assert re.fullmatch(r"Loading base and tuned model of tiny-\w{8} to ask both\n", done.stderr)


def test_a_refused_gate_stops_before_register(story: Story) -> None:
    # A step this large ruins the model: the held-out loss rises, which the gate must see.
    ruin = "train.learningRate=1,data.subset=32,eval.gates.holdoutMustImprove=true"
    story.whole("refused", "--set", ruin, "--set", "eval.limit=1,eval.holdout.generate=0")
    assert story.codes["refused"] == 3, story.outputs["refused"]
    assert stages(story.outputs["refused"]) == ALL[:4]
    assert re.search(r"^Gates failed: Held-out loss did not improve", story.outputs["refused"], re.MULTILINE)


def test_bad_data_ends_the_run_at_once_with_the_stages_sentence(story: Story) -> None:
    story.whole("bad data", "--set", "data.uri=pvc://tiny/missing.jsonl")
    assert story.codes["bad data"] == 2
    assert stages(story.outputs["bad data"]) == ALL[:2]
    assert "attempt" not in story.outputs["bad data"]
    missing = (ROOT / ".cache" / "tests" / "tiny").resolve() / "missing.jsonl"
    assert f"there is no file or folder {missing}. " in story.outputs["bad data"]
    shown = call(OSFT, "report", "--workspace", story.folder / "workspace").stdout
    assert "failed in download with exit code 2" in shown and str(missing) in " ".join(shown.split())
    assert "run the same command again" in story.outputs["bad data"]


def test_a_deadline_ends_the_stage(story: Story) -> None:
    # So many epochs outlast three seconds on any machine.
    story.whole("late", "--set-json", "train.pod.deadlineMinutes=0.05,train.epochs=10000")
    assert story.codes["late"] == 124
    assert stages(story.outputs["late"]) == ALL[:3]
    assert "deadlineMinutes" in story.outputs["late"]
    assert re.search("Error: (stopped by SIGTERM|.*received SIGTERM|SIGTERM received)", story.outputs["late"])
    assert living(str(story.folder)) == []


def test_no_scratch_folder_is_left(story: Story) -> None:
    assert list(story.tmp.iterdir()) == []
