"""Renders the chart as a user does, with helm, and finds things in what comes out."""

import copy
import functools
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from osft_pipeline.local import installed

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".cache" / "bin"
CHART = ROOT / "charts" / "osft-pipeline"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
CI = sorted((CHART / "ci").glob("*-values.yaml"))
STAGES = ("download", "train", "eval", "register")
SECTIONS = {"download": "data", "train": "train", "eval": "eval", "register": "register"}
VALUES_FILE = CHART / "values.yaml"
COMPONENT = "app.kubernetes.io/component"
RUN = "osft-pipeline/run"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

SOURCE = "https://git.example.com/team/osft"
"""The address of the repository that makes the release of these tests."""
REGISTRY = "registry.example.com"
IMAGES: Object = {"images": {"registry": REGISTRY}}
DATA: Object = {"data": {"uri": "hf://org/dataset"}, **IMAGES}
"""The values that a run of the checkout's chart must set. A published chart names its images."""
HOOKS: Object = {"ordering": "hooks", "hooks": {"timeoutMinutes": 60}}


class HelmError(Exception):
    """Helm failed; the text is what the user sees."""


def overlay(*layers: Mapping[str, Any]) -> Object:
    """Return values files merged, as helm does."""
    result: Object = {}
    for layer in layers:
        for key, value in layer.items():
            old = result.get(key)
            both = isinstance(old, dict) and isinstance(value, Mapping)
            result[key] = overlay(old, value) if both else copy.deepcopy(value)
    return result


@functools.cache
def run_helm(helm: str, flags: tuple[str, ...], values: str) -> str:
    """Return helm's output for JSON values; the same call is made once. Raises HelmError."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(values)
        file.flush()
        command = [str(BIN / helm), *flags, "--values", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HelmError(done.stderr)
    return done.stdout


def render(
    values: Mapping[str, Any] | Path | None = None,
    *,
    helm: str = "helm4",
    sets: Sequence[str] = (),
    name: str = "run1",
    namespace: str = "team",
    flags: Sequence[str] = (),
) -> list[Object]:
    """Return the objects of `helm template`: a mapping is laid over `DATA`, a file over `IMAGES`.

    Raises:
        HelmError: helm refused the values.
    """
    file = isinstance(values, Path)
    given = overlay(IMAGES, yaml.safe_load(values.read_text())) if file else overlay(DATA, values or {})
    own = [f"--set={pair}" for pair in sets]
    command = ("template", name, str(CHART), "--namespace", namespace, *own, *flags)
    text = run_helm(helm, command, json.dumps(given, sort_keys=True))
    return copy.deepcopy(parse(text))


@functools.cache
def parse(text: str) -> list[Object]:
    """Return the objects of a YAML stream."""
    return [thing for thing in yaml.load_all(text, Loader=LOADER) if thing]


def refusal(values: Mapping[str, Any], **options: Any) -> str:
    """Return helm's message for values that it rejects. Raises AssertionError if it accepts them."""
    try:
        render(values, **options)
    except HelmError as error:
        return str(error)
    raise AssertionError("helm took these values")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod template of the chart and what it hangs on."""

    stage: str
    owner: Object
    """The object that holds it."""
    job: Object | None
    """Spec of its Job; None for a bare Pod."""
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: Object

    @property
    def container(self) -> Object:
        """Its one container; of preflight's two, its own."""
        own, *others = self.spec["containers"]
        assert self.stage == "preflight" or not others
        return dict(own)

    @property
    def args(self) -> list[str]:
        """Its arguments."""
        return list(self.container["args"])

    @property
    def env(self) -> dict[str, Any]:
        """Its environment: text, or the map under valueFrom."""
        return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in self.container["env"]}

    @property
    def mounts(self) -> dict[str, Object]:
        """Mount path -> the volume mounted there, with `readOnly` of the mount."""
        volumes = {volume["name"]: volume for volume in self.spec["volumes"]}
        return {
            mount["mountPath"]: {**volumes[mount["name"]], "mountReadOnly": mount.get("readOnly", False)}
            for mount in self.container["volumeMounts"]
        }

    def flag(self, name: str) -> list[str]:
        """Return every value of `--name=value`."""
        start = f"--{name}="
        return [arg.removeprefix(start) for arg in self.args if arg.startswith(start)]


def pods(objects: Sequence[Object]) -> Iterator[Pod]:
    """Yield every pod template in the objects."""
    for thing in objects:
        yield from pods_of(thing)


def pods_of(thing: Object) -> list[Pod]:
    """Return the pods of one object, in order; of a TrainJob what it lays over an installed runtime."""
    if thing["kind"] == "Pod":
        return [make_pod(thing, None, thing)]
    if thing["kind"] == "Job":
        return [make_pod(thing, thing["spec"], thing["spec"]["template"])]
    runtime = installed.runtime(thing) if thing["kind"] == "TrainJob" else thing
    if runtime is None or runtime["kind"] != "TrainingRuntime":
        return []
    specs = [job["template"]["spec"] for job in runtime["spec"]["template"]["spec"]["replicatedJobs"]]
    return [make_pod(thing, spec, spec["template"]) for spec in specs]


def make_pod(owner: Object, job: Object | None, template: Object) -> Pod:
    """Return the Pod of a template."""
    meta = template["metadata"]
    return Pod(
        meta["labels"][COMPONENT], owner, job, meta["labels"], meta.get("annotations", {}), template["spec"]
    )


def stage_pods(objects: Sequence[Object]) -> dict[str, Pod]:
    """Return pods by stage or helper."""
    found = list(pods(objects))
    assert len({pod.stage for pod in found}) == len(found)
    return {pod.stage: pod for pod in found}


def one(objects: Sequence[Object], kind: str, ending: str = "") -> Object:
    """Return the only object of a kind whose name has this ending."""
    (found,) = [
        thing for thing in objects if thing["kind"] == kind and thing["metadata"]["name"].endswith(ending)
    ]
    return found


def kinds(objects: Sequence[Object]) -> list[str]:
    """Return the kinds rendered, sorted."""
    return sorted(thing["kind"] for thing in objects)


def hook(thing: Object) -> str:
    """Return the events an object is a hook for; empty for an ordinary one."""
    return str(thing["metadata"].get("annotations", {}).get("helm.sh/hook", ""))


def weight(thing: Object) -> int:
    """Return the weight of a hook."""
    return int(thing["metadata"]["annotations"]["helm.sh/hook-weight"])


def run_id(objects: Sequence[Object]) -> str:
    """Return the run id that all labels agree on."""
    (only,) = {pod.labels[RUN] for pod in pods(objects)}
    return only
