"""What each method of the engine does to the weights, and what it refuses."""

import pytest

from tests.stages.train.conftest import Stage, changed
from tests.support.tiny_model import chat_rows

SFT = ("--method=sft", "--effective-batch-size=8", "--num-epochs=2")


@pytest.fixture(scope="module")
def full(stage: Stage) -> str:
    """A full fine-tuning, uninterrupted."""
    stage.download("full", chat_rows(32))
    code, printed = stage.run("full", *SFT)
    assert code == 0, printed
    assert "decompos" not in printed and "protected" not in printed
    return "full"


def test_sft_changes_every_direction_of_the_weights(stage: Stage, full: str) -> None:
    assert min(changed(stage.dir(full) / "model")) > 0.3
    details = stage.record(full)["details"]
    assert (details["method"], details["matrices"]) == ("sft", 0)
    assert details["arguments"]["osft"] is False
    assert "target_patterns" not in details["arguments"]


def test_sft_that_was_killed_ends_as_one_that_was_not(stage: Stage, full: str) -> None:
    stage.download("full-again", chat_rows(32))
    process = stage.start("full-again", *SFT, "--checkpoint-minutes=0.0001")
    stage.wait_for_step("full-again", 5, process)
    process.kill()
    process.communicate()
    code, printed = stage.run("full-again", *SFT)
    assert code == 0, printed
    assert "train chose resume value=" in printed
    weights = [(stage.dir(run) / "model" / "model.safetensors").read_bytes() for run in (full, "full-again")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (['--target-patterns=["q_proj"]'], "is for method osft, and --method (train.method) is sft"),
        (['--extra={"osft": true}'], "names osft: use --method (train.method)"),
    ],
)
def test_what_sft_does_not_have_is_refused(stage: Stage, full: str, args: list[str], says: str) -> None:
    stage.refuses(full, *SFT, *args, says=says)
