"""MLflow's tracking server on loopback, as far as its REST API is used here; no environment has the real one.

It takes what MLflow 3 takes and refuses what that refuses: unknown runs, names of figures, values that are
not numbers, batches that are too large, files outside a run's folder.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.support.scripted import Asked, Reply, Scripted, of_json

NAME = re.compile(r"[/\w.\- :]{1,250}")
MOST_FIGURES, MOST_TAGS = 1000, 100
API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass
class TrackedRun:
    """One run of an experiment."""

    run_id: str
    experiment_id: str
    name: str
    status: str = "RUNNING"
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    figures: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Name -> step and value of each point."""
    files: dict[str, bytes] = field(default_factory=dict)


class Refused(Exception):
    """What the server does not take."""


class MlflowServer:
    """Serves until `close`; `runs` is what it keeps.

    Args:
        credential: the Authorization header that it asks for; empty for none.
        store: what addresses of artifacts begin with.
    """

    def __init__(self, credential: str = "", store: str = "mlflow-artifacts:/") -> None:
        self.credential, self.store = credential, store
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, TrackedRun] = {}
        self.http = Scripted(self.answer)

    @property
    def url(self) -> str:
        return self.http.url

    def close(self) -> None:
        self.http.close()

    def add_run(self, run_id: str, name: str = "") -> TrackedRun:
        """Add a run as a training leaves it."""
        self.experiments.setdefault("tries", "1")
        return self.runs.setdefault(run_id, TrackedRun(run_id, "1", name, "FINISHED"))

    def answer(self, asked: Asked) -> Reply:
        """Answer as MLflow does."""
        if self.credential and asked.authorization != self.credential:
            return Reply(401, b"You are not authenticated.")
        if asked.path.startswith(ARTIFACTS):
            return self.put(asked)
        calls: dict[tuple[str, str], Callable[[dict[str, Any]], dict[str, Any]]] = {
            ("GET", "experiments/get-by-name"): self.experiment_named,
            ("GET", "experiments/get"): lambda given: self.experiment(given["experiment_id"]),
            ("POST", "experiments/create"): self.create_experiment,
            ("POST", "runs/create"): self.create_run,
            ("GET", "runs/get"): lambda given: {"run": self.shown(self.run(given))},
            ("POST", "runs/update"): self.update_run,
            ("POST", "runs/set-tag"): self.set_tag,
            ("POST", "runs/log-batch"): self.log_batch,
        }
        call = calls.get((asked.method, asked.path.removeprefix(API)))
        if call is None:
            return of_json({"error_code": "ENDPOINT_NOT_FOUND", "message": asked.path}, 404)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        try:
            return of_json(call(query | (json.loads(asked.body) if asked.body else {})))
        except Refused as error:
            return of_json({"error_code": "INVALID_PARAMETER_VALUE", "message": str(error)}, 400)
        except KeyError as error:
            return of_json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"No such {error}"}, 404)

    def experiment_named(self, given: dict[str, Any]) -> dict[str, Any]:
        return self.experiment(self.experiments[given["experiment_name"]])

    def experiment(self, number: str) -> dict[str, Any]:
        name = {value: key for key, value in self.experiments.items()}[number]
        facts = {"experiment_id": number, "name": name, "lifecycle_stage": "active"}
        return {"experiment": {**facts, "artifact_location": f"{self.store}{number}"}}

    def create_experiment(self, given: dict[str, Any]) -> dict[str, Any]:
        self.experiments[given["name"]] = number = str(len(self.experiments) + 1)
        return {"experiment_id": number}

    def create_run(self, given: dict[str, Any]) -> dict[str, Any]:
        number = f"{len(self.runs) + 1:032x}"
        run = TrackedRun(number, given["experiment_id"], given.get("run_name", ""))
        run.tags |= {tag["key"]: tag["value"] for tag in given.get("tags", [])}
        self.runs[number] = run
        return {"run": self.shown(run)}

    def run(self, given: dict[str, Any]) -> TrackedRun:
        return self.runs[given["run_id"]]

    def shown(self, run: TrackedRun) -> dict[str, Any]:
        info = {
            "run_id": run.run_id,
            "run_uuid": run.run_id,
            "run_name": run.name,
            "experiment_id": run.experiment_id,
            "status": run.status,
            "start_time": 1,
            "lifecycle_stage": "active",
            "artifact_uri": f"{self.store}{run.experiment_id}/{run.run_id}/artifacts",
        }
        return {"info": info, "data": {"tags": [{"key": k, "value": v} for k, v in run.tags.items()]}}

    def update_run(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self.run(given)
        run.status = given.get("status", run.status)
        return {"run_info": self.shown(run)["info"]}

    def set_tag(self, given: dict[str, Any]) -> dict[str, Any]:
        self.run(given).tags[given["key"]] = given["value"]
        return {}

    def log_batch(self, given: dict[str, Any]) -> dict[str, Any]:
        run, figures, tags = self.run(given), given.get("metrics", []), given.get("tags", [])
        if len(figures) > MOST_FIGURES or len(tags) > MOST_TAGS:
            raise Refused(f"A batch logging request can contain at most {MOST_FIGURES} metrics")
        for figure in figures:
            key, value = figure["key"], figure["value"]
            if not NAME.fullmatch(key) or not isinstance(value, int | float):
                raise Refused(f"Invalid value {value!r} for parameter {key!r}")
            if not isinstance(figure["timestamp"], int) or not isinstance(figure.get("step", 0), int):
                raise Refused(f"Invalid timestamp or step of {key!r}")
            run.figures.setdefault(key, []).append((figure.get("step", 0), value))
        run.params |= {param["key"]: param["value"] for param in given.get("params", [])}
        run.tags |= {tag["key"]: tag["value"] for tag in tags}
        return {}

    def put(self, asked: Asked) -> Reply:
        number, run_id, folder, *name = unquote(asked.path).removeprefix(ARTIFACTS).split("/")
        run = self.runs.get(run_id)
        if asked.method != "PUT" or run is None or (number, folder) != (run.experiment_id, "artifacts"):
            return of_json({"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid path"}, 400)
        run.files["/".join(name)] = asked.body
        return of_json({})
