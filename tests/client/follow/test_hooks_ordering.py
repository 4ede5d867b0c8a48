"""Ordering hooks: what is not there yet, what is of an earlier upgrade, and a helm that left."""

import pytest

from osft_pipeline.follow.advice import what_to_do
from osft_pipeline.follow.objects import runs_of
from tests.client.follow.cluster import Cluster, Json, at, condition, ended, states

PROBLEMS = "2 problems before the start:\n- HF_TOKEN is empty or missing: ...\n- register.address ..."


def hooks() -> Cluster:
    return Cluster("hooks")


def test_stages_that_helm_has_not_made_yet_are_known() -> None:
    run = hooks().running("download", 1).read()
    assert states(run) == {
        "download": "running",
        "train": "waiting",
        "eval": "waiting",
        "register": "waiting",
    }
    assert (run.ordering, run.state) == ("hooks", "running")


def test_a_preflight_that_failed_ends_the_run_with_all_its_sentences() -> None:
    run = hooks().failed("preflight", 1, 2, PROBLEMS).read()
    assert (run.state, run.exit_code, run.message) == ("failed", 2, PROBLEMS)
    assert list(states(run).values()) == ["failed", *["not started"] * 4]
    assert "No stage has started." in what_to_do(run)[0]


def unlabelled(cluster: Cluster, *conditions: Json) -> Cluster:
    """Take away what Kubeflow Trainer 2.1 does not give a Job of an installed runtime: it is not found."""
    below = {"jobset.sigs.k8s.io/jobset-name": cluster.trainjob_name}
    for thing in cluster.things:
        if thing["kind"] == "TrainJob":
            thing["spec"] |= {"podTemplateOverrides": [{}], "trainer": {"numNodes": 1}}
            thing["status"] = {"conditions": list(conditions), "jobsStatus": [{"name": "node"}]}
        if thing["kind"] == "Pod" and "-node-0-" in thing["metadata"]["name"]:
            thing["metadata"]["labels"] |= below
    cluster.things = [
        thing
        for thing in cluster.things
        if thing["kind"] != "Job" or not below.items() <= thing["metadata"]["labels"].items()
    ]
    return cluster


def test_training_on_an_installed_runtime_is_seen_without_its_job() -> None:
    before = hooks().done("download", 1).trainjob(15)
    run = unlabelled(before.running("train", 20, "2026-11-21T16:00:30Z train progress step=3")).read()
    assert (states(run)["train"], run.stages[1].owner) == ("running", f"{run.id}-train-node-0")
    done = hooks().done("download", 1).trainjob(15).done("train", 20, "tuned in 3 steps")
    run = unlabelled(done, condition("Complete", 40, "AllJobsCompleted")).read()
    assert (states(run)["train"], run.stages[1].message) == ("done", "tuned in 3 steps")
    failed = hooks().done("download", 1).trainjob(15).failed("train", 20, 2, "no row is left")
    run = unlabelled(failed, condition("Failed", 40, "FailedJobs", "jobset failed")).read()
    assert (states(run)["train"], run.exit_code) == ("failed", 2)
    assert run.stages[1].message == "no row is left"


NO_TASK = "task 'arc_eazy' is unknown to lm-eval, to this image and to --include-path. Near: arc_easy."


@pytest.mark.parametrize(
    ("own", "check", "code", "message", "container"),
    [
        (ended(0, "all is well"), ended(2, NO_TASK), 2, NO_TASK, "eval-check"),
        (ended(2, PROBLEMS), ended(0, "all is well"), 2, PROBLEMS, "preflight"),
        (ended(2, PROBLEMS), ended(2, NO_TASK), 2, f"{PROBLEMS} {NO_TASK}", "preflight"),
        (ended(75, "no answer."), ended(2, NO_TASK), 2, f"{NO_TASK} no answer.", "eval-check"),
        (ended(0, "all is well"), ended(137, "", "OOMKilled"), 137,
         "it ran out of memory, and the kernel killed it.", "eval-check"),
    ],
)  # fmt: skip
def test_what_either_container_of_preflight_refuses_is_shown(
    own: Json, check: Json, code: int, message: str, container: str
) -> None:
    cluster = hooks().job("preflight", 1, condition("Failed", 10, "PodFailurePolicy"), failed=1)
    run = cluster.pod(1, own, phase="Failed", check=check).read()
    assert (run.state, run.exit_code, run.message) == ("failed", code, message)
    assert run.stages[0].pod and run.stages[0].pod.container == container
    assert code != 2 or "No stage has started." in what_to_do(run)[0]


def test_preflight_is_not_done_before_both_of_its_containers_are() -> None:
    running = {"running": {"startedAt": at(2)}}
    for own, check, container in (
        (ended(0, "all is well"), running, "eval-check"),
        (running, ended(0, "all is well"), "preflight"),
    ):
        run = hooks().job("preflight", 1).pod(1, own, phase="Running", check=check).read()
        assert states(run)["preflight"] == "running"
        assert run.stages[0].pod and run.stages[0].pod.container == container


def test_a_check_whose_image_is_missing_is_what_preflight_waits_for() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    run = hooks().job("preflight", 1).pod(1, ended(0, "all is well"), phase="Pending", check=waiting).read()
    assert (states(run)["preflight"], run.stages[0].reason) == ("pending", "ImagePullBackOff")


def test_a_preflight_that_never_starts_ends_with_helm_and_reports_why() -> None:
    cluster = hooks().job("preflight", 1).pod(1, {"waiting": {"reason": "InvalidImageName", "message": "no"}})
    assert cluster.read().exit_code is None
    cluster.said.helm = "failed"
    run = cluster.read()
    assert (run.state, run.exit_code) == ("stopped", 2)
    assert run.message == "helm gave up while preflight was not done: InvalidImageName: no"
    assert "images.*" in what_to_do(run)[0]


