"""Preflight checks the options of evaluation where Helm cannot, and pulls no further image where it can."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import HOOKS, ROOT, Object, Pod, overlay, refusal, render, stage_pods
from tests.chart.test_arguments import parsed

TASKS = ROOT / "images" / "eval" / "osft_eval" / "tasks"
SHIPPED = sorted(
    str(config.get("task") if isinstance(config.get("task"), str) else config["group"])
    for config in (
        # BaseLoader would not know lm-eval's own tags; these files use them only in what they include.
        yaml.safe_load(path.read_text())
        for path in TASKS.glob("*.yaml")
    )
)
HUB: Object = {"eval": {"tasks": ["osft_retention", "arc_easy"], "downloadBenchmarks": True}}
OWN: Object = {
    "eval": {
        "tasks": ["ours"],
        "includePath": "/tasks",
        "pod": {
            "extraVolumes": [{"name": "tasks", "configMap": {"name": "our-tasks"}}],
            "extraVolumeMounts": [{"name": "tasks", "mountPath": "/tasks", "readOnly": True}],
        },
    }
}


def preflight(values: Object, **options: Any) -> Pod:
    """Return preflight's pod."""
    return stage_pods(render(values, **options))["preflight"]


def check_of(values: Object, **options: Any) -> Object | None:
    """Return the container that checks the options of evaluation."""
    found = [one for one in preflight(values, **options).spec["containers"] if one["name"] == "eval-check"]
    return dict(found[0]) if found else None


@pytest.mark.parametrize(
    "values",
    [
        {},
        HOOKS,
        {"eval": {"tasks": SHIPPED}},
        {"eval": {"tasks": []}},
        {"eval": {"gates": {"maxTaskDrop": 2, "holdoutMustImprove": True, "significance": 0.05}}},
        {"eval": {"fewshot": 2, "limit": 10, "chatTemplate": True}},
        overlay(HUB, {"eval": {"enabled": False}}),
    ],
)
def test_what_helm_knows_itself_pulls_no_image_for_evaluation(values: Object) -> None:
    pod = preflight(values)
    assert [container["name"] for container in pod.spec["containers"]] == ["preflight"]
    assert pod.job is not None
    assert len(pod.job["podFailurePolicy"]["rules"]) == 2


@pytest.mark.parametrize(
    "values",
    [
        HUB,
        OWN,
        {"eval": {"tasks": ["osft_retentoin"], "includePath": "/tasks"}},
        {"eval": {"tasks": ["osft_*"]}},
        {"eval": {"gates": {"tasks": {"osft_verbs": 2}}}},
        {"eval": {"primaryMetric": "osft_retention"}},
        {"eval": {"backend": "vllm"}, "images": {"evalVllm": {"tag": "vllm"}}},
        {"eval": {"backend": "openai", "baseUrl": "http://server:8000/v1"}},
    ],
)
@pytest.mark.parametrize("ordering", [{}, HOOKS], ids=["cluster", "hooks"])
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_all_else_is_checked_with_the_very_arguments_of_evaluation(
    values: Object, ordering: Object, helm: str
) -> None:
    stages = stage_pods(render(overlay(values, ordering), helm=helm))
    check = check_of(overlay(values, ordering), helm=helm)
    assert check is not None
    assert check["image"] == stages["eval"].container["image"]
    assert check["command"] == ["osft-eval"]
    assert check["args"] == ["--check", *stages["eval"].args]
    assert parsed("eval", check["args"]) == {**parsed("eval", stages["eval"].args), "check": True}


def test_a_task_that_the_image_ships_is_known_to_the_chart_and_no_other() -> None:
    assert "osft_retention" in SHIPPED and len(SHIPPED) > 6
    for name in SHIPPED:
        assert check_of({"eval": {"tasks": [name]}}) is None, name
        assert check_of({"eval": {"tasks": [name[:-1]]}}) is not None, name


