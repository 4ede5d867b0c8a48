"""`osft report` and `osft fetch` for runs on a cluster; kubectl on PATH runs the commands of pods here.

What it answers is what a real one answered; the objects are the chart's own rendering.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from osft_workspace import sha256_file
from tests.chart.rendering import HOOKS, Object, render
from tests.client.local.sample import RUN, URL, write_run
from tests.client.local.support import OSFT, wait_for

# `exec` runs the command of the pod on this machine, with a folder in place of the claim.
KUBECTL = """\
#!{python} -SE
import json, os, pathlib, subprocess, sys, time
here = pathlib.Path({folder!r})
words = sys.argv[1:]
state = json.loads((here / "state").read_text())
text = sys.stdin.read() if words[0] == "create" else ""
with (here / "calls").open("a") as file:
    print(json.dumps([words, text]), file=file)

def end(code, out="", err=""):
    print(out, end="")
    print(err, end="", file=sys.stderr)
    sys.exit(code)

for start, answer in state["answers"].items():
    if " ".join(words).startswith(start):
        end(*answer)
if words[0] == "exec":
    script = words[words.index("--") + 1:]
    script[4] = script[4].replace("/workspace", str(here / "claim"), 1)
    if state["hang"] and script[4].endswith(state["hang"]):
        (here / "hangs").touch()
        time.sleep(60)
    done = subprocess.run(script, capture_output=True)
    cut = state["cut"].pop(0) if state["cut"] and script[4].endswith(".safetensors") else None
    (here / "state").write_text(json.dumps(state))
    sys.stdout.buffer.write(done.stdout if cut is None else done.stdout[:cut])
    sys.stdout.flush()
    if cut is not None:
        end(state["cut_code"], "", "error: error reading from error stream: websocket: close 1006")
    if done.returncode:
        end(done.returncode, "", f"command terminated with exit code {{done.returncode}}")
elif words[0] == "get" and "jobs.batch" in words[1]:
    end(0, json.dumps({{"items": state["objects"]}}))
elif words[0] == "get":
    end(0, json.dumps({{"items": []}}))
