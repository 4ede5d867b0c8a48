"""Code that comes with a model does not run in evaluation, unless it is trusted."""

import shutil
from pathlib import Path

import pytest

from tests.stages.eval.conftest import Stage, village_rows
from tests.support.model_code import plant, village_model
from tests.support.trained_run import make_trained_run

ARGS = ("--tasks=none", "--holdout-generate=1", "--holdout-max-new-tokens=2")


def coded(stage: Stage, base_model: Path, folder: Path, run_id: str, *, village: bool = False) -> Path:
    """Leave a trained run whose models bring code; returns the file that shows that it ran."""
    mark, model = folder / "mark", folder / "model"
    shutil.copytree(base_model, model)
    (village_model if village else plant)(model, mark)
    make_trained_run(stage.workspace, run_id, base=model, tuned=model, rows=village_rows(3))
    return mark


@pytest.mark.parametrize("asked", [[], ['--model-args={"trust_remote_code": true}']])
def test_code_beside_a_known_type_does_not_run(
    stage: Stage, base_model: Path, tmp_path: Path, asked: list[str]
) -> None:
    mark = coded(stage, base_model, tmp_path, f"coded-{len(asked)}")
    code, printed = stage.run(f"coded-{len(asked)}", *ARGS, *asked)
    assert not mark.exists()
    assert code == 0, printed


def test_a_type_that_needs_code_is_named_unless_it_is_trusted(
    stage: Stage, base_model: Path, tmp_path: Path
) -> None:
    mark = coded(stage, base_model, tmp_path, "village", village=True)
    code, printed = stage.run("village", *ARGS)
    assert code == 2, printed
    assert "asks for Python code that comes with the model, and model.trustRemoteCode is false" in printed
    assert not mark.exists()
    code, printed = stage.run("village", *ARGS, "--trust-remote-code")
    assert code == 0, printed
    assert mark.exists()
