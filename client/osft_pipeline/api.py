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

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from osft_pipeline.install import install, refuse_problems
from osft_pipeline.kubectl import Kubectl
from osft_pipeline.local import inputs
from osft_pipeline.local.run import PROCESS, Local
from osft_pipeline.local.workspaces import default_workspace
from osft_pipeline.parameters import train_keys, training_values
from osft_pipeline.rendering import HelmFailed
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
class EarlierRun:
    """The model of an earlier run, by its run id or release. On a cluster `values` name its claim."""

    run: str

    def values(self) -> Json:
        """Return the section `model` of the values."""
        return {"model": {"fromRun": self.run}}


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


def train(
    name: str,
    *,
    model: HuggingFaceModel | EarlierRun | str | Path,
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
    engine: str = PROCESS,
) -> ClusterRun | LocalRun:
    """Start a run on the cluster of the kubeconfig, or on this machine; the same values continue it.

    Args:
        model: base model: an address (hf://..., pvc://...) as a string, a folder here as a Path, or an
            EarlierRun.
        dataset: rows: an address as a string, or with `local` a file or folder here as a Path.
        num_workers: nodes, each with `resources_per_worker` ("gpu", "cpu", "memory") and
            `num_procs_per_worker` processes, one for each GPU if left out.
        parameters: of training, by the names of training_hub.osft() or of the values' section `train`.
        values: further values of the chart, which override all others.
        check: raise for what `osft check` finds, before anything is created.
        local: run the stages here, in `workspace`, as `osft run --local --engine` does, to their end.

    Raises click.ClickException for problems of values or cluster (`.message`), RunFailed for a failed stage
    (`.exit_code`), TypeError for an unknown parameter or resource.
    """
    sources, folders = source_values(model, dataset)
    training = training_values(method, num_workers, num_procs_per_worker, resources_per_worker, parameters)
    with values_flags(sources, training, values or {}) as given:
        if local:
            return run_here(name, given, folders, workspace, engine)
        return run_there(name, given, folders, Kubectl.of(namespace, context, kubeconfig), check=check)


@contextmanager
def values_flags(*sections: Mapping[str, Any]) -> Iterator[list[str]]:
    """Lay values over each other and give helm's flags for them."""
    given: Json = {}
    for section in sections:
        lay(given, section)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(given, file)
        file.flush()
        yield [f"--values={file.name}"]


def run_here(
    name: str, flags: Sequence[str], folders: dict[str, Path], workspace: Path | None, engine: str
) -> LocalRun:
    """Run the stages on this machine. Raises RunFailed."""
    folder = (workspace or default_workspace()).resolve()
    code = Local(folder, folders, engine=engine).run(name, flags)
    if code != 0:
        raise RunFailed(f"run {name} ended with exit code {code}. The output above says why.", code)
    return LocalRun(folder, name)


def run_there(
    name: str, flags: Sequence[str], folders: Mapping[str, Path], kubectl: Kubectl, *, check: bool
) -> ClusterRun:
    """Install the release.

    Raises click.ClickException for a path of this machine or what a check finds, RunFailed if helm fails.
    """
    inputs.refuse_paths(folders)
    flags = [*flags, *kubectl.helm_flags()]
    if check:
        refuse_problems(name, flags, kubectl, autoscaler=False)
    try:
        install(name, flags, dry_run=False)
    except HelmFailed as error:
        raise RunFailed(error.message, error.exit_code) from error
    return ClusterRun(kubectl, name)


def source_values(model: Any, dataset: Any) -> tuple[Json, dict[str, Path]]:
    """Return the values of model and dataset, and a folder for each claim in place of a path here."""
    folders: dict[str, Path] = {}
    found: Json = {}
    for key, source in (("data.uri", dataset), ("model.uri", model)):
        if isinstance(source, (HuggingFaceModel, EarlierRun, HuggingFaceDataset, S3Dataset)):
            lay(found, source.values())
        else:
            place(found, key, inputs.address(key, str(source), folders))
    return found, folders
