"""What a TrainJob, its Jobs and pods say about a run in ordering cluster."""

import pytest

from osft_pipeline.follow.advice import what_to_do
from osft_pipeline.follow.model import Run, Stage
from tests.client.follow.cluster import Cluster, at, condition, ended, states

GPU = (
    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. no new claims to deallocate, "
    "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
)
LOG = (
    "2026-11-21T16:00:20Z train decomposing weight matrices",
    "2026-11-21T16:00:40Z train training step=24/96 loss=3.433 tokens_per_s=812 left=8m40s",
)


def stage(run: Run, name: str) -> Stage:
    return next(stage for stage in run.stages if stage.name == name)


def test_a_run_is_done_when_every_stage_is() -> None:
    cluster = Cluster().trainjob()
    for number, name in enumerate(("download", "train", "eval", "register")):
        cluster.done(name, 1 + 10 * number, f"{name} left its record")
    run = cluster.read()
    assert (run.state, run.exit_code, run.message) == ("done", 0, "register left its record")
    assert run.seconds(run.started) == 41
    assert stage(run, "eval").seconds(run.started) == 10


def test_a_running_stage_shows_its_progress_and_the_others_what_they_wait_for() -> None:
    run = Cluster().trainjob().done("download", 1).running("train", 12, *LOG).read()
    assert states(run) == {"download": "done", "train": "running", "eval": "waiting", "register": "waiting"}
    progress = stage(run, "train").progress
    assert progress and (progress.share, progress.left) == (0.25, "8m40s")
    assert [stage(run, name).message for name in ("eval", "register")] == ["for train", "for eval"]
    assert (run.state, run.exit_code) == ("running", None)


INSIDE = ("train", "eval", "register")


def test_a_download_inside_the_training_pod_is_listened_to_while_it_runs() -> None:
    cluster = Cluster(stages=INSIDE).trainjob().job("train", 1)
    cluster.pod(1, download={"running": {"startedAt": at(2)}})
    name = cluster.things[-1]["metadata"]["name"]
    cluster.said.logs[name] = ["2026-11-21T16:00:20Z download checking rows MB=1/4 left=3s"]
    train = stage(cluster.read(), "train")
    assert train.state == "running" and train.pod and train.pod.container == "download"
    assert train.progress and train.progress.what == "checking rows"


def test_a_download_that_failed_inside_the_training_pod_speaks_for_it() -> None:
    cluster = Cluster(stages=INSIDE).trainjob()
    cluster.job("train", 1, condition("Failed", 12, "PodFailurePolicy"), failed=1)
    cluster.pod(1, phase="Failed", download=ended(2, "hf://a/b does not exist"))
    run = cluster.read()
    train = stage(run, "train")
    assert (run.exit_code, train.state, train.message) == (2, "failed", "hf://a/b does not exist")
    assert what_to_do(run)[-1].endswith(" -c download")


def test_a_download_whose_image_is_missing_is_reported() -> None:
    cluster = Cluster(stages=INSIDE).trainjob().job("train", 1)
    cluster.pod(1, download={"waiting": {"reason": "ErrImagePull", "message": "desc = no such image"}})
    train = stage(cluster.read(), "train")
    assert (train.state, train.reason, train.message) == ("pending", "ImagePullBackOff", "no such image")


def test_a_download_that_is_done_leaves_the_word_to_the_training() -> None:
    cluster = Cluster(stages=INSIDE).trainjob().job("train", 1)
    cluster.pod(1, {"running": {"startedAt": at(20)}}, download=ended(0))
    train = stage(cluster.read(), "train")
    assert train.state == "running" and train.pod and train.pod.container == ""


def test_stages_that_are_switched_off_are_not_shown() -> None:
    run = Cluster(stages=("download", "train")).trainjob().done("download", 1).done("train", 12).read()
    assert states(run) == {"download": "done", "train": "done"}
    assert run.exit_code == 0


@pytest.mark.parametrize(("code", "state"), [(2, "failed"), (3, "refused")])
def test_a_stage_that_ends_for_good_gives_the_run_its_code_and_its_sentence(code: int, state: str) -> None:
    run = (
        Cluster()
        .trainjob()
        .done("download", 1)
        .failed("train", 12, code, "no row is left to train on")
        .read()
    )
    assert states(run) == {
        "download": "done",
        "train": state,
        "eval": "not started",
        "register": "not started",
    }
    assert (run.state, run.exit_code, run.message) == (state, code, "no row is left to train on")
    assert f"Exit code {code}" in what_to_do(run)[0]


def test_a_killed_pod_is_explained_although_it_left_no_sentence() -> None:
    cluster = (
        Cluster()
        .trainjob()
        .done("download", 1)
        .job("train", 12, condition("Failed", 30, "BackoffLimitExceeded"))
    )
    run = cluster.pod(12, ended(137, "\n".join(LOG), "OOMKilled", 30)).read()
    assert run.message == "it ran out of memory, and the kernel killed it."
    assert run.exit_code == 137
    assert "train.pod.resources" in what_to_do(run)[0]


