"""`osft sweep`: refused, listed, run on a tiny model, stopped and taken up again."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.client.local.support import OSFT, ROOT, call, living, wait_for
from tests.client.test_install import KUBECONFIG
from tests.support.tiny_values import TINY

TINY_FOLDER = ROOT / ".cache" / "tests" / "tiny"
BASE: dict[str, Any] = {
    **TINY,
    "train": {**TINY["train"], "maxSteps": 2},
    "eval": {
        "gpus": 0,
        "limit": 4,
        "tasks": ["osft_verbs"],
        "holdout": {"limit": 16, "generate": 0},
    },
    "workspace": {"minFreeGiB": 1},
}
VARY: dict[str, Any] = {"train.unfreezeRankRatio": [0.25, 0.5]}


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def sweep_file(folder: Path, **changed: Any) -> Path:
    return write(folder, yaml.safe_dump({"name": "ratio", "base": BASE, "vary": VARY, **changed}))


@dataclass
class Sweep:
    """`osft sweep --local` over the tiny model, in a folder of its own."""

    folder: Path

    @property
    def words(self) -> list[str]:
        own = ("--workspace", str(self.folder / "ws"), "--claim", f"tiny={TINY_FOLDER}")
        page = ("-o", str(self.folder / "page.html"), "--registry", "none")
        return [str(OSFT), "sweep", "-f", str(self.folder / "sweep.yaml"), "--local", *own, *page]

    def __call__(self, *more: str) -> subprocess.CompletedProcess[str]:
        return call(*self.words, *more, HF_TOKEN="none")

    def runs(self) -> list[Path]:
        return sorted((self.folder / "ws" / "runs").iterdir())

    def ends(self, stage: str) -> list[str]:
        """When a stage of each run ended, by its record."""
        records = [run / stage / "record.json" for run in self.runs()]
        return [json.loads(record.read_text())["timings"]["ended"] for record in records]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    made = call(ROOT / ".venvs/train/bin/python", ROOT / "tests/support/tiny_model.py", TINY_FOLDER)
    assert made.returncode == 0, made.stderr
    folder = tmp_path_factory.mktemp("sweep")
    sweep_file(folder)
    return Sweep(folder)


@pytest.fixture(scope="module")
def stopped(sweep: Sweep) -> str:
    """The sweep, stopped in the download of its second run."""
    log = sweep.folder / "stopped.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            sweep.words, stdout=file, stderr=file, env={**os.environ, "HF_TOKEN": "none"}
        )
    second = "ratio-2-"
    wait_for(
        lambda: "[2/5] download" in log.read_text().partition(second)[2] or process.poll() is not None, 300
    )
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130, log.read_text()
    assert wait_for(lambda: not living(str(sweep.folder)), 20)
    return log.read_text()


@pytest.fixture(scope="module")
def whole(sweep: Sweep, stopped: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """The same command again, to its end, and when the first run's training had ended before."""
    (first,) = (run for run in sweep.runs() if run.name.startswith("ratio-1-"))
    before = json.loads((first / "train" / "record.json").read_text())["timings"]["ended"]
    return sweep(), before


def test_a_stopped_sweep_says_that_the_same_command_continues_it(stopped: str) -> None:
    assert "The sweep is stopped. The same command continues it." in stopped
    assert "Run 1 of 2  ratio-1: train.unfreezeRankRatio 0.25" in stopped
    assert "Ship" not in stopped


def test_the_same_command_continues_and_ends_in_the_comparison(
    sweep: Sweep, whole: tuple[subprocess.CompletedProcess[str], str]
) -> None:
    done, before = whole
    assert done.returncode == 0, done.stdout + done.stderr
    first, _, second = done.stdout.partition("Run 2 of 2")
    assert "2 runs of 2 done." in second and "unfreezeRankRatio" in second
    assert before in sweep.ends("train"), "the first run's training was not repeated"
    assert (first + done.stderr).count("already done") >= 3
    page = (sweep.folder / "page.html").read_text()
    assert all(run.name in page for run in sweep.runs()) and f"written to {sweep.folder}/page.html" in second


def test_base_model_tokens_and_its_results_are_made_once(
    sweep: Sweep, stopped: str, whole: tuple[subprocess.CompletedProcess[str], str]
) -> None:
    cache = sweep.folder / "ws" / "cache"
    assert len(list((cache / "models").glob("[!.]*"))) == 1
    tokens = [path for path in (cache / "tokens").iterdir() if path.is_dir()]
    assert len(tokens) == 1
    assert len(list((cache / "evals").glob("*.json"))) == 2, "the items of one task, and the held-out loss"
    shared = [json.loads((run / "download" / "record.json").read_text())["shared"] for run in sweep.runs()]
    assert len(shared) == 2 and shared[0] == shared[1]
    # The second run found them as the first one left them.
    second = sweep.runs()[1] / "download" / "record.json"
    assert all(path.stat().st_mtime < second.stat().st_mtime for path in tokens[0].iterdir())
    assert stopped.count("loading model=base") == 1
    assert "loading model=base" not in whole[0].stdout + whole[0].stderr


def test_a_run_that_fails_does_not_stop_the_others(tmp_path: Path, sweep: Sweep) -> None:
    broken = Sweep(tmp_path)
    stages = {stage: {"enabled": False} for stage in ("train", "eval", "register")}
    base = {**BASE, **stages, "data": {**BASE["data"], "subset": 8}}
    sweep_file(tmp_path, base=base, vary={"data.uri": ["pvc://tiny/absent.jsonl", "pvc://tiny/train.jsonl"]})
    done = broken()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "1 run of 2 done." in done.stdout
    assert "\nratio-1 failed with exit code 2: " in done.stdout
    assert "absent.jsonl" in done.stdout.partition("\nratio-1 failed")[2].splitlines()[0]
    assert "A has no evaluation (failed in download with exit code 2" in " ".join(done.stdout.split())
    assert "No run qualifies." in done.stdout and (tmp_path / "page.html").is_file()


