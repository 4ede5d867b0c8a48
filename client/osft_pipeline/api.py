"""Runs from Python, in the spirit of KEP-2003's train call: what `osft run` does, as functions.

from osft_pipeline import HuggingFaceModel, S3Dataset, train

run = train(
    name="mine",
    model=HuggingFaceModel("Qwen/Qwen2.5-1.5B-Instruct"),
    dataset=S3Dataset(bucket_name="team-data", file_key="chat/2026.jsonl"),
    resources_per_worker={"gpu": 2, "cpu": 8, "memory": "16Gi"},
    parameters={"learning_rate": 5e-6},
)
run.wait()
run.results["summary"]["headline"]
"""

import difflib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from osft_pipeline.install import install, refuse_problems
from osft_pipeline.kubectl import Kubectl
from osft_pipeline.local import inputs
from osft_pipeline.local.run import Local
from osft_pipeline.local.workspaces import default_workspace
from osft_pipeline.migrate.convert import resolved, schema, value_of
from osft_pipeline.migrate.sources import HUB
from osft_pipeline.migrate.tables import tables
from osft_pipeline.run import ClusterRun, LocalRun, RunFailed
from osft_pipeline.values import lay, place

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HuggingFaceModel:
    """A base model on the hub."""

    model_uri: str
    """`org/name`, with or without hf:// before it."""
    revision: str = ""

    def values(self) -> Json:
        """Return the section `model` of the values."""
        found: Json = {"uri": hub_address(self.model_uri)}
        return {"model": found | ({"revision": self.revision} if self.revision else {})}


