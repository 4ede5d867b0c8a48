"""The workspace: one claim for all stages, never deleted by accident."""

import pytest

from tests.chart.rendering import (
    HOOKS,
    STAGES,
    Object,
    hook,
    kinds,
    one,
    overlay,
    pods,
    render,
    stage_pods,
    weight,
)

PVC = "PersistentVolumeClaim"


def test_the_claim_has_size_class_and_modes_as_asked() -> None:
    values = {"workspace": {"size": "2Ti", "storageClass": "nfs", "accessModes": ["ReadWriteMany"]}}
    claim = one(render(values), PVC)
    assert claim["metadata"]["name"] == "run1-workspace"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "nfs",
        "resources": {"requests": {"storage": "2Ti"}},
    }
    assert "storageClassName" not in one(render(), PVC)["spec"]
    assert one(render({"workspace": {"storageClass": "-"}}), PVC)["spec"]["storageClassName"] == ""


@pytest.mark.parametrize("ordering", [{}, HOOKS], ids=["cluster", "hooks"])
def test_the_claim_is_there_before_preflight_and_nothing_deletes_it(ordering: Object) -> None:
    objects = render(ordering)
    claim, preflight = one(objects, PVC), stage_pods(objects)["preflight"].owner
    assert hook(claim) == hook(preflight) == "pre-install,pre-upgrade"
    assert weight(claim) < weight(preflight)
    # Without a policy Helm deletes a hook before it creates it again: with it, all models.
    assert claim["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "hook-failed"
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    clean = stage_pods(objects)["cleanup"]
    assert not [arg for arg in clean.args if "persistentvolumeclaim" in arg]


def test_an_existing_claim_is_used_in_place_of_one_of_ours() -> None:
    objects = render({"workspace": {"existingClaim": "team-disk"}})
    assert PVC not in kinds(objects)
    for stage in (*STAGES, "preflight", "verify"):
        pod = stage_pods(objects)[stage]
        assert pod.mounts["/workspace"]["persistentVolumeClaim"] == {"claimName": "team-disk"}
        assert pod.env["OSFT_WORKSPACE_CLAIM"] == "team-disk"


def test_the_claim_goes_at_uninstall_only_when_asked_and_when_it_is_ours() -> None:
    objects = render({"workspace": {"keep": False}})
    assert stage_pods(objects)["cleanup"].args[:7] == [
        "delete", "trainjob", "job", "pod", "trainingruntime", "networkpolicy",
        "persistentvolumeclaim/run1-workspace",
    ]  # fmt: skip
    assert one(objects, "Role", "-cleanup")["rules"][-1] == {
        "apiGroups": [""],
        "resources": ["persistentvolumeclaims"],
        "verbs": ["get", "delete"],
        "resourceNames": ["run1-workspace"],
    }
    for workspace in ({}, {"keep": False, "existingClaim": "team-disk"}):
        rules = one(render({"workspace": workspace}), "Role", "-cleanup")["rules"]
        assert not [rule for rule in rules if "persistentvolumeclaims" in rule["resources"]]


def test_clean_up_does_not_hold_the_volume_it_may_delete() -> None:
    for pod in pods(render(HOOKS)):
        assert ("/workspace" in pod.mounts) == (pod.stage not in ("cleanup", "wait"))


def test_other_claims_are_mounted_read_only_where_they_are_read() -> None:
    values = {
        "model": {"uri": "pvc://models/qwen"},
        "data": {
            "uri": ["pvc://rows/a.jsonl", "pvc://rows/b.jsonl", "hf://org/x"],
            "evalUri": "pvc://held.out/e.jsonl",
        },
    }
    stages = stage_pods(render(values))
    mounts = {
        path: mount for path, mount in stages["download"].mounts.items() if path.startswith("/mnt/pvc/")
    }
    assert set(mounts) == {"/mnt/pvc/models", "/mnt/pvc/rows", "/mnt/pvc/held.out"}
    for path, mount in mounts.items():
        claim = {"claimName": path.removeprefix("/mnt/pvc/"), "readOnly": True}
        assert mount["persistentVolumeClaim"] == claim and mount["mountReadOnly"]
    for stage in ("train", "eval", "register", "preflight"):
        assert not [path for path in stages[stage].mounts if path.startswith("/mnt/pvc/")]


def test_the_workspace_itself_is_not_mounted_twice() -> None:
    uri = "pvc://run1-workspace/runs/old/train/model"
    download = stage_pods(render({"model": {"uri": uri}}))["download"]
    assert not [path for path in download.mounts if path.startswith("/mnt/pvc/")]
    assert download.flag("model-uri") == [uri]


def test_an_upgrade_does_not_wait_for_a_volume_that_a_running_stage_holds() -> None:
    upgrade = stage_pods(render(flags=["--is-upgrade"]))["preflight"]
    assert "/workspace" not in upgrade.mounts
    assert upgrade.flag("workspace") == ["/tmp"] and not upgrade.flag("min-free-gib")
    shared = {"workspace": {"accessModes": ["ReadWriteMany"]}}
    assert "/workspace" in stage_pods(render(shared, flags=["--is-upgrade"]))["preflight"].mounts
    install = stage_pods(render())["preflight"]
    assert install.flag("workspace") == ["/workspace"] and install.flag("min-free-gib") == ["20"]


def test_preflight_looks_where_the_run_will_go() -> None:
    values = {
        "data": {
            "uri": ["https://user.example.com/rows.jsonl", "s3://bucket/rows"],
            "s3": {"endpoint": "http://minio:9000"},
        },
        "register": {"address": "registry.kubeflow.svc"},
    }

    def addresses(more: Object) -> list[str]:
        return stage_pods(render(overlay(values, more)))["preflight"].flag("address")

    assert addresses({}) == [
        "register.address=http://registry.kubeflow.svc:8080",
        "data.uri=https://user.example.com",
        "data.s3.endpoint=http://minio:9000",
        "the model hub=https://huggingface.co",
    ]
    hub = {"data": {"pod": {"env": {"HF_ENDPOINT": "https://hub.example.com"}}}}
    assert addresses(hub)[-1] == "the model hub=https://hub.example.com"
    # Behind a proxy only the stage itself can tell what answers.
    proxied = addresses({"stageDefaults": {"env": {"HTTPS_PROXY": "http://proxy:3128"}}})
    assert proxied == ["register.address=http://registry.kubeflow.svc:8080"]
    assert len(addresses({"model": {"uri": "pvc://models/m"}})) == 3
    assert len(addresses({"register": {"enabled": False}})) == 3
    assert addresses({"preflight": {"addresses": False}}) == []


@pytest.mark.parametrize(
    ("register", "seen"),
    [
        ({"address": "registry"}, "http://registry:8080"),
        ({"address": "registry:9090"}, "http://registry:9090"),
        ({"address": "registry", "port": 7070}, "http://registry:7070"),
        ({"address": "https://registry.example.com/"}, "https://registry.example.com"),
        ({"address": "https://registry.example.com", "port": 8443}, "https://registry.example.com:8443"),
        ({"address": "https://registry.example.com:444"}, "https://registry.example.com:444"),
    ],
)
def test_the_registry_s_address_is_read_as_the_stage_reads_it(register: Object, seen: str) -> None:
    preflight = stage_pods(render({"register": register}))["preflight"]
    assert preflight.flag("address")[0] == f"register.address={seen}"


def test_preflight_goes_when_all_is_well_and_can_be_switched_off() -> None:
    annotations = stage_pods(render())["preflight"].owner["metadata"]["annotations"]
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    assert "preflight" not in stage_pods(render({"preflight": {"enabled": False}}))


@pytest.mark.parametrize("ordering", [{}, HOOKS], ids=["cluster", "hooks"])
def test_uninstall_takes_away_what_helm_would_leave(ordering: Object) -> None:
    objects = render(ordering)
    clean = stage_pods(objects)["cleanup"]
    assert hook(clean.owner) == "pre-delete"
    assert clean.args == [
        "delete", "trainjob", "job", "pod", "trainingruntime", "networkpolicy", "--namespace=team",
        "--selector=app.kubernetes.io/name=osft-pipeline,app.kubernetes.io/instance=run1,app.kubernetes.io/component!=cleanup",
    ]  # fmt: skip
    # What Helm keeps: every hook except the accounts of the clean-up itself, and no claim.
    left = [t for t in objects if hook(t) and hook(t) != "pre-delete" and t["kind"] != PVC]
    assert {t["kind"].lower() for t in left} <= {"trainjob", "job", "pod", "trainingruntime", "networkpolicy"}
    for thing in left:
        assert thing["metadata"]["labels"]["app.kubernetes.io/instance"] == "run1"
        assert thing["metadata"]["labels"]["app.kubernetes.io/component"] != "cleanup"


def test_the_rights_of_clean_up_exist_only_while_it_runs() -> None:
    objects = render()
    for kind in ("ServiceAccount", "Role", "RoleBinding"):
        thing = one(objects, kind, "-cleanup")
        assert hook(thing) == "pre-delete" and weight(thing) < 0
        assert (
            thing["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
            == "before-hook-creation,hook-succeeded"
        )
    rules = {
        r: rule["verbs"] for rule in one(objects, "Role", "-cleanup")["rules"] for r in rule["resources"]
    }
    kinds_deleted = ("trainjobs", "trainingruntimes", "jobs", "pods", "networkpolicies")
    assert rules == {kind: ["get", "list", "delete"] for kind in kinds_deleted}
    binding = one(objects, "RoleBinding", "-cleanup")
    assert binding["roleRef"]["name"] == "run1-cleanup"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "run1-cleanup", "namespace": "team"}]


def test_no_right_reaches_beyond_the_namespace() -> None:
    assert not [kind for kind in kinds(render(HOOKS)) if kind.startswith("Cluster")]
    for thing in render(HOOKS):
        for rule in thing.get("rules", []):
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]


def test_helm_test_verifies_the_stages_that_run() -> None:
    verify = stage_pods(render())["verify"]
    assert hook(verify.owner) == "test"
    assert verify.args == ["verify", *(f"--stage={stage}" for stage in STAGES)]
    assert verify.mounts["/workspace"]["mountReadOnly"] is True
    given = {"labels": {"team": "search"}, "annotations": {"sidecar.istio.io/inject": "false"}}
    metadata = stage_pods(render({"stageDefaults": given}))["verify"].owner["metadata"]
    assert metadata["labels"]["team"] == "search"
    assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"
    assert stage_pods(render({"register": {"enabled": False}}))["verify"].args[-1] == "--stage=eval"
