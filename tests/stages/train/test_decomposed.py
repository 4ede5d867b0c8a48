"""OSFT's layers and projections take fewer operations than mini-trainer's, and train the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stages.train.conftest import Stage, changed
from tests.support import warm
from tests.support.tiny_model import chat_rows

TRAININGS = """
import json, sys
import torch
import torch.distributed as dist
from mini_trainer.osft_utils import create_osft_model_class, optim_wrapper
from transformers import LlamaConfig, LlamaForCausalLM
from osft_train.worker import decomposed, projections

WIDE, STEPS, PASSES, TOKENS = 64, 12, 2, int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
config = LlamaConfig(
    vocab_size=128, hidden_size=WIDE, intermediate_size=3 * WIDE, num_hidden_layers=2,
    num_attention_heads=2, num_key_value_heads=1, attention_bias=True,
)
torch.manual_seed(1)
base = LlamaForCausalLM(config)
names = [name for name, _ in base.named_parameters() if name.endswith("_proj.weight")]
ranks = {name: int(min(base.get_parameter(name).shape) * 0.75) for name in names}

def train(kind):
    model = kind(config, osft_config=ranks, initialize_osft=False)
    model.load_state_dict(base.state_dict())
    model.reinitialize_osft(decompose_existing_weights=True)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = optim_wrapper(torch.optim.AdamW(trained, lr=1e-3), model)
    rows, losses = torch.Generator().manual_seed(2), []
    for _ in range(STEPS):
        for _ in range(PASSES):
            tokens = torch.randint(128, (2, TOKENS // 2), generator=rows)
            loss = model(input_ids=tokens, labels=tokens).loss
            loss.backward()
            losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return losses, {name: model._reconstruct_weight(name).detach() for name in names}

def leaves(weights):
    for name, weight in weights.items():
        change = weight - base.get_parameter(name).detach()
        left, _, right = torch.linalg.svd(base.get_parameter(name).detach(), full_matrices=False)
        kept = ranks[name]
        yield max((left[:, :kept].T @ change).norm(), (change @ right[:kept].T).norm()) / change.norm()

engine = train(create_osft_model_class(LlamaForCausalLM))
projections.install(sys.argv[3])
decomposed.install()
decomposed.Frozen.held = sys.argv[4] == "held"
from mini_trainer.setup_model_for_training import create_osft_model_class
ours = train(create_osft_model_class(LlamaForCausalLM))
change = [(engine[1][name] - base.get_parameter(name)).norm() for name in names]
print("found", json.dumps({
    "losses": [engine[0], ours[0]],
    "apart": max(float((engine[1][n] - ours[1][n]).norm() / c) for n, c in zip(names, change)),
    "leaves": max(map(float, leaves(ours[1]))),
    "merged": [decomposed.Shape(WIDE, WIDE, 48, 16).merges(count) for count in (TOKENS, 8)],
}))
"""
"""Trains a small model by the engine's own code, then with what the worker replaces in it, in float32."""


def trainings(folder: Path, tokens: int, gradients: str, frozen: str) -> dict[str, Any]:
    """Return what both trainings found; see `TRAININGS`."""
    printed = warm.output("train", TRAININGS, folder / "group", str(tokens), gradients, frozen)
    line = next(line for line in printed.splitlines() if line.startswith("found "))
    return dict(json.loads(line.removeprefix("found ")))


@pytest.mark.parametrize(
    ("tokens", "frozen", "merged"),
    [(20, "factors", False), (256, "factors", True), (256, "held", True)],
    ids=["few-tokens", "many-tokens", "alone-on-a-cpu"],
)
def test_losses_and_weights_are_those_of_the_engines_own_code(
    tmp_path: Path, tokens: int, frozen: str, merged: bool
) -> None:
    found = trainings(tmp_path, tokens, "float32", frozen)
    engine, ours = found["losses"]
    assert engine[-1] != engine[0]
    assert ours == pytest.approx(engine, rel=1e-5)
    assert found["apart"] < 1e-4, "of the change"
    assert found["leaves"] < 1e-4
    assert found["merged"] == [merged, False]


def test_gradients_projected_in_bfloat16_leave_the_frozen_directions_alone(tmp_path: Path) -> None:
    found = trainings(tmp_path, 256, "bfloat16", "held")
    engine, ours = found["losses"]
    assert ours == pytest.approx(engine, rel=1e-5)
    assert found["apart"] < 5e-2, "of the change"
    assert found["leaves"] < 1e-4


MANY = "--max-tokens-per-gpu=40000"
"""As many tokens as may stand in a pass, so that activations are not kept; a step has fewer here."""


@pytest.mark.parametrize("processes", [1, 2])
def test_activations_that_are_computed_again_change_no_loss(stage: Stage, processes: int) -> None:
    losses, own = [], ("--effective-batch-size=8", "--max-steps=4", f"--nproc-per-node={processes}")
    for run, more in ((f"kept-{processes}", ()), (f"again-{processes}", (MANY,))):
        stage.download(run, chat_rows(24))
        code, printed = stage.run(run, *own, *more)
        assert code == 0, printed
        assert f"train chose keep_activations value={not more} " in printed
        losses.append([line["loss"] for line in stage.metrics(run)])
        assert max(changed(stage.dir(run) / "model")) < 1e-3
    assert losses[0] == losses[1]
