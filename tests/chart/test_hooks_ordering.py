"""`ordering: hooks`: Helm runs the stages in order, one hook after the other."""

import pytest

from tests.chart.rendering import HOOKS, Object, hook, kinds, one, overlay, render, run_id, stage_pods, weight

JOB = {"train": {"runAs": "job"}}


def line(values: Object, event: str) -> list[tuple[str, str]]:
    """Return kind and component of the hooks of one event, in the order Helm runs them."""
    found = [thing for thing in render(overlay(HOOKS, values)) if event in hook(thing).split(",")]
    found.sort(key=lambda thing: (weight(thing), thing["metadata"]["name"]))
    return [(thing["kind"], thing["metadata"]["labels"]["app.kubernetes.io/component"]) for thing in found]


@pytest.mark.parametrize("event", ["install", "upgrade"])
def test_stages_run_one_after_the_other_with_a_waiter_behind_the_trainjob(event: str) -> None:
    assert line({}, f"pre-{event}") == [
        ("PersistentVolumeClaim", "workspace"),
        ("TrainingRuntime", "runtime"),
        ("NetworkPolicy", "preflight"),
        ("Job", "preflight"),
    ]
    assert line({}, f"post-{event}") == [
        ("Job", "download"),
        ("TrainJob", "train"),
        ("Job", "wait"),
        ("Job", "eval"),
        ("Job", "register"),
    ]


def test_training_as_a_job_needs_no_trainer() -> None:
    assert line(JOB, "post-install") == [
        ("Job", "download"),
        ("Job", "train"),
        ("Job", "eval"),
        ("Job", "register"),
    ]
    objects = render(overlay(HOOKS, JOB))
    assert not [thing for thing in objects if "trainer.kubeflow.org/" in thing["apiVersion"]]
    train = stage_pods(objects)["train"]
    assert train.container["name"] == "train"
    assert train.owner["metadata"]["name"] == f"{run_id(objects)}-train"


def test_a_job_of_several_nodes_gives_each_its_rank_and_the_address_of_the_first() -> None:
    shared = {"train": {"runAs": "job", "nodes": 3}, "workspace": {"accessModes": ["ReadWriteMany"]}}
    objects = render(overlay(HOOKS, shared))
    train, service = stage_pods(objects)["train"], one(objects, "Service")
    name, spec = train.owner["metadata"]["name"], train.owner["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert service["metadata"]["name"] == train.spec["subdomain"] == name
    assert service["spec"]["clusterIP"] == "None" and not hook(service)
    assert service["spec"]["selector"].items() <= train.labels.items()
    assert train.env["PET_MASTER_ADDR"] == f"{name}-0.{name}"
    rank = train.env["PET_NODE_RANK"]["fieldRef"]["fieldPath"]
    assert rank == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert train.flag("nnodes") == ["3"]
    alone = stage_pods(render(overlay(HOOKS, JOB)))["train"]
    assert "completionMode" not in alone.owner["spec"] and "PET_MASTER_ADDR" not in alone.env


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({"eval": {"enabled": False}}, ["download", "train", "wait", "register"]),
        ({"register": {"enabled": False}}, ["download", "train", "wait", "eval"]),
        ({"data": {"enabled": False}, "runId": "old"}, ["train", "wait", "eval", "register"]),
        (
            {"data": {"enabled": False}, "train": {"enabled": False}, "runId": "old"},
            ["eval", "register"],
        ),
    ],
)
def test_a_stage_that_is_switched_off_has_no_hook(values: Object, left: list[str]) -> None:
    assert [component for _, component in line(values, "post-install")] == left


def test_weights_leave_no_two_hooks_side_by_side() -> None:
    objects = render(HOOKS)
    weights = [weight(thing) for thing in objects if "post-install" in hook(thing)]
    assert len(set(weights)) == len(weights)


def test_the_runtime_holds_only_training_and_depends_on_no_stage() -> None:
    (job,) = one(render(HOOKS), "TrainingRuntime")["spec"]["template"]["spec"]["replicatedJobs"]
    assert job["name"] == "node"
    assert "dependsOn" not in job


def test_the_waiter_waits_for_the_trainjob_that_was_made() -> None:
    objects = render(HOOKS)
    name = one(objects, "TrainJob")["metadata"]["name"]
    waiter = stage_pods(objects)["wait"]
    assert waiter.args == ["wait-trainjob", name, "--namespace=team"]
    assert waiter.container["command"] == ["osft-ops"]


