"""Arguments of `train` as values of the section `train`; a name that nothing knows is refused."""

from collections.abc import Mapping
from typing import Any

from osft_pipeline.chart import resolved, schema
from osft_pipeline.migrate.convert import value_of
from osft_pipeline.migrate.sources import HUB
from osft_pipeline.migrate.tables import tables
from osft_pipeline.near import expected
from osft_pipeline.values import lay, place

Json = dict[str, Any]

RESOURCES = ("gpu", "cpu", "memory", "ephemeral-storage")


def train_keys() -> Json:
    """Return the schema of each key of the values' section `train`."""
    found: Json = resolved(schema()["properties"]["train"])["properties"]
    return found


def training_values(
    method: str,
    nodes: int,
    processes: int | None,
    resources: Mapping[str, Any] | None,
    parameters: Mapping[str, Any] | None,
) -> Json:
    """Return the section `train` of the values. Raises TypeError for an unknown name."""
    found: Json = {"train": {"method": method, "nodes": nodes}}
    if processes is not None:
        place(found, "train.processesPerNode", processes)
    lay(found, resource_values(resources or {}))
    for parameter, value in (parameters or {}).items():
        lay(found, parameter_values(parameter, value))
    return found


def resource_values(resources: Mapping[str, Any]) -> Json:
    """Return the values for the resources of each node. Raises TypeError for an unknown resource."""
    asked = dict(resources)
    for name in asked:
        # Kubernetes names every resource that is not its own by a domain.
        if name not in RESOURCES and "/" not in name and not name.startswith("hugepages-"):
            raise TypeError(f"{name!r} is not a resource (resources_per_worker). {expected(name, RESOURCES)}")
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
        raise TypeError(f"{name!r} is not a parameter of training (parameters). {expected(name, known)}")
    return found
