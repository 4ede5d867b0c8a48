"""`train.runtimeRef`: training on a runtime that is installed in the cluster."""

from collections.abc import Mapping

import pytest

from tests.chart.rendering import HOOKS, Object, Pod, kinds, one, overlay, refusal, render, stage_pods
from tests.chart.test_rendering import OLDEST, kubeconform

PATCHES = ("runtimePatches", "podTemplateOverrides")
INSTALLED: Object = overlay(HOOKS, {"train": {"runtimeRef": {"name": "torch-distributed"}}})
FULL: Object = {
    "train": {
        "nodes": 2,
        "gpus": 4,
        "pod": {
            "labels": {"team": "research"},
            "annotations": {"sidecar.istio.io/inject": "false"},
            "env": {"NCCL_IB_HCA": "mlx5_0,mlx5_1", "UID": {"valueFrom": {"fieldRef": {"fieldPath": "x"}}}},
            "nodeSelector": {"zone": "a"},
            "affinity": {"nodeAffinity": {}},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "serviceAccountName": "trainer",
            "extraVolumes": [{"name": "notes", "configMap": {"name": "notes"}}],
            "extraVolumeMounts": [{"name": "notes", "mountPath": "/notes", "readOnly": True}],
        },
        "tracking": {"wandb": {"project": "p"}},
    },
    "secrets": {"wandb": {"existing": "wandb"}},
    "images": {"pullSecrets": ["pull"]},
    "workspace": {"accessModes": ["ReadWriteMany"]},
    "queue": {"name": "team"},
}
BOTH = ("image", "command", "args", "env", "resources")


def speaking(patches: str) -> Object:
    """Return values for a cluster that takes changes of a runtime's pods in this field."""
    return overlay(INSTALLED, FULL, {"train": {"runtimeRef": {"patches": patches}}})


def paths(pod: Pod) -> dict[str, Mapping[str, object]]:
    """Return what is mounted where, without the volumes' names."""
    return {path: {k: v for k, v in mount.items() if k != "name"} for path, mount in pod.mounts.items()}


@pytest.mark.parametrize("patches", PATCHES)
def test_the_trainjob_names_the_runtime_and_fits_the_schema_of_its_trainer(
    patches: str, schemas: list[str]
) -> None:
    objects = render(speaking(patches))
    assert "TrainingRuntime" not in kinds(objects)
    job = one(objects, "TrainJob")
    kind = {"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime"}
    assert job["spec"]["runtimeRef"] == {**kind, "name": "torch-distributed"}
    assert set(PATCHES) & set(job["spec"]) == {patches}
    before = ("-schema-location", OLDEST) if patches == "podTemplateOverrides" else ()
    kubeconform(schemas, [job], *before)
    other = ("-schema-location", OLDEST) if not before else ()
    with pytest.raises(AssertionError, match=patches):
        kubeconform(schemas, [job], *other)


@pytest.mark.parametrize("patches", PATCHES)
def test_training_gets_what_it_gets_from_the_charts_own_runtime(patches: str) -> None:
    own = stage_pods(render(overlay(HOOKS, FULL)))["train"]
    found = stage_pods(render(speaking(patches)))["train"]
    assert {key: found.container[key] for key in BOTH} == {key: own.container[key] for key in BOTH}
    assert (found.labels, found.annotations) == (own.labels, own.annotations)
    assert paths(found) == paths(own)
    spec = ["serviceAccountName", "imagePullSecrets", "nodeSelector", "affinity", "tolerations"]
    if patches == "runtimePatches":
        spec += ["securityContext", "terminationGracePeriodSeconds"]
        assert found.container["securityContext"] == own.container["securityContext"]
    assert {key: found.spec[key] for key in spec} == {key: own.spec[key] for key in spec}
    trainer = one(render(speaking(patches)), "TrainJob")["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 4)


def test_volumes_have_names_of_their_own_so_that_none_is_mixed_with_one_of_the_runtime() -> None:
    pod = stage_pods(render(speaking("runtimePatches")))["train"]
    names = [volume["name"] for volume in pod.spec["volumes"]]
    assert names == ["osft-tmp", "osft-shm", "osft-workspace", "notes"]


def test_the_job_of_a_run_can_be_found_and_has_the_time_limit_of_training() -> None:
    job = one(render(overlay(INSTALLED, {"train": {"pod": {"deadlineMinutes": 30}}})), "TrainJob")["spec"]
    (patch,) = job["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert node["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "train"
    assert job["activeDeadlineSeconds"] == 1800
    old = one(render(speaking("podTemplateOverrides")), "TrainJob")["spec"]
    assert "activeDeadlineSeconds" not in old


def test_a_runtime_of_the_namespace_is_named_by_its_kind() -> None:
    values = overlay(INSTALLED, {"train": {"runtimeRef": {"kind": "TrainingRuntime"}}})
    assert one(render(values), "TrainJob")["spec"]["runtimeRef"]["kind"] == "TrainingRuntime"


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"ordering": "cluster"}, "ordering is cluster, in which one TrainJob runs all four stages"),
        ({"train": {"runAs": "job"}}, "train.runAs is job, which uses no runtime"),
        ({"data": {"runAs": "initContainer"}}, "a TrainJob cannot add a container"),
        ({"train": {"pod": {"retries": 5}}}, "set retries, which a TrainJob cannot change"),
        (
            {"stageDefaults": {"schedulerName": "a", "priorityClassName": "b"}},
            "set priorityClassName and schedulerName, which",
        ),
        (
            {"train": {"runtimeRef": {"patches": "podTemplateOverrides"}, "pod": {"deadlineMinutes": 9}}},
            "set deadlineMinutes, which a TrainJob cannot change in an installed runtime "
            "(train.runtimeRef.patches is podTemplateOverrides)",
        ),
        (
            {
                "train": {
                    "pod": {
                        "extraVolumes": [{"name": "a", "emptyDir": {}}],
                        "extraVolumeMounts": [{"name": "a", "mountPath": path} for path in ("/a", "/b")],
                    }
                }
            },
            "mounts the volume a twice",
        ),
    ],
)
def test_what_an_installed_runtime_cannot_do_is_refused(over: Object, words: str) -> None:
    assert words in refusal(overlay(INSTALLED, over))


def test_a_kind_or_field_without_a_name_is_refused() -> None:
    for key, value in (("kind", "TrainingRuntime"), ("patches", "podTemplateOverrides")):
        said = refusal({"train": {"runtimeRef": {key: value}}})
        assert f"train.runtimeRef.{key} is {value} and train.runtimeRef.name is empty" in said


def test_what_stage_defaults_set_can_be_taken_back_for_training() -> None:
    over = {"stageDefaults": {"priorityClassName": "low"}, "train": {"pod": {"priorityClassName": ""}}}
    pods = stage_pods(render(overlay(INSTALLED, over)))
    assert pods["eval"].spec["priorityClassName"] == "low"
    assert "priorityClassName" not in pods["train"].spec
