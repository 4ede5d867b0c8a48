"""The plain reference of a step's loss, held to another implementation of it."""

import json
import math
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venvs" / "train" / "bin" / "python"
COMPARE = """
import json, sys, torch
from tests.support.loss import random_model, step_loss
rows = json.load(sys.stdin)
model = random_model(50)
own = [(float(model(torch.tensor([r["input_ids"]]), labels=torch.tensor([r["labels"]])).loss),
        sum(label != -100 for label in r["labels"][1:])) for r in rows]
flat = random_model(50)
torch.nn.init.zeros_(flat.lm_head.weight)
print(json.dumps({"ours": step_loss(model, rows), "theirs": own, "flat": step_loss(flat, rows)[0]}))
"""


def test_the_loss_of_a_step_is_the_mean_over_its_learned_tokens() -> None:
    """Transformers computes rows one at a time; a step's loss weighs each by its learned tokens."""
    rows = [
        {"input_ids": [3, 9, 4, 7, 7, 2], "labels": [-100, -100, 4, 7, -100, 2]},
        {"input_ids": [1, 2, 3], "labels": [1, -100, 3]},
    ]
    done = subprocess.run(
        [PYTHON, "-c", COMPARE], cwd=ROOT, input=json.dumps(rows), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    loss, tokens = result["ours"]
    assert tokens == 4
    assert math.isclose(loss, sum(part * count for part, count in result["theirs"]) / 4, rel_tol=1e-5)
    assert math.isclose(result["flat"], math.log(50), rel_tol=1e-6)
