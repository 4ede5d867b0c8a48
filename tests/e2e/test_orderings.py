"""A run from `helm install` to the registered model, with the cluster or Helm running the stages in order."""

import fcntl
import json
import re
import time
from typing import Any

import pytest
import yaml

from tests.e2e.harness import (
    CHART,
    HOOKS,
    ORDERINGS,
    OSFT,
    ROOT,
    WAITING,
    Release,
    Space,
    call,
    eventually,
    merged,
)
from tests.support.registry import Registry

DEMO = CHART / "examples" / "demo.yaml"
DEMO_CLAIM = ROOT / ".cache" / "demo" / "claim"


@pytest.mark.core
def test_cluster_ordering_with_the_demo(space: Space, registry: Registry) -> None:
    """A real pretrained model; the client is gone at once, and what the notes promise works as written."""
    fill_demo_claim(space)
    release = space.release("demo")
    release.values = demo_values(space)
    start = time.monotonic()
    done = release.install()
    assert done.returncode == 0, done.stderr
    print(f"helm install returned after {time.monotonic() - start:.1f} s")
    assert release.condition() == ""
    release.complete(900)
    [version] = registry.versions(space.name)
    assert version["name"] == release.run
    assert release.record("eval")["metrics"]["holdout_loss_tuned"] > 0
    held_out = release.read(f"runs/{release.run}/download/eval.jsonl")
    assert held_out == (DEMO_CLAIM / "holdout.jsonl").read_text(), "what data.evalUri names"
    tested = release.command("test", "--timeout=5m")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    for command in noted(release):
        said = call("bash", "-c", f"cd {space.scratch} && {command}", **space.env)
        assert said.returncode == 0, f"{command}\n{said.stdout}{said.stderr}"
    assert not release.pods(), "the last command of the notes is the uninstall"


@pytest.mark.core
def test_hooks_ordering_with_the_demo(space: Space, registry: Registry) -> None:
    """The same model with Helm in charge of the order: the install returns after the registration."""
    fill_demo_claim(space)
    release = space.release("demo")
    release.values = merged(demo_values(space), HOOKS)
    done = release.install(WAITING)
    assert done.returncode == 0, done.stdout + done.stderr
    [version] = registry.versions(space.name)
    assert version["name"] == release.run
    assert release.record("eval")["metrics"]["holdout_loss_tuned"] > 0
    gone = release.uninstall()
    assert gone.returncode == 0, gone.stderr
    assert eventually(lambda: not release.pods(), 60) is True


