"""`osft follow` from its command line, with a kubectl on PATH that answers what a real one answered."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.client.follow.cluster import Cluster, at, states

ROOT = Path(__file__).resolve().parents[3]
OSFT = ROOT / ".venvs" / "client" / "bin" / "osft"
TRAINING = "2026-11-21T16:00:40Z train training step=24/96 loss=3.433 left=8m40s"

# Each call takes the first answer left for its verb (`get trainjobs` is the objects); the last one stays.
KUBECTL = """\
#!{python} -SE
import json, pathlib, sys
words = sys.argv[1:]
here = pathlib.Path({folder!r})
with (here / "calls").open("a") as file:
    print(json.dumps(words), file=file)
verb = "objects" if words[0] == "get" and "jobs.batch" in words[1] else " ".join(words[:2])
answers = json.loads((here / "answers").read_text())
left = answers.get(verb) or answers.get(words[0]) or [[1, "", "error: unknown"]]
code, out, err = left[0]
if len(left) > 1:
    left.pop(0)
    (here / "answers").write_text(json.dumps(answers))
print(out, end="")
print(err, end="", file=sys.stderr)
sys.exit(code)
"""


class Kubectl:
    """A folder with a kubectl in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[str, list[tuple[int, str, str]]] = {}
        program = folder / "kubectl"
        program.write_text(KUBECTL.format(python=os.path.realpath(sys.executable), folder=str(folder)))
        program.chmod(0o755)

    def objects(self, *clusters: Cluster) -> None:
        """What the next looks find; each cluster's logs too."""
        self.answers["objects"] = [(0, cluster.listed(), "") for cluster in clusters]
        logs = [log for cluster in clusters for log in cluster.said.logs.values()]
        self.answers["logs"] = [(0, "\n".join(log), "") for log in logs] or [(1, "", "not found")]

    def refuse(self, said: str) -> None:
        """Every question is refused."""
        self.answers["objects"] = [(1, "", said)]

    def write(self) -> None:
        """Lay down the answers."""
        (self.folder / "answers").write_text(json.dumps(self.answers))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the command."""
        self.write()
        return subprocess.Popen(
            [OSFT, "follow", "--every=0s", *words],
            env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def follow(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        with self.start(*words) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def calls(self) -> list[list[str]]:
        """What was asked."""
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path)


def finished() -> Cluster:
    cluster = Cluster().trainjob()
    for number, name in enumerate(("download", "train", "eval", "register")):
        cluster.done(name, 1 + 10 * number)
    return cluster


@pytest.mark.parametrize(
    ("cluster", "code"),
    [
        (finished(), 0),
        (Cluster().trainjob().failed("download", 1, 2, "data.uri answers 403"), 2),
        (Cluster().trainjob().failed("download", 1, 3, "the gate failed"), 3),
        (Cluster().trainjob().failed("download", 1, 75, "away", "BackoffLimitExceeded"), 75),
        (Cluster().trainjob().failed("download", 1, 1, "KeyError", "BackoffLimitExceeded"), 1),
    ],
    ids=["done", "user", "gate", "away", "bug"],
)
@pytest.mark.parametrize("how", [["--json"], ["--once"]], ids=" ".join)
def test_the_exit_code_is_the_runs_own(kubectl: Kubectl, cluster: Cluster, code: int, how: list[str]) -> None:
    kubectl.objects(cluster)
    assert kubectl.follow("run1", *how).returncode == code


def test_once_ends_with_75_while_the_run_lives_so_that_zero_always_means_done(kubectl: Kubectl) -> None:
    kubectl.objects(Cluster().trainjob().running("download", 1))
    done = kubectl.follow("run1", "--once")
    assert done.returncode == 75
    assert "download  running" in done.stdout and not done.stderr


def test_each_change_is_a_line_where_nobody_watches(kubectl: Kubectl) -> None:
    first = Cluster().trainjob().running("download", 1)
    second = Cluster().trainjob().done("download", 1).failed("train", 12, 2, "no row is left to train on")
    kubectl.objects(first, first, second)
    done = kubectl.follow("run1", "-n", "team")
    assert done.returncode == 2
    lines = [line.partition("Z ")[2] for line in done.stdout.partition("\n\n")[0].splitlines()]
    assert lines[0] == (
        "run1-12dab11d follow stages=download,train,eval,register ordering=cluster namespace=team"
    )
    assert lines[1].startswith("download running pod=run1-12dab11d-d6de-download-0-0-c node=gpu-1")
    assert lines[2] == 'download done seconds=10 message="download is done"'
    assert lines[3].startswith("train failed pod=") and lines[3].endswith(
        'message="no row is left to train on"'
    )
    assert lines[4] == "run1-12dab11d failed code=2 seconds=22"
    assert len(lines) == 5
    assert "What to do" in done.stdout


def on_terminal(kubectl: Kubectl, *words: str, columns: int = 100) -> tuple[int, str]:
    """Run the command on a terminal of its own; exit code and everything written to it."""
    kubectl.write()
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        [OSFT, "follow", "--every=0s", *words],
        env={**env, "PATH": f"{kubectl.folder}:{os.environ['PATH']}", "TERM": "xterm-256color"},
        stdin=its, stdout=its, stderr=its, start_new_session=True,
    )  # fmt: skip
    os.close(its)
    written = b""
    with contextlib.suppress(OSError):  # a terminal whose program has ended
        while part := os.read(ours, 65536):
            written += part
    os.close(ours)
    return process.wait(timeout=60), written.decode()


def test_a_terminal_shows_one_screen_and_keeps_the_last_state(kubectl: Kubectl) -> None:
    first = Cluster().trainjob().running("download", 1)
    second = Cluster().trainjob().done("download", 1).failed("train", 12, 2, "no row is left to train on")
    kubectl.objects(first, second)
    code, written = on_terminal(kubectl, "run1")
    assert code == 2
    screen, _, kept = written.partition("\x1b[?1049l")
    assert screen.count("\x1b[?1049h") == 1 and "download running" in screen
    text = re.sub(r"\x1b\[[0-9;?]*[a-z]", "", kept, flags=re.IGNORECASE)
    assert text.count("train failed with exit code 2") == 1
    assert "What to do" in text and "no row is left to train on" in text
    assert "\x1b[31mfailed" in kept and "\x1b[?25h" in written
    assert kept.rstrip().endswith("kubectl -n team logs run1-12dab11d-d6de-node-0-0-e")


def test_json_is_one_object_and_the_changes_go_elsewhere(kubectl: Kubectl) -> None:
    kubectl.objects(Cluster().trainjob().done("download", 1).running("train", 12, TRAINING), finished())
    done = kubectl.follow("run1", "--json")
    found = json.loads(done.stdout)
    assert (found["run"], found["state"], found["exitCode"]) == ("run1-12dab11d", "done", 0)
    assert [stage["name"] for stage in found["stages"]] == ["download", "train", "eval", "register"]
    assert "train running" in done.stderr


def test_json_holds_every_documented_key(kubectl: Kubectl) -> None:
    kubectl.objects(Cluster().trainjob().done("download", 1).running("train", 12, TRAINING))
    done = kubectl.follow("run1", "--once", "--json")
    found = json.loads(done.stdout)
    text = " ".join(kubectl.follow("--help").stdout.split())
    section = text.partition("--json prints")[2].partition("states:")[0]

    def documented(value: Any) -> None:
        for key in value if isinstance(value, dict) else ():
            assert key in section, key

    documented(found)
    for stage in found["stages"]:
        documented(stage)
        documented({key: None for pod in stage["pods"] for key in pod})
    train = found["stages"][1]
    documented(train["progress"])
    assert train["progress"] == {
        "what": "training", "done": 24.0, "total": 96.0, "unit": "step", "percent": 25.0, "left": "8m40s",
        "fields": {"loss": "3.433"},
    }  # fmt: skip
    assert found["exitCode"] is None and train["started"] == "2026-11-21T16:00:12Z"


def test_json_holds_the_last_lines_of_a_stage_that_failed(kubectl: Kubectl) -> None:
    kubectl.objects(Cluster().trainjob().failed("download", 1, 2, "data.uri answers 403"))
    kubectl.answers["logs"] = [(0, "fetching\x1b[31m\nError: data.uri answers 403\n", "")]
    download, train, *_ = json.loads(kubectl.follow("run1", "--once", "--json").stdout)["stages"]
    assert download["log"] == ["fetching", "Error: data.uri answers 403"] and train["log"] == []


def test_namespace_context_and_kubeconfig_reach_kubectl(kubectl: Kubectl) -> None:
    kubectl.objects(finished())
    kubectl.follow("run1", "--once", "-n", "team", "--context", "lab", "--kubeconfig", "/tmp/k")
    asked = kubectl.calls()[0]
    assert {"--namespace=team", "--context=lab", "--kubeconfig=/tmp/k"} <= set(asked)
    assert "--selector=app.kubernetes.io/name=osft-pipeline,app.kubernetes.io/instance=run1" in asked


def test_a_cluster_without_kubeflow_trainer_is_asked_for_jobs_and_pods(kubectl: Kubectl) -> None:
    cluster = Cluster("hooks").done("download", 1).running("train", 12)
    kubectl.objects(cluster)
    kubectl.answers["objects"].insert(
        0, (1, "", 'error: the server doesn\'t have a resource type "trainjobs"')
    )
    done = kubectl.follow("run1", "--once", "--json")
    assert json.loads(done.stdout)["ordering"] == "hooks"
    assert [call[1] for call in kubectl.calls() if "batch" in call[1]][1] == "jobs.batch,pods"


def test_what_may_not_be_listed_is_said_and_the_rest_shown(kubectl: Kubectl) -> None:
    cluster = Cluster().done("download", 1).running("train", 12)
    said = 'Error from server (Forbidden): User "x" cannot list resource "trainjobs" in API group ...'
    kubectl.objects(cluster)
    kubectl.answers["objects"] = [(1, cluster.listed(), said)]
    done = kubectl.follow("run1", "--once")
    assert "train     running" in done.stdout
    assert "note: you may not list trainjobs here" in done.stdout


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ("The connection to the server localhost:8080 was refused - did you specify the right host or port?",
         2, "kubectl has no cluster configured. Set KUBECONFIG"),
        ("The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
         75, "the cluster does not answer (The connection to the server 10.0.0.1:6443 was refused)."),
        ("Unable to connect to the server: net/http: TLS handshake timeout", 75, "TLS handshake timeout"),
        ("error: You must be logged in to the server (Unauthorized)", 2, "Log in again."),
        ('Error from server (Forbidden): pods is forbidden: User "x" cannot list resource "pods"', 2,
         'Ask for a Role with get and list on trainjobs, jobs, pods and pods/log'),
        ("Error in configuration: context was not found for specified context: nope", 2,
         "kubectl failed: Error in configuration: context was not found for specified context: nope"),
    ],
    ids=["no cluster", "refused", "timeout", "login", "forbidden", "context"],
)  # fmt: skip
def test_a_cluster_that_cannot_be_asked_is_a_sentence(
    kubectl: Kubectl, said: str, code: int, words: str
) -> None:
    kubectl.refuse(said)
    done = kubectl.follow("run1")
    assert done.returncode == code
    assert done.stderr.startswith("Error: ") and words in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_cluster_that_is_unavailable_for_a_while_is_asked_again(kubectl: Kubectl) -> None:
    kubectl.objects(Cluster().trainjob().running("download", 1), finished())
    refused = "Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout"
    kubectl.answers["objects"].insert(1, (1, "", refused))
    kubectl.answers["logs"] = [(1, "", "")]
    done = kubectl.follow("run1")
    assert done.returncode == 0
    assert f"run1-12dab11d the cluster does not answer ({refused}); asking again\n" in done.stdout


def test_a_release_without_a_run_is_told_where_there_is_one(kubectl: Kubectl) -> None:
    nothing = json.dumps({"kind": "List", "items": []})
    kubectl.answers = {
        "objects": [(0, nothing, ""), (0, finished().listed(), "")],
        "config view": [(0, "default", "")],
    }
    done = kubectl.follow("run1", "--once")
    assert done.returncode == 2
    assert "release run1 has no run in namespace default. It has one in team: add -n team." in done.stderr
    kubectl.answers["objects"] = [(0, nothing, ""), (0, finished().listed(), "")]
    done = kubectl.follow("run9", "--once", "-n", "team")
    assert "release run9 has no run in namespace team. Releases with a run there: run1." in done.stderr


def test_a_run_that_helm_makes_late_is_waited_for(kubectl: Kubectl) -> None:
    """A busy machine's helm needs more than ten seconds before it makes anything."""
    kubectl.objects(finished())
    nothing = (0, json.dumps({"kind": "List", "items": []}), "")
    kubectl.answers["objects"][:0] = [nothing] * 12
    done = kubectl.follow("run1", "--every=1s")
    assert done.returncode == 0, done.stderr
    assert "release run1 has no run here yet; looking for" in done.stdout


