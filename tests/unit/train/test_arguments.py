"""Arguments that would be lost or misread."""

import inspect
from enum import StrEnum
from typing import Any

import pytest
from click.testing import CliRunner

from osft_train.arguments import OWN
from osft_train.cli import main
from osft_train.data import Rows
from osft_train.estimate import plan_steps
from osft_train.extra import name_problem, of_type
from osft_train.options import Options


class Mode(StrEnum):
    EPOCH = "epoch"
    STEP = "step"


def signature() -> inspect.Signature:
    def function(seed: int, learning_rate: float) -> None: ...

    return inspect.signature(function)


KNOWN = {"save_dtype": str | None, "validation_split": float, "max_tokens": int}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("max_tokens", ""),
        ("max_steps", "use --max-steps (train.maxSteps)"),
        ("seed", "it has its own flag, --seed"),
        ("batch_size", "use --effective-batch-size"),
        ("max_token", "Did you mean max_tokens?"),
        ("xyzzy", "would ignore. It knows max_tokens, save_dtype, validation_split."),
    ],
)
def test_a_name_that_would_be_dropped_is_reported(name: str, said: str) -> None:
    problem = name_problem(name, KNOWN, signature())
    assert said in problem if said else problem == ""


@pytest.mark.parametrize(
    ("value", "wanted", "kept", "wrong"),
    [
        (1, float, 1.0, False),
        (True, int, True, True),
        ("1", int, "1", True),
        (None, int | None, None, True),
        (3, int | None, 3, False),
        ("step", Mode, "step", False),
        ("steps", Mode, "steps", True),
        ({"a": 1}, dict[str, Any] | None, {"a": 1}, False),
        (1.5, int, 1.5, True),
    ],
)
def test_values_have_the_type_of_their_field(value: Any, wanted: Any, kept: Any, wrong: bool) -> None:
    got, problem = of_type("name", value, wanted)
    assert (got, type(got), bool(problem)) == (kept, type(kept), wrong)


def test_every_flag_has_its_variable_and_kubeflow_trainers_where_there_is_one() -> None:
    help_text = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    assert set(OWN) <= {option.name for option in main.params}
    for name in ("PET_NNODES", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"):
        assert name in help_text


@pytest.mark.parametrize(
    ("rows", "more", "steps"),
    [
        (320, {}, (20, 20)),
        (321, {"num_epochs": 3}, (21, 63)),
        (320, {"num_epochs": 3, "max_steps": 47}, (20, 47)),
        (320, {"num_epochs": 3, "max_steps": 61}, (20, 60)),
        (320, {"extra": {"training_mode": "token", "max_tokens": 7}}, (20, None)),
        (10, {"is_pretraining": True, "block_size": 100}, (7, 7)),
    ],
)
def test_steps_are_counted_as_the_engine_counts_them(
    rows: int, more: dict[str, Any], steps: tuple[int, int | None]
) -> None:
    options = Options(effective_batch_size=16, **more)
    assert plan_steps(Rows("", kept=rows, tokens=10050, learned=5000), options) == steps
