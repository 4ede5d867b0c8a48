"""What each example renders, short enough to read in a review: tests/chart/golden/<example>.yaml.

    python -m tests.chart.golden        writes the files again

What all pods of a rendering share stands once, at the top, and so does what the stages share beyond it.
Names of the run are RUN and RUN-SPEC. Labels and annotations that all objects have are left out: they change
with releases.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.chart.rendering import (
    EXAMPLES,
    REGISTRY,
    ROOT,
    STAGES,
    Object,
    Pod,
    hook,
    pods_of,
    render,
    run_id,
)

FOLDER = ROOT / "tests" / "chart" / "golden"
HOOK_KEYS = {
    "hook": "at",
    "hook-weight": "weight",
    "hook-delete-policy": "delete",
    "hook-output-log-policy": "log",
}
OWN_LABELS = re.compile(
    r"(app\.kubernetes\.io/|helm\.sh/chart|osft-pipeline/run|trainer\.kubeflow\.org/framework)"
)


def golden(path: Path) -> str:
    """Return the golden text of one example."""
    objects = render(path)
    objects.sort(key=lambda thing: (order(thing), thing["metadata"]["name"]))
    pods = [pod for thing in objects for pod in own_pods(thing)]
    common = shared([traits(pod) for pod in pods])
    stages = without(shared([traits(pod) for pod in pods if pod.stage in STAGES]), common)
    flags = f"--set images.registry={REGISTRY} --values {path.relative_to(ROOT)}"
    head = f"# helm template run1 charts/osft-pipeline --namespace team {flags}\n"
    parts = [
        {"every pod": common},
        {"every stage": stages},
        *(brief(thing, common, stages) for thing in objects),
    ]
    text = head + "".join("\n" + dump(part) for part in parts)
    text = re.sub(rf"{run_id(objects)}-[0-9a-f]{{4}}\b", "RUN-SPEC", text)
    return text.replace(run_id(objects), "RUN")


def order(thing: Object) -> tuple[int, int]:
    """Return the place of an object in Helm's order: by hook event, then by weight."""
    event = hook(thing).partition(",")[0]
    place = {"pre-install": 0, "": 1, "post-install": 2, "test": 3, "pre-delete": 4}[event]
    return place, int(thing["metadata"].get("annotations", {}).get("helm.sh/hook-weight", 0))


def own_pods(thing: Object) -> list[Pod]:
    """Return the pods of an object; a TrainJob on an installed runtime is shown as it is."""
    return [] if thing["kind"] == "TrainJob" else pods_of(thing)


def traits(pod: Pod) -> Object:
    """Return what a pod runs, with what and where, as a flat map."""
    spec = {key: value for key, value in pod.spec.items() if key not in ("containers", "volumes")}
    container = {
        key: value
        for key, value in pod.container.items()
        if key not in ("name", "env", "volumeMounts", "args")
    }
    job = {key: value for key, value in (pod.job or {}).items() if key != "template"}
    for rule in (job.get("podFailurePolicy") or {}).get("rules", []):
        rule.get("onExitCodes", {}).pop("containerName", None)
    return {
        **{f"job {key}": value for key, value in job.items()},
        **{f"pod {key}": value for key, value in spec.items()},
        **{f"container {key}": value for key, value in container.items()},
        "annotations": pod.annotations if pod.job else {},
        "labels": {key: value for key, value in pod.labels.items() if not OWN_LABELS.match(key)},
        "env": {name: source(value) for name, value in pod.env.items()},
        "mounts": {path: volume(mount) for path, mount in pod.mounts.items()},
        "args": pod.args,
        "beside": [container["name"] for container in pod.spec["containers"][1:]],
    }


def source(value: Any) -> Any:
    """Return a variable's text, or where it comes from in one line."""
    if isinstance(value, dict) and "secretKeyRef" in value:
        ref = value["secretKeyRef"]
        return f"secret {ref['name']} {ref['key']}{' (optional)' if ref.get('optional') else ''}"
    return value


def volume(mount: Object) -> str:
    """Return a mounted volume in one line."""
    kind = next(key for key in mount if key not in ("name", "mountReadOnly"))
    given = mount[kind]
    name = (
        given.get("claimName") or given.get("secretName") or given.get("name") or given.get("sizeLimit") or ""
    )
    return f"{kind} {name}{' read-only' if mount['mountReadOnly'] else ''}".strip()


def shared(found: list[Object]) -> Object:
    """Return what all pods have in common, also single entries of env; a bare Pod has no Job to compare."""
    keys = dict.fromkeys(key for one in found for key in one)
    common: Object = {}
    for key in keys:
        jobs = [one for one in found if "job backoffLimit" in one]
        values = [one.get(key) for one in (jobs if key.startswith("job ") else found)]
        if values[0] not in ({}, []) and all(value == values[0] for value in values):
            common[key] = values[0]
    env = {k: v for k, v in found[0]["env"].items() if all(one["env"].get(k) == v for one in found)}
    return common | ({"env": env} if env else {})


