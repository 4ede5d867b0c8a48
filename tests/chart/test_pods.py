"""Every pod that the chart makes: security, environment, resources, placement, failure policy."""

from typing import Any

import pytest
import yaml

from tests.chart.rendering import (
    HOOKS,
    SECTIONS,
    STAGES,
    Object,
    Pod,
    overlay,
    pods,
    render,
    run_id,
    stage_pods,
)

HELPERS = ("preflight", "wait", "verify", "cleanup")
JOB = overlay(HOOKS, {"train": {"runAs": "job"}})
ALL = overlay(HOOKS, {"register": {"tls": {"caSecret": "ca"}}, "secrets": {"hf": {"existing": "hf"}}})
DEFAULTS = {"download": "data", "train": "train", "eval": "eval", "register": "register"}


def every_pod() -> list[Pod]:
    """Return all pods of both orderings and of training as a Job."""
    return [pod for values in ({}, ALL, JOB) for pod in pods(render(values))]


def test_all_kinds_of_pods_are_looked_at_here() -> None:
    assert {pod.stage for pod in every_pod()} == {*STAGES, *HELPERS}
    assert len(every_pod()) == 7 + 8 + 7


def test_every_pod_fits_the_restricted_pod_security_standard() -> None:
    for pod in every_pod():
        assert pod.spec["securityContext"]["runAsNonRoot"] is True
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        security = pod.container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod.spec)
        assert {next(key for key in volume if key != "name") for volume in pod.spec["volumes"]} <= {
            "emptyDir",
            "persistentVolumeClaim",
            "secret",
        }


def test_no_user_id_is_fixed_and_volumes_belong_to_group_0() -> None:
    for pod in every_pod():
        security = pod.spec["securityContext"]
        assert not {"runAsUser", "runAsGroup"} & {*security, *pod.container["securityContext"]}
        assert security["fsGroup"] == 0
        assert security["fsGroupChangePolicy"] == "OnRootMismatch"


def test_openshift_chooses_the_group_itself() -> None:
    openshift = render(flags=["--api-versions=security.openshift.io/v1"])
    assert not [pod for pod in pods(openshift) if "fsGroup" in pod.spec["securityContext"]]


@pytest.mark.parametrize(("given", "seen"), [(1000, 1000), (0, 0), ("", None)])
def test_the_group_of_the_workspace_is_a_value(given: Any, seen: Any) -> None:
    for flags in ((), ("--api-versions=security.openshift.io/v1",)):
        found = {
            pod.spec["securityContext"].get("fsGroup")
            for pod in pods(render({"workspace": {"fsGroup": given}}, flags=flags))
        }
        assert found == {seen}


def test_only_the_pods_that_ask_the_cluster_have_a_token() -> None:
    for pod in every_pod():
        asks = pod.stage in ("wait", "cleanup")
        assert pod.spec["automountServiceAccountToken"] is asks, pod.stage
        assert pod.spec.get("serviceAccountName") == (f"run1-{pod.stage}" if asks else None)
        assert pod.spec["enableServiceLinks"] is False
    for thing in render(HOOKS):
        if thing["kind"] == "ServiceAccount":
            assert thing["automountServiceAccountToken"] is False


def test_exit_codes_2_and_3_end_a_job_and_a_lost_node_does_not_count() -> None:
    for pod in every_pod():
        if pod.job is None:
            continue
        assert pod.spec["restartPolicy"] == "Never"
        assert pod.job["podFailurePolicy"]["rules"] == [
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": pod.container["name"], "operator": "In", "values": [2, 3]},
            },
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]


def test_other_exit_codes_are_retried_as_often_as_the_stage_says() -> None:
    values = {"stageDefaults": {"retries": 5}, "eval": {"pod": {"retries": 0}}}
    limits = {stage: pod.job["backoffLimit"] for stage, pod in stage_pods(render(values)).items() if pod.job}
    assert limits == {"download": 5, "train": 5, "eval": 0, "register": 5, "preflight": 1, "cleanup": 1}


def test_a_deadline_belongs_to_one_stage() -> None:
    jobs = {s: p.job for s, p in stage_pods(render({"train": {"pod": {"deadlineMinutes": 90}}})).items()}
    minutes = {stage: job["activeDeadlineSeconds"] / 60 for stage, job in jobs.items() if job}
    assert minutes == {
        "download": 1440, "train": 90, "eval": 20160, "register": 240, "preflight": 60, "cleanup": 60,
    }  # fmt: skip
    assert stage_pods(render())["verify"].spec["activeDeadlineSeconds"] == 3600


def test_a_deadline_of_0_means_no_limit() -> None:
    pod = {"pod": {"deadlineMinutes": 0}}
    objects = render(dict.fromkeys((*SECTIONS.values(), "preflight"), pod))
    assert "activeDeadlineSeconds" not in yaml.safe_dump(objects)