def test_a_run_that_is_not_there_is_told_which_are(kubectl: Kubectl) -> None:
    kubectl.objects(finished())
    done = kubectl.follow("run1", "--run", "run1-00000000", "--once")
    assert done.returncode == 2 and "it has run1-12dab11d" in done.stderr


def test_an_older_run_can_be_named(kubectl: Kubectl) -> None:
    old, new = (
        Cluster("hooks", run="run1-old").failed("download", 1, 2, "wrong"),
        Cluster("hooks", run="run1-new"),
    )
    new.running("download", 50)
    new.things += old.things
    kubectl.objects(new)
    assert json.loads(kubectl.follow("run1", "--once", "--json").stdout)["run"] == "run1-new"
    assert kubectl.follow("run1", "--once", "--run", "run1-old").returncode == 2


def test_an_end_that_an_upgrade_is_about_to_replace_is_not_final(kubectl: Kubectl) -> None:
    old = Cluster().trainjob().failed("download", 1, 137, "killed", "BackoffLimitExceeded")
    new = Cluster()
    new.trainjob_name = f"{new.run}-ffff"
    new.trainjob(60)
    for number, name in enumerate(("download", "train", "eval", "register")):
        new.done(name, 61 + 10 * number)
    kubectl.objects(old, new)
    row = "sh.helm.release.v1.run1.v2 helm.sh/release.v1 1 5s name=run1,owner=helm,status={},version=2"
    kubectl.answers["get secrets"] = [(0, row.format(word), "") for word in ("pending-upgrade", "deployed")]
    done = kubectl.follow("run1")
    assert done.returncode == 0, done.stdout


