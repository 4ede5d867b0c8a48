"""The stages of a run, by what keeps their order: a TrainJob with its JobSet, or helm."""

from datetime import UTC, datetime, timedelta

from osft_pipeline.follow.model import Run, Stage, when
from osft_pipeline.follow.objects import Objects, made, newest
from osft_pipeline.follow.pods import STARTING, condition, waiting_words
from osft_pipeline.follow.stages import Said, queue_words, stage_of
from osft_pipeline.kubectl import Json
from osft_pipeline.terminal import plain
from osft_workspace.log import duration

LONG_AGO = datetime.min.replace(tzinfo=UTC)
SLOW = timedelta(seconds=20)
"""After this time a controller that has not acted is reported."""


def below_trainjob(run: Run, objects: Objects, trainjob: Json, said: Said, now: datetime) -> None:
    """Fill in the stages of ordering cluster: each is a Job of the TrainJob's JobSet."""
    for index, stage in enumerate(run.stages):
        job = objects.job(stage.name, run.trainjob)
        if job and made(job) >= made(trainjob):
            run.stages[index] = of_trainjob(stage.name, job, trainjob, objects, said)
            if index == 0:
                note_second_start(run, made(job) - made(trainjob), trainjob)
    current = run.current
    if current and current.state == "waiting":
        wait_for_job(current, trainjob, said, now)
    if current and run.culprit is None:
        fail_with(current, trainjob)


def note_second_start(run: Run, gap: timedelta, trainjob: Json) -> None:
    """Note that a JobSet was deleted: Trainer creates it again, and the run starts over."""
    resumed = condition(trainjob, "Suspended", "False")
    if gap > 2 * SLOW and not resumed:
        late = duration(gap.total_seconds())
        run.notes.append(
            f"its first Job is {late} younger than its TrainJob: Trainer was unavailable, or the JobSet was "
            "deleted and the run started over"
        )


def of_trainjob(name: str, job: Json, trainjob: Json, objects: Objects, said: Said) -> Stage:
    """Return a stage that is a Job below a TrainJob; queues suspend the TrainJob."""
    stage = stage_of(name, job, objects.pods_of(job), said)
    if stage.state == "queued":
        stage.reason, stage.message = queue_words(trainjob, said)
    return stage


def fail_with(stage: Stage, trainjob: Json) -> None:
    """Fail a stage whose TrainJob failed without a failed Job, with the TrainJob's message."""
    failed = condition(trainjob, "Failed")
    if failed and stage.state not in ("done", "failed", "refused"):
        stage.state, stage.reason = "failed", str(failed.get("reason", ""))
        stage.message = plain(str(failed.get("message", "")))
        stage.finished = when(failed.get("lastTransitionTime"))


def wait_for_job(stage: Stage, trainjob: Json, said: Said, now: datetime) -> None:
    """Describe a stage whose turn has come and that has no Job yet."""
    if trainjob["spec"].get("suspend"):
        stage.state = "queued"
        stage.reason, stage.message = queue_words(trainjob, said)
        return
    stage.state, stage.reason, stage.owner = "pending", "NoJob", trainjob["metadata"]["name"]
    if hindrance := said.hindrances.get(stage.owner):
        stage.reason, _, stage.message = hindrance.partition(": ")
    elif now - made(trainjob) > SLOW and not trainjob.get("status", {}).get("jobsStatus"):
        waited = duration((now - made(trainjob)).total_seconds())
        stage.message = (
            f"Kubeflow Trainer has created no Job for {waited}. Check that its controller and JobSet's run."
        )


def by_helm(run: Run, objects: Objects, trainjob: Json | None, said: Said, now: datetime) -> None:
    """Fill in the stages of ordering hooks. Objects older than preflight are of earlier upgrades."""
    preflight = objects.job("preflight")
    after = made(preflight) if preflight else LONG_AGO
    began: list[datetime] = [after] if preflight else []
    for index, stage in enumerate(run.stages):
        top = newest(t for t in (objects.job(stage.name), trainjob if stage.name == "train" else None) if t)
        if top is None or made(top) < after:
            break
        after = made(top)
        began.append(after)
        job = objects.job(stage.name, run.trainjob) if top is trainjob else top
        if job:
            stage = run.stages[index] = of_trainjob(stage.name, job, top, objects, said)
        else:
            wait_for_job(stage, top, said, now)
        if top is trainjob:
            fail_with(stage, top)
        if stage.state != "done":
            break
    run.started = min(began, default=run.started)
    waiter = objects.job("wait")
    if waiter and trainjob and made(waiter) >= made(trainjob):
        tell_waiter(run, objects, waiter, said)


def tell_waiter(run: Run, objects: Objects, waiter: Json, said: Said) -> None:
    """Note how the waiter stands: helm waits for this Job and not for the TrainJob."""
    seen = stage_of("wait", waiter, objects.pods_of(waiter), said)
    train = next((stage for stage in run.stages if stage.name == "train"), None)
    if seen.state in ("failed", "refused") and train and train.state not in ("failed", "refused"):
        run.abandoned = True
        run.notes.append(f"helm's waiter for the TrainJob ended: {seen.message or seen.reason}")
    elif seen.state == "pending" and seen.pod:
        reason, message = waiting_words(seen.pod, "")
        if reason not in ("Starting", *STARTING):
            run.notes.append(f"helm's waiter for the TrainJob does not start: {reason} {message}".rstrip())