def test_training_behind_a_trainjob_is_one_stage_like_the_others() -> None:
    cluster = (
        hooks().done("download", 1).trainjob(12).done("train", 13).job("wait", 13, condition("Complete", 30))
    )
    run = cluster.done("eval", 31).done("register", 42).read()
    assert list(states(run).values()) == ["done"] * 4
    assert (run.exit_code, run.seconds(run.started)) == (0, 51)


def test_training_as_a_plain_job_needs_no_trainer() -> None:
    run = hooks().done("download", 1).running("train", 12).read()
    assert (states(run)["train"], run.trainjob) == ("running", "")


def test_a_stage_of_an_earlier_upgrade_is_not_taken_for_the_new_one() -> None:
    cluster = hooks().done("download", 1).trainjob(12).done("train", 13).done("eval", 31).done("register", 42)
    cluster.things = [thing for thing in cluster.things if "download" not in thing["metadata"]["name"]]
    run = cluster.running("download", 100).read(110)
    assert list(states(run).values()) == ["running", "waiting", "waiting", "waiting"]


def test_an_upgrade_begins_with_its_preflight_whatever_was_done_before() -> None:
    cluster = hooks().done("download", 1).done("train", 12).done("eval", 31).done("register", 42)
    run = cluster.running("preflight", 100).read(105)
    assert list(states(run).values()) == ["running", *["waiting"] * 4]
    assert run.exit_code is None


def test_in_ordering_cluster_an_upgrade_that_was_refused_leaves_the_run_alone() -> None:
    cluster = (
        Cluster()
        .trainjob()
        .running("download", 1)
        .failed("preflight", 50, 2, "1 problem before the start: no")
    )
    run = cluster.read()
    assert (run.state, run.exit_code) == ("running", None)
    assert run.notes == ["an upgrade did not pass its preflight: 1 problem before the start: no"]


def test_when_helm_gave_up_the_running_stage_goes_on_and_no_other_starts() -> None:
    cluster = hooks().done("download", 1).trainjob(12).running("train", 13)
    cluster.said.helm = "failed"
    run = cluster.read()
    assert (run.state, run.exit_code) == ("running", None)
    assert run.notes == ["helm gave up: the running stage continues, no later stage will start"]
    cluster = hooks().done("download", 1).trainjob(12).done("train", 13)
    cluster.said.helm = "failed"
    run = cluster.read()
    assert (run.state, run.exit_code) == ("stopped", 2)
    assert states(run) == {"download": "done", "train": "done", "eval": "stopped", "register": "not started"}
    assert "--timeout" in what_to_do(run)[0]


def test_a_helm_that_was_killed_is_missed_and_then_taken_for_gone() -> None:
    cluster = hooks().done("download", 1)
    cluster.said.helm = "pending-install"
    assert cluster.read(15).stages[1].message == "for helm to start it"
    late = "for helm to start it, for 1m00s now. Check that its client still runs."
    assert cluster.read(71).stages[1].message == late
    run = cluster.read(400)
    assert (run.state, run.exit_code) == ("stopped", 2)
    assert what_to_do(run)[-1] == "  helm uninstall run1 -n team"


def test_the_waiter_is_told_of_where_it_decides() -> None:
    cluster = hooks().done("download", 1).trainjob(12).running("train", 13)
    over = condition("Failed", 90, "DeadlineExceeded", "Job was active longer than specified deadline")
    run = cluster.job("wait", 13, over).read()
    assert "helm's waiter for the TrainJob ended: Job was active longer than specified deadline" in run.notes
    assert run.exit_code is None
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    cluster = hooks().done("download", 1).trainjob(12).done("train", 13).job("wait", 13).pod(13, waiting)
    assert cluster.read().notes == [
        "helm's waiter for the TrainJob does not start: ImagePullBackOff not found"
    ]


def test_a_failed_training_is_told_once_and_not_again_by_its_waiter() -> None:
    theirs = condition("Failed", 30, "FailedJobs", "jobset failed due to one or more job failures")
    cluster = hooks().done("download", 1).trainjob(12, False, None, theirs)
    cluster.failed("train", 13, 2, "no row is left to train on")
    run = cluster.failed("wait", 13, 2, "TrainJob failed. no row is left to train on").read()
    assert (run.exit_code, run.message, run.notes) == (2, "no row is left to train on", [])


def test_training_whose_time_ran_out_says_so() -> None:
    theirs = condition("Failed", 30, "FailedJobs", "jobset failed due to one or more job failures")
    cluster = hooks().done("download", 1).trainjob(12, False, None, theirs)
    cluster.job(
        "train", 13, condition("Failed", 29, "DeadlineExceeded", "Job was active longer than allowed")
    )
    run = cluster.read()
    assert (run.exit_code, run.message) == (75, "Job was active longer than allowed")
    assert what_to_do(run)[0].endswith(
        "Its time ran out: train.pod.deadlineMinutes, or hooks.timeoutMinutes."
    )


def test_the_newest_run_is_the_one_that_began_last_and_not_the_one_that_was_tested_last() -> None:
    old, new = Cluster("hooks", run="run1-old"), Cluster("hooks", run="run1-new")
    old.done("download", 1).done("verify", 500)
    new.running("download", 100)
    began = runs_of([*old.things, *new.things])
    assert max(began, key=lambda run: began[run]) == "run1-new"


def test_a_job_whose_pods_are_not_counted_yet_is_running_and_not_missing() -> None:
    run = hooks().job("download", 1).pod(1, ended(0, "96 rows to train on")).read()
    assert (run.stages[0].state, run.stages[0].message) == ("running", "96 rows to train on")
