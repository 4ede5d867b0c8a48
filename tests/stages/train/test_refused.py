"""What ends before training, or ends it, with a sentence: seen, expected, what to do."""

import json
import os
import signal
import time

import pytest

from tests.stages.train.conftest import LONG, SHORT, Stage, workers
from tests.support.tiny_model import chat_rows


@pytest.fixture(scope="module")
def ready(stage: Stage) -> str:
    stage.download("ready", chat_rows(16))
    return "ready"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--unfreeze-rank-ratio=1"], "the backend reads that as 0.5"),
        (["--max-seq-len=2048"], "is 2048 and --max-tokens-per-gpu (train.maxTokensPerGpu) 1024"),
        (["--max-tokens-per-gpu=auto"], "is auto and preflight.training.gpuMemoryGiB is empty"),
        (["--max-tokens-per-gpu=many"], "many"),
        (["--no-save-final-checkpoint"], "are both off: training would leave no model"),
        (["--is-pretraining"], "needs --block-size"),
        (["--node-rank=2", "--nnodes=2"], "--node-rank 2 does not exist"),
        (["--nproc-per-node=many"], "expected auto or a number"),
        (["--method=grpo"], "--method (train.method) is 'grpo', expected osft, sft, lora, qlora"),
        (["--extra={bad"], "is not JSON"),
        (["--mlflow-tracking-uri=https://me:pw@host"], "MLFLOW_TRACKING_USERNAME"),
        (["--wandb-project=ours"], "WANDB_API_KEY is empty"),
        (["--learning-rate=nan"], "nan is not a valid number"),
    ],
)
def test_values_that_would_be_misread_are_rejected(
    stage: Stage, ready: str, args: list[str], said: str
) -> None:
    stage.refuses(ready, *args, says=said)


def test_tokens_of_auto_are_settled_before_the_device(stage: Stage, ready: str) -> None:
    code, printed = stage.run(
        ready, "--gpus=1", "--max-tokens-per-gpu=auto", "--gpu-memory-gib=8", "--max-seq-len=8192"
    )
    assert code == 2 and "torch sees 0 GPUs" in printed, printed
    (chosen,) = [line for line in printed.splitlines() if "chose max_tokens_per_gpu" in line]
    longest = stage.workspace / "runs" / ready / "download" / "record.json"
    sets = json.loads(longest.read_text())["details"]["tokens"]["sets"]["train"]
    value = int(chosen.partition("value=")[2].split()[0])
    assert sets["longest"] <= value <= sets["tokens"] and 'reason="the most that fit into 8 GiB"' in chosen


def test_all_problems_are_reported_together(stage: Stage, ready: str) -> None:
    code, printed = stage.run(ready, "--unfreeze-rank-ratio=1", "--no-save-final-checkpoint")
    assert code == 2
    assert "reads that as 0.5" in printed and "would leave no model" in printed


def test_arguments_that_would_be_lost_are_named_together(stage: Stage, ready: str) -> None:
    extra = '{"lerning_rate": 1, "max_epochs": 2, "save_dtype": "int8", "validation_split": 0.1, "seed": 1}'
    code, printed = stage.run(ready, f"--extra={extra}", "--lr-scheduler=cosin")
    assert code == 2, printed
    for said in (
        "names lerning_rate, which the installed mini-trainer lacks and would ignore. Did you mean "
        "learning_rate?",
        "names max_epochs: use --num-epochs.",
        "gives save_dtype as 'int8', expected float16, bfloat16, float32, float64.",
        "names seed: it has its own flag, --seed.",
        "gives validation rows and does not say when to use them",
        "--lr-scheduler (train.scheduler.name) is 'cosin', expected one of linear, cosine,",
    ):
        assert said in printed
    assert not (stage.dir(ready) / "checkpoints").exists(), "nothing was begun"


def test_gpus_that_are_not_there_are_named(stage: Stage, ready: str) -> None:
    code, printed = stage.run(ready, "--gpus=2")
    assert code == 2, printed
    assert "train.gpus (--gpus) is 2 with 2 processes, and torch sees 0 GPUs here" in printed


def test_a_pattern_that_matches_no_matrix_is_named(stage: Stage, ready: str) -> None:
    code, printed = stage.run(ready, '--target-patterns=["self_attn.q_proj", "self_attn.z_proj"]')
    assert code == 2, printed
    assert "target pattern self_attn.z_proj is in no weight matrix of the base model (llama)" in printed


def test_rows_that_are_all_dropped_are_an_error_with_their_counts(stage: Stage) -> None:
    code, printed = stage.try_download("nothing", [SHORT, LONG, SHORT], None, "--max-seq-len=256")
    assert code == 2, printed
    assert (
        "of 3 rows 2 are shorter than 20 tokens (data.minTokens), 1 is 256 tokens or longer "
        "(train.maxSequenceLength)"
    ) in printed


def test_rows_that_are_all_longer_than_training_takes_are_an_error_with_their_number(stage: Stage) -> None:
    stage.download("lengthy", [LONG, LONG])
    code, printed = stage.run("lengthy")
    assert code == 2, printed
    assert "no row is left to train on: 2 rows have 256 tokens or more" in printed
    assert "Raise train.maxSequenceLength (--max-seq-len)" in printed


def test_a_loss_that_is_not_a_number_ends_the_training(stage: Stage) -> None:
    stage.download("astray", chat_rows(64))
    code, printed = stage.run("astray", "--effective-batch-size=4", "--learning-rate=1e30", "--num-epochs=40")
    assert code == 2, printed
    assert "is not a number: training diverged" in printed and "train.learningRate" in printed
    assert not (stage.dir("astray") / "record.json").exists()


def test_a_worker_killed_for_memory_is_reported_with_advice(stage: Stage, ready: str) -> None:
    """The kernel ends a process that takes too much memory with SIGKILL."""
    process = stage.start(ready, "--effective-batch-size=4", "--num-epochs=200", program=True)
    stage.wait_for_step(ready, 1, process)
    os.kill(workers(process)[-1], signal.SIGKILL)
    started = time.monotonic()
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 2, f"{time.monotonic() - started:.0f} s\n{printed}"
    assert "which the kernel does when memory runs out" in printed
    assert "lower train.maxTokensPerGpu (now 1024)" in printed
