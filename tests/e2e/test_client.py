"""`osft` on a cluster, as a member of a team who has the Role of docs/cluster.md and nothing else."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from kubeflow.common.types import KubernetesBackendConfig
from kubeflow.trainer import TrainerClient

from osft_workspace import sha256_file
from tests.e2e.harness import BIN, OSFT, ROOT, Space, call, eventually


@pytest.fixture
def member(space: Space, tmp_path: Path) -> dict[str, str]:
    """The environment of a member: a kubeconfig with the token of an account that has the documented Role."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    blocks = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    role = next(block for block in blocks if isinstance(block, dict) and block.get("kind") == "Role")
    account = {"kind": "ServiceAccount", "name": "member", "namespace": space.name}
    space.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "member"}},
        role,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "member"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": role["metadata"]["name"],
            },
            "subjects": [account],
        },
    )
    token = space.kubectl("create", "token", "member", "--duration=1h").stdout.strip()
    config = yaml.safe_load(space.kubectl("config", "view", "--minify", "--flatten", "--raw").stdout)
    config["users"] = [{"name": "member", "user": {"token": token}}]
    config["contexts"][0]["context"] |= {"user": "member", "namespace": space.name}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return {"KUBECONFIG": str(path), "PATH": f"{BIN}:{os.environ['PATH']}"}


def test_a_member_with_the_documented_role_runs_follows_lists_and_uninstalls(
    space: Space, member: dict[str, str], tmp_path: Path
) -> None:
    release = space.release()
    checked = release.osft("check", **member)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "not asked nodes: you are not allowed to read this (nodes is forbidden" in checked.stdout
    for what in ("Kubeflow Trainer", "rights", "data.uri", "model.uri"):
        assert f"ok        {what}: " in checked.stdout, checked.stdout
    started = release.osft("run", "--timeout=10m", **member)
    assert started.returncode == 0, started.stdout + started.stderr
    assert started.stdout.rstrip().endswith(f"follow {release.name} --namespace={space.name}")
    followed = call(OSFT, "follow", release.name, "--timeout=20m", **member)
    assert followed.returncode == 0, followed.stdout + followed.stderr
    listed = call(OSFT, "runs", "--json", "--workspace", tmp_path, **member)
    (run,) = json.loads(listed.stdout)
    assert (run["run"], run["where"], run["state"]) == (release.run, space.name, "done"), listed.stderr
    removed = call(BIN / "helm", "uninstall", release.name, "--timeout=3m", **member)
    assert removed.returncode == 0, removed.stderr
    assert not release.pods()


def test_report_and_model_of_a_run_are_read_from_its_claim(
    space: Space, member: dict[str, str], tmp_path: Path
) -> None:
    release = space.release()
    assert release.install().returncode == 0
    release.complete()
    env = {**member, "OSFT_LOCAL_WORKSPACE": str(tmp_path / "nothing")}
    page = tmp_path / "report.html"
    reported = call(OSFT, "report", release.name, **env)
    assert reported.returncode == 0, reported.stderr
    assert reported.stdout.startswith(f"{release.run}  done")
    assert f"pvc://{release.claim}/runs/{release.run}/train/model" in reported.stdout
    copied = call(OSFT, "report", release.name, "--copy", page, **env)
    assert copied.returncode == 0 and "<!doctype html>" in page.read_text(), copied.stderr
    fetched = call(OSFT, "fetch", release.run, "train", "eval/report.html", "--to", tmp_path / "mine", **env)
    assert fetched.returncode == 0, fetched.stderr
    for output in release.record("train")["outputs"]:
        assert sha256_file(tmp_path / "mine" / "train" / output["path"]) == output["sha256"]
    assert (tmp_path / "mine" / "eval" / "report.html").read_bytes() == page.read_bytes()
    readers = f"--selector=app.kubernetes.io/instance={release.name},app.kubernetes.io/component=read"
    assert eventually(lambda: not space.get("pods", readers))


