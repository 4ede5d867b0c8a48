"""A full state of several processes, of which one part is damaged: all of them give it up."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from osft_train import states
from tests.stages.train.conftest import Process, Stage, workers
from tests.stages.train.test_nodes import free_port
from tests.support.tiny_model import chat_rows

ARGS = ("--effective-batch-size=8", "--num-epochs=2")
DAMAGED = "rng_state_rank_1.pt"
"""Read by the second process alone."""
LATER = 50
End = tuple[int, str]


@dataclass(frozen=True)
class Layout:
    """Where the two processes of a training run, and how often its stage must be started to end."""

    name: str
    nodes: int
    starts: int

    def words(self) -> list[str]:
        """Return the arguments of each node."""
        return [*ARGS, "--nnodes=2" if self.nodes == 2 else "--nproc-per-node=2"]

    def envs(self) -> list[dict[str, str]]:
        """Return what each node finds in its environment, the first one first."""
        if self.nodes == 1:
            return [{}]
        shared = {"PET_NNODES": "2", "PET_MASTER_ADDR": "localhost", "PET_MASTER_PORT": str(free_port())}
        return [{**shared, "PET_NODE_RANK": str(rank)} for rank in (0, 1)]

    def start(self, stage: Stage, run: str, *more: str) -> list[Process]:
        """Start all nodes."""
        return [stage.start(run, *self.words(), *more, program=True, **env) for env in self.envs()]

    def run(self, stage: Stage, run: str) -> list[End]:
        """Exit code and output of each node."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda env: stage.run(run, *self.words(), **env), self.envs()))


LAYOUTS = (Layout("processes", nodes=1, starts=1), Layout("nodes", nodes=2, starts=2))


def damage(stage: Stage, run: str) -> int:
    """Copy the state that a killed training left, damage one process's part of the copy, and seal it.

    Returns:
        The step of the sound state.
    """
    folder = stage.dir(run) / "checkpoints" / states.FOLDER
    step = states.steps(folder.parent)[0]
    copy = shutil.copytree(folder / f"step_{step}", folder / f"step_{LATER}")
    owner = json.loads((copy / states.SEAL).read_text())["owner"]
    (copy / DAMAGED).write_bytes(b"damaged")
    states.seal(copy, owner)
    return step


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_state_that_one_process_cannot_load_is_given_up_by_all_after_one_try(
    layout: Layout, stage: Stage
) -> None:
    whole, hurt = f"{layout.name}-whole", f"{layout.name}-hurt"
    for run in (whole, hurt):
        stage.download(run, chat_rows(32))
    assert [code for code, _ in layout.run(stage, whole)] == [0] * layout.nodes
    kill_after_a_state(layout, stage, hurt)
    step = damage(stage, hurt)
    starts = [layout.run(stage, hurt) for _ in range(layout.starts)]
    *early, last = starts
    lost = "the full state of an earlier start cannot be loaded"
    assert [code for ends in early for code, _ in ends] == [75] * layout.nodes * len(early), early
    assert all(f"Error: {lost}" in printed for ends in early for _, printed in ends), early
    assert [code for code, _ in last] == [0] * layout.nodes, last
    said = "".join(ends[0][1] for ends in starts)
    assert said.count(f'full state cannot be used, removing it step={LATER} because="{lost}') == 1, said
    assert f"train chose resume value={step} reason=" in last[0][1]
    assert [line["loss"] for line in stage.metrics(hurt)] == [line["loss"] for line in stage.metrics(whole)]
    models = [stage.dir(run) / "model" / "model.safetensors" for run in (whole, hurt)]
    assert models[0].read_bytes() == models[1].read_bytes()


def kill_after_a_state(layout: Layout, stage: Stage, run: str) -> None:
    """Start a training and kill it when its first full state is there."""
    processes = layout.start(stage, run, "--checkpoint-minutes=0.0001")
    checkpoints: Path = stage.dir(run) / "checkpoints"
    while not states.steps(checkpoints) and processes[0].poll() is None:
        time.sleep(0.05)
    for process in processes:
        process.kill()
    for process in processes:
        process.communicate()
    deadline = time.monotonic() + 10
    while any(map(workers, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
