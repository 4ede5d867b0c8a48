"""One run of a release from its objects. Nothing is read from the cluster here."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from osft_pipeline.follow.model import BUG, ENDED, USER, Run, Stage
from osft_pipeline.follow.objects import (
    COMPONENT,
    INSTANCE,
    RUN,
    STAGES,
    Objects,
    label,
    made,
    newest,
    runs_of,
)
from osft_pipeline.follow.ordering import below_trainjob, by_helm
from osft_pipeline.follow.stages import Said, stage_of
from osft_pipeline.kubectl import Json
from osft_workspace.log import duration

LATE = timedelta(seconds=30)
GONE = timedelta(minutes=5)
"""After this time helm, which needs seconds to start the next stage, counts as ended."""


def runs_in(things: Sequence[Json], now: datetime) -> list[Run]:
    """Return every run of every release, from the objects alone."""
    found = []
    for release in {label(thing, INSTANCE) for thing in things} - {""}:
        mine = [thing for thing in things if label(thing, INSTANCE) == release]
        found += [run_of(release, run, mine, Said(), now) for run in runs_of(mine)]
    return found


def run_of(release: str, run_id: str, things: Sequence[Json], said: Said, now: datetime) -> Run:
    """Return one run of a release."""
    objects = Objects(thing for thing in things if label(thing, RUN) == run_id)
    trainjob = newest(objects.trainjobs)
    first = next(thing for thing in (*objects.trainjobs, *objects.jobs))
    run = Run(
        release=release,
        id=run_id,
        namespace=first["metadata"]["namespace"],
        ordering=objects.annotation("ordering"),
        trainjob=trainjob["metadata"]["name"] if trainjob else "",
        started=made(trainjob) if trainjob else made(first),
        stages=[],
    )
    names = objects.annotation("stages") or ",".join(STAGES)
    run.stages = [Stage(name=name) for name in names.split(",")]
    if run.ordering == "cluster" and trainjob:
        below_trainjob(run, objects, trainjob, said, now)
    else:
        by_helm(run, objects, trainjob, said, now)
    add_preflight(run, objects, said)
    settle(run, said, now)
    if any(label(job, COMPONENT) == "cleanup" for job in objects.jobs) and not run.ended:
        run.notes.append("helm uninstall is removing this release")
    return run


def add_preflight(run: Run, objects: Objects, said: Said) -> None:
    """Add preflight, which helm removes when it passed."""
    job = objects.job("preflight")
    if job is None:
        return
    preflight = stage_of("preflight", job, objects.pods_of(job), said)
    alive = [stage for stage in run.stages if stage.state not in ("waiting", *ENDED)]
    if preflight.state == "failed" and alive:
        run.notes.append(f"an upgrade did not pass its preflight: {preflight.message}")
    else:
        run.stages.insert(0, preflight)


def settle(run: Run, said: Said, now: datetime) -> None:
    """Set state and exit code of the run from its stages."""
    run.abandoned = run.abandoned or helm_left(run, said)
    culprit, current = run.culprit, run.current
    last = max((stage.finished for stage in run.stages if stage.finished), default=None)
    if culprit:
        run.state, run.exit_code, run.message = culprit.state, culprit.exit_code or BUG, culprit.message
    elif current is None:
        run.state, run.exit_code, run.message = "done", 0, run.stages[-1].message
    elif why := nobody_goes_on(run, current, last, now):
        current.state = "stopped"
        current.message = ": ".join(part for part in (why, current.reason, current.message) if part)
        run.state, run.exit_code, run.message = "stopped", USER, current.message
    else:
        run.state = current.state
    run.finished = last if run.ended else None
    if run.abandoned and not run.ended:
        run.notes.append("helm gave up: the running stage continues, no later stage will start")
    tell_waiting(run, last, now)


def helm_left(run: Run, said: Said) -> bool:
    """Return whether helm, which starts what is not below a TrainJob, has left this release."""
    by_helm = run.ordering == "hooks" or not run.trainjob
    return by_helm and said.helm not in ("", "unknown") and not said.helm.startswith("pending")


def nobody_goes_on(run: Run, current: Stage, last: datetime | None, now: datetime) -> str:
    """Return why the next stage of ordering hooks will never start; empty while it may."""
    if current.name == "preflight" and run.abandoned:
        return "helm gave up while preflight was not done"
    if current.state != "waiting" or run.ordering != "hooks":
        return ""
    if run.abandoned:
        return f"helm gave up before it started {current.name}: its --timeout passed, or it was stopped"
    if last and now - last > GONE:
        waited = duration((now - last).total_seconds())
        return f"helm has not started {current.name} for {waited}: its client has ended"
    return ""


def tell_waiting(run: Run, last: datetime | None, now: datetime) -> None:
    """Set what each stage that has not begun waits for, or that it will not start."""
    for before, stage in zip([None, *run.stages], run.stages, strict=False):
        if stage.state != "waiting":
            continue
        if run.ended:
            stage.state = "not started"
        elif before and before.state != "done":
            stage.message = f"for {before.name}"
        elif run.ordering == "hooks":
            stage.message = "for helm to start it"
            if last and now - last > LATE:
                waited = duration((now - last).total_seconds())
                stage.message += f", for {waited} now. Check that its client still runs."