def test_a_run_is_removed_from_its_claim_when_it_has_ended(space: Space, member: dict[str, str]) -> None:
    release = space.release(eval={"enabled": False}, register={"enabled": False})
    assert release.install().returncode == 0
    assert eventually(lambda: release.pods("train"), 300), release.story()
    words = (OSFT, "prune", release.run, "--release", release.name, "--yes")
    early = call(*words, **member)
    assert early.returncode == 2, early.stdout
    assert f"run {release.run} is running, so it is not removed" in early.stderr
    release.complete()
    shown = call(*words, "--dry-run", **member)
    assert shown.returncode == 0, shown.stderr
    assert f"removes  pvc://{release.claim}/runs/{release.run}  run, " in shown.stdout
    assert release.record("train")["status"] == "done"
    done = call(*words, **member)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("removed ")
    left = space.pod_output("download", release.claim, "find", "/workspace/runs", "/workspace/cache/models")
    assert release.run not in left and "safetensors" not in left
    pruners = f"--selector=app.kubernetes.io/instance={release.name},app.kubernetes.io/component=prune"
    assert eventually(lambda: not space.get("pods", pruners))


def test_a_fetch_that_is_stopped_leaves_no_pod_and_the_next_one_continues(
    space: Space, tmp_path: Path
) -> None:
    release = space.release()
    assert release.install().returncode == 0
    release.complete()
    env = {**space.environment, "OSFT_LOCAL_WORKSPACE": str(tmp_path / "nothing")}
    words = [str(OSFT), "fetch", release.name, "-n", space.name, "--to", str(tmp_path / "mine")]
    readers = f"--selector=app.kubernetes.io/instance={release.name},app.kubernetes.io/component=read"
    with subprocess.Popen(words, env=env) as process:
        assert eventually(lambda: space.get("pods", readers))
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    assert eventually(lambda: not space.get("pods", readers))
    done = call(*words, **env)
    assert done.returncode == 0, done.stderr
    assert "every sha256 is as recorded" in done.stdout
    assert not list((tmp_path / "mine").rglob("*.part"))


def test_what_the_cluster_cannot_give_is_said_before_anything_is_created(space: Space) -> None:
    done = space.release(train={"gpus": 64, "pod": {"nodeSelector": {"no": "where"}}}).osft("run")
    assert done.returncode == 2
    assert 'train.pod.nodeSelector asks for {"no": "where"}, and none of' in done.stderr
    assert "Nothing was created" in done.stderr
    assert call(BIN / "helm", "list", "-n", space.name, "--short", **space.env).stdout == ""


TRAIN = """\
import json, sys
from osft_pipeline import RunFailed, train

asked = json.loads(sys.argv[1])
values = asked["values"]
run = train(
    name=asked["name"], model=values["model"].pop("uri"), dataset=values["data"].pop("uri"), values=values,
    parameters={"seed": 7}, resources_per_worker={"gpu": 0}, namespace=asked["namespace"],
)
print("found " + json.dumps([run.run_id, run.wait(timeout=1200), run.status]))
"""


def test_train_starts_a_run_from_python_and_waits_for_its_end(space: Space) -> None:
    release = space.release("from-python")
    asked = json.dumps({"name": release.name, "namespace": space.name, "values": release.values})
    done = call(OSFT.with_name("python"), "-c", TRAIN, asked, **space.env, HF_ENDPOINT=space.place.hub)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.rpartition("found ")[2]) == [release.run, "done", "done"]
    assert "--seed=7" in json.dumps(space.get("trainingruntimes"))


def test_the_kubeflow_sdk_lists_waits_for_and_reads_a_run(space: Space) -> None:
    release = space.release(train={"pod": {"resources": {"limits": {"cpu": "2"}}}})
    assert release.install().returncode == 0
    config = KubernetesBackendConfig(namespace=space.name, config_file=str(space.place.kubeconfig))
    trainer = TrainerClient(config)
    name = release.trainjob["metadata"]["name"]
    assert [job.name for job in trainer.list_jobs()] == [name]
    job = trainer.wait_for_job_status(name, timeout=1200)
    assert (job.status, job.num_nodes, job.runtime.trainer.framework) == ("Complete", 1, "torch")
    (node,) = job.steps
    assert (node.name, node.status) == ("node-0", "Succeeded")
    assert any(" train training step=" in line for line in trainer.get_job_logs(name))