@dataclass(frozen=True, slots=True)
class HuggingFaceDataset:
    """Rows on the hub."""

    repo_id: str
    split: str = ""
    revision: str = ""

    def values(self) -> Json:
        """Return the section `data` of the values."""
        more = {"split": self.split, "revision": self.revision}
        return {
            "data": {"uri": hub_address(self.repo_id)} | {key: text for key, text in more.items() if text}
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Dataset:
    """Rows in an S3 bucket. Keys come from a Secret (`osft secrets s3`), named in `values`."""

    bucket_name: str
    file_key: str
    endpoint_url: str = ""
    region_name: str = ""

    def values(self) -> Json:
        """Return the section `data` of the values."""
        s3 = {"endpoint": self.endpoint_url, "region": self.region_name}
        return {
            "data": {
                "uri": f"s3://{self.bucket_name}/{self.file_key}",
                "s3": {k: v for k, v in s3.items() if v},
            }
        }


def hub_address(name: str) -> str:
    """Return the address of a name on the hub."""
    return name if name.startswith("hf://") else f"hf://{name}"


def list_methods() -> list[str]:
    """Return the names that `method` takes."""
    return [str(name) for name in train_keys()["method"]["enum"]]


def required_parameters(method: str = "osft") -> list[str]:
    """Return the required arguments of `train`. Raises ValueError for an unknown method."""
    if method not in list_methods():
        raise ValueError(f"{method!r} is not a method. Expected one of: {', '.join(list_methods())}.")
    return ["name", "model", "dataset"]


def train_keys() -> Json:
    """Return the schema of each key of the values' section `train`."""
    found: Json = resolved(schema()["properties"]["train"])["properties"]
    return found


def train(
    name: str,
    *,
    model: HuggingFaceModel | str | Path,
    dataset: HuggingFaceDataset | S3Dataset | str | Path,
    method: str = "osft",
    num_workers: int = 1,
    num_procs_per_worker: int | None = None,
    resources_per_worker: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    namespace: str | None = None,
    context: str | None = None,
    kubeconfig: str | None = None,
    check: bool = True,
    local: bool = False,
    workspace: Path | None = None,
) -> ClusterRun | LocalRun:
    """Start a run on the cluster of the kubeconfig, or on this machine; the same values continue it.

    Args:
        name: release name.
        model: base model: an address (hf://..., pvc://...) as a string, or a folder here as a Path.
        dataset: rows: an address as a string, or with `local` a file or folder here as a Path.
        num_workers: nodes. `num_procs_per_worker`: processes on each; one for each GPU if left out.
        resources_per_worker: "gpu", "cpu", "memory" of each node.
        parameters: of training, by the names of training_hub.osft() (`learning_rate`) or of the values'
            section `train` (`learningRate`).
        values: further values of the chart, which override all others.
        check: raise for what `osft check` finds, before anything is created.
        local: run the stages as processes of this machine; returns when they are done.
        workspace: with `local`, the folder that holds the runs.

    Raises:
        click.ClickException: problems of the values, or what the check found, in `.message`.
        RunFailed: with `local`, a stage failed; `.exit_code` is its code.
        TypeError: an unknown parameter.
    """
    folders: dict[str, Path] = {}
    given: Json = {"train": {"method": method, "nodes": num_workers}}
    if num_procs_per_worker is not None:
        place(given, "train.processesPerNode", num_procs_per_worker)
    for more in (
        source_values("data.uri", dataset, folders),
        source_values("model.uri", model, folders),
        resource_values(resources_per_worker or {}),
        *(parameter_values(parameter, value) for parameter, value in (parameters or {}).items()),
        values or {},
    ):
        lay(given, more)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(given, file)
        file.flush()
        flags = [f"--values={file.name}"]
        if local:
            return run_here(name, flags, folders, workspace or default_workspace())
        inputs.refuse_paths(folders)
        kubectl = Kubectl.of(namespace, context, kubeconfig)
        return run_there(name, [*flags, *kubectl.helm_flags()], kubectl, check=check)


def run_here(name: str, flags: Sequence[str], folders: Mapping[str, Path], workspace: Path) -> LocalRun:
    """Run the stages on this machine. Raises RunFailed."""
    here = Local(workspace.resolve(), folders, backoff=10.0)
    code = here.run(name, flags, dry_run=False, ask=False)
    run = LocalRun(workspace.resolve(), name)
    if code != 0:
        raise RunFailed(f"run {name} ended with exit code {code}. The output above says why.", code)
    return run


def run_there(name: str, flags: list[str], kubectl: Kubectl, *, check: bool) -> ClusterRun:
    """Install the release. Raises click.ClickException for what a check finds, RunFailed if helm fails."""
    if check:
        refuse_problems(name, flags, kubectl, autoscaler=False)
    code = install(name, flags, dry_run=False)
    if code != 0:
        raise RunFailed(f"helm ended with exit code {code}. The output above says why.", code)
    return ClusterRun(kubectl, name)


def source_values(key: str, source: Any, folders: dict[str, Path]) -> Json:
    """Return the values of a model or a dataset; a path of this machine becomes a claim in `folders`."""
    if isinstance(source, (HuggingFaceModel, HuggingFaceDataset, S3Dataset)):
        return source.values()
    section, name = key.split(".")
    return {section: {name: inputs.address(key, str(source), folders)}}


def resource_values(resources: Mapping[str, Any]) -> Json:
    """Return the values for the resources of each node."""
    asked = dict(resources)
    found: Json = {}
    if "gpu" in asked:
        found["gpus"] = int(asked.pop("gpu"))
    if asked:
        found["pod"] = {"resources": {"requests": asked}}
    return {"train": found} if found else {}


def parameter_values(name: str, value: Any) -> Json:
    """Return the values of one parameter. Raises TypeError for an unknown name."""
    found: Json = {}
    row = tables()[HUB].get(name)
    if name in train_keys():
        place(found, f"train.{name}", value)
    elif row is not None and row.ours.startswith("train."):
        place(found, row.ours, value_of(row, value))
    else:
        known = [*train_keys(), *(key for key, row in tables()[HUB].items() if row.ours.startswith("train."))]
        near = ", ".join(difflib.get_close_matches(name, known)) or ", ".join(sorted(known))
        raise TypeError(f"{name!r} is not a parameter of training. Similar names: {near}.")
    return found
