"""One RegisteredModel, one ModelVersion, one ModelArtifact, however often this is killed or started twice.

Every step looks first and creates what is missing. A version carries the run and the digest of its model
from the very call that creates it: a later start knows its own and completes it; another run's is a conflict.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from osft_register.api import Conflict, Registry
from osft_register.properties import Property, merged, plain
from osft_register.things import Thing
from osft_workspace import UserError

Policy = Literal["fail", "skip", "update", "new"]
TRIES = 20  # each lost race for a name means that another client got one


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What should be in the registry."""

    name: str
    version: str
    policy: Policy
    model: Mapping[str, Any]
    """Fields of the RegisteredModel that are filled in where they are empty."""
    version_fields: Mapping[str, Any]
    properties: Mapping[str, Property]
    """Custom properties of the version."""
    marks: Mapping[str, str]
    """The properties that make a version ours."""
    artifact: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What is in the registry now."""

    model: Thing
    version: Thing
    artifact: Thing | None
    left_alone: bool = False
    """Whether another client owns the version and the policy is skip."""


def register(registry: Registry, wish: Wish) -> Registered:
    """Make the registry match the wish.

    Raises:
        UserError: the version's name is taken and the policy is fail, or a name cannot be used.
        Transient: the registry became unavailable; a later start continues from here.
    """
    model = ensure_model(registry, wish)
    version, left_alone = ensure_version(registry, wish, model)
    if left_alone:
        artifact = pick_artifact(list_artifacts(registry, version), wish.name)
        return Registered(model=model, version=version, artifact=artifact, left_alone=True)
    return Registered(model=model, version=version, artifact=ensure_artifact(registry, wish, version))


def ensure_model(registry: Registry, wish: Wish) -> Thing:
    """Find or create the registered model; what people wrote there stays, unless the policy is update."""
    model = registry.model_named(wish.name)
    if model is None:
        try:
            return registry.create("registered_models", {"name": wish.name, "state": "LIVE", **wish.model})
        except Conflict as conflict:
            model = registry.model_named(wish.name)  # another start was quicker
            if model is None:
                raise looks_alike("model", wish.name, "register.name") from conflict
    if model.get("state") == "ARCHIVED":
        raise UserError(
            f"model {wish.name!r} is archived in the registry, so a new version would be hidden. Restore "
            "it there, or choose another register.name."
        )
    keep = wish.policy != "update"
    return registry.update(
        "registered_models", model, {k: v for k, v in wish.model.items() if not (keep and model.get(k))}
    )


def ensure_version(registry: Registry, wish: Wish, model: Thing) -> tuple[Thing, bool]:
    """Find our version or make it; the flag says that it is another's and stays as it is."""
    for _ in range(TRIES):
        mine, taken, names = look_through(registry, wish, model)
        if mine:
            return update_version(registry, wish, mine), False
        if taken and wish.policy == "skip":
            return taken, True
        if taken and wish.policy == "update":
            return update_version(registry, wish, taken), False
        if taken and wish.policy == "fail":
            raise UserError(
                f"version {wish.version!r} of model {wish.name!r} is in the registry already "
                f"(id {taken['id']}, {origin(taken, wish)}). Choose another register.version, or set "
                "register.onConflict to skip, update or new."
            )
        name = free_name(wish.version, names)
        try:
            return registry.create("model_versions", version_body(wish, name, model)), False
        except Conflict as conflict:
            if name not in look_through(registry, wish, model)[2]:
                raise looks_alike("version", name, "register.version") from conflict
    raise UserError(
        f"{TRIES} starts in a row took the next name for {wish.version!r}. Choose another register.version."
    )


def look_through(registry: Registry, wish: Wish, model: Thing) -> tuple[Thing | None, Thing | None, set[str]]:
    """Return our version, the version of the wanted name, and all names; of the others nothing is kept."""
    mine = taken = None
    names = set()
    for item in registry.list(f"registered_models/{model['id']}/versions"):
        name = item["name"]
        names.add(name)
        if mine is None and may_be_named(name, wish) and is_ours(item, wish):
            mine = item
        if name == wish.version:
            taken = item
    return mine, taken, names


def may_be_named(name: str, wish: Wish) -> bool:
    """Whether a version of ours can have this name: the wanted one, or numbered where the policy is new."""
    stem, _, number = name.rpartition("-")
    return name == wish.version or (wish.policy == "new" and stem == wish.version and number.isdecimal())


def free_name(wanted: str, there: Container[str]) -> str:
    """Return the wanted name, else the first free one of name-2, name-3, ..."""
    number = 2
    name = wanted
    while name in there:
        name, number = f"{wanted}-{number}", number + 1
    return name


def is_ours(version: Thing, wish: Wish) -> bool:
    """Return whether a version was made by this run of this model."""
    present = version.get("customProperties") or {}
    return all(plain(present.get(key, {})) == value for key, value in wish.marks.items())


def origin(version: Thing, wish: Wish) -> str:
    """Who made a version, in half a sentence."""
    run_id = plain((version.get("customProperties") or {}).get("osft_run_id", {}))
    if run_id is None:
        return "made by others"
    return (
        "made by this run with another model"
        if run_id == wish.marks["osft_run_id"]
        else f"made by run {run_id}"
    )


def version_body(wish: Wish, name: str, model: Thing) -> dict[str, Any]:
    """Return a new version, ours from its first moment."""
    return {
        "name": name,
        "registeredModelId": model["id"],
        "state": "LIVE",
        "customProperties": dict(wish.properties),
        **wish.version_fields,
    }


def update_version(registry: Registry, wish: Wish, version: Thing) -> Thing:
    """Update a version. The server replaces custom properties as a whole: merge first."""
    properties = merged(version.get("customProperties") or {}, wish.properties)
    return registry.update("model_versions", version, {"customProperties": properties, **wish.version_fields})


def list_artifacts(registry: Registry, version: Thing) -> list[Thing]:
    """Return the model artifacts of a version."""
    path = f"model_versions/{version['id']}/artifacts"
    return [item for item in registry.list(path) if item.get("artifactType") == "model-artifact"]


def pick_artifact(artifacts: list[Thing], name: str) -> Thing | None:
    """Return the artifact of our name, else the only one there is."""
    named = [item for item in artifacts if item.get("name") == name]
    found = named or artifacts
    return found[0] if len(found) == 1 else None


def ensure_artifact(registry: Registry, wish: Wish, version: Thing) -> Thing:
    """Find or create the version's artifact; a killed start may have left the version without one."""
    artifact = pick_artifact(list_artifacts(registry, version), wish.name)
    if artifact is None:
        body = {"artifactType": "model-artifact", "name": wish.name, **wish.artifact}
        try:
            return registry.create(f"model_versions/{version['id']}/artifacts", body)
        except Conflict as conflict:
            artifact = pick_artifact(list_artifacts(registry, version), wish.name)
            if artifact is None:
                raise looks_alike("artifact", wish.name, "register.name") from conflict
    properties = (artifact.get("customProperties") or {}) | dict(wish.artifact["customProperties"])
    return registry.update("model_artifacts", artifact, {**wish.artifact, "customProperties": properties})


def looks_alike(kind: str, name: str, value: str) -> UserError:
    """Return the error for a name that the database treats as equal: many ignore case and accents."""
    return UserError(
        f"the registry holds a {kind} whose name it treats as equal to {name!r}, perhaps one with other "
        f"capital letters. Use that spelling or another name ({value})."
    )
