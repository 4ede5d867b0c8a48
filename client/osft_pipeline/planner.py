"""What `osft plan` plans: the training of the values, a base model and rows, as they are read here."""

import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from osft_pipeline.chart import Object
from osft_pipeline.check.hub import ENDPOINT, SECONDS, Stay
from osft_pipeline.local.plan import RUN_ID, labels
from osft_pipeline.rendering import render_here
from osft_plan.check import model_of
from osft_plan.files import read_given_config
from osft_plan.model import Model
from osft_plan.plan import Limits
from osft_plan.rows import Rows
from osft_plan.training import Training
from osft_workspace import Record, UserError, Workspace, printable
from osft_workspace.chain import find_parent
from osft_workspace.model_sizes import LARGEST
from osft_workspace.predecessors import open_record

ASSUMED = (10_000, 1000)
"""Rows, and tokens of each, where nothing says it."""
ANYTHING = {"data": {"uri": "hf://planned/rows"}}
"""Values below the user's: rows that do not exist yet need an address for the chart to render."""
BYTES_OF_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What the values ask for."""

    training: Training
    limits: Limits
    run_id: str
    uris: tuple[str, ...]
    """Of the rows."""
    model: str
    """Address of the base model; empty where it is that of an earlier run."""
    earlier: str
    """The run that is continued, as in model.fromRun."""


@dataclass(slots=True)
class Found:
    """Model and rows, and what was assumed of them."""

    model: Model
    rows: Rows
    assumed: list[str] = field(default_factory=list)


def read_values(name: str, flags: Sequence[str]) -> Asked:
    """Return what the chart makes of the values.

    Raises:
        HelmFailed: the chart refuses them.
        UserError: they have no training.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(ANYTHING, file)
        file.flush()
        objects = render_here(name, [f"--values={file.name}", *flags])
    words = [word.replace("$$", "$") for word in texts(objects)]
    planned = next((word.partition("=")[2] for word in words if word.startswith("--training=")), None)
    if planned is None:
        raise UserError(
            "there is no training that can be planned: train.enabled is false, or train.configMap changes it "
            "where only the pods can read it. Set train.enabled to true, and what the ConfigMap sets as "
            "values (osft migrate)."
        )
    limits = next((word.partition("=")[2] for word in words if word.startswith("--training-limits=")), "{}")
    runs = {str(labels(each).get(RUN_ID, "")) for each in templates(objects)} - {""}
    return Asked(
        training=Training.of_values(json.loads(planned)),
        limits=Limits.of_values(json.loads(limits)),
        run_id=min(runs, default=""),
        uris=tuple(word.partition("=")[2] for word in words if word.startswith("--uri=")),
        model=next((word.partition("=")[2] for word in words if word.startswith("--model-uri=")), ""),
        earlier=next((word.partition("=")[2] for word in words if word.startswith("--from-run=")), ""),
    )