def fill_demo_claim(space: Space) -> None:
    """Fill a claim with what `make demo` keeps in a folder."""
    # Another scenario may need the same files at the same time.
    with (ROOT / ".cache" / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stage, script in (("train", "demo-model"), ("download", "demo-data")):
            made = call(ROOT / ".venvs" / stage / "bin" / "python", ROOT / "scripts" / script)
            assert made.returncode == 0, made.stderr
    space.fill("osft-demo", DEMO_CLAIM, "1Gi")


def demo_values(space: Space) -> dict[str, Any]:
    """The example, shortened to two steps and a few questions."""
    values = yaml.safe_load(DEMO.read_text())
    values["data"]["subset"] = 16
    values["train"]["scheduler"] |= {"warmupSteps": 1}  # two steps would never reach the peak
    values["eval"] |= {"limit": 8, "holdout": {"limit": 8, "generate": 1, "maxNewTokens": 8}, "gates": {}}
    values["register"] |= {"name": space.name, "address": space.place.registry}
    values["images"] = {"registry": space.place.images}
    for section in ("data", "train", "eval", "register"):
        values[section]["pod"] = values[section]["pod"] | {"resources": {
            "requests": {"cpu": "100m"}, "limits": {"memory": "8Gi"},
        }}  # fmt: skip
    return {**values, "workspace": {"size": "5Gi", "minFreeGiB": 1}}


def noted(release: Release) -> list[str]:
    """The commands of the notes, in their order; the last sentence of the notes is the uninstall."""
    lines = [line.strip() for line in release.get("notes").splitlines()]
    commands = [line for line in lines if re.match(r"(kubectl|helm|echo) ", line)]
    assert len(commands) >= 7, commands
    return [word.partition(" stops the run")[0] for word in commands]


@pytest.mark.parametrize("helm", ["helm4", "helm3"])
def test_hooks_ordering_returns_after_the_registration(space: Space, registry: Registry, helm: str) -> None:
    release = space.release("run1", helm, **HOOKS)
    done = release.install(WAITING)
    assert done.returncode == 0, done.stdout + done.stderr
    [version] = registry.versions(space.name)
    assert f"registered version '{version['name']}'" in done.stdout + done.stderr
    tested = release.command("test", "--timeout=5m")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("helm", ["helm4", "helm3"])
def test_hooks_ordering_fails_with_the_sentence_of_the_stage(space: Space, helm: str) -> None:
    """A matrix that the model does not have: the TrainJob fails, and its words reach helm's output."""
    release = space.release("run1", helm, **HOOKS, train={"targetPatterns": ["no_such_matrix"]})
    done = release.install(WAITING)
    assert done.returncode == 1
    assert "target pattern no_such_matrix is in no weight matrix" in done.stderr, done.stderr
    assert len(release.pods("train")) == 1
    assert not release.pods("eval") and not release.pods("register")


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_stages_one_at_a_time(space: Space, registry: Registry, ordering: str) -> None:
    """Each upgrade turns on one stage and leaves the others out; the run grows in its workspace."""
    off = {stage: {"enabled": False} for stage in ("train", "eval", "register")}
    release = space.release(**ORDERINGS[ordering], **off)
    done = release.install(WAITING)
    assert done.returncode == 0, done.stdout + done.stderr
    run, before = release.run, "data"
    for stage in ("train", "eval", "register"):
        release.complete()
        sections = {before: {"enabled": False}, stage: {"enabled": True}}
        done = release.upgrade(WAITING, runId=run, **sections)
        assert done.returncode == 0, done.stdout + done.stderr
        before = stage
    release.complete()
    records = [release.record(stage, run) for stage in ("download", "train", "eval", "register")]
    assert [record["status"] for record in records] == ["done"] * 4
    assert [version["name"] for version in registry.versions(space.name)] == [run]


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_the_download_runs_inside_the_training_pod(space: Space, registry: Registry, ordering: str) -> None:
    """No pod of its own; its words and its exit code are the training pod's."""
    inside = {**ORDERINGS[ordering], "eval": {"enabled": False}}
    release = space.release(**inside, data={"runAs": "initContainer"})
    done = release.install(WAITING)
    assert done.returncode == 0, done.stdout + done.stderr
    release.complete()
    assert not release.pods("download")
    [train] = release.pods("train")
    said = space.kubectl("logs", train["metadata"]["name"], "--container=download").stdout
    assert "download done" in said
    assert [version["name"] for version in registry.versions(space.name)] == [release.run]
    broken = space.release("run2", **inside, data={"runAs": "initContainer", "uri": "hf://tiny/nothing"})
    done = broken.install(WAITING)
    sentence = "there is no dataset tiny/nothing"
    assert (sentence in done.stderr) == (ordering == "hooks"), done.stderr
    assert broken.finish() == "Failed", broken.story()
    assert len(broken.pods("train")) == 1, "what a user must fix is never retried"
    followed = call(OSFT, "follow", broken.name, "--namespace", space.name, **space.env)
    assert followed.returncode == 2
    assert f"\ntrain failed\n  {sentence}" in followed.stdout, followed.stdout


@pytest.mark.core
def test_two_nodes_train_what_one_node_trains(space: Space) -> None:
    """The same rows in the same global batch: the same losses and the same model, within rounding."""
    shared = {"workspace": {"accessModes": ["ReadWriteMany"]}, "eval": {"enabled": False}}
    release = space.release("run1", **shared, register={"enabled": False}, runId="one")
    assert release.install().returncode == 0
    release.complete()
    assert release.upgrade(runId="two", train={"nodes": 2}).returncode == 0
    release.complete()
    pods = [pod for pod in release.pods("train") if pod["metadata"]["labels"]["osft-pipeline/run"] == "two"]
    assert len(pods) == 2
    logs = [space.kubectl("logs", pod["metadata"]["name"]).stdout for pod in pods]
    assert sorted("rows to train on" in log for log in logs) == [False, True], "rows are chosen once"
    for step, same in zip(trained(release, "one"), trained(release, "two"), strict=True):
        assert same == pytest.approx(step, rel=0.01), "loss and gradient of a step"
    # What bfloat16 rounds differently in other batches, Adam makes large where a gradient is nearly nothing.
    assert difference(space, release) < 0.05


def trained(release: Release, run: str) -> list[tuple[float, float]]:
    """Loss and gradient norm of every step."""
    steps = map(json.loads, release.read(f"runs/{run}/train/metrics.jsonl").splitlines())
    return [(step["loss"], step["grad_norm"]) for step in steps]


def difference(space: Space, release: Release) -> float:
    """Between the weights of both runs, as a share of what training changed."""
    code = (
        "import sys; from safetensors.torch import load_file as load; "
        "one, two, base = (load(f'/workspace/{path}/model.safetensors') for path in sys.argv[1:]); "
        "size = lambda of: sum((of(key).double() ** 2).sum().item() for key in one) ** 0.5; "
        "print(size(lambda key: one[key] - two[key]) / size(lambda key: one[key] - base[key]))"
    )
    base = release.record("train", "one")["details"]["base"]["path"]
    paths = ("runs/one/train/model", "runs/two/train/model", base)
    return float(space.pod_output("train", release.claim, "python", "-c", code, *paths))


@pytest.mark.alone
def test_without_kubeflow_trainer(space: Space, registry: Registry) -> None:
    """`train.runAs: job` on two nodes, where the cluster has no TrainJobs; the chart says so."""
    if not space.place.ours:
        pytest.skip("takes Kubeflow Trainer's kinds away for a while")
    crds = ROOT / ".cache" / "modules" / "trainer" / "manifests" / "base" / "crds"
    files = [f"--filename={path}" for path in sorted(crds.glob("trainer.*.yaml"))]
    assert space.kubectl("delete", "--wait", *files).returncode == 0
    try:
        refused = space.release("other").install()
        assert refused.returncode == 1
        assert "this cluster has no Kubeflow Trainer" in refused.stderr
        shared = {"accessModes": ["ReadWriteMany"]}
        alone = {"train": {"runAs": "job", "nodes": 2}, "eval": {"enabled": False}, "workspace": shared}
        release = space.release("run1", **HOOKS, **alone)
        done = release.install(WAITING)
        assert done.returncode == 0, done.stdout + done.stderr
        assert release.record("train")["details"]["nodes"] == 2
        assert len(registry.versions(space.name)) == 1
        gone = release.uninstall()
        assert gone.returncode == 0, gone.stderr
        assert eventually(lambda: not release.pods(), 60)
        assert space.kubectl("get", "services", "--output=name").stdout == ""
    finally:
        applied = space.kubectl("apply", "--server-side", "--force-conflicts", *files)
        assert applied.returncode == 0, applied.stderr
        space.kubectl("wait", "--for=condition=Established", *files, "--timeout=60s")