"""
WEIGHTS = bytes(range(256)) * 4096
FILES = {"model/config.json": b"{}", "model/model.safetensors": WEIGHTS, "metrics.jsonl": b"{}\n"}


class Cluster:
    """A namespace with one release and the workspace of its run."""

    def __init__(self, folder: Path, objects: list[Object]) -> None:
        self.folder, self.claim = folder, folder / "claim"
        self.state: dict[str, Any] = {"objects": objects, "answers": {}, "cut": [], "cut_code": 1, "hang": ""}
        claim = {"metadata": {"name": "demo-workspace"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
        self.answer("get persistentvolumeclaim demo-workspace", out=claim)
        self.answer("get pod demo-read", out={**running(), "metadata": pod_meta()})
        self.answer("auth can-i create pods --subresource=exec", out="yes\n")
        self.answer("config view", out="team")
        program = folder / "kubectl"
        program.write_text(KUBECTL.format(python=os.path.realpath(sys.executable), folder=str(folder)))
        program.chmod(0o755)
        record(write_run(self.claim))

    def answer(self, start: str, code: int = 0, out: Any = "", err: str = "") -> None:
        """What a call that starts with these words answers."""
        self.state["answers"][start] = [code, out if isinstance(out, str) else json.dumps(out), err]

    def start(self, *words: str | Path, program: Path = OSFT) -> subprocess.Popen[str]:
        """Start osft in a folder of its own, as a user without local runs."""
        (self.folder / "state").write_text(json.dumps(self.state))
        here = self.folder / "here"
        here.mkdir(exist_ok=True)
        env = {"PATH": f"{self.folder}:{os.environ['PATH']}", "NO_COLOR": "1", "TMPDIR": str(here)}
        env["OSFT_LOCAL_WORKSPACE"] = str(self.folder / "nothing")
        return subprocess.Popen(
            [program, *words], cwd=here, env={**os.environ, **env},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *words: str | Path, program: Path = OSFT) -> subprocess.CompletedProcess[str]:
        with self.start(*words, program=program) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def calls(self, verb: str) -> list[tuple[list[str], str]]:
        """The calls of a verb: their words and what they read."""
        found = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        return [(words, text) for words, text in found if words[0] == verb]

    def pod(self) -> dict[str, Any]:
        """The pod that was created; it was deleted by its name."""
        ((_, text),) = self.calls("create")
        found: dict[str, Any] = json.loads(text)
        ((words, _),) = self.calls("delete")
        assert words[:3] == ["delete", "pod", found["metadata"]["name"]]
        return found


def pod_meta() -> Object:
    return {"name": "demo-read", "creationTimestamp": "2026-11-21T16:00:00Z"}


def running() -> Object:
    status = {"phase": "Running", "containerStatuses": [{"name": "read", "state": {"running": {}}}]}
    return {"spec": {"nodeName": "node-1"}, "status": status}


def record(run: Path) -> None:
    """Give the run's training outputs and whole records."""
    for name, content in FILES.items():
        (run / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (run / "train" / name).write_bytes(content)
    for stage in ("download", "train", "eval", "register"):
        path = run / stage / "record.json"
        outputs = [
            {"path": name, "size": len(content), "sha256": sha256_file(run / "train" / name)}
            for name, content in FILES.items()
            if stage == "train"
        ]
        found = json.loads(path.read_text()) | {"inputs": {}, "inputs_digest": "", "needs": {}, "shared": {}}
        path.write_text(json.dumps(found | {"outputs": outputs}))


def objects(values: Object, run: str = RUN) -> list[Object]:
    """What a release left on the cluster, as its rendering has it."""
    found = []
    for thing in render(values, name="demo"):
        if thing["kind"] in ("TrainJob", "TrainingRuntime", "Job"):
            text = yaml.safe_dump(thing)
            thing = yaml.safe_load(text.replace(thing["metadata"]["labels"]["osft-pipeline/run"], run))
            thing["metadata"] |= {
                "namespace": "team",
                "uid": "x",
                "creationTimestamp": "2026-11-21T16:00:00Z",
            }
            found.append(thing)
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path, objects({}))


def test_a_run_of_the_cluster_is_reported_like_one_of_this_machine(cluster: Cluster) -> None:
    done = cluster("report", "demo", "-n", "team")
    assert done.returncode == 0, done.stderr
    for words in (f"{RUN}  done", "What was learned", "What was kept", URL):
        assert words in done.stdout
    assert f"pvc://demo-workspace/runs/{RUN}/train/model\n" in done.stdout
    assert done.stdout.rstrip().endswith(f"fetch {RUN} --namespace=team")
    assert not list((cluster.folder / "here").iterdir())