def texts(value: Any) -> Iterator[str]:
    """Yield every text in rendered objects, each once for each place."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts(item)


def templates(value: Any) -> Iterator[Object]:
    """Yield everything with labels in rendered objects."""
    if isinstance(value, Mapping):
        if isinstance(value.get("metadata"), Mapping):
            yield dict(value)
        for item in value.values():
            yield from templates(item)
    elif isinstance(value, list):
        for item in value:
            yield from templates(item)


def record_of(workspace: Path, run_id: str) -> Record | None:
    """Return the download of a run of this machine; None where it is not finished."""
    if not (run_id and (workspace / "runs" / run_id / "download").is_dir()):
        return None
    return open_record(Workspace(workspace.resolve()), run_id, "download")


def find(
    asked: Asked, workspace: Path, run: str | None, model: Path | None, counts: tuple[int, int] | None
) -> Found:
    """Return model and rows of a training.

    Args:
        run: of this machine, whose rows and model are taken; None: that of the values, if it is there.
        model: a folder or a config.json; None: the run's, or what model.uri names.
        counts: rows, and tokens of each; None: the run's, or what data.uri names.

    Raises:
        UserError: the run or the model is not there.
    """
    record = record_of(workspace, run or asked.run_id)
    if run and record is None:
        raise UserError(
            f"run {printable(run)} has no finished download in {workspace}. Name a run that osft runs "
            "--local lists, or leave out --run."
        )
    assumed: list[str] = []
    if model is not None:
        found = of_path(model)
    elif record:
        found = model_of(record, workspace.resolve())
    elif asked.earlier:
        place = Workspace(workspace.resolve())
        found = of_path(find_parent(place, asked.run_id, asked.earlier).model)
    else:
        found = of_address(asked.model, assumed)
    if counts:
        rows = Rows.alike(*counts)
    else:
        rows = Rows.of_record(record, workspace.resolve()) if record else of_uris(asked.uris)
    return Found(found, rows, [*assumed, *([rows.assumed] if rows.assumed else [])])


def of_path(path: Path) -> Model:
    """Return the model in a folder, or that a config.json describes."""
    if path.is_dir():
        return Model.of_folder(path, str(path))
    return Model.of_config(read_given_config(path), str(path))


def of_address(uri: str, assumed: list[str]) -> Model:
    """Return the model of an address: a folder here, one in the hub's cache here, or the hub's config.json.

    Raises:
        UserError: none of them can be read.
    """
    name, _, revision = uri.removeprefix("hf://").partition("@")
    if uri.startswith("/") and Path(uri).is_dir():
        return Model.of_folder(Path(uri), uri)
    if uri.startswith(("pvc://", "/")):
        raise UserError(
            f"the base model {uri} (model.uri) cannot be read from here. Name its folder or its config.json: "
            "--model FOLDER or --config FILE."
        )
    cached = cached_folder(name)
    if cached:
        assumed.append(f"the base model is as in {cached}")
        return Model.of_folder(cached, uri)
    assumed.append(f"the weights of {uri} are those that its config.json describes")
    return Model.of_config(ask_hub(name, revision or "main"), uri)


def cached_folder(name: str) -> Path | None:
    """Return the newest folder of a model in the hub's cache of this machine."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    root = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    found = root.joinpath(f"models--{name.replace('/', '--')}", "snapshots").glob("*/config.json")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return newest.parent if newest else None


def ask_hub(name: str, revision: str) -> dict[str, Any]:
    """Return the config.json of a model of the hub.

    Raises:
        UserError: the hub cannot be reached, or does not have it.
    """
    address = f"{os.environ.get('HF_ENDPOINT') or ENDPOINT}/{name}/resolve/{revision}/config.json"
    token = os.environ.get("HF_TOKEN", "")
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=SECONDS) as response:
            found = json.loads(response.read(LARGEST))
        if isinstance(found, dict):
            return found
        reason = "it is not a JSON object"
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "reason", error))
    raise UserError(
        f"the config.json of {name} (model.uri) cannot be read from the hub ({printable(reason, 200)}). Name "
        "the model's folder or its config.json: --model FOLDER or --config FILE."
    )


def of_uris(uris: Sequence[str]) -> Rows:
    """Return rows from files of this machine by their size, or assumed ones."""
    files = [Path(uri) for uri in uris if uri.startswith("/")]
    if not files or len(files) < len(uris) or not all(path.is_file() for path in files):
        rows = Rows.alike(*ASSUMED)
        return Rows(rows.lengths, assumed=f"{rows.assumed}: give --rows and --tokens-per-row")
    lengths: dict[int, int] = {}
    for path in files:
        with path.open("rb") as file:
            for line in file:
                tokens = len(line) // BYTES_OF_A_TOKEN
                lengths[tokens] = lengths.get(tokens, 0) + bool(line.strip())
    text = f"a token is {BYTES_OF_A_TOKEN} bytes of a row in {', '.join(map(str, files))}"
    return Rows({tokens: rows for tokens, rows in lengths.items() if rows and tokens}, assumed=text)
