"""A namespace with one release; kubectl on PATH runs the commands of pods on this machine.

What it answers is what a real one answered; the objects are the chart's own rendering.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from osft_workspace import sha256_file
from tests.chart.rendering import COMPONENT, STAGES, Object, render
from tests.client.local.sample import RUN, write_run
from tests.client.local.support import OSFT

# `exec` runs the command of the pod on this machine, with a folder in place of the claim.
KUBECTL = """\
#!{python} -SE
import json, os, pathlib, subprocess, sys, time
here = pathlib.Path({folder!r})
words = sys.argv[1:]
state = json.loads((here / "state").read_text())
text = sys.stdin.read() if words[0] == "create" or "--stdin" in words else ""
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
    claim = str(here / "claim")
    script = [word.replace("/workspace", claim, 1) for word in script]
    what = script[4] if script[0] == "sh" else " ".join(script)
    if script[0] == "osft-ops":
        script[0] = {ops!r}
    if state["hang"] and state["hang"] in what:
        (here / "hangs").touch()
        time.sleep(60)
    if "--remove" in what and state["meanwhile"]:
        pathlib.Path(claim, state["meanwhile"]).write_text("")
    done = subprocess.run(script, input=text.encode(), capture_output=True)
    print(done.stderr.decode().replace(claim, "/workspace"), end="", file=sys.stderr)
    cut = state["cut"].pop(0) if state["cut"] and what.endswith((".safetensors", "--remove=-")) else None
    (here / "state").write_text(json.dumps(state))
    sys.stdout.buffer.write(done.stdout if cut is None else done.stdout[:cut])
    sys.stdout.flush()
    if cut is not None:
        end(state["cut_code"], "", "error: error reading from error stream: websocket: close 1006")
    if done.returncode:
        end(done.returncode, "", f"command terminated with exit code {{done.returncode}}")
elif words[0] == "get" and "jobs.batch" in words[1]:
    kinds = [kind.partition(".")[0] for kind in words[1].split(",")]
    end(0, json.dumps({{"items": [one for one in state["objects"] if one["kind"].lower() + "s" in kinds]}}))
elif words[0] == "get":
    end(0, json.dumps({{"items": []}}))
"""
OPS = Path(sys.executable).with_name("osft-ops")
WEIGHTS = bytes(range(256)) * 4096
FILES = {"model/config.json": b"{}", "model/model.safetensors": WEIGHTS, "metrics.jsonl": b"{}\n"}


class Cluster:
    """A namespace with one release and the workspace of its run."""

    def __init__(self, folder: Path, objects: list[Object]) -> None:
        self.folder, self.claim = folder, folder / "claim"
        self.state: dict[str, Any] = {
            "objects": objects, "answers": {}, "cut": [], "cut_code": 1, "hang": "", "meanwhile": "",
        }  # fmt: skip
        claim = {"metadata": {"name": "demo-workspace"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
        self.answer("get persistentvolumeclaim demo-workspace", out=claim)
        for use in ("read", "prune"):
            self.answer(f"get pod demo-{use}", out={**running(), "metadata": pod_meta()})
        self.answer("auth can-i create pods --subresource=exec", out="yes\n")
        self.answer("config view", out="team")
        program = folder / "kubectl"
        program.write_text(
            KUBECTL.format(python=os.path.realpath(sys.executable), folder=str(folder), ops=str(OPS))
        )
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

    def pods(self) -> list[dict[str, Any]]:
        """The pods that were created; each was deleted by its name."""
        found = [json.loads(text) for _, text in self.calls("create")]
        deleted = [words[:3] for words, _ in self.calls("delete")]
        assert deleted == [["delete", "pod", pod["metadata"]["name"]] for pod in found]
        return found

    def pod(self) -> dict[str, Any]:
        """The only pod that was created, and deleted."""
        (found,) = self.pods()
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


def finished(things: list[Object]) -> list[Object]:
    """What a done run leaves: the Jobs of its stages, all complete, also those below its TrainJob."""
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-21T17:00:00Z"}
    status = {"conditions": [complete]}
    found = []
    for thing in things:
        if thing["kind"] != "Job":
            found.append(thing)
        elif thing["metadata"]["labels"][COMPONENT] in STAGES:
            found.append(thing | {"status": status})
    trainjob = next(thing["metadata"] for thing in things if thing["kind"] == "TrainJob")
    runtime = next(thing for thing in things if thing["kind"] == "TrainingRuntime")
    for job in runtime["spec"]["template"]["spec"]["replicatedJobs"]:
        stage = job["name"].replace("node", "train")
        labels = {COMPONENT: stage, "jobset.sigs.k8s.io/jobset-name": trainjob["name"]}
        meta = {**trainjob, "name": f"{trainjob['name']}-{stage}", "labels": trainjob["labels"] | labels}
        found.append({"kind": "Job", "metadata": meta, "spec": job["template"]["spec"], "status": status})
    return found
