"""`benchmarks/gpu` on the CPU with a tiny model: what a machine with a GPU will be asked to show."""

import json
import math
import os
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from osft_gpu.sections import SECTIONS
from tests.support.sandbox import ROOT

pytestmark = pytest.mark.timeout(1800)  # eleven starts of stages, on a machine that other tests use too
COMMAND = [str(ROOT / "benchmarks/gpu"), "--tiny"]
WITH_PIP = ROOT / ".cache/uv/bin/python"
"""A Python that has pip, as those of machines do."""
METHODS = {"osft", "sft", "lora", "qlora"}
UNMEASURED = {
    ("liger", "sft, 512 tokens, without Liger"): "Liger's kernels need a GPU",
    ("eval", "vllm"): "vLLM is not installed",
}


@dataclass(frozen=True)
class Measured:
    """One run, and what it left."""

    code: int
    lines: list[dict[str, Any]]
    table: str

    def value(self, section: str, of: str, figure: str) -> float:
        """Return the only such figure."""
        (found,) = (
            line["value"]
            for line in self.lines
            if (line["section"], line["of"], line.get("figure")) == (section, of, figure)
        )
        return float(found)


def measure(folder: Path, *words: str) -> Measured:
    """Run it to its end."""
    out = folder / "out" / "figures.jsonl"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(folder), "TMPDIR": str(folder)}
    done = subprocess.run([*COMMAND, f"--out={out}", *words], env=env, capture_output=True, text=True)
    assert out.read_text() == done.stdout, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Measured(done.returncode, lines, done.stderr)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """All sections, with time for each."""
    return measure(tmp_path_factory.mktemp("gpu"), "--minutes=60")


def test_every_section_gives_figures_or_says_why_not(whole: Measured) -> None:
    assert whole.code == 0, whole.table
    unmeasured = {(line["section"], line["of"]): line["skipped"] for line in whole.lines if "skipped" in line}
    assert unmeasured == UNMEASURED
    measured = {line["section"] for line in whole.lines if "figure" in line}
    assert measured == set(SECTIONS) - {"liger"}


def test_every_figure_is_a_number_with_a_unit(whole: Measured) -> None:
    figures = [line for line in whole.lines if "figure" in line]
    assert all(math.isfinite(line["value"]) and isinstance(line["unit"], str) for line in figures)
    times = [line for line in figures if line["section"] in ("methods", "speed") and line["unit"] == "s"]
    assert times and all(line["value"] > 0 for line in times)


def test_the_model_of_every_method_loads_and_has_learned(whole: Measured) -> None:
    for method in METHODS:
        assert whole.value("methods", f"{method}, loaded", "changed weights") >= 14
        assert whole.value("methods", f"{method}, loaded", "generated") == 8
        assert whole.value("methods", method, "loss of the last step") < 6.2


def test_a_stopped_training_resumes_as_if_it_had_not_been_stopped(whole: Measured) -> None:
    assert 2 <= whole.value("resume", "osft", "resumed after step") < 12
    assert whole.value("resume", "osft", "steps in all") == 12
    assert whole.value("resume", "osft", "largest change of a loss") == 0


def test_osft_is_compared_with_sft_at_equal_caps(whole: Measured) -> None:
    osft, sft = "osft ratio 0.25, 512 tokens", "sft, 512 tokens"
    ratio = whole.value("speed", osft, "step") / whole.value("speed", sft, "step")
    assert whole.value("speed", osft, "step divided by that of sft") == pytest.approx(ratio, rel=1e-3)
    assert whole.value("speed", osft, "memory divided by that of sft") > 0


def test_decompositions_are_timed_with_and_without_the_cache(whole: Measured) -> None:
    counts = {line["of"]: line["matrices"] for line in whole.lines if line.get("figure") == "all matrices"}
    assert counts == {"without the cache": 14, "with the cache": 14}
    without, kept = (whole.value("svd", of, "all matrices") for of in counts)
    assert kept < without


def test_the_plan_stands_beside_what_was_measured(whole: Measured) -> None:
    for of in ("osft ratio 0.25, 512 tokens", "sft, 512 tokens"):
        for what in ("steps", "memory"):
            assert whole.value("plan", of, f"{what}, planned") > 0
            assert whole.value("plan", of, f"{what}, measured") > 0


def test_the_table_has_every_line(whole: Measured) -> None:
    assert len(whole.table.splitlines()) == len(whole.lines) + 1
    assert "Liger's kernels need a GPU" in whole.table


def test_without_time_everything_is_named_as_skipped(tmp_path: Path) -> None:
    found = measure(tmp_path, "--minutes=0")
    assert found.code == 0
    assert {line["section"] for line in found.lines} == set(SECTIONS)
    assert {line["skipped"] for line in found.lines} == {"no time was left"}


def test_a_section_that_takes_too_long_is_ended_and_named(tmp_path: Path) -> None:
    found = measure(tmp_path, "--minutes=0.02", "--sections=machine")
    assert [(line["section"], line.get("skipped")) for line in found.lines] == [
        ("machine", "python did not end in the 1 s that were left")
    ]


def test_a_stopped_run_leaves_its_figures_and_no_process(tmp_path: Path) -> None:
    out, work = tmp_path / "figures.jsonl", tmp_path / "work"
    words = [*COMMAND, f"--out={out}", f"--work={work}", "--sections=machine,methods", "--minutes=60"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list(naming(str(work))):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "SIGTERM received" in said
    assert [json.loads(line)["section"] for line in out.read_text().splitlines()] == ["machine"]
    assert not list(naming(str(work)))


def naming(word: str) -> Iterator[str]:
    """Yield command lines of processes of Python in an environment of a stage that have the word in them."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_text().split("\0")
        except OSError:
            continue  # ended while we looked
        if ".venvs" in words[0] and any(word in each for each in words[1:]):
            yield " ".join(words)


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "--sections=speed,fast"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--sections has fast, expected some of machine, methods" in done.stderr


def test_wheels_are_those_of_the_locks_that_such_a_machine_lacks() -> None:
    ask = "import json; from osft_gpu.wheels import pinned; print(json.dumps(pinned('3.12')))"
    done = subprocess.run([WITH_PIP, "-c", ask], cwd=ROOT / "benchmarks", stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    assert {"datasets", "training-hub", "rhai-innovation-mini-trainer", "lm-eval", "click"} <= set(found)
    assert not {"torch", "numpy", "nvidia-nccl-cu13", "wandb"} & set(found)
    assert found["transformers"] in (ROOT / "images/train/requirements.txt").read_text()


def test_an_environment_is_made_of_wheels_and_what_the_machine_has(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "carried-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "")
        facts = "carried-1.0.dist-info"
        wheel.writestr(f"{facts}/METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n")
        wheel.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{facts}/RECORD", "")
    words = [*COMMAND, f"--wheels={tmp_path}", f"--work={tmp_path}/work", f"--out={tmp_path}/figures.jsonl"]
    done = subprocess.run([WITH_PIP, *words, "--sections=machine"], capture_output=True, text=True)
    assert done.returncode == 1 and "No module named 'torch'" in done.stdout, done.stderr
    python = tmp_path / "work/environment/bin/python"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    look = "import carried, osft_train, pip; from importlib.metadata import version; version('osft-train')"
    subprocess.run([python, "-c", look], env=env, check=True)


def test_a_folder_without_wheels_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([WITH_PIP, *COMMAND, f"--wheels={tmp_path}"], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"--wheels is {tmp_path}, which holds no wheels" in done.stderr
