"""What a finished training leaves."""

import json
import math
import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from tests.stages.train.conftest import Done, Stage, changed
from tests.support import warm
from tests.support.mlflow_server import MlflowServer
from tests.support.tiny_model import chat_rows
from tests.support.trained_run import tiny_model

MATRICES = 14  # two layers with seven each


def header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return dict(json.loads(data[8 : 8 + size]))


def test_training_lowers_the_loss(whole: Done) -> None:
    assert whole.metrics[-1]["loss"] < whole.metrics[0]["loss"] - 1


def test_every_step_has_one_line_of_plain_json(whole: Done) -> None:
    assert [line["step"] for line in whole.metrics] == list(range(1, 19))
    text = (whole.dir / "metrics.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert {"epoch", "loss", "learning_rate", "tokens", "seconds"} <= set(whole.metrics[0])


def test_the_final_loss_is_that_of_the_last_step(whole: Done) -> None:
    metrics = whole.record["metrics"]
    losses = [line["loss"] for line in whole.metrics]
    assert metrics["final_loss"] == losses[-1]
    assert metrics["min_loss"] == min(losses)
    assert math.isclose(metrics["final_perplexity"], math.exp(losses[-1]))
    assert (metrics["steps"], metrics["epochs"]) == (18, 3)


def test_scheduler_arguments_stay_numbers(whole: Done) -> None:
    rates = [line["learning_rate"] for line in whole.metrics]
    assert whole.record["details"]["arguments"]["lr_scheduler_kwargs"] == {"num_cycles": 2}
    assert rates[10] == max(rates), "two cycles in 16 steps, after 2 of warm-up"


def test_rows_that_do_not_train_are_counted_before_the_first_step(whole: Done) -> None:
    metrics = whole.record["metrics"]
    counts = ("rows", "rows_validation", "rows_dropped_short", "rows_dropped_long", "rows_dropped_silent")
    assert [metrics[name] for name in counts] == [46, 6, 1, 2, 0]
    dropped = whole.printed.index(
        'train rows dropped rows=2 because="256 tokens or longer (train.maxSequenceLength)"'
    )
    assert dropped < whole.printed.index("train training step=")


def test_the_message_says_the_rows_that_trained(whole: Done) -> None:
    assert whole.record["message"].startswith("tuned in 18 steps on 46 rows (3 dropped), loss ")


def test_steps_and_time_are_reported_before_the_first_step(whole: Done) -> None:
    plan = whole.printed.index("train plan steps=18 steps_per_epoch=6 rows=46 epochs=3 about_minutes=")
    assert plan < whole.printed.index("train training step=")
    assert whole.record["details"]["estimate"]["steps"] == 18


def test_planned_and_measured_memory_are_in_the_record(whole: Done) -> None:
    estimate, metrics = whole.record["details"]["estimate"], whole.record["metrics"]
    assert sum(estimate["memory"].values()) == estimate["memory_bytes"] == metrics["planned_memory_bytes"]
    assert 0.7 < metrics["planned_memory_bytes"] / metrics["peak_memory_bytes"] < 1.3
    assert f"memory_gib={estimate['memory_bytes'] / 2**30:.2f}"[:-1] in whole.printed


def test_progress_reports_step_loss_speed_and_time_left(whole: Done) -> None:
    line = next(line for line in whole.printed.splitlines() if " training step=18/18 " in line)
    assert all(f" {key}=" in line for key in ("loss", "tokens_per_s", "left"))


def test_reasoning_that_the_template_leaves_out_does_not_cost_the_end_of_turn(whole: Done) -> None:
    rows = [json.loads(line) for line in whole.rows.read_text().splitlines()]
    end_of_turn = 2
    thinking = rows[2]  # line 6, after three that are left out
    learned = [label for label in thinking["labels"] if label != -100]
    assert end_of_turn in learned
    assert [row["labels"].count(end_of_turn) for row in rows] == [1] * 52


def test_a_folder_named_opt_does_not_unprotect_matrices(whole: Done) -> None:
    assert "opt" in str(whole.dir)
    assert whole.record["details"]["matrices"] == MATRICES
    assert f"Total parameters: {MATRICES}" in (whole.dir / "train.log").read_text()


def test_the_frozen_part_of_the_weights_is_kept(whole: Done) -> None:
    assert max(changed(whole.dir / "model")) < 1e-3


def test_the_model_loads_and_answers_without_special_code(whole: Done) -> None:
    script = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
model, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True)
assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
turn = [{"role": "user", "content": "What does the amber baker do on Monday?"}]
asked = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
answer = model.generate(**tokenizer.apply_chat_template(turn, **asked), max_new_tokens=12, do_sample=False)
print(repr(tokenizer.decode(answer[0])))
"""
    assert "assistant" in warm.output("train", script, whole.dir / "model")


def test_the_model_is_laid_out_as_other_programs_expect(whole: Done) -> None:
    model, base = whole.dir / "model", tiny_model() / "model"
    tensors = header(model / "model.safetensors")
    assert tensors["__metadata__"] == {"format": "pt"}
    assert set(tensors) - {"__metadata__"} == set(header(base / "model.safetensors")) - {"__metadata__"}
    config = json.loads((model / "config.json").read_text())
    assert config == json.loads((base / "config.json").read_text())
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (model / name).read_bytes() == (base / name).read_bytes()
    assert all(path.stat().st_mode & 0o664 == 0o664 for path in model.iterdir())


def test_a_model_saved_only_as_best_validation_loss_is_found(whole: Done) -> None:
    assert "Saving model at 138.0 samples (best_val_loss)" in (whole.dir / "train.log").read_text()
    assert "path=samples_138.0_best_val_loss" in whole.printed
    assert "train model checked parameters=459392 dtype=F32" in whole.printed


def test_working_files_do_not_stay(whole: Done) -> None:
    left = {path.name for path in (whole.dir / "checkpoints").glob("*")}
    assert left <= {"hf_format"}
    assert not list(whole.dir.glob("**/*.partial"))


def test_the_chart_is_a_picture_of_every_step(whole: Done) -> None:
    root = ET.fromstring((whole.dir / "loss.svg").read_text())
    space = "{http://www.w3.org/2000/svg}"
    loss = next(group for group in root.iter(f"{space}g") if group.get("id") == "loss")
    assert len(str(loss.find(f"{space}path").get("d")).split("L")) == 18  # type: ignore[union-attr]
    assert "Training loss" in str(root.findtext(f"{space}title"))


def test_the_record_says_how_it_was_made(whole: Done) -> None:
    details, choices = whole.record["details"], {c["name"]: c for c in whole.record["choices"]}
    assert (details["device"], details["backend"]) == ("cpu", "mini-trainer-cpu")
    assert details["arguments"]["beta2"] == 0.97
    assert details["base"]["digest"].startswith("sha256:")
    assert choices["use_liger"]["value"] is False
    assert choices["target_patterns"]["reason"] == "model type llama"
    assert {"torch", "training-hub", "rhai-innovation-mini-trainer"} <= set(whole.record["versions"])


def test_another_machines_request_to_stop_is_not_ours(whole: Done) -> None:
    """A file that every run on a machine would share lay there during the whole training."""
    assert whole.record["metrics"]["steps"] == 18


def test_trackers_that_are_asked_for_get_the_steps_and_the_record_names_their_runs(stage: Stage) -> None:
    """The real clients: MLflow to a server, Weights & Biases offline."""
    stage.download("tracked", chat_rows(16))
    folder, server = stage.scratch / "trackers", MlflowServer(credential="Bearer canary-mlflow-0815")
    code, printed = stage.run(
        "tracked",
        *("--effective-batch-size=8", f"--mlflow-tracking-uri={server.url}", "--wandb-project=ours"),
        *("--mlflow-experiment-name=tries", "--mlflow-run-name=one"),
        WANDB_MODE="offline",
        WANDB_API_KEY="0" * 40,
        WANDB_DIR=str(folder),
        MLFLOW_TRACKING_TOKEN="canary-mlflow-0815",
    )
    server.close()
    assert code == 0, printed
    ((number, run),) = server.runs.items()
    assert (run.name, run.status, run.experiment_id) == ("one", "FINISHED", server.experiments["tries"])
    assert [step for step, _ in run.figures["loss"]] == [1, 2]
    (log,) = folder.rglob("*.wandb")
    trackers = json.loads((stage.dir("tracked") / "record.json").read_text())["details"]["trackers"]
    assert trackers["mlflow"] == {"run_id": number, "experiment_id": run.experiment_id}
    assert trackers["wandb"] == {"run_id": log.stem.removeprefix("run-"), "project": "ours"}
    assert "canary" not in printed