def test_what_helm_did_since_the_objects_were_read_counts(kubectl: Kubectl) -> None:
    """Helm may make the TrainJob and be done between a look at preflight and the question how helm stands."""
    before = Cluster().running("preflight", 0)
    after = Cluster().trainjob(2).failed("download", 3, 2, "data.uri answers 404")
    kubectl.objects(before, after)
    row = "sh.helm.release.v1.run1.v1 helm.sh/release.v1 1 5s name=run1,owner=helm,status=deployed,version=1"
    kubectl.answers["get secrets"] = [(0, row, "")]
    done = kubectl.follow("run1")
    assert done.returncode == 2
    assert "\ndownload failed\n  data.uri answers 404\n" in done.stdout
    assert "helm gave up" not in done.stdout


def test_events_are_read_only_where_a_pod_says_nothing_itself(kubectl: Kubectl) -> None:
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    kubectl.objects(Cluster().trainjob().job("download", 1).pod(1, waiting))
    older = {"type": "Warning", "reason": "FailedScheduling", "message": "no node", "lastTimestamp": at(2)}
    newer = {"type": "Normal", "reason": "Pulling", "message": "Pulling image big", "lastTimestamp": at(5)}
    kubectl.answers["get events"] = [(0, json.dumps({"items": [newer, older]}), "")]
    assert re.search(r"  Pulling *\n", kubectl.follow("run1", "--once").stdout)
    kubectl.objects(Cluster().trainjob().running("download", 1))
    kubectl.answers["get events"] = [(1, "", "asked")]
    kubectl.follow("run1", "--once")
    assert sum(call[1] == "events" for call in kubectl.calls()) == 1