@pytest.mark.parametrize("values", [{}, HOOKS], ids=["cluster", "hooks"])
def test_the_pod_that_reads_is_the_release_s_own_and_may_only_read(tmp_path: Path, values: Object) -> None:
    pull = {"images": {"pullSecrets": ["mirror"]}, "stageDefaults": {"labels": {"team": "a"}}}
    cluster = Cluster(tmp_path, objects({**values, **pull}))
    assert cluster("report", "demo", "-n", "team").returncode == 0
    pod = cluster.pod()
    (container,) = pod["spec"]["containers"]
    assert container["image"].rpartition("/")[2].startswith("register:")
    assert [(mount["mountPath"], mount["readOnly"]) for mount in container["volumeMounts"]] == [
        ("/workspace", True)
    ]
    assert container["securityContext"]["readOnlyRootFilesystem"] and "env" not in container
    assert pod["spec"]["securityContext"]["fsGroup"] == 0
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["imagePullSecrets"] == [{"name": "mirror"}]
    assert pod["spec"]["activeDeadlineSeconds"] == 6 * 3600
    labels = pod["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "read" and labels["team"] == "a"


def test_a_pod_with_a_job_s_labels_is_not_created(tmp_path: Path) -> None:
    things = objects(HOOKS)
    for thing in things:
        if thing["kind"] == "Job":
            own = {"batch.kubernetes.io/controller-uid": "x", "controller-uid": "x", "job-name": "y"}
            thing["spec"]["template"]["metadata"]["labels"] |= own
    cluster = Cluster(tmp_path, things)
    assert cluster("report", "demo", "-n", "team").returncode == 0
    assert not [key for key in cluster.pod()["metadata"]["labels"] if "job" in key or "controller" in key]


def test_the_page_of_a_run_on_the_cluster_is_copied(cluster: Cluster) -> None:
    missing = cluster("report", "demo", "-n", "team", "--copy", "r.html")
    assert missing.returncode == 2
    assert f"has no report: expected pvc://demo-workspace/runs/{RUN}/eval/report.html" in missing.stderr
    (cluster.claim / "runs" / RUN / "eval" / "report.html").write_text("<p>page</p>")
    done = cluster("report", "demo", "-n", "team", "--copy", "r.html")
    assert done.returncode == 0 and "copied to r.html" in done.stdout, done.stderr
    assert (cluster.folder / "here" / "r.html").read_text() == "<p>page</p>"


def test_the_tuned_model_is_fetched_from_the_cluster(cluster: Cluster) -> None:
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 0, done.stderr
    assert f"2 files, 1 MiB, in {RUN}; every sha256 is as recorded" in done.stdout
    model = cluster.folder / "here" / RUN / "train" / "model"
    assert sorted(path.name for path in model.iterdir()) == ["config.json", "model.safetensors"]
    assert (model / "model.safetensors").read_bytes() == WEIGHTS
    cluster.pod()


@pytest.mark.parametrize("code", [0, 1], ids=["silently", "with an error"])
def test_a_cut_connection_publishes_nothing_and_the_next_call_continues(cluster: Cluster, code: int) -> None:
    cluster.state |= {"cut": [300_000], "cut_code": code}
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 75, done.stdout
    assert "was cut while runs/demo-1a2b3c4d/train/model/model.safetensors was read" in done.stderr
    assert "it continues where it stopped" in done.stderr
    model = cluster.folder / "here" / RUN / "train" / "model"
    assert not (model / "model.safetensors").exists()
    cluster.state["cut"] = []
    assert cluster("fetch", "demo", "-n", "team").returncode == 0
    assert (model / "model.safetensors").read_bytes() == WEIGHTS
    assert sorted(path.name for path in model.iterdir()) == ["config.json", "model.safetensors"]
    firsts = [words[-1] for words, _ in cluster.calls("exec") if words[-2].endswith("model.safetensors")]
    assert firsts == ["1", "300001"]


def test_a_file_that_changed_in_the_claim_is_not_fetched(cluster: Cluster) -> None:
    (cluster.claim / "runs" / RUN / "train" / "model" / "config.json").write_text("[]")
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2 and "has a different sha256 than its record says" in done.stderr
    assert not list((cluster.folder / "here").rglob("*config.json*"))


def test_a_file_that_is_gone_from_the_claim_is_named(cluster: Cluster) -> None:
    (cluster.claim / "runs" / RUN / "train" / "metrics.jsonl").unlink()
    done = cluster("fetch", "demo", "train/metrics.jsonl", "-n", "team")
    assert done.returncode == 2
    assert "train/metrics.jsonl is missing in the claim demo-workspace" in done.stderr


def test_a_run_of_this_machine_comes_first_and_the_cluster_is_asked_for_others(cluster: Cluster) -> None:
    assert cluster("report", "demo").returncode == 0
    assert len(cluster.calls("create")) == 1
    write_run(cluster.folder / "nothing")
    assert "Ask both models" in cluster("report", "demo").stdout
    assert len(cluster.calls("create")) == 1
    only_here = cluster("report", "other", "--workspace", cluster.folder / "nothing")
    assert only_here.returncode == 2 and "no finished run of 'other'" in only_here.stderr
    both = cluster("report", "demo", "-n", "team", "--workspace", ".")
    assert both.returncode == 2 and "Leave out one of them" in both.stderr


def test_a_run_that_an_upgrade_replaced_is_read_by_its_id(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, objects({}, run="demo-00000000"))
    assert f"{RUN}  done" in cluster("report", RUN, "-n", "team").stdout
    new = cluster("report", "demo", "-n", "team")
    assert new.returncode == 2
    assert "pvc://demo-workspace/runs/demo-00000000 has no record" in new.stderr


def test_a_release_without_a_run_is_named(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, [])
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2 and "release demo has no run in namespace team" in done.stderr
    everywhere = cluster("fetch", "demo")
    assert "has no finished run of 'demo'" in everywhere.stderr
    assert "release demo has no run in namespace team" in everywhere.stderr


def test_a_claim_that_is_gone_is_named_before_a_pod_is_created(cluster: Cluster) -> None:
    said = 'Error from server (NotFound): persistentvolumeclaims "demo-workspace" not found'
    cluster.answer("get persistentvolumeclaim", 1, err=said)
    del cluster.state["answers"]["get persistentvolumeclaim demo-workspace"]
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2
    assert "the PersistentVolumeClaim demo-workspace does not exist in namespace team" in done.stderr
    assert not cluster.calls("create")


def test_a_right_that_is_missing_is_named_with_the_role(cluster: Cluster) -> None:
    cluster.answer("auth can-i create pods --subresource=exec", 1, "no\n")
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2
    assert "create on pods/exec is denied" in done.stderr and "docs/cluster.md#rights" in done.stderr
    assert not cluster.calls("create")
    cluster.answer("auth can-i create pods --subresource=exec", out="yes\n")
    denied = 'Error from server (Forbidden): pods is forbidden: User "x" cannot create resource "pods"'
    cluster.answer("create", 1, err=denied)
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2 and "cannot create resource" in done.stderr


def test_a_claim_that_one_node_holds_is_read_there(cluster: Cluster) -> None:
    volume = {"name": "workspace", "persistentVolumeClaim": {"claimName": "demo-workspace"}}
    busy = {"spec": {"nodeName": "node-7", "volumes": [volume]}, "status": {"phase": "Running"}}
    cluster.answer("get pods", out={"items": [busy]})
    assert cluster("report", "demo", "-n", "team").returncode == 0
    (term,) = cluster.pod()["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    assert term["matchFields"] == [{"key": "metadata.name", "operator": "In", "values": ["node-7"]}]


def test_an_image_that_cannot_be_pulled_ends_the_command_and_deletes_the_pod(cluster: Cluster) -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "read", "state": waiting}]}
    cluster.answer("get pod demo-read", out={"metadata": pod_meta(), "spec": {}, "status": status})
    done = cluster("report", "demo", "-n", "team")
    assert done.returncode == 2
    assert "does not start (ImagePullBackOff: not found)" in done.stderr
    cluster.pod()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_deletes_its_pod(cluster: Cluster, number: int) -> None:
    cluster.state["hang"] = "model.safetensors"
    with cluster.start("fetch", "demo", "-n", "team") as process:
        assert wait_for((cluster.folder / "hangs").exists)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == 128 + number
    cluster.pod()


PYTHON = """\
from osft_pipeline import ClusterRun
from osft_pipeline.kubectl import Kubectl

run = ClusterRun(Kubectl.of("team", None, None), "demo")
print(run.results["summary"]["headline"])
print(run.report()._repr_html_()[:15])
"""


def test_results_and_report_of_a_run_on_the_cluster_are_read_from_python(cluster: Cluster) -> None:
    (cluster.claim / "runs" / RUN / "eval" / "report.html").write_text("<p>page</p>")
    done = cluster("-c", PYTHON, program=OSFT.with_name("python"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "<iframe srcdoc="
    assert "forgot some of what it knew" in done.stdout
    assert len(cluster.calls("create")) == len(cluster.calls("delete")) == 2