def test_the_check_needs_little_and_no_gpu() -> None:
    check = check_of(overlay(HUB, {"train": {"gpus": 4}}))
    assert check is not None
    assert check["resources"] == {
        "requests": {"cpu": "100m", "memory": "512Mi"},
        "limits": {"memory": "2Gi"},
    }
    limits: Object = {"preflight": {"pod": {"resources": {"limits": {"cpu": "1", "memory": "128Mi"}}}}}
    check = check_of(overlay(HUB, limits))
    assert check is not None
    assert check["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}


def test_the_check_fits_the_restricted_pod_security_standard() -> None:
    check = check_of(HUB)
    assert check is not None
    own = stage_pods(render(HUB))["eval"].container
    assert check["securityContext"] == own["securityContext"]
    assert check["securityContext"]["readOnlyRootFilesystem"] is True
    assert check["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert check["imagePullPolicy"] == own["imagePullPolicy"]


def test_a_folder_of_tasks_is_mounted_as_it_is_in_evaluation() -> None:
    pod, check = preflight(OWN), check_of(OWN)
    assert check is not None
    assert check["volumeMounts"] == stage_pods(render(OWN))["eval"].container["volumeMounts"]
    assert {mount["name"] for mount in check["volumeMounts"]} <= {one["name"] for one in pod.spec["volumes"]}
    shared = overlay(OWN, {"preflight": {"pod": OWN["eval"]["pod"]}})
    names = [volume["name"] for volume in preflight(shared).spec["volumes"]]
    assert len(names) == len(set(names))


def test_the_check_gets_no_secret_and_starts_without_one() -> None:
    ref = {"valueFrom": {"secretKeyRef": {"name": "server", "key": "token"}}}
    values = overlay(
        HUB,
        {"secrets": {"hf": {"create": {"token": "hf_x"}}}, "eval": {"pod": {"env": {"OPENAI_API_KEY": ref}}}},
    )
    check = check_of(values)
    assert check is not None
    env = {entry["name"]: entry for entry in check["env"]}
    assert "HF_TOKEN" not in env
    assert env["OPENAI_API_KEY"]["valueFrom"]["secretKeyRef"] == {
        **ref["valueFrom"]["secretKeyRef"],
        "optional": True,
    }
    # The check asks no hub, as evaluation; that download stores what is there is said by a flag.
    assert env["HF_HUB_OFFLINE"]["value"] == "1"
    assert "--download-benchmarks" in check["args"]
    check = check_of(OWN)
    assert check is not None
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in check["env"]


def test_either_container_ends_preflight_with_its_code() -> None:
    pod = preflight(HUB)
    assert pod.job is not None
    rules = [rule["onExitCodes"] for rule in pod.job["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert [rule["containerName"] for rule in rules] == ["preflight", "eval-check"]
    assert {(rule["operator"], *rule["values"]) for rule in rules} == {("In", 2, 3)}
    # Helm prints the logs of containers when a hook fails, and none of init containers.
    assert "initContainers" not in pod.spec
    assert pod.owner["metadata"]["annotations"]["helm.sh/hook-output-log-policy"] == "hook-failed"


def test_what_lies_in_a_workspace_that_an_upgrade_cannot_mount_is_not_taken_for_missing() -> None:
    upgrade = ("--is-upgrade",)
    inside = {"eval": {"tasks": ["ours"], "includePath": "/workspace/tasks"}}
    assert check_of(inside) is not None
    assert check_of(inside, flags=upgrade) is None
    assert (
        check_of(overlay(HUB, {"eval": {"pod": {"env": {"HF_HOME": "/workspace/hf"}}}}), flags=upgrade)
        is None
    )
    check = check_of(HUB, flags=upgrade)
    assert check is not None
    assert "/workspace" not in [mount["mountPath"] for mount in check["volumeMounts"]]
    shared = {"workspace": {"accessModes": ["ReadWriteMany"]}}
    assert check_of(overlay(inside, shared), flags=upgrade) is not None


def test_the_check_changes_no_run_and_goes_with_preflight() -> None:
    def label(objects: list[Object]) -> str:
        return stage_pods(objects)["eval"].labels["osft-pipeline/run"]

    off = render(overlay(HUB, {"preflight": {"enabled": False}}))
    assert "preflight" not in stage_pods(off)
    assert label(off) == label(render(HUB))


def test_a_benchmark_without_downloads_is_still_refused_by_helm_itself() -> None:
    assert "eval.downloadBenchmarks is false" in refusal({"eval": {"tasks": ["arc_easy"]}})


def test_the_same_check_runs_without_a_cluster(tmp_path: Path) -> None:
    """The container's own command: a task of no image ends the run before anything is downloaded."""
    words = [
        "run-check", "--local", "--workspace", str(tmp_path / "ws"), "--set", "data.uri=hf://org/rows",
        "--set", "train.gpus=0,workspace.minFreeGiB=0,preflight.addresses=false,preflight.pod.retries=0",
        "--set", "train.runAs=job,ordering=hooks,hooks.timeoutMinutes=9",
        "--set", "eval.tasks={osft_retention,osft_verb},eval.includePath=/tmp",
    ]  # fmt: skip
    done = subprocess.run(
        [ROOT / ".venvs/client/bin/osft", "run", *words],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "task 'osft_verb' is unknown" in done.stderr and "Near: osft_verbs" in done.stderr
    assert "eval-check failed with code 2" in done.stderr
    assert "download" not in done.stdout.partition("[2/")[2].partition("\n")[2]
