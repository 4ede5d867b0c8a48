"""Settings of other systems, as a flat list of their parameters' names and values."""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from osft_workspace import UserError, excerpt

Json = dict[str, Any]

KFP, HUB, KAITO, KEP = (
    "The OSFT pipeline on Kubeflow Pipelines",
    "training_hub.osft()",
    "Kaito's tuning",
    "The train API of KEP-2003",
)
SYSTEMS = {"kfp": KFP, "training-hub": HUB, "kaito": KAITO, "kep-2003": KEP}
WRAPPERS = ("parameters", "arguments", "params", "runtime_config", "runtimeConfig", "parameterValues", "spec")
"""Keys that may contain the run parameters."""
OF_WORKSPACE = ("apiVersion", "kind", "metadata", "resource", "tuning", "status")
LORA, ARGUMENTS = "lora_config", "training_parameters"
"""Objects inside trainer_parameters: PEFT's configuration, and Hugging Face's TrainingArguments."""
NESTED = ("model_provider_parameters", "dataset_provider_parameters", "trainer_parameters", "storage_config")


def read(documents: Iterable[Any], given: str | None) -> tuple[str, list[tuple[str, Any]]]:
    """Return the section of docs/migration.md that fits and the parameters found. Raises UserError."""
    found = [document for document in documents if document is not None]
    things = [document for document in found if isinstance(document, dict)]
    if len(things) != len(found) or not things:
        raise UserError(
            "the file has no mapping of parameters. Expected run parameters of the Kubeflow pipeline, "
            "keyword arguments of training_hub.osft(), a Kaito Workspace with its ConfigMap, or arguments of "
            "the KEP-2003 train call, as YAML or JSON."
        )
    system = SYSTEMS[given] if given else detect(things)
    if system == KAITO:
        return system, list(kaito(things))
    parameters = unwrapped(things[0])
    return system, list(kep(parameters) if system == KEP else parameters.items())


def unwrapped(thing: Json) -> Json:
    """Return the parameters inside what a run's description wraps around them."""
    for key in WRAPPERS:
        inner = thing.get(key)
        if isinstance(inner, dict):
            return unwrapped(inner)
        if isinstance(inner, list) and all(isinstance(one, dict) and "name" in one for one in inner):
            return {str(one["name"]): one.get("value") for one in inner}
    return thing


def detect(things: list[Json]) -> str:
    """Return the system that settings belong to. Raises UserError if none is recognized."""
    if any(thing.get("kind") == "Workspace" or "tuning" in thing for thing in things):
        return KAITO
    names = set(unwrapped(things[0]))
    if any(name.startswith("phase_0") for name in names):
        return KFP
    if names & {"num_workers", "num_procs_per_worker", "resources_per_worker", *NESTED}:
        return KEP
    if names & {"model_path", "data_path", "ckpt_output_dir", "unfreeze_rank_ratio"}:
        return HUB
    raise UserError(
        f"the settings do not belong to a known system: {excerpt(', '.join(sorted(names)))}. Name the "
        f"system with --from: {', '.join(SYSTEMS)}."
    )


def kep(parameters: Json) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a KEP-2003 call; those of its objects with a dotted name."""
    for name, value in parameters.items():
        if name in NESTED and isinstance(value, dict):
            yield from flat(name, value)
        else:
            yield name, value


def flat(name: str, values: Json) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an object and of those inside it; a LoRA configuration asks for a method too."""
    for key, value in values.items():
        if key == LORA and isinstance(value, dict):
            yield f"{name}.{key}", True
            yield from ((f"{name}.{key}.{inner}", deep) for inner, deep in value.items())
        elif key == ARGUMENTS and isinstance(value, dict):
            yield from ((f"{name}.{key}.{inner}", deep) for inner, deep in value.items())
        else:
            yield f"{name}.{key}", value


def kaito(things: list[Json]) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a Kaito Workspace and of the ConfigMaps beside it."""
    for thing in things:
        if thing.get("kind") == "ConfigMap":
            yield from config_map(thing)
            continue
        tuning, resource = thing.get("tuning") or {}, thing.get("resource") or {}
        # Settings of another system, which the user took for Kaito's.
        yield from ((key, value) for key, value in thing.items() if key not in OF_WORKSPACE)
        for key, value in tuning.items():
            nested = key in ("preset", "input", "output") and isinstance(value, dict)
            yield from (
                ((f"{key}.{inner}", deep) for inner, deep in value.items()) if nested else [(key, value)]
            )
        yield from ((f"resource.{key}", value) for key, value in resource.items())


def config_map(thing: Json) -> Iterator[tuple[str, Any]]:
    """Yield the arguments in a ConfigMap's training_config.yaml, which has six sections."""
    for text in (thing.get("data") or {}).values():
        config = yaml.safe_load(str(text)) or {}
        sections = config.get("training_config", config) if isinstance(config, dict) else {}
        for section in sections.values() if isinstance(sections, dict) else []:
            yield from section.items() if isinstance(section, dict) else []