def test_a_crash_shows_the_last_line_of_what_the_kubelet_kept() -> None:
    cluster = Cluster().trainjob().job("download", 1, condition("Failed", 30, "BackoffLimitExceeded"))
    run = cluster.pod(1, ended(1, "Traceback (most recent call last):\n  ...\nImportError: no torch")).read()
    assert (run.message, run.exit_code) == ("ImportError: no torch", 1)


def test_an_attempt_that_failed_is_told_while_the_next_one_waits_and_runs() -> None:
    away = ended(75, "s3://rows answered 503, 4 times.", seconds=20)
    cluster = Cluster().trainjob().job("download", 1, failed=1).pod(1, away)
    waits = stage(cluster.read(), "download")
    assert (waits.state, waits.attempt, waits.attempts) == ("retrying", 2, 4)
    assert waits.message == "the attempt before ended with exit code 75: s3://rows answered 503, 4 times."
    cluster.pod(30, {"running": {}})
    runs = stage(cluster.read(), "download")
    assert (runs.state, runs.attempt, runs.message) == ("running", 2, waits.message)


def test_pods_lost_with_their_node_are_not_counted_as_attempts() -> None:
    gone = condition("DisruptionTarget", 5, "PreemptionByScheduler", "preempted by a pod of higher priority")
    cluster = Cluster().trainjob().job("download", 1).pod(1, ended(143, seconds=5), conditions=(gone,))
    found = stage(cluster.pod(9, {"running": {}}).read(), "download")
    assert (found.state, found.attempt) == ("running", 1)
    assert found.message.endswith("exit code 143: preempted by a pod of higher priority")


def test_a_pod_without_a_node_says_what_is_missing_and_what_helps() -> None:
    held = condition("PodScheduled", 12, "Unschedulable", GPU, "False")
    run = Cluster().trainjob().done("download", 1).job("train", 12).pod(12, conditions=(held,)).read()
    found = stage(run, "train")
    assert (found.state, found.reason) == ("pending", "Unschedulable")
    assert found.message == "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_a_missing_image_has_one_name_while_the_kubelet_tries_and_rests(reason: str) -> None:
    said = 'failed to resolve reference "registry/train:9": not found'
    around = "rpc error: code = NotFound desc = "
    if reason == "ImagePullBackOff":
        around = f'Back-off pulling image "registry/train:9": ErrImagePull: {around}'
    waiting = {"waiting": {"reason": reason, "message": around + said}}
    found = stage(Cluster().trainjob().job("download", 1).pod(1, waiting).read(), "download")
    assert (found.state, found.reason, found.message) == ("pending", "ImagePullBackOff", said)


def test_what_the_cluster_warns_about_explains_a_pod_that_only_starts() -> None:
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    cluster = Cluster().trainjob().job("download", 1).pod(1, waiting)
    pod = cluster.things[-1]["metadata"]["name"]
    cluster.said.hindrances[pod] = "FailedMount: MountVolume.SetUp failed: no such server"
    found = stage(cluster.read(), "download")
    assert (found.reason, found.message) == ("FailedMount", "MountVolume.SetUp failed: no such server")


def test_a_job_that_may_not_make_pods_is_pending_with_the_reason() -> None:
    cluster = Cluster().trainjob().job("download", 1)
    cluster.said.hindrances[cluster.things[-1]["metadata"]["name"]] = "FailedCreate: exceeded quota: q"
    found = stage(cluster.read(), "download")
    assert (found.state, found.reason, found.message) == ("pending", "FailedCreate", "exceeded quota: q")


def test_of_two_nodes_the_one_that_began_is_blamed() -> None:
    cluster = Cluster().trainjob().job("train", 1, condition("Failed", 40, "BackoffLimitExceeded"), nodes=2)
    cluster.pod(1, ended(1, "rank 1 lost its GPU", seconds=30), rank=1)
    run = cluster.pod(1, ended(143, seconds=31), rank=0).read()
    found = stage(run, "train")
    assert (run.exit_code, run.message) == (1, "rank 1 lost its GPU")
    assert found.pod and found.pod.rank == 1 and [pod.rank for pod in found.others] == [0]


def test_two_nodes_are_one_attempt() -> None:
    cluster = Cluster().trainjob().job("train", 1, nodes=2, failed=2)
    for rank in (0, 1):
        cluster.pod(1, ended(75, "away", seconds=20), rank=rank).pod(30, {"running": {}}, rank=rank)
    found = stage(cluster.read(), "train")
    assert (found.state, found.attempt, found.attempts) == ("running", 2, 4)
    assert found.pod and found.pod.state == "running" and [pod.state for pod in found.others] == ["running"]


def test_one_node_that_waits_holds_the_stage() -> None:
    held = condition("PodScheduled", 12, "Unschedulable", GPU, "False")
    cluster = Cluster().trainjob().job("train", 1, nodes=2).pod(1, {"running": {}}, rank=0)
    assert stage(cluster.pod(1, rank=1, conditions=(held,)).read(), "train").state == "pending"


