"""Credentials: from secrets that exist or from values, and never where they could be read."""

import pytest
import yaml

from tests.chart.rendering import HOOKS, Object, one, overlay, render, stage_pods

CREATED: Object = {
    "hf": {"create": {"token": "canary-hf"}},
    "s3": {
        "create": {
            "accessKeyId": "canary-id",
            "secretAccessKey": "canary-key",
            "sessionToken": "canary-session",
        }
    },
    "registry": {"create": {"token": "canary-registry"}},
    "wandb": {"create": {"apiKey": "canary-wandb"}},
    "mlflow": {
        "create": {"token": "canary-mlflow", "username": "canary-user", "password": "canary-password"}
    },
}
EXISTING: Object = {
    "hf": {"existing": "hf-token", "key": "tok"},
    "s3": {"existing": "s3-secret", "keys": {"sessionToken": "SESSION"}},
    "registry": {"existing": "registry-token"},
    "wandb": {"existing": "wandb"},
    "mlflow": {"existing": "mlflow", "keys": {"token": "", "username": "u", "password": "p"}},
}
TRACKERS = {
    "WANDB_API_KEY": ("wandb", "WANDB_API_KEY"),
    "MLFLOW_TRACKING_USERNAME": ("mlflow", "u"),
    "MLFLOW_TRACKING_PASSWORD": ("mlflow", "p"),
}
"""Variables of the trackers, with name and key of the Secret that each comes from."""


def refs(objects: list[Object], stage: str) -> dict[str, tuple[str, str]]:
    """Return variables with name and key of the Secret that they come from."""
    found = {}
    for name, value in stage_pods(objects)[stage].env.items():
        if isinstance(value, dict):
            ref = value["secretKeyRef"]
            found[name] = (ref["name"], ref["key"])
    return found


def test_existing_secrets_feed_the_stages_that_use_them_by_configurable_keys() -> None:
    objects = render({"secrets": EXISTING})
    assert refs(objects, "download") == {
        "HF_TOKEN": ("hf-token", "tok"),
        "AWS_ACCESS_KEY_ID": ("s3-secret", "AWS_ACCESS_KEY_ID"),
        "AWS_SECRET_ACCESS_KEY": ("s3-secret", "AWS_SECRET_ACCESS_KEY"),
        "AWS_SESSION_TOKEN": ("s3-secret", "SESSION"),
    }
    assert refs(objects, "train") == refs(objects, "eval") == TRACKERS
    assert refs(objects, "register") == {"OSFT_REGISTRY_TOKEN": ("registry-token", "OSFT_REGISTRY_TOKEN")}
    assert not [thing for thing in objects if thing["kind"] == "Secret"]


def test_benchmarks_are_downloaded_with_the_hub_s_token_and_evaluated_without_it() -> None:
    objects = render({"secrets": EXISTING, "eval": {"downloadBenchmarks": True}})
    assert refs(objects, "download")["HF_TOKEN"] == ("hf-token", "tok")
    assert refs(objects, "eval") == TRACKERS


def test_stages_fail_at_a_missing_key_and_preflight_says_it_before() -> None:
    stages = stage_pods(render({"secrets": EXISTING}))
    for stage in ("download", "train", "register", "preflight"):
        optional = {
            v["secretKeyRef"].get("optional", False)
            for v in stages[stage].env.values()
            if isinstance(v, dict)
        }
        assert optional == {stage == "preflight"}
    required = {
        text.partition("=")[0]: text.partition("=")[2] for text in stages["preflight"].flag("require-env")
    }
    assert set(required) == {*refs(render({"secrets": EXISTING}), "preflight")}
    assert len(required) == 8
    assert required["HF_TOKEN"] == (
        "secret hf-token in namespace team lacks the key tok: correct secrets.hf, or run osft secrets hf."
    )


def test_preflight_asks_only_for_what_the_running_stages_use() -> None:
    values = {"secrets": EXISTING, "register": {"enabled": False}}
    names = {text.partition("=")[0] for text in stage_pods(render(values))["preflight"].flag("require-env")}
    assert "OSFT_REGISTRY_TOKEN" not in names and "HF_TOKEN" in names


