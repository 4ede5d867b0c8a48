"""The plan at the end of a download: what does not fit is said before a GPU is asked for; nothing is lost."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.client.local.support import OSFT, call
from tests.stages.download.support import RUN, End, Stage, chat, lines
from tests.support.sandbox import executable, stage_env

ROWS = lines([chat(f"Question {number}?", "Yes, " * (number % 7 + 1)) for number in range(60)])
SETS = "The smallest change that fits is --set "
TRAINING = {"method": "sft", "gpus": 1, "maxTokensPerGpu": 64000, "maxSequenceLength": 8192, "epochs": 4}


def words(training: dict[str, Any], **limits: Any) -> tuple[str, ...]:
    return f"--training={json.dumps(training)}", f"--training-limits={json.dumps(limits)}"


def applied(training: dict[str, Any], end: End) -> dict[str, Any]:
    """Return the training with the change that a start has named."""
    change = end.error.partition(SETS)[2].rstrip(".")
    assert change, end.printed
    pairs = (pair.split("=") for pair in change.split(","))
    return {**training, **{key.removeprefix("train."): json.loads(value) for key, value in pairs}}


@pytest.fixture
def source(stage: Stage) -> str:
    return f"--uri={stage.file('rows.jsonl', ROWS)}"


def test_a_training_that_fits_is_planned_in_the_log(stage: Stage, source: str) -> None:
    end = stage.good(source, *words(TRAINING, gpuMemoryGiB=80, maxHours=1, maxDroppedShare=0.5))
    (plan,) = [line for line in end.printed.splitlines() if "plan of the training" in line]
    for fact in ("steps=4 ", "rows=54 ", "rows_dropped=0 ", "memory_gib=", "disk_gib=", "speed="):
        assert fact in plan


def test_too_long_a_training_ends_with_a_change_that_fits(stage: Stage, source: str) -> None:
    wanted = {**TRAINING, "epochs": 1000}
    end = stage.run(source, *words(wanted, maxHours=1e-7))
    assert end.code == 2, end.printed
    assert "preflight.training.maxHours is 1e-07" in end.error and "Traceback" not in end.printed
    again = stage.good(source, *words(applied(wanted, end), maxHours=1e-7))
    assert "already done" in again.printed


def test_memory_that_does_not_fit_ends_with_a_change_that_fits(stage: Stage) -> None:
    source = (
        f"--uri={stage.file('long.jsonl', lines([chat(f'Question {n}?', 'Yes, ' * 400) for n in range(60)]))}"
    )
    wanted = {**TRAINING, "effectiveBatchSize": 50}
    fits = stage.good(source, *words(wanted, gpuMemoryGiB=80))
    needed = float(fits.printed.partition("memory_gib=")[2].split()[0])
    end = stage.run(source, *words(wanted, gpuMemoryGiB=needed / 2))
    assert end.code == 2 and f"needs {needed:.1f} GiB of memory on each GPU" in end.error, end.printed
    assert "preflight.training.gpuMemoryGiB" in end.error and "train.maxTokensPerGpu=" in end.error
    changed = applied(wanted, end)
    longest = f"--max-seq-len={changed['maxSequenceLength']}"
    again = stage.good(source, longest, *words(changed, gpuMemoryGiB=needed / 2), run="run-2")
    assert "rows_dropped=0 " in again.printed


def test_rows_and_model_of_a_failed_check_are_not_fetched_again(stage: Stage, source: str) -> None:
    assert stage.run(source, *words(TRAINING, maxHours=1e-9)).code == 2
    record = (stage.workspace / "runs/run-1/download/record.json").read_bytes()
    Path(source.removeprefix("--uri=")).unlink()
    changed = stage.good(source, *words(TRAINING, maxHours=1))
    assert "already done" in changed.printed
    assert (stage.workspace / "runs/run-1/download/record.json").read_bytes() == record


def test_dropped_rows_beyond_their_share_end_the_stage(stage: Stage, source: str) -> None:
    longest = stage.good(source, run="run-0").record["details"]["tokens"]["sets"]["train"]["longest"]
    shorter = {**TRAINING, "maxSequenceLength": longest}
    end = stage.run(source, f"--max-seq-len={longest}", *words(shorter, maxDroppedShare=0.1))
    assert end.code == 2 and "of 55 rows" in end.error and "are dropped" in end.error, end.printed
    assert "preflight.training.maxDroppedShare is 0.1" in end.error
    assert f"train.maxSequenceLength (now {longest})" in end.error


def test_tokens_of_auto_are_those_that_fit(stage: Stage, source: str) -> None:
    end = stage.good(source, *words({**TRAINING, "maxTokensPerGpu": "auto"}, gpuMemoryGiB=80))
    assert "tokens_at_a_time=" in end.printed
    end = stage.run(source, *words({**TRAINING, "maxTokensPerGpu": "auto"}))
    assert end.code == 2 and "Set preflight.training.gpuMemoryGiB" in end.error


def test_rows_that_are_token_ids_are_planned_too(stage: Stage) -> None:
    rows = lines([{"input_ids": [1, 2, 3, number % 5], "labels": [-100, 2, 3, 4]} for number in range(40)])
    source = f"--uri={stage.file('ids.jsonl', rows)}"
    end = stage.good(source, "--train-fraction=1", *words({**TRAINING, "effectiveBatchSize": 8}, maxHours=1))
    assert "steps=20 rows=40 " in end.printed


def test_a_training_that_the_chart_does_not_write_is_refused(stage: Stage, source: str) -> None:
    end = stage.run(source, *words({"method": "sft", "gpus": "many"}))
    assert end.code == 2 and "the values of train cannot be read" in end.error


def test_osft_plan_takes_lengths_and_model_of_a_run_of_this_machine(stage: Stage, source: str) -> None:
    end = stage.good(source, *words(TRAINING, gpuMemoryGiB=80))
    done = call(
        *(OSFT, "plan", "--workspace", stage.workspace, "--run", RUN, "--json"),
        "--set=train.method=sft,train.epochs=4",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["steps"], found["rows"], found["assumed"]) == (4, 54, [])
    assert f"memory_gib={found['memory_bytes'] / 2**30:.2f}" in end.printed


@pytest.mark.parametrize(("hours", "code"), [(1, 0), (1e-9, 2)])
def test_preflight_checks_the_training_of_an_earlier_download(
    stage: Stage, source: str, hours: float, code: int
) -> None:
    stage.good(source)
    words_of_it = words(TRAINING, maxHours=hours)
    ops = [executable("download", "osft-ops"), "preflight", "--workspace", str(stage.workspace)]
    env = stage_env(stage.workspace, stage.base / "scratch")
    done = subprocess.run([*ops, f"--plan-run={RUN}", *words_of_it], env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert ("preflight.training.maxHours is 1e-09" in done.stderr) == bool(code)
    assert "plan of the training" in done.stdout
    gone = subprocess.run([*ops, "--plan-run=none", *words_of_it], env=env, capture_output=True, text=True)
    assert gone.returncode == 2 and "run none has no finished download" in gone.stderr
