"""Which values make a new run, which go on in the same one, and what the objects are called."""

import re

import pytest

from tests.chart.rendering import COMPONENT, HOOKS, RUN, Object, one, overlay, render, run_id


def names(values: Object, **options: object) -> tuple[str, str]:
    """Return run id and the TrainJob's name."""
    objects = render(values, **options)  # type: ignore[arg-type]
    return run_id(objects), one(objects, "TrainJob")["metadata"]["name"]


def test_the_run_id_is_the_release_and_eight_hex_digits() -> None:
    run, job = names({})
    assert re.fullmatch(r"run1-[0-9a-f]{8}", run)
    assert re.fullmatch(rf"{run}-[0-9a-f]{{4}}", job)
    assert names({}, name="other")[0].startswith("other-")


def test_unchanged_values_change_nothing_at_an_upgrade() -> None:
    first, second = render({}), render({}, flags=["--is-upgrade"])
    kinds = ("TrainJob", "TrainingRuntime")
    assert [t for t in first if t["kind"] in kinds] == [t for t in second if t["kind"] in kinds]


@pytest.mark.parametrize(
    "values",
    [
        {"model": {"uri": "hf://other/model"}},
        {"model": {"revision": "abc"}},
        {"model": {"trustRemoteCode": True}},
        {"model": {"resizeEmbeddings": True}},
        {"data": {"uri": "hf://other/data"}},
        {"data": {"subset": 10}},
        {"data": {"seed": 7}},
        {"data": {"systemRole": "merge"}},
        {"data": {"overlap": "warn"}},
        {"data": {"minTokens": 0}},
        {"train": {"learningRate": 1e-5}},
        {"train": {"gpus": 8}},
        {"train": {"extraArgs": {"save_dtype": "float32"}}},
        {"train": {"checkpoints": {"everyEpoch": True}}},
    ],
)
def test_what_decides_the_model_makes_a_new_run_beside_the_old_one(values: Object) -> None:
    assert names(values)[0] != names({})[0]
    assert names(values)[1] != names({})[1]


@pytest.mark.parametrize(
    "values",
    [
        {"eval": {"gates": {"maxTaskDrop": 5}}},
        {"eval": {"batchSize": 4}},
        {"register": {"address": "registry:8080"}},
        {"register": {"enabled": False}},
        {"train": {"pod": {"resources": {"limits": {"memory": "64Gi"}}}}},
        {"data": {"timeoutSeconds": 90}},
        {"train": {"checkpoints": {"everyMinutes": 5}}},
        {"train": {"tracking": {"wandb": {"project": "p"}}}},
        {"stageDefaults": {"nodeSelector": {"pool": "b"}}},
        {"stageDefaults": {"retries": 9}},
        {"secrets": {"hf": {"existing": "hf-token"}}},
        {"images": {"tag": "0.1.1"}},
        {"queue": {"name": "research"}},
        {"runOverwrite": True},
    ],
)
def test_what_does_not_goes_on_in_the_same_run_under_a_trainjob_of_its_own(values: Object) -> None:
    assert names(values)[0] == names({})[0]
    # A TrainJob and its runtime cannot be changed in place.
    assert names(values)[1] != names({})[1]


@pytest.mark.parametrize(
    "values",
    [
        {"preflight": {"enabled": False}},
        {"workspace": {"minFreeGiB": 1}},
        {"queue": {"suspend": True}},
        {"secrets": {"hf": {"create": {"token": ""}}}},
    ],
)
def test_what_no_stage_sees_leaves_the_trainjob_alone(values: Object) -> None:
    assert names(values) == names({})


def test_objects_that_share_a_name_share_what_cannot_be_changed() -> None:
    assert one(render({"queue": {"suspend": True}}), "TrainingRuntime") == one(render(), "TrainingRuntime")


def test_a_query_that_selects_other_rows_makes_another_run() -> None:
    ids = {names({"data": {"uri": f"https://data.example.com/rows?id={number}"}})[0] for number in (1, 2)}
    assert len(ids) == 2


def test_a_number_is_the_same_however_it_is_written() -> None:
    written = names({}, sets=["train.learningRate=0.000005"])
    assert written == names({"train": {"learningRate": 5e-6}}) == names({"train": {"learningRate": "5e-6"}})


def test_a_run_can_be_named() -> None:
    run, job = names({"runId": "run1-0a1b2c3d", "data": {"enabled": False}})
    assert run == "run1-0a1b2c3d"
    assert job.startswith("run1-0a1b2c3d-")


def test_hooks_are_called_by_run_and_stage() -> None:
    objects = render(HOOKS)
    run = run_id(objects)
    jobs = {t["metadata"]["name"] for t in objects if t["kind"] in ("Job", "TrainJob")}
    assert {f"{run}-{s}" for s in ("download", "train", "wait", "eval", "register")} < jobs
    assert run == run_id(render())


@pytest.mark.parametrize("values", [{}, HOOKS, overlay(HOOKS, {"train": {"runAs": "job"}})])
def test_every_object_of_a_run_names_its_ordering_and_its_stages(values: Object) -> None:
    objects = render(overlay(values, {"eval": {"enabled": False}}))
    told = [t["metadata"]["annotations"] for t in objects if t["kind"] in ("TrainJob", "Job")]
    told += [job["template"]["metadata"]["annotations"] for job in replicated_jobs(objects)]
    for annotations in told:
        assert annotations["osft-pipeline/ordering"] == values.get("ordering", "cluster")
        assert annotations["osft-pipeline/stages"] == "download,train,register"


def test_the_jobs_below_a_trainjob_are_found_by_the_labels_of_the_run() -> None:
    objects = render()
    for job, stage in zip(replicated_jobs(objects), ("download", "train", "eval", "register"), strict=True):
        labels = job["template"]["metadata"]["labels"]
        assert (labels[RUN], labels[COMPONENT]) == (run_id(objects), stage)
        assert labels["app.kubernetes.io/instance"] == "run1"


def replicated_jobs(objects: list[Object]) -> list[Object]:
    """Return the Jobs that JobSet will make."""
    runtimes = [t["spec"]["template"]["spec"] for t in objects if t["kind"] == "TrainingRuntime"]
    return [job for spec in runtimes for job in spec["replicatedJobs"]]


def test_helm_upgrade_replaces_hooks_of_the_same_name_and_makes_new_runs_beside() -> None:
    changed = overlay(HOOKS, {"train": {"epochs": 2}})
    assert not {
        t["metadata"]["name"] for t in render(HOOKS) if run_id(render(HOOKS)) in t["metadata"]["name"]
    } & {t["metadata"]["name"] for t in render(changed)}


def test_every_object_fits_in_forty_characters_at_the_longest_name_that_is_taken() -> None:
    for values, length in (({}, 26), (HOOKS, 22)):
        name = "r" * length
        longest = [
            t["metadata"]["name"]
            for t in render(values, name=name)
            if t["kind"] in ("Job", "TrainJob", "TrainingRuntime")
        ]
        assert max(map(len, longest)) == 40