def test_every_stage_gets_the_environment_of_the_contract() -> None:
    objects = render()
    for stage in STAGES:
        env = stage_pods(objects)[stage].env
        assert env["OSFT_WORKSPACE"] == "/workspace"
        assert env["OSFT_RUN_ID"] == run_id(objects)
        assert env["OSFT_WORKSPACE_CLAIM"] == "run1-workspace"
        assert env["OSFT_PVC_ROOT"] == "/mnt/pvc"
        assert env["PYTHONUNBUFFERED"] == "1"
        for cache in (
            "HOME", "HF_HOME", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR",
            "NUMBA_CACHE_DIR", "MPLCONFIGDIR",
        ):  # fmt: skip
            assert env[cache].startswith("/tmp/"), cache


def test_stages_that_need_no_network_are_told_so() -> None:
    def offline(values: Object) -> set[str]:
        return {s for s, pod in stage_pods(render(values)).items() if pod.env.get("HF_HUB_OFFLINE") == "1"}

    assert offline({}) == {"train", "eval", "register"}
    assert offline({"eval": {"downloadBenchmarks": True}}) == {"train", "eval", "register"}
    for pod in pods(render()):
        assert ("HF_HUB_OFFLINE" in pod.env) == ("HF_DATASETS_OFFLINE" in pod.env)


def test_memory_of_gpus_is_kept_from_falling_to_pieces() -> None:
    told = {s for s, pod in stage_pods(render()).items() if "PYTORCH_CUDA_ALLOC_CONF" in pod.env}
    assert told == {"train", "eval"}