def without(words: Object, *known: Object) -> Object:
    """Return what a pod has in addition to what is shown already."""
    said_env = {name for one in known for name in one.get("env", {})}
    env = {name: value for name, value in words.get("env", {}).items() if name not in said_env}
    own = {key: value for key, value in words.items() if all(one.get(key) != value for one in known)}
    return {key: value for key, value in (own | {"env": env}).items() if value not in ({}, [])}


def brief(thing: Object, common: Object, stages: Object) -> Object:
    """Return an object without what it shares with the others."""
    annotations = thing["metadata"].get("annotations", {})
    labels = {key: value for key, value in thing["metadata"]["labels"].items() if not OWN_LABELS.match(key)}
    result: Object = {f"{thing['kind']} {thing['metadata']['name']}": None}
    when = {
        word: annotations[f"helm.sh/{key}"]
        for key, word in HOOK_KEYS.items()
        if f"helm.sh/{key}" in annotations
    }
    known = ("helm.sh/hook", "osft-pipeline/")
    rest = {key: value for key, value in annotations.items() if not key.startswith(known)}
    result |= {
        key: value for key, value in (("hook", when), ("annotations", rest), ("labels", labels)) if value
    }
    own = [
        without(traits(pod), common, *([stages] if pod.stage in STAGES else [])) for pod in own_pods(thing)
    ]
    if thing["kind"] == "TrainingRuntime":
        jobs = thing["spec"]["template"]["spec"]["replicatedJobs"]
        result["mlPolicy"] = thing["spec"]["mlPolicy"]
        result["jobs"] = [
            {"name": job["name"], **after(job), **words} for job, words in zip(jobs, own, strict=True)
        ]
    elif thing["kind"] == "NetworkPolicy":
        result |= {
            way: [peers(rule) for rule in thing["spec"][way]]
            for way in ("ingress", "egress")
            if thing["spec"][way]
        }
    elif own:
        result |= own[0]
    else:
        result |= {
            key: value for key, value in thing.items() if key not in ("apiVersion", "kind", "metadata")
        }
    return result


def peers(rule: Object) -> str:
    """Return a rule of a NetworkPolicy in one line: its ports, or the namespaces and pods it allows."""
    ports = [f"{port['protocol']} {port['port']}" for port in rule.get("ports", [])]
    ends = [
        f"{kind.removesuffix('Selector')} {'/'.join(dict(selector['matchLabels']).values())}"
        for end in [*rule.get("to", []), *rule.get("from", [])]
        for kind, selector in end.items()
    ]
    return ", ".join([*ports, *ends])


def after(job: Object) -> Object:
    """Return what a replicated job waits for."""
    return (
        {"after": [f"{dep['name']} {dep['status']}" for dep in job["dependsOn"]]}
        if "dependsOn" in job
        else {}
    )


class Dumper(yaml.SafeDumper):
    """Short maps and lists on one line, all else in blocks."""


def flow(kind: str) -> Callable[[Dumper, Any], yaml.Node]:
    """Return a representer that puts plain, short collections on one line."""

    def represent(dumper: Dumper, data: Any) -> yaml.Node:
        short = len(str(data)) < 90
        if kind == "map":
            return dumper.represent_mapping(
                "tag:yaml.org,2002:map", data.items(), flow_style=short and len(data) > 0
            )
        return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=short)

    return represent


Dumper.add_representer(dict, flow("map"))
Dumper.add_representer(list, flow("list"))


def dump(part: Object) -> str:
    """Return one object as YAML, its name as a line of its own."""
    (title, value), *rest = part.items()
    body = value if value is not None else dict(rest)
    lines = "".join(entry(key, value) for key, value in body.items())
    return f"{title}:\n" + "".join(f"  {line}\n" for line in lines.splitlines())


def entry(key: str, value: Any) -> str:
    """Return a key and its value, on one line where it fits."""
    text = yaml.dump(value, Dumper=Dumper, sort_keys=False, width=1000).removesuffix("...\n")
    if text.count("\n") == 1:
        return f"{key}: {text}"
    return f"{key}:\n" + "".join(f"  {line}\n" for line in text.splitlines())


def main() -> None:
    """Write every golden file, and remove those without an example."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.yaml"):
        if path.name not in {example.name for example in EXAMPLES}:
            path.unlink()
    for path in EXAMPLES:
        (FOLDER / path.name).write_text(golden(path))


if __name__ == "__main__":
    main()