def test_the_waiter_may_read_its_trainjob_jobs_and_pods_and_nothing_else() -> None:
    objects = render(HOOKS)
    job = one(objects, "TrainJob")["metadata"]["name"]
    assert one(objects, "Role", "-wait")["rules"] == [
        {
            "apiGroups": ["trainer.kubeflow.org"],
            "resources": ["trainjobs"],
            "verbs": ["get"],
            "resourceNames": [job],
        },
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    # Ordinary objects, so that they are there before the first post-install hook and go at uninstall.
    for kind in ("ServiceAccount", "Role", "RoleBinding"):
        assert hook(one(objects, kind, "-wait")) == ""


def test_there_is_no_waiter_and_no_account_where_no_trainjob_is() -> None:
    for values in (overlay(HOOKS, JOB), {}):
        names = [thing["metadata"]["name"] for thing in render(values)]
        assert not [name for name in names if name.endswith("-wait")]


def test_a_stage_job_stays_for_its_log_until_the_next_upgrade() -> None:
    for component in ("download", "wait", "eval", "register"):
        job = stage_pods(render(HOOKS))[component].owner
        assert job["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation"


def test_a_failed_stage_prints_its_log_to_the_installer_and_register_its_result() -> None:
    stages = stage_pods(render(HOOKS))
    logs = {
        stage: stages[stage].owner["metadata"]["annotations"]["helm.sh/hook-output-log-policy"]
        for stage in ("preflight", "download", "wait", "eval", "register")
    }
    assert logs == dict.fromkeys(logs, "hook-failed") | {"register": "hook-succeeded,hook-failed"}


def test_a_stage_ends_when_helm_stops_waiting_for_it() -> None:
    stages = stage_pods(render(HOOKS))
    for stage in ("download", "train", "wait", "eval", "register"):
        job = stages[stage].job
        assert job is not None and job["activeDeadlineSeconds"] == 3600, stage
    # The waiter lives as long as Helm waits, whatever a stage or a check may take.
    longer = stage_pods(render(overlay(HOOKS, {"eval": {"pod": {"deadlineMinutes": 90}}})))["eval"].job
    assert longer is not None and longer["activeDeadlineSeconds"] == 3600
    limits = {"stageDefaults": {"deadlineMinutes": 10}, "preflight": {"pod": {"deadlineMinutes": 5}}}
    waiter = stage_pods(render(overlay(HOOKS, limits)))["wait"].job
    assert waiter is not None and waiter["activeDeadlineSeconds"] == 3600
    shorter = stage_pods(render(overlay(HOOKS, {"eval": {"pod": {"deadlineMinutes": 7.5}}})))["eval"].job
    assert shorter is not None and shorter["activeDeadlineSeconds"] == 450


def test_a_finished_job_can_have_a_time_to_live() -> None:
    stages = stage_pods(render(overlay(HOOKS, {"eval": {"pod": {"ttlSeconds": 600}}})))
    assert [s for s, pod in stages.items() if "ttlSecondsAfterFinished" in (pod.job or {})] == ["eval"]


def test_kueue_holds_back_what_takes_a_gpu_and_nothing_else() -> None:
    objects = render(overlay(HOOKS, {"queue": {"name": "research"}}))
    queued = {
        thing["metadata"]["labels"]["app.kubernetes.io/component"]
        for thing in objects
        if "kueue.x-k8s.io/queue-name" in thing["metadata"]["labels"]
    }
    assert queued == {"train", "eval"}
    without = render(overlay(HOOKS, {"queue": {"name": "research"}, "eval": {"gpus": 0}}))
    assert "kueue.x-k8s.io/queue-name" not in stage_pods(without)["eval"].owner["metadata"]["labels"]


def test_both_orderings_run_the_same_programs_with_the_same_arguments() -> None:
    cluster, hooks = stage_pods(render()), stage_pods(render(HOOKS))
    for stage in ("download", "train", "eval", "register"):
        first, second = cluster[stage], hooks[stage]
        assert first.args == second.args
        assert first.env == second.env
        assert first.spec == second.spec
    assert kinds(render()) != kinds(render(HOOKS))