def test_the_user_s_environment_wins_and_keeps_its_commas() -> None:
    ref = {"valueFrom": {"configMapKeyRef": {"name": "hub", "key": "endpoint"}}}
    other = {"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    common = {"NCCL_IB_HCA": "mlx5_0,mlx5_1=a", "HF_HOME": "/cache", "HF_ENDPOINT": ref, "N": 1000000}
    own = {"HF_HOME": "", "HF_ENDPOINT": other}
    stages = stage_pods(render({"stageDefaults": {"env": common}, "eval": {"pod": {"env": own}}}))
    assert stages["train"].env["NCCL_IB_HCA"] == "mlx5_0,mlx5_1=a"
    assert stages["train"].env["HF_HOME"] == "/cache"
    assert stages["train"].env["HF_ENDPOINT"] == ref["valueFrom"]
    assert stages["train"].env["N"] == "1000000"
    # An empty text is a value, and two sources of one variable are never mixed.
    assert stages["eval"].env["HF_HOME"] == ""
    assert stages["eval"].env["HF_ENDPOINT"] == other["valueFrom"]


def test_variables_are_named_once() -> None:
    for pod in every_pod():
        names = [entry["name"] for entry in pod.container["env"]]
        assert len(set(names)) == len(names)


def test_labels_and_annotations_reach_pods_with_their_commas() -> None:
    values = {
        "stageDefaults": {"annotations": {"note": "a=b,c=d"}, "labels": {"team": "search"}},
        "train": {"pod": {"annotations": {"own": "1,2"}, "labels": {"team": "train"}}},
    }
    stages = stage_pods(render(values))
    assert stages["download"].annotations == {"note": "a=b,c=d"}
    assert stages["train"].annotations == {"note": "a=b,c=d", "own": "1,2"}
    assert stages["download"].labels["team"] == "search"
    assert stages["train"].labels["team"] == "train"


def test_the_labels_that_others_rely_on_cannot_be_lost() -> None:
    values = {
        "stageDefaults": {"labels": {"osft-pipeline/run": "mine", "app.kubernetes.io/component": "mine"}}
    }
    objects = render(values)
    assert {pod.stage for pod in pods(objects)} == {*STAGES, "preflight", "verify", "cleanup"}
    for pod in pods(objects):
        assert pod.labels["osft-pipeline/run"] == run_id(render())
        assert pod.labels["app.kubernetes.io/name"] == "osft-pipeline"
        assert pod.labels["app.kubernetes.io/instance"] == "run1"


PLACEMENT: Object = {
    "nodeSelector": {"pool": "a"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
    "schedulerName": "volcano",
}


@pytest.mark.parametrize("values", [{}, HOOKS, JOB], ids=["cluster", "hooks", "job"])
def test_placement_reaches_all_pods_those_that_train_too(values: Object) -> None:
    for pod in pods(render(overlay(values, {"stageDefaults": PLACEMENT}))):
        assert {key: pod.spec.get(key) for key in PLACEMENT} == PLACEMENT, pod.stage


def test_a_stage_overrides_lists_and_words_and_adds_to_maps() -> None:
    own = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [],
        "priorityClassName": "low",
        "schedulerName": "default-scheduler",
    }
    stages = stage_pods(render({"stageDefaults": PLACEMENT, "train": {"pod": own}}))
    spec = stages["train"].spec
    assert spec["nodeSelector"] == {"pool": "a", "disk": "ssd"}
    assert "tolerations" not in spec
    assert (spec["priorityClassName"], spec["schedulerName"]) == ("low", "default-scheduler")
    assert spec["affinity"] == PLACEMENT["affinity"]
    assert stages["eval"].spec["tolerations"] == PLACEMENT["tolerations"]


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.10gb"])
def test_gpus_are_asked_for_by_name_and_count_for_each_stage(resource: str) -> None:
    values = {"stageDefaults": {"gpuResource": resource}, "train": {"gpus": 4}, "eval": {"gpus": 2}}
    limits = {s: pod.container["resources"]["limits"] for s, pod in stage_pods(render(values)).items()}
    assert limits["train"][resource] == 4
    assert limits["eval"][resource] == 2
    assert not any("/" in key for s in ("download", "register", "preflight") for key in limits[s])


def test_one_stage_may_use_another_kind_of_gpu() -> None:
    stages = stage_pods(render({"eval": {"pod": {"gpuResource": "nvidia.com/mig-3g.40gb"}}}))
    assert stages["eval"].container["resources"]["limits"]["nvidia.com/mig-3g.40gb"] == 1
    assert stages["train"].container["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_without_gpus_none_are_asked_for() -> None:
    for pod in pods(render({"train": {"gpus": 0}, "eval": {"gpus": 0}})):
        assert not any("/" in key for key in pod.container["resources"]["limits"])
        if pod.stage in ("train", "eval"):
            assert pod.flag("gpus") == ["0"]


def test_resources_are_laid_over_the_defaults_key_by_key() -> None:
    values = {
        "stageDefaults": {"resources": {"requests": {"ephemeral-storage": "1Gi"}, "limits": {"cpu": "12"}}},
        "train": {"pod": {"resources": {"requests": {"memory": "16Gi"}}}},
    }
    assert stage_pods(render(values))["train"].container["resources"] == {
        "requests": {"cpu": "8", "memory": "16Gi", "ephemeral-storage": "1Gi"},
        "limits": {"cpu": "12", "memory": "32Gi", "nvidia.com/gpu": 1},
    }


def test_one_limit_is_enough_to_change_the_memory() -> None:
    stages = stage_pods(render({"train": {"pod": {"resources": {"limits": {"memory": "16Gi"}}}}}))
    assert stages["train"].container["resources"]["requests"] == {
        "cpu": "8"
    }  # memory: Kubernetes takes the limit
    assert stages["train"].container["resources"]["limits"]["memory"] == "16Gi"


@pytest.mark.parametrize(("train", "given", "expected"), [(4, None, 1), (0, None, 0), (0, 1, 1), (2, 0, 0)])
def test_evaluation_has_a_gpu_if_training_has_one_unless_eval_gpus_is_set(
    train: int, given: int | None, expected: int
) -> None:
    pod = stage_pods(render({"train": {"gpus": train}, "eval": {"gpus": given}}))["eval"]
    assert pod.container["resources"]["limits"].get("nvidia.com/gpu", 0) == expected
    assert pod.flag("gpus") == [str(expected)]


def test_shared_memory_is_ram_of_the_size_asked_for() -> None:
    stages = stage_pods(render({"train": {"pod": {"shmSize": "17Gi"}}}))
    assert stages["train"].mounts["/dev/shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "17Gi"}
    assert stages["download"].mounts["/dev/shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Mi"}


def test_further_volumes_are_mounted() -> None:
    pod = {
        "extraVolumes": [{"name": "tasks", "configMap": {"name": "our-tasks"}}],
        "extraVolumeMounts": [{"name": "tasks", "mountPath": "/tasks", "readOnly": True}],
    }
    stages = stage_pods(render({"eval": {"pod": pod}}))
    assert stages["eval"].mounts["/tasks"] == {
        "name": "tasks",
        "configMap": {"name": "our-tasks"},
        "mountReadOnly": True,
    }
    assert "/tasks" not in stages["train"].mounts


def test_only_the_workspace_and_memory_can_be_written() -> None:
    for pod in pods(render(ALL)):
        writable = {path for path, mount in pod.mounts.items() if not mount["mountReadOnly"]}
        own = {"/workspace"} if pod.stage in (*STAGES, "preflight") else set()
        assert writable == {"/tmp", "/dev/shm"} | own, pod.stage


def test_a_pod_has_time_between_sigterm_and_sigkill() -> None:
    grace = {s: pod.spec["terminationGracePeriodSeconds"] for s, pod in stage_pods(render()).items()}
    assert grace["train"] == 120
    assert grace["download"] == 30


def test_a_crash_leaves_the_end_of_its_log_as_message() -> None:
    assert {p.container["terminationMessagePolicy"] for p in every_pod()} == {"FallbackToLogsOnError"}


def test_a_stage_can_act_as_an_account_of_the_user_for_roles_of_a_cloud() -> None:
    stages = stage_pods(render({"data": {"pod": {"serviceAccountName": "reader"}}}))
    assert stages["download"].spec["serviceAccountName"] == "reader"
    assert stages["download"].spec["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in stages["train"].spec


@pytest.mark.parametrize(
    ("images", "seen"),
    [
        ({}, "registry.example.com/osft-pipeline/train:0.1.0"),
        (
            {"registry": "registry.example.com", "repository": "team/osft"},
            "registry.example.com/team/osft/train:0.1.0",
        ),
        ({"tag": "9.9"}, "registry.example.com/osft-pipeline/train:9.9"),
        ({"train": {"tag": "rocm"}}, "registry.example.com/osft-pipeline/train:rocm"),
        ({"train": {"repository": "mirror.example.com/t"}}, "mirror.example.com/t:0.1.0"),
        (
            {"train": {"digest": "sha256:" + "a" * 64}},
            "registry.example.com/osft-pipeline/train:0.1.0@sha256:" + "a" * 64,
        ),
    ],
)
def test_images_come_from_registry_repository_tag_and_digest(images: Object, seen: str) -> None:
    assert stage_pods(render({"images": images}))["train"].container["image"] == seen


def test_each_stage_runs_its_own_image_and_program_and_helpers_run_the_smallest() -> None:
    for pod in every_pod():
        stage = pod.stage if pod.stage in STAGES else "download"
        assert pod.container["image"] == f"registry.example.com/osft-pipeline/{stage}:0.1.0"
        assert pod.container["command"] == [f"osft-{stage}" if pod.stage in STAGES else "osft-ops"]
        assert pod.container["imagePullPolicy"] == "IfNotPresent"


def test_pull_secrets_reach_every_pod() -> None:
    for pod in pods(render({"images": {"pullSecrets": ["one", "two"], "pullPolicy": "Always"}})):
        assert pod.spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
        assert pod.container["imagePullPolicy"] == "Always"


INSIDE: Object = {"data": {"runAs": "initContainer"}}
ORDERINGS = {"cluster": {}, "hooks": HOOKS, "job": JOB}


@pytest.mark.parametrize("ordering", ORDERINGS.values(), ids=ORDERINGS)
def test_the_download_may_run_inside_the_training_pod(ordering: Object) -> None:
    """The very container of the Job, and nothing of it beside the training's own."""
    own = {
        "uri": "pvc://rows/chat.jsonl",
        "pod": {
            "env": {"ROWS_TOKEN": {"valueFrom": {"secretKeyRef": {"name": "rows", "key": "token"}}}},
            "extraVolumes": [{"name": "own", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "own", "mountPath": "/own"}],
        },
    }
    values = overlay(ordering, {"data": own, "secrets": {"hf": {"existing": "hub"}}})
    apart, inside = (stage_pods(render(overlay(values, more))) for more in ({}, INSIDE))
    assert set(apart) - set(inside) == {"download"}
    train = inside["train"]
    assert train.spec["initContainers"] == apart["download"].spec["containers"]
    assert train.container == apart["train"].container
    mounted = {mount["name"] for mount in train.spec["initContainers"][0]["volumeMounts"]}
    assert {"own", "claim-0"} <= mounted <= {volume["name"] for volume in train.spec["volumes"]}
    assert train.job is not None
    ends = [rule["onExitCodes"]["containerName"] for rule in train.job["podFailurePolicy"]["rules"][:2]]
    assert ends == [train.container["name"], "download"]
    assert not [stage for stage, pod in inside.items() if stage != "train" and "initContainers" in pod.spec]


@pytest.mark.parametrize("ordering", ORDERINGS.values(), ids=ORDERINGS)
def test_where_the_download_runs_changes_no_run(ordering: Object) -> None:
    assert run_id(render(ordering)) == run_id(render(overlay(ordering, INSIDE)))


def test_what_download_and_training_both_ask_for_is_mounted_once() -> None:
    shared = {"pod": {"extraVolumes": [{"name": "shared", "emptyDir": {}}]}}
    train = stage_pods(render(overlay(INSIDE, {"data": shared, "train": shared})))["train"]
    assert [volume["name"] for volume in train.spec["volumes"]].count("shared") == 1
