"""`ordering: cluster`: one TrainJob carries the whole run."""

from typing import Any

import pytest

from tests.chart.rendering import Object, hook, kinds, one, pods, render, stage_pods, weight

NODES = {"train": {"nodes": 2}, "workspace": {"accessModes": ["ReadWriteMany"]}}


def replicated(objects: list[Object]) -> list[Object]:
    """Return the runtime's replicated jobs in order."""
    jobs: list[Object] = one(objects, "TrainingRuntime")["spec"]["template"]["spec"]["replicatedJobs"]
    return jobs


def chain(values: Object) -> list[tuple[str, list[str]]]:
    """Return name and predecessors of each replicated job."""
    return [
        (job["name"], [dep["name"] for dep in job.get("dependsOn", [])]) for job in replicated(render(values))
    ]


def test_four_stages_each_wait_for_the_one_before_to_complete() -> None:
    assert chain({}) == [("download", []), ("node", ["download"]), ("eval", ["node"]), ("register", ["eval"])]
    for job in replicated(render())[1:]:
        assert [dep["status"] for dep in job["dependsOn"]] == ["Complete"]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"data": {"enabled": False}, "runId": "run1-0a1b2c3d"}, ["node", "eval", "register"]),
        (
            {"data": {"enabled": False}, "train": {"enabled": False}, "runId": "run1-0a1b2c3d"},
            ["eval", "register"],
        ),
        ({"eval": {"enabled": False}}, ["download", "node", "register"]),
        ({"register": {"enabled": False}}, ["download", "node", "eval"]),
        ({"eval": {"enabled": False}, "register": {"enabled": False}}, ["download", "node"]),
        (
            {"train": {"enabled": False}, "eval": {"enabled": False}, "register": {"enabled": False}},
            ["download"],
        ),
    ],
)
def test_a_stage_that_is_switched_off_leaves_the_chain(values: Object, names: list[str]) -> None:
    assert chain(values) == [(name, names[max(i - 1, 0) : i]) for i, name in enumerate(names)]


def test_register_learns_that_there_is_no_evaluation() -> None:
    assert "--no-eval" in stage_pods(render({"eval": {"enabled": False}}))["register"].args
    assert "--eval" in stage_pods(render())["register"].args


def test_the_trainjob_is_ordinary_and_its_runtime_a_hook_before_it() -> None:
    objects = render()
    job, runtime = one(objects, "TrainJob"), one(objects, "TrainingRuntime")
    assert hook(job) == ""
    assert hook(runtime) == "pre-install,pre-upgrade"
    # A runtime of the same name is deleted first, and only ever meets itself: its name says what is in it.
    assert runtime["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation"
    reference = {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "TrainingRuntime",
        "name": runtime["metadata"]["name"],
    }
    assert job["spec"]["runtimeRef"] == reference
    assert runtime["metadata"]["labels"]["trainer.kubeflow.org/framework"] == "torch"


def test_the_trainjob_has_only_what_every_trainer_since_2_1_understands() -> None:
    spec = one(render(NODES), "TrainJob")["spec"]
    assert set(spec) == {"runtimeRef", "trainer"}
    assert spec["trainer"] == {"numNodes": 2, "numProcPerNode": 1}


@pytest.mark.parametrize(
    ("train", "processes"),
    [
        ({"gpus": 4}, 4),
        ({"gpus": 0}, 1),
        ({"gpus": 4, "processesPerNode": 2}, 2),
        ({"gpus": 0, "processesPerNode": 3}, 3),
    ],
)
def test_auto_processes_are_one_for_each_gpu_and_at_least_one(train: Object, processes: int) -> None:
    objects = render({"train": train})
    assert one(objects, "TrainJob")["spec"]["trainer"]["numProcPerNode"] == processes
    assert stage_pods(objects)["train"].flag("nproc-per-node") == [str(processes)]


def test_trainer_finds_the_training_container() -> None:
    step = "trainer.kubeflow.org/trainjob-ancestor-step"
    jobs = {job["name"]: job["template"] for job in replicated(render())}
    containers = jobs["node"]["spec"]["template"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["node"]
    assert {
        name: job["metadata"]["labels"][step]
        for name, job in jobs.items()
        if step in job["metadata"]["labels"]
    } == {"node": "trainer"}


def test_several_nodes_reach_runtime_trainjob_and_stage() -> None:
    objects = render(NODES)
    assert one(objects, "TrainingRuntime")["spec"]["mlPolicy"] == {"numNodes": 2, "torch": {}}
    train = stage_pods(objects)["train"]
    assert train.flag("nnodes") == ["2"]
    # One lost node takes the other down with it: both count.
    assert train.job is not None and train.job["backoffLimit"] == 6


def test_a_failed_run_is_not_started_again_by_a_ttl() -> None:
    def keys(thing: Any) -> set[str]:
        if isinstance(thing, dict):
            return set(thing).union(*map(keys, thing.values()))
        return set().union(*map(keys, thing)) if isinstance(thing, list) else set()

    assert "ttlSecondsAfterFinished" not in keys(one(render(), "TrainingRuntime"))


def test_what_comes_before_and_after_are_hooks_in_order() -> None:
    objects = render()
    before = sorted(
        (weight(thing), thing["kind"]) for thing in objects if hook(thing) == "pre-install,pre-upgrade"
    )
    assert [kind for _, kind in before] == [
        "PersistentVolumeClaim",
        "TrainingRuntime",
        "NetworkPolicy",
        "Job",
    ]
    assert len({number for number, _ in before}) == 4
    ordinary = kinds([thing for thing in objects if hook(thing) == ""])
    assert [kind for kind in ordinary if kind != "NetworkPolicy"] == ["TrainJob"]


def test_kueue_finds_the_trainjob_by_its_labels() -> None:
    objects = render({"queue": {"name": "research", "priorityClass": "batch"}})
    labels = one(objects, "TrainJob")["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "research"
    assert labels["kueue.x-k8s.io/priority-class"] == "batch"
    assert not any("kueue" in key for pod in pods(objects) for key in pod.labels)
    assert "suspend" not in one(objects, "TrainJob")["spec"]
    assert not any("kueue" in key for key in one(render(), "TrainJob")["metadata"]["labels"])


def test_a_trainjob_can_be_made_suspended_and_started_later_under_the_same_name() -> None:
    suspended = one(render({"queue": {"suspend": True}}), "TrainJob")
    assert suspended["spec"]["suspend"] is True
    assert suspended["metadata"]["name"] == one(render(), "TrainJob")["metadata"]["name"]
