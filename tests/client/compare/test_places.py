"""`osft compare` where runs are elsewhere: on a cluster, or named by registered versions."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from osft_download.options import Options as Download
from osft_eval.options import Options as Eval
from osft_pipeline.compare.values import NOT_VALUES, key_of
from osft_pipeline.misspelt import all_keys
from osft_train.options import Options as Train
from osft_workspace.options import inputs_of
from tests.client.claim import Cluster, objects
from tests.client.local.support import OSFT, call
from tests.support.compared import make_run
from tests.support.registry import Registry, registry  # noqa: F401
from tests.support.sandbox import executable, stage_env


def test_runs_of_a_cluster_are_read_from_its_claim(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "claim", ignore_errors=True)
    names = ("demo-0000000a", "demo-0000000b")
    cluster = Cluster(tmp_path, [one for name in names for one in objects({}, run=name)])
    for number, name in enumerate(names):
        make_run(cluster.claim, name, fall=1.0 + number, learning_rate=1e-5 * (number + 1))
    done = cluster("compare", *names, "-n", "team", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["where"] for one in found["runs"]] == [f"pvc://demo-workspace/runs/{name}" for name in names]
    assert found["values"] == {"train.learningRate": dict(zip(names, (1e-5, 2e-5), strict=True))}
    assert found["choice"]["run"] == names[1] and len(found["tests"]) == 2
    assert len(cluster.pods()) == 2


def test_a_registered_version_names_its_run_and_workspace(tmp_path: Path, registry: Registry) -> None:  # noqa: F811
    addresses = []
    for number in (1, 2):
        workspace, name = tmp_path / f"ws{number}", f"version-{number}"
        folder = make_run(workspace, name, fall=float(number))
        words = [
            "--workspace",
            workspace,
            "--run-id",
            name,
            f"--address={registry.address}",
            f"--name={tmp_path.name}",
        ]
        uri = f"--uri={(folder / 'train' / 'model').as_uri()}"
        env = stage_env(workspace, tmp_path / f"scratch{number}")
        done = subprocess.run(
            [executable("register"), *map(str, words), uri],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        record = json.loads((folder / "register" / "record.json").read_text())
        addresses.append(record["details"]["url"])
    done = call(OSFT, "compare", *addresses, "--json", OSFT_LOCAL_WORKSPACE=str(tmp_path / "nothing"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["run"] for one in found["runs"]] == ["version-1", "version-2"]
    assert found["choice"]["run"] == "version-2"


def test_a_version_that_is_not_there_or_of_no_run_is_refused(tmp_path: Path, registry: Registry) -> None:  # noqa: F811
    make_run(tmp_path, "mild-1")
    model = registry.post("registered_models", {"name": f"foreign-{os.getpid()}"})
    version = registry.post("model_versions", {"name": "1", "registeredModelId": model["id"]})
    base = f"{registry.address}/api/model_registry/v1alpha3/model_versions"
    foreign = call(OSFT, "compare", "mild-1", f"{base}/{version['id']}", "--workspace", tmp_path)
    assert foreign.returncode == 2 and "names no run (osft_run_id)" in foreign.stderr
    missing = call(OSFT, "compare", "mild-1", f"{base}/999999", "--workspace", tmp_path)
    assert missing.returncode == 2 and "answered 404, expected a version" in missing.stderr


def test_a_registry_that_does_not_answer_is_for_later(tmp_path: Path) -> None:
    make_run(tmp_path, "mild-1")
    address = "http://127.0.0.1:9/api/model_registry/v1/model_versions/1"
    done = call(OSFT, "compare", "mild-1", address, "--workspace", tmp_path)
    assert done.returncode == 75 and "did not answer" in done.stderr


@pytest.mark.parametrize(("stage", "options"), [("download", Download), ("train", Train), ("eval", Eval)])
def test_every_option_that_decides_a_result_is_shown_by_its_key_in_the_values(
    stage: str, options: type
) -> None:
    keys = {*all_keys()}
    unknown = {
        name: key
        for name in inputs_of(options())
        if name not in NOT_VALUES and (key := key_of(stage, name)) not in keys
    }
    assert unknown == {}
    assert key_of(stage, "seed") == {"download": "data.seed"}.get(stage, f"{stage}.seed")