def test_a_timeout_ends_with_75_and_leaves_the_run_alone(kubectl: Kubectl) -> None:
    kubectl.objects(Cluster().trainjob().running("download", 1))
    done = kubectl.follow("run1", "--timeout", "1s")
    assert done.returncode == 75
    assert done.stderr == "Error: the run was not done after 1s; it goes on. Follow it again.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_look_and_says_that_the_run_goes_on(kubectl: Kubectl, number: int) -> None:
    kubectl.objects(Cluster().trainjob().running("download", 1))
    with kubectl.start("run1") as process:
        assert process.stdout and "stages=" in process.stdout.readline()
        process.send_signal(number)
        assert "the run goes on" in process.communicate(timeout=30)[1]
    assert process.returncode == 128 + number


@pytest.mark.parametrize("given", ["soon", "1x", ""])
def test_a_time_that_is_not_valid_is_rejected(kubectl: Kubectl, given: str) -> None:
    done = kubectl.follow("run1", f"--timeout={given}")
    assert done.returncode == 2 and "expected seconds, or as in 90s, 15m, 1h30m" in done.stderr


def test_states_named_in_the_help_are_all_there_are() -> None:
    text = (ROOT / "client/osft_pipeline/follow/model.py").read_text()
    for state in states(finished().read()).values():
        assert state in text
