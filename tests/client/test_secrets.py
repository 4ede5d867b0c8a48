"""`osft secrets` makes what the chart reads, and shows no value on the way."""

import base64
import os
import pty
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import ROOT, VALUES_FILE, Object, render, stage_pods

OSFT = ROOT / ".venvs" / "client" / "bin" / "osft"
GIVEN = {
    "HF_TOKEN": "canary-hf",
    "AWS_ACCESS_KEY_ID": "canary-id",
    "AWS_SECRET_ACCESS_KEY": "canary/key+with=signs $HOME",
    "OSFT_REGISTRY_TOKEN": "canary-registry",
    "WANDB_API_KEY": "canary-wandb",
    "MLFLOW_TRACKING_TOKEN": "canary-mlflow",
}
# Writes down how it was called, and what it was given on standard input.
KUBECTL = """#!/bin/sh
printf '%s\\n' "$@" > "$CALLS/arguments"
cat > "$CALLS/input"
echo secret serverside-applied
"""
REFUSED = "echo 'The connection to the server 10.0.0.1:6443 was refused' >&2; exit 1\n"


def run(
    *arguments: str, env: dict[str, str] | None = None, path: str = ""
) -> subprocess.CompletedProcess[str]:
    """The script without a terminal."""
    return subprocess.run(
        [OSFT, "secrets", *arguments],
        env={"PATH": path or "/usr/bin:/bin", **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def printed(*arguments: str, env: dict[str, str]) -> dict[str, dict[str, str]]:
    """Secrets that `--print` writes: name -> key -> value."""
    done = run(*arguments, "--print", env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = {}
    for thing in yaml.safe_load_all(done.stdout):
        assert thing["kind"] == "Secret"
        found[thing["metadata"]["name"]] = {
            key: base64.b64decode(value).decode() for key, value in thing["data"].items()
        }
    return found


def test_all_secrets_have_the_names_and_keys_that_the_chart_s_example_reads() -> None:
    secrets = printed("hf", "s3", "registry", "wandb", "mlflow", env=GIVEN)
    assert {key: value for keys in secrets.values() for key, value in keys.items()} == GIVEN
    example: Object = yaml.safe_load((VALUES_FILE.parent / "examples" / "s3-secrets.yaml").read_text())
    for pod in stage_pods(render(example)).values():
        for name, value in pod.env.items():
            if isinstance(value, dict):
                ref = value["secretKeyRef"]
                assert secrets[ref["name"]][ref["key"]] == GIVEN[name]


def test_a_session_token_is_added_when_there_is_one() -> None:
    assert "AWS_SESSION_TOKEN" not in printed("s3", env=GIVEN)["s3-secret"]
    with_token = printed("s3", env={**GIVEN, "AWS_SESSION_TOKEN": "canary-session"})
    assert with_token["s3-secret"]["AWS_SESSION_TOKEN"] == "canary-session"


def test_namespace_and_prefix_are_taken() -> None:
    done = run("hf", "--print", "--namespace", "team", "--prefix", "run1-", env=GIVEN)
    meta = yaml.safe_load(done.stdout)["metadata"]
    assert (meta["name"], meta["namespace"]) == ("run1-hf-token", "team")


def test_kubectl_gets_the_values_on_its_input_and_never_as_arguments(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)
    session = {"AWS_SESSION_TOKEN": "canary-session"}
    done = run(
        "hf",
        "s3",
        "-n",
        "team",
        env={**GIVEN, **session, "CALLS": str(tmp_path)},
        path=f"{tmp_path}:/usr/bin:/bin",
    )
    assert done.returncode == 0, done.stderr
    arguments = (tmp_path / "arguments").read_text()
    assert "--server-side" in arguments and "team" in arguments
    given = yaml.safe_load((tmp_path / "input").read_text())
    assert [item["metadata"]["name"] for item in given["items"]] == ["hf-token", "s3-secret"]
    assert "canary" not in arguments + done.stdout + done.stderr
    flags = done.stdout.splitlines()[-1].removeprefix("Install with: ").split("--set ")[1:]
    pods = stage_pods(render({}, sets=[flag.strip() for flag in flags]))
    assert {name for name, value in pods["download"].env.items() if isinstance(value, dict)} == {
        "HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    }  # fmt: skip


def test_the_registry_s_ca_becomes_the_secret_that_the_example_mounts(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    secrets = printed("registry", "--ca-file", str(ca), env=GIVEN)
    example = render(VALUES_FILE.parent / "examples" / "s3-secrets.yaml")
    volume = stage_pods(example)["register"].mounts["/etc/osft/ca"]["secret"]
    assert secrets[volume["secretName"]][volume["items"][0]["key"]] == ca.read_text()
    ca.write_text("nothing")
    assert "has no certificate" in run("registry", "--ca-file", str(ca), "--print", env=GIVEN).stderr


@pytest.mark.parametrize(
    ("arguments", "env", "sentence"),
    [
        (
            ["s3", "--print"],
            {"AWS_ACCESS_KEY_ID": "id"},
            "AWS_SECRET_ACCESS_KEY is not set, and stdin is not a terminal",
        ),
        (["hf", "--print"], {"HF_TOKEN": "canary\n"}, "HF_TOKEN begins or ends with white space"),
        (["hf", "--print", "--prefix", "Run_"], GIVEN, "'Run_hf-token' is not a valid name of a Secret"),
        (["hf"], GIVEN, "kubectl was not found on PATH"),
        (["all"], GIVEN, "'all' is not one of"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(
    arguments: list[str], env: dict[str, str], sentence: str
) -> None:
    done = run(*arguments, env=env, path="/nowhere")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "canary" not in done.stdout + done.stderr


def test_a_question_is_asked_on_a_terminal_without_showing_the_answer() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(OSFT, [str(OSFT), "secrets", "hf", "--print"], {"PATH": "/usr/bin:/bin"})
    seen = b""
    while b"HF_TOKEN" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b"canary-typed\n")
    try:
        while chunk := os.read(terminal, 1000):
            seen += chunk
    except OSError:
        pass  # the other end has closed
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"canary-typed" not in seen
    assert base64.b64encode(b"canary-typed") in seen


def test_help_names_every_secret() -> None:
    text = " ".join(run("--help").stdout.split())
    for which in ("hf", "s3", "registry", "wandb", "mlflow"):
        assert f" {which} " in text


def test_an_unreachable_cluster_is_exit_code_75_and_the_context_is_passed_on(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncat > /dev/null\n{REFUSED}')
    kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)
    done = run("hf", "--context", "far", "--kubeconfig=k", env=GIVEN, path=f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == 75, done.stderr
    assert "the cluster does not answer (The connection to the server 10.0.0.1:6443" in done.stderr
    assert "--context=far --kubeconfig=k" in (tmp_path / "arguments").read_text()
