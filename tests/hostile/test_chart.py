"""Values that Kubernetes would refuse, or that could break out of their place in an object."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.table import CHART, HELM, Bench, Row, check

LONG = "a" * 254
LABEL = "b" * 64
INJECTION = "x\nhostPID: true"


def value(key: str, given: Any, says: str = "") -> Row:
    """Return a row of one key: helm names the key, by its path or as it is written."""

    def arrange(bench: Bench) -> list[str]:
        rows = '--set-json=data.uri="hf://org/rows"'
        return [str(HELM), "template", "run1", str(CHART), rows, f"--set-json={key}={json.dumps(given)}"]

    path = key.replace("[", "/").replace("]", "").replace("\\.", "\0").replace(".", "/").replace("\0", ".")
    shown = json.dumps(given)[:40]
    return Row(f"{key} {shown}", arrange, 1, says or rf"(/{path}\b|{key})", seconds=60)


def bad_values(key: str, *given: Any) -> list[Row]:
    """Rows of one key."""
    return [value(key, one) for one in given]


def words(name: str, says: str, *flags: str) -> Row:
    """Return a row of any flags."""
    return Row(name, lambda bench: bench.helm(*flags), 1, says, seconds=60)


def claim(key: str, address: str) -> Row:
    """Return a row of a claim that an address names."""
    return value(key, address, f"{key} names the claim")


ROWS = [
    # Names that become names of objects.
    *bad_values("workspace.existingClaim", "Claim", "a:b", "..", "a..b", "a/b", LONG, INJECTION),
    *bad_values("workspace.storageClass", "Fast", "a b", INJECTION),
    *bad_values("stageDefaults.schedulerName", INJECTION, "a: b", "-a", "a b", "{{ x }}"),
    *bad_values("stageDefaults.priorityClassName", "High", "a..b", INJECTION),
    *bad_values("train.pod.runtimeClassName", "a_b", "nvidia\n", '"'),
    *bad_values("data.pod.serviceAccountName", "me@x", "a.-b"),
    *bad_values("queue.name", "Team", LABEL, "a\nb: c"),
    *bad_values("queue.priorityClass", "x y"),
    *bad_values("secrets.hf.existing", "My-Secret", "a/b"),
    *bad_values("secrets.hf.key", "", "..", "..a", "a b", "a/b", LONG),
    *bad_values("secrets.s3.keys.sessionToken", "."),
    *bad_values("register.tls.caKey", "../ca.crt", "ca.crt]}"),
    *bad_values("images.pullSecrets[0]", "a..b"),
    *bad_values("runId", "../x", "Run", "a" * 41),
    # Claims that addresses name.
    claim("data.uri", "pvc://Claim/rows.jsonl"),
    claim("data.uri", "pvc://a:b/rows.jsonl"),
    claim("data.uri", "pvc://../rows.jsonl"),
    claim("data.uri", "pvc:///rows.jsonl"),
    claim("data.evalUri", "pvc://a..b/rows.jsonl"),
    claim("data.evalUri", f"pvc://{LONG}/rows.jsonl"),
    claim("model.uri", "pvc://mod{el/x"),
    claim("model.uri", "pvc://a?b/x"),
    # Images.
    *bad_values("images.registry", "http://r.example.com", "r.example.com:port", "a b", INJECTION, "r/../x"),
    *bad_values("images.repository", "team/X", "a//b", "/a", "a:1"),
    *bad_values("images.train.repository", "r.example.com/x:latest", "r.example.com/x@sha256:1", "$(id)"),
    *bad_values("images.tag", "a/b", "-a", "a b", "a" * 129),
    *bad_values("images.eval.digest", "sha256:12", "md5:0"),
    *bad_values("images.pullPolicy", "always"),
    # Labels, annotations and variables.
    *bad_values("stageDefaults.labels", {"a b": "c"}, {"a//b": "c"}, {LABEL: "c"}, {"A.b/c": "d"}),
    *bad_values("stageDefaults.labels.team", "a b", LABEL, "x\ny: z"),
    *bad_values("stageDefaults.annotations", {"a: b": "c"}, {"x\nspec": "c"}, {"/a": "b"}),
    *bad_values("stageDefaults.annotations.note", {"a": "b"}, 1),
    *bad_values("stageDefaults.nodeSelector", {"a b": "c"}, {"zone": "a: b"}),
    *bad_values("stageDefaults.tolerations[0]", {"key": "a b"}, {"value": "{"}),
    *bad_values("stageDefaults.env", {"1A": "x"}, {"A B": "x"}, {"A\nvalue": "x"}, {"A=B": "x"}),
    *bad_values("stageDefaults.gpuResource", "gpu", "a..b/gpu", "nvidia.com/gpu: 8", "x/y\nz: 1"),
    *bad_values("train.pod.resources.limits", {"a b": 1}, {"cpu\nx": 1}),
    # Volumes.
    *bad_values("stageDefaults.extraVolumes[0].name", "workspace", "claim-0", "A", "a.b", INJECTION),
    *bad_values("stageDefaults.extraVolumeMounts[0]", {"name": "v", "mountPath": "tmp"}),
    *bad_values("stageDefaults.extraVolumeMounts[0]", {"name": "v", "mountPath": "/a:b"}),
    *bad_values("train.pod.extraVolumeMounts[0]", {"name": "v", "mountPath": "/workspace"}),
    *bad_values("workspace.size", "100", "1Gi\nx: y"),
    # The network.
    *bad_values("networkPolicy.dnsPorts", [0], [65536], ["53"]),
    *bad_values("networkPolicy.apiServerPorts", [-1]),
    *bad_values("networkPolicy.extraEgress", [{}], [{"from": []}], [{"to": [{}]}]),
    value("register.address", "http://registry:70000", "register.*port 70000"),
    # Time.
    *bad_values("train.pod.deadlineMinutes", -1, "1h", 1e12),
    *bad_values("hooks.timeoutMinutes", 0, 1e12),
    # Characters that no object holds, and that no terminal should see.
    value("data.split", "a\u0000b", "data.split holds a control character"),
    value("model.revision", "a\u001b[2Jb", "model.revision holds a control character"),
    value("register.description", "a\u009bb", "register.description holds a control character"),
    value("stageDefaults.env.NOTE", "a\u007f", "stageDefaults.env.NOTE holds a control character"),
    value("eval.genKwargs", {"a\u0007": 1}, "the name eval.genKwargs.*holds a control character"),
    value("data.uri", ["s3://b/k", "s3://b/\u0001"], r"data.uri\[1\] holds a control character"),
    value("secrets.hf.create.token", "hf_canary_5f0c1e\u0000", "secrets.hf.create.token holds a control"),
    # What is given beside the values.
    words("a namespace with a space", "the namespace is called", "--namespace=a b"),
    words("a namespace with a line break", "the namespace is called", f"--namespace={INJECTION}"),
    words("a namespace in capitals", "the namespace is called", "--namespace=Team"),
    words("a namespace for a shell", "the namespace is called", "--namespace=$(id)"),
    words("a namespace with an escape", "the namespace is called", "--namespace=a\x1b[2J"),
    words("an unknown key", "additional properties 'hostPID' not allowed", "--set=hostPID=true"),
    words("a key below a stage", "/train", "--set=train.hostPID=true"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_chart(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