def test_a_dry_run_lists_the_runs_and_their_values(tmp_path: Path) -> None:
    text = (
        "name: lr\nbase: {data: {uri: hf://a/b}}\n"
        "vary:\n  train.learningRate: [1e-5, 5e-5]\n  train.epochs: [1, 2]\n"
    )
    done = call(OSFT, "sweep", "-f", write(tmp_path, text), "--local", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "lr-1: train.learningRate 1e-05, train.epochs 1",
        "lr-2: train.learningRate 1e-05, train.epochs 2",
        "lr-3: train.learningRate 5e-05, train.epochs 1",
        "lr-4: train.learningRate 5e-05, train.epochs 2",
    ]


def test_a_values_file_lies_below_what_is_varied(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("data: {uri: hf://a/b}\ntrain: {lerningRate: 1}\n")
    path = write(tmp_path, "name: lr\nvalues: base.yaml\nvary: {train.seed: [1, 2]}\n")
    done = call(OSFT, "sweep", "-f", path, "--local", "--dry-run")
    assert done.returncode == 2
    assert "train.lerningRate is not a value of the chart. Did you mean train.learningRate?\n" in done.stderr


def test_all_problems_are_reported_before_the_first_run(tmp_path: Path) -> None:
    text = (
        "nam: x\nbase: {data: {uri: hf://a/b}, train: {epoch: 3}}\nvalues: none.yaml\n"
        "vary:\n  train.lerningRate: [1e-5]\n  train.epochs: []\n  train.seed: 3\n  train.maxSteps: [7, 7]\n"
        "  eval.limit: [1, oops]\n"
    )
    done = call(OSFT, "sweep", "-f", write(tmp_path, text), "--local", "--workspace", tmp_path / "ws")
    assert done.returncode == 2 and not (tmp_path / "ws").exists()
    assert done.stderr.startswith("Error: 10 problems; nothing was started.\n"), done.stderr
    for sentence in (
        "- nam is not a key of a sweep. Did you mean name?",
        "- name is missing, expected lower-case letters, digits and dashes",
        "- base and values are both set, expected one of them.",
        '- values is "none.yaml", expected the path of a values file',
        "- vary.train.epochs is an empty list, expected one or more values.",
        "- vary.train.seed is 3, expected a list of values.",
        "- vary.train.maxSteps has 7 more than once.",
        "- train.epoch is not a value of the chart. Did you mean train.epochs?",
        "- train.lerningRate is not a value of the chart. Did you mean train.learningRate?",
        "- eval.limit: got string, want integer (sweep-2, sweep-4)",
    ):
        assert sentence in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("- x\n", [], "is not a map, expected the keys name"),
        ("name: [\n", [], "is not YAML"),
        ("[" * 3000, [], "is not YAML"),
        ("name: &a {x: *a}\n", [], "is not YAML"),
        (f"name: {'a' * 50}\nvary: {{train.seed: [1]}}\n", [], "digits and dashes, at most 49, such as"),
        ("name: x\nvary: {}\n", [], "- vary is {}, expected a map of keys of the values and lists"),
        ("name: X_1\nvary: {train.seed: [1]}\n", [], '- name is "X_1", expected lower-case letters'),
        (f"name: x\nvary: {{train.seed: {list(range(300))}}}\n", [], "gives 300 runs, expected at most 256"),
        ("name: x\nvary: {data.uri: [hf://a/b]}\n", ["--data", "hf://c/d"], "--data sets data.uri, which"),
        ("name: x\nvary: {model.fromRun: [a]}\n", ["--continue=b"], "--continue sets model.fromRun, which"),
        (
            "name: x\nbase: {data: {uri: hf://a/b}, model: {fromRun: a}}\nvary: {train.seed: [1]}\n",
            ["--continue=b"],
            "--continue is 'b' and the values set model.fromRun to 'a'",
        ),
        ("name: x\nvary: {train.seed: [1], train.epoch: [1]}\n", ["--continue=b"], "train.epoch is not a"),
        ("name: x\nvary: {train.seed: [1]}\n", ["--parallel"], "--parallel is for runs on a cluster"),
        ("name: x\nvary: {train.seed: [1]}\n", ["--timeout=1h"], "is not an option of osft sweep --local"),
        ("name: x\nvary: {train.seed: [1]}\n", ["--set=train.seed=3"], "--set sets values of all runs: put"),
        ("name: x\nvary: {train.seed: [1], train.seed: [2]}\n", [], "- train.seed stands twice, expected"),
        (
            "name: x\nvary: {train: [{epochs: 2}], train.seed: [1]}\n",
            [],
            "- vary.train and vary.train.seed set the same value, expected one of them. Remove one.",
        ),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_be_read_is_refused(
    tmp_path: Path, text: str, words: list[str], said: str
) -> None:
    done = call(OSFT, "sweep", "-f", write(tmp_path, text), "--local", "--dry-run", *words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_on_a_cluster_that_does_not_answer_every_run_is_tried_and_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(json.dumps(KUBECONFIG))
    base = {"data": {"uri": "hf://a/b"}, "images": {"registry": "registry.example.com"}}
    path = sweep_file(tmp_path, base=base)
    page = tmp_path / "page.html"
    done = call(OSFT, "sweep", "-f", path, "--no-check", "-o", page, KUBECONFIG=str(tmp_path / "config"))
    assert done.returncode == 75, done.stderr
    assert "0 runs of 2 done." in done.stdout and "ratio-2 failed with exit code 75" in done.stdout
    assert not page.exists()