def test_a_passed_deadline_is_told_although_the_pod_is_gone() -> None:
    over = condition("Failed", 60, "DeadlineExceeded", "Job was active longer than specified deadline")
    run = Cluster().trainjob().job("download", 1, over).read()
    assert (run.state, run.exit_code) == ("failed", 75)
    assert "data.pod.deadlineMinutes" in what_to_do(run)[0]


def test_the_exit_code_is_known_from_the_job_when_the_pod_is_gone() -> None:
    message = "Container node for pod team/x failed with exit code 2 matching FailJob rule at index 0"
    run = Cluster().trainjob().job("train", 1, condition("Failed", 60, "PodFailurePolicy", message)).read()
    assert (run.exit_code, run.message) == (2, message)


def test_a_job_that_has_met_its_criteria_says_when_before_it_is_complete() -> None:
    met = condition("SuccessCriteriaMet", 7)
    download = Cluster().trainjob().job("download", 1, met).pod(1, ended(0)).read().stages[0]
    assert (download.state, download.seconds(download.started)) == ("done", 6)


def test_done_stages_whose_pods_are_gone_stay_done() -> None:
    run = Cluster(stages=("download",)).trainjob().job("download", 1, condition("Complete", 9)).read()
    assert (run.state, run.stages[0].message) == ("done", "its pods are gone")


def test_what_a_stage_said_is_kept_when_its_pods_go() -> None:
    cluster = Cluster(stages=("download", "train")).trainjob().done("download", 1, "96 rows to train on")
    cluster.read()
    cluster.things = [thing for thing in cluster.things if thing["kind"] != "Pod"]
    assert cluster.read().stages[0].message == "96 rows to train on"


def test_a_pod_that_is_being_deleted_is_an_attempt_that_comes_again() -> None:
    cluster = Cluster().trainjob().running("download", 1)
    cluster.things[-1]["metadata"]["deletionTimestamp"] = at(50)
    found = stage(cluster.read(), "download")
    assert (found.state, found.reason, found.message) == (
        "retrying",
        "Terminating",
        "its pod was removed",
    )


def test_a_trainjob_that_failed_without_a_job_says_why() -> None:
    run = Cluster().failed_trainjob("TrainingRuntimeNotSupported", "runtime is missing").read()
    assert (run.state, run.exit_code, run.message) == ("failed", 1, "runtime is missing")
    assert states(run)["download"] == "failed"


def test_failed_is_final_the_moment_it_is_seen() -> None:
    cluster = Cluster().trainjob().job("download", 1, condition("FailureTarget", 9, "PodFailurePolicy"))
    assert cluster.pod(1, ended(2, "data.uri is empty")).read().exit_code == 2


def test_jobs_much_younger_than_their_trainjob_are_a_second_start() -> None:
    run = Cluster().trainjob().running("download", 500).read(510)
    assert "its first Job is 8m20s younger than its TrainJob" in run.notes[0]
    assert not Cluster().trainjob().running("download", 1).read(510).notes


def test_a_suspended_run_is_queued() -> None:
    run = Cluster().trainjob(0, True).job("download", 1, suspend=True).read()
    assert (run.state, run.stages[0].reason) == ("queued", "Suspended")


def test_kueue_says_what_a_queued_run_waits_for() -> None:
    cluster = Cluster().trainjob(0, True, {"kueue.x-k8s.io/queue-name": "research"})
    assert stage(cluster.read(), "download").message == "queue research has not admitted it"
    why = "couldn't assign flavors to pod set node: insufficient unused quota for nvidia.com/gpu"
    owner = {"uid": cluster.things[0]["metadata"]["uid"]}
    workload = {
        "metadata": {"ownerReferences": [owner]},
        "status": {"conditions": [condition("QuotaReserved", 1, "Pending", why, "False")]},
    }
    cluster.said.workloads = [workload]
    assert stage(cluster.read(), "download").message == f"queue research: {why}"


def test_controllers_that_do_nothing_are_named() -> None:
    assert stage(Cluster().trainjob().read(5), "download").message == ""
    late = stage(Cluster().trainjob().read(65), "download").message
    assert "Check that its controller and JobSet's run." in late


def test_an_upgrade_in_the_same_run_is_read_from_its_new_trainjob() -> None:
    old = Cluster().trainjob().failed("download", 1, 137, "out of memory", "BackoffLimitExceeded")
    new = Cluster()
    new.trainjob_name = f"{new.run}-ffff"
    new.trainjob(100).running("download", 101)
    new.things += old.things
    run = new.read(110)
    assert (run.state, run.exit_code) == ("running", None)


def test_who_may_not_list_trainjobs_still_sees_the_run() -> None:
    cluster = Cluster().done("download", 1).running("train", 12, *LOG)
    run = cluster.read()
    assert (run.ordering, run.trainjob) == ("cluster", cluster.trainjob_name)
    assert states(run) == {"download": "done", "train": "running", "eval": "waiting", "register": "waiting"}
