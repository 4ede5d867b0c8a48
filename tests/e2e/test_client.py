"""`osft` on a cluster, as a member of a team who has the Role of docs/cluster.md and nothing else."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import BIN, OSFT, ROOT, Space, call


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
