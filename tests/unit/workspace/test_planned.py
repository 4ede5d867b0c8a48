"""Planned and measured figures of a training, as the report and the card say them."""

import pytest

from osft_workspace.planned import planned_and_measured
from osft_workspace.record import Record

MEMORY = {"planned_memory_bytes": 2 << 30, "peak_memory_bytes": 3 << 29}


def record(metrics: dict[str, float], seconds: object) -> Record:
    made = {"schema": "s", "stage": "train", "status": "done", "run_id": "r", "message": "", "inputs": {}}
    return Record(
        **made,  # type: ignore[arg-type]
        inputs_digest="",
        needs={},
        outputs=[],
        shared={},
        metrics=metrics,
        details={"estimate": {"seconds": seconds}},
    )


def test_both_figures_are_said() -> None:
    said = planned_and_measured(record({**MEMORY, "training_seconds": 30000.0}, 90.2))
    assert said == {
        "Peak memory of a process": "planned 2.00 GiB, measured 1.50 GiB",
        "Training time": "planned 90 s, measured 8.3 h",
    }


@pytest.mark.parametrize("seconds", [None, "soon", float("nan")])
def test_what_is_not_known_is_left_out(seconds: object) -> None:
    assert planned_and_measured(record({"planned_memory_bytes": 1, "training_seconds": 5.0}, seconds)) == {}
