"""Full states that are damaged, or were written by others."""

import json
import pickle
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from osft_train import states
from tests.stages.train.conftest import Ended, Stage
from tests.support import warm
from tests.support.tiny_model import chat_rows

ARGS = ("--effective-batch-size=8", "--num-epochs=2")
PLANTS = {
    "step_50": "training_state.pt",
    "step_53": "distributed/.metadata",
}
"""Later states, and the file of each that runs code when it is unpickled."""


class Plant:
    """Runs code where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def planted(stage: Stage) -> Ended:
    """A training that was killed, whose states were copied, changed and sealed, and its next start."""
    stage.download("planted", chat_rows(32))
    folder = stage.dir("planted") / "checkpoints" / states.FOLDER
    process = stage.start("planted", *ARGS, "--checkpoint-minutes=0.0001")
    while not states.steps(folder.parent) and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    whole = folder / f"step_{states.steps(folder.parent)[0]}"
    shutil.copytree(folder.parent, stage.scratch / "kept")
    digest = json.loads((whole / states.SEAL).read_text())["owner"]
    for name, file in PLANTS.items():
        shutil.copytree(whole, folder / name)
        (folder / name / file).write_bytes(pickle.dumps(Plant(stage.scratch / f"ran-{name}")))
        states.seal(folder / name, digest)
    shutil.copytree(whole, folder / "step_54")
    (folder / "step_54" / "config.json").write_text("{}")
    code, printed = stage.run("planted", *ARGS)
    return Ended(code, printed, [str(whole.name)])


def test_a_planted_state_runs_no_code(planted: Ended, stage: Stage) -> None:
    assert planted.code == 0, planted.printed
    assert list(stage.scratch.glob("ran-*")) == []


def test_damaged_and_foreign_states_are_given_up_one_by_one_and_reported(planted: Ended) -> None:
    lost = "the full state of an earlier start cannot be loaded"
    for name in PLANTS:
        step = name.removeprefix("step_")
        assert f'full state cannot be used, removing it step={step} because="{lost}' in planted.printed
    assert 'step=54 because="config.json is not what was saved"' in planted.printed


def test_training_resumes_from_the_newest_sound_state(planted: Ended, stage: Stage) -> None:
    step = planted.files[0].removeprefix("step_")
    assert f"train chose resume value={step} reason=" in planted.printed
    assert [line["step"] for line in stage.metrics("planted")] == list(range(1, 9))


def test_a_saved_model_that_was_damaged_is_named_and_not_published(planted: Ended, stage: Stage) -> None:
    run = stage.dir("planted")
    (run / "record.json").unlink()
    shutil.copytree(stage.scratch / "kept", run / "checkpoints", dirs_exist_ok=True)
    saved = run / "checkpoints" / "hf_format" / "samples_64.0"
    shutil.move(run / "model", saved)
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    (run / "checkpoints" / "trained.json").write_text('{"steps": 8}')
    code, printed = stage.run("planted", *ARGS)
    assert code == 2, printed
    assert "samples_64.0 cannot be read (SafetensorError: " in printed and "This is a bug" not in printed
    assert not (run / "model").exists()


MEMBERS = """
import io, pickle
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING as KIND, Metadata
from osft_train.worker.guarded import MetadataUnpickler

class Asks:
    def __init__(self, *words): self.words = words
    def __reduce__(self): return getattr, self.words

def load(*words): return MetadataUnpickler(io.BytesIO(pickle.dumps(Asks(*words)))).load()

first = list(KIND)[0]
assert load(KIND, first.name) is first
for words in ((KIND, "__class__"), (KIND, "mro"), (Metadata, "__init__")):
    try:
        load(*words)
    except pickle.UnpicklingError as error:
        print(error)
    else:
        raise SystemExit(f"{words} was loaded")
"""


def test_a_state_whose_enumerations_are_written_as_older_pythons_do_is_loaded() -> None:
    """Debian's Python 3.11.2, which the image has, pickles a member as `getattr`; nothing else gets in."""
    assert warm.output("train", MEMBERS).count("its list of tensors asks for") == 3
