"""The file of train.configMap in the download stage: its settings of rows and model, under the options."""

from typing import Any

import pytest
import yaml

from tests.stages.download.support import Stage, chat, lines

ROWS = lines([{"talk": chat(f"Question {number}?")["messages"]} for number in range(20)])
SETTINGS = {"shuffle_dataset": False, "train_test_split": 0.5, "messages_column": "talk", "shuffle_seed": 7}


def flag(stage: Stage, **sections: Any) -> str:
    """Write a file of these sections; return the flag that names it."""
    return f"--training-config={stage.file('settings.yaml', yaml.safe_dump(sections).encode())}"


def test_settings_of_rows_take_the_place_of_the_defaults(stage: Stage) -> None:
    end = stage.good("--uri", stage.file("rows.jsonl", ROWS), flag(stage, DatasetConfig=SETTINGS))
    assert end.record["details"]["rows"]["train"] == 10
    assert end.record["details"]["seed"] == 7
    first = end.rows("train.jsonl")[0]["messages"][0]["content"]
    assert first == "Question 0?", "rows keep their order"


def test_options_win_over_the_file_and_maps_are_merged_by_their_keys(stage: Stage) -> None:
    rows = stage.file("rows.jsonl", ROWS + lines([{"asked": "Who?", "said": "The baker does."}] * 4))
    settings = SETTINGS | {"messages_column": "chat", "context_column": "asked"}
    columns = '--columns={"messages": "talk", "completion": "said"}'
    words = ("--train-fraction=0.75", columns, "--overlap=warn")
    end = stage.good("--uri", rows, flag(stage, DatasetConfig=settings), *words, OSFT_DATA_SEED="3")
    assert end.record["details"]["rows"]["train"] == 18, "of 24"
    assert end.record["inputs"]["columns"] == {"messages": "talk", "completion": "said", "prompt": "asked"}
    assert end.record["details"]["seed"] == 3, "a variable is given too"


def test_the_model_of_the_file_is_staged(stage: Stage) -> None:
    model = {"pretrained_model_name_or_path": str(stage.model)}
    file = flag(stage, DatasetConfig=SETTINGS, ModelConfig=model)
    command = [word for word in stage.command() if word not in ("--model-uri", str(stage.model))]
    stage.command = lambda *args, **_: [*command, *args]  # type: ignore[method-assign]
    end = stage.good("--uri", stage.file("rows.jsonl", ROWS), file)
    assert end.record["inputs"]["model_uri"] == str(stage.model)


@pytest.mark.parametrize(
    ("section", "keys", "said"),
    [
        ("ModelConfig", {"pretrained_model_name_or_path": "phi-3"}, "expected <org>/<model> on the hub"),
        ("DatasetConfig", {"train_test_split": 2}, "for data.trainFraction) is 2: 2.0 is not in the range"),
        ("DatasetConfig", {"dataset_path": "/data/x"}, "data.uri names the rows"),
        ("DatasetConfig", {"shufle_dataset": True}, "did you mean shuffle_dataset"),
        ("TrainingArguments", {"num_train_epochs": 0.5}, "for train.epochs) is 0.5: expected a whole number"),
    ],
)
def test_problems_are_found_before_anything_is_fetched(
    stage: Stage, section: str, keys: Any, said: str
) -> None:
    end = stage.run("--uri", "hf://org/rows", flag(stage, **{section: keys}))
    assert said in end.failed(2)


def test_code_of_a_model_runs_only_where_the_values_allow_it(stage: Stage) -> None:
    file = flag(stage, DatasetConfig=SETTINGS, ModelConfig={"trust_remote_code": True})
    rows = stage.file("rows.jsonl", ROWS)
    assert "set model.trustRemoteCode" in stage.run("--uri", rows, file).failed(2)
    stage.good("--uri", rows, file, "--trust-remote-code")
