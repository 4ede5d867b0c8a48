"""vLLM as a backend, on the CPU: the same figures as hf, and `auto`, in which each measures its parts.

    make test-vllm

The environment .venvs/eval-vllm is what eval has, with vLLM's build for CPUs.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stages.eval.conftest import items_of, village_rows, write_tasks
from tests.support import warm
from tests.support.sandbox import ROOT, stage_env
from tests.support.trained_run import make_trained_run, perturbed, tiny_model

# Four starts of vLLM, each of which imports torch in three processes.
pytestmark = pytest.mark.timeout(1800)
NATS = 1e-5
"""Per token: what two programs may differ by in float32, which has seven digits."""
GENERATED, SCORED = ["told", "held-out answers"], ["planted", "osft_verbs", "held-out loss"]
ARGUMENTS = {
    "dtype": "float32",
    # Of this machine's memory: by default vLLM takes most of it, and fails where others use some.
    "vllm": {"gpu_memory_utilization": 0.15, "max_model_len": 1024, "enforce_eager": True},
}


@dataclass
class Evaluated:
    """What one backend left."""

    code: int
    printed: str
    folder: Path

    @property
    def results(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "results.json").read_text()))

    def samples(self, name: str) -> list[dict[str, Any]]:
        lines = (self.folder / "samples" / f"{name}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Evaluated]:
    """The same two tiny models by each backend."""
    root = tmp_path_factory.mktemp("vllm")
    workspace, scratch = root / "workspace", root / "scratch"
    scratch.mkdir()
    base = tiny_model() / "model"
    tuned = perturbed(base, root / "tuned", 3.0, only="lm_head")
    tasks = write_tasks(root / "own", items_of(24))
    found = {}
    for backend in ("hf", "vllm", "auto"):
        make_trained_run(workspace, backend, base=base, tuned=tuned, rows=village_rows(8))
        done = subprocess.run(
            [
                ROOT / ".venvs/eval-vllm/bin/osft-eval", "--workspace", workspace, "--run-id", backend,
                "--gpus=0", f"--backend={backend}", f"--include-path={tasks}", "--tasks=planted",
                "--tasks=told", "--tasks=osft_verbs", "--limit=24", "--holdout-generate=4",
                "--holdout-max-new-tokens=8", f"--model-args={json.dumps(ARGUMENTS)}",
            ],
            env={**stage_env(workspace, scratch), **warm.OFFLINE},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900,
        )  # fmt: skip
        folder = workspace / "runs" / backend / "eval"
        found[backend] = Evaluated(done.returncode, done.stdout, folder)
        assert done.returncode == 0, done.stdout
    return found


def test_greedy_answers_of_vllm_are_those_of_hf(evaluated: Mapping[str, Evaluated]) -> None:
    written = 0
    for name in ("told", "holdout"):
        pairs = zip(*(evaluated[backend].samples(name) for backend in ("hf", "vllm")), strict=True)
        for one, other in pairs:
            for which in ("base", "tuned"):
                assert one[which]["answer"] == other[which]["answer"], (name, one["id"], which)
                written += bool(one[which]["answer"])
    assert written > 24


def test_likelihoods_of_vllm_are_those_of_hf(evaluated: Mapping[str, Evaluated]) -> None:
    rows = zip(*(evaluated[backend].samples("holdout") for backend in ("hf", "vllm")), strict=True)
    differences = [
        abs(one[which]["loss"] - other[which]["loss"]) for one, other in rows for which in ("base", "tuned")
    ]
    print(f"largest difference of a row's loss: {max(differences):.2e} nats per token")
    assert len(differences) == 16 and max(differences) < NATS
    for name in ("planted", "osft_verbs"):
        chosen = [
            [(item["base"]["answer"], item["tuned"]["answer"]) for item in evaluated[backend].samples(name)]
            for backend in ("hf", "vllm")
        ]
        assert chosen[0] == chosen[1]


def test_auto_gives_the_figures_of_hf_and_names_what_measured_each_part(
    evaluated: Mapping[str, Evaluated],
) -> None:
    hf, auto = (evaluated[backend].results for backend in ("hf", "auto"))
    for part in ("tasks", "groups", "holdout"):
        assert auto[part] == hf[part]
    assert auto["engine"]["backend"] == "auto" and "parts" not in hf["engine"]
    assert auto["engine"]["vllm"].endswith("+cpu")
    assert auto["engine"]["parts"] == dict.fromkeys(SCORED, "hf") | dict.fromkeys(GENERATED, "vllm")


def test_auto_loads_one_backend_after_the_other(evaluated: Mapping[str, Evaluated]) -> None:
    printed = evaluated["auto"].printed
    loaded = [line.split("loading ")[1] for line in printed.splitlines() if " eval loading " in line]
    assert loaded == [f"model={which} backend={one}" for which in ("base", "tuned") for one in ("hf", "vllm")]
