"""The faster import of transformers finds the same classes and reads each file once."""

import json
import os
import subprocess

import pytest

from osft_workspace.trust import GUARD
from tests.support.sandbox import executable

PROGRAM = """
import collections, json, sys
read = collections.Counter()
sys.addaudithook(lambda event, args: read.update([str(args[0])] if event == "open" else []))
import transformers.models.auto
albert = [number for path, number in read.items() if path.endswith("/modeling_albert.py")]
modules = (transformers, transformers.models, transformers.models.auto)
print(json.dumps([sum(albert), [sorted(module._class_to_module.items()) for module in modules],
    [sorted((name, sorted(backends)) for name, backends in module._object_missing_backend.items())
     for module in modules], sorted(transformers.utils.import_utils.PACKAGE_DISTRIBUTION_MAPPING.items())]))
"""


def imported(stage: str, **env: str) -> list[object]:
    """Return how often a file of a model was read, and what transformers then knows of its classes."""
    python = executable(stage, "python")
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", PROGRAM], env=own | env, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("stage", ["download", "train"])
def test_a_guarded_process_knows_the_same_classes_and_reads_each_file_once(stage: str) -> None:
    times, *usual = imported(stage)
    assert times == 2, "transformers reads its files once now: remove osft_workspace.imports"
    assert imported(stage, PYTHONPATH=GUARD) == [1, *usual]


def test_transformers_does_not_import_scikit_learn_in_a_guarded_process() -> None:
    program = "from transformers.utils import is_sklearn_available; print(is_sklearn_available())"
    for env, seen in (({}, "True"), ({"PYTHONPATH": GUARD}, "False")):
        command = [executable("eval", "python"), "-c", program]
        done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == seen