def test_values_make_one_secret_that_the_stages_refer_to() -> None:
    objects = render({"secrets": CREATED})
    secret = one(objects, "Secret")
    assert secret["metadata"]["name"] == "run1-credentials"
    assert secret["stringData"]["AWS_SESSION_TOKEN"] == "canary-session"
    assert len(secret["stringData"]) == 9
    assert refs(objects, "download")["HF_TOKEN"] == ("run1-credentials", "HF_TOKEN")
    for stage in ("download", "train", "register"):
        for name, (holder, key) in refs(objects, stage).items():
            assert holder == "run1-credentials" and key == name
    # It does not exist yet when preflight runs.
    assert refs(objects, "preflight") == {}
    assert stage_pods(objects)["preflight"].flag("require-env") == []


@pytest.mark.parametrize("ordering", [{}, HOOKS], ids=["cluster", "hooks"])
def test_no_secret_value_stands_anywhere_but_in_the_secret(ordering: Object) -> None:
    objects = render(overlay(ordering, {"secrets": CREATED}))
    elsewhere = yaml.safe_dump([thing for thing in objects if thing["kind"] != "Secret"])
    assert "canary" not in elsewhere
    assert "canary" in yaml.safe_dump(objects)
    assert not [thing for thing in objects if thing["kind"] == "ConfigMap"]


def test_a_new_token_does_not_start_the_run_again() -> None:
    first, second = (render({"secrets": {"hf": {"create": {"token": token}}}}) for token in ("a", "b"))
    assert one(first, "TrainJob") == one(second, "TrainJob")


def test_an_address_with_a_credential_comes_from_a_secret() -> None:
    ref = {"valueFrom": {"secretKeyRef": {"name": "rows", "key": "url"}}}
    objects = render({"data": {"uri": "", "pod": {"env": {"OSFT_DATA_URI": ref}}}})
    download = stage_pods(objects)["download"]
    assert download.flag("uri") == []
    assert download.env["OSFT_DATA_URI"] == ref["valueFrom"]


def test_secrets_in_the_environment_of_a_stage_are_looked_for_and_stop_no_helper() -> None:
    ref = {"valueFrom": {"secretKeyRef": {"name": "proxy", "key": "pw"}}}
    other = {"valueFrom": {"secretKeyRef": {"name": "other", "key": "pw"}}}
    values = {
        "stageDefaults": {"env": {"PROXY_PW": ref}},
        "eval": {"pod": {"env": {"PROXY_PW": other, "PLAIN": "1"}}},
        "workspace": {"keep": False},
    }
    pods = stage_pods(render(values))
    optional = {"secretKeyRef": {"name": "proxy", "key": "pw", "optional": True}}
    for helper in ("preflight", "verify", "cleanup"):
        assert pods[helper].env["PROXY_PW"] == optional
    assert pods["preflight"].env["PROXY_PW_EVAL"] == {
        "secretKeyRef": {"name": "other", "key": "pw", "optional": True}
    }
    assert pods["train"].env["PROXY_PW"] == ref["valueFrom"]
    assert pods["preflight"].flag("require-env") == [
        "PROXY_PW=secret proxy in namespace team lacks the key pw: create it, or correct "
        "data.pod.env.PROXY_PW or stageDefaults.env.",
        "PROXY_PW_EVAL=secret other in namespace team lacks the key pw: create it, or correct "
        "eval.pod.env.PROXY_PW or stageDefaults.env.",
    ]


@pytest.mark.parametrize("source", ["caSecret", "caConfigMap"])
def test_the_registry_s_ca_is_mounted_and_looked_for(source: str) -> None:
    objects = render({"register": {"tls": {source: "our-ca", "caKey": "service-ca.crt"}}})
    for stage in ("register", "preflight"):
        mount = stage_pods(objects)[stage].mounts["/etc/osft/ca"]
        volume = mount["secret"] if source == "caSecret" else mount["configMap"]
        assert volume.get("secretName", volume.get("name")) == "our-ca"
        assert volume["items"] == [{"key": "service-ca.crt", "path": "ca.crt"}]
        assert volume["optional"] is True and mount["mountReadOnly"]
    assert stage_pods(objects)["register"].flag("ca-file") == ["/etc/osft/ca/ca.crt"]
    (asked,) = stage_pods(objects)["preflight"].flag("require-file")
    assert asked.startswith("/etc/osft/ca/ca.crt=") and "our-ca" in asked and "service-ca.crt" in asked
    assert "/etc/osft/ca" not in stage_pods(render())["register"].mounts
