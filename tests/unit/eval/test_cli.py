"""Values that cannot be right end at once, with a sentence, before anything heavy is loaded."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from osft_eval.cli import main
from osft_eval.options import Options


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--gates", "{"], "'{' is not JSON"),
        (["--gates", "[1]"], "is JSON of another type, expected like"),
        (["--gates", '{"maxTaskDrops": 1}'], "unknown rules maxTaskDrops. Known: maxTaskDrop, tasks,"),
        (
            ["--gates", '{"maxTaskDrop": "2"}'],
            "the gate for maxTaskDrop is '2', expected points",
        ),
        (["--gates", '{"tasks": {"a": -1}}'], "the gate for a is -1, expected points"),
        (["--gates", '{"tasks": [1]}'], "expected an object of task names and points"),
        (["--gates", '{"significance": 5}'], "expected a number between 0 and 1 such as 0.05"),
        (["--gates", '{"holdoutMustImprove": 1}'], "expected true or false"),
        (["--gen-kwargs", "temperature=1"], "'temperature=1' is not JSON"),
        (["--model-args", '{"tuned": 1}'], "--model-args has 'tuned' as 1, expected an object"),
        (["--batch-size", "0"], "expected `auto` or a whole number above 0"),
        (["--backend", "openai"], "Set eval.baseUrl"),
        (["--tasks", "none", "--no-holdout"], "there is nothing to evaluate"),
        (["--backend", "tgi"], "'tgi' is not one of 'hf', 'vllm', 'auto', 'openai'"),
        (["--limit", "-1"], "-1 is not in the range x>=0"),
    ],
)
def test_a_wrong_value_is_reported(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(main, ["--workspace", str(tmp_path), "--run-id", "r1", *arguments])
    assert found.exit_code == 2
    assert sentence in " ".join(found.output.split())
    assert not list(tmp_path.iterdir())


def test_a_temperature_means_sampling() -> None:
    options = Options(gen_kwargs={"temperature": 0.7})
    assert options.generation == {"temperature": 0.7, "do_sample": True}


def test_every_name_of_a_length_is_lm_evals() -> None:
    options = Options(gen_kwargs={"max_new_tokens": 7})
    assert options.generation == {"max_gen_toks": 7}


def test_arguments_may_be_for_one_model_only() -> None:
    options = Options(model_args={"dtype": "float32", "tuned": {"model": "t"}})
    assert options.args_for("base", "hf") == {"dtype": "float32"}
    assert options.args_for("tuned", "hf") == {"dtype": "float32", "model": "t"}
    of_engine = Options(model_args={"dtype": "float32", "vllm": {"seed": 1}, "base": {"seed": 2}})
    assert of_engine.args_for("tuned", "vllm") == {"dtype": "float32", "seed": 1}
    assert of_engine.args_for("base", "vllm") == {"dtype": "float32", "seed": 2}
    assert of_engine.args_for("tuned", "hf") == {"dtype": "float32"}
