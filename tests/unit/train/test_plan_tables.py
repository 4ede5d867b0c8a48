"""What the planner knows of mini-trainer, against mini-trainer."""

import json
import subprocess
from pathlib import Path

from tests.support.sandbox import ROOT, executable

COMPARE = """
import json, sys
from mini_trainer.osft_utils import get_model_patterns
from osft_plan.layouts import LAYOUTS
from osft_plan.model import PATTERNS

told = {}
for kind in [*LAYOUTS, *filter(None, PATTERNS), "qwen3_5", "phi4_multimodal"]:
    ours = PATTERNS[next(name for name in PATTERNS if kind.startswith(name))]
    if set(ours) != set(get_model_patterns(kind.replace("_", "-"))):
        told[kind] = ours
json.dump(told, sys.stdout)
"""


def test_the_matrices_of_a_type_are_those_that_mini_trainer_decomposes() -> None:
    paths = ":".join(f"{ROOT}/images/{part}" for part in ("workspace", "plan"))
    done = subprocess.run(
        [str(Path(executable("train")).with_name("python")), "-c", COMPARE],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(done.stdout) == {}
