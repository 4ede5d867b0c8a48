"""What happens when the version's name is taken: fail, skip, update, new; and what is never a conflict."""

from typing import Any

import pytest

from tests.stages.register.conftest import RUN, Stage
from tests.support.registry import Registry


def text(value: str) -> dict[str, str]:
    return {"metadataType": "MetadataStringValue", "string_value": value}


@pytest.fixture
def theirs(stage: Stage, registry: Registry) -> dict[str, Any]:
    """A version v1 of another run, with an artifact and with properties that people and that run wrote."""
    model = registry.post("registered_models", {"name": stage.name, "description": "written by people"})
    properties = {
        "osft_run_id": text("other-run"),
        "eval_old_task_tuned": text("0.9"),
        "reviewed_by": text("Ada"),
    }
    version = registry.post(
        "model_versions", {"name": "v1", "registeredModelId": model["id"], "customProperties": properties}
    )
    artifact = {"artifactType": "model-artifact", "name": "by hand", "uri": "s3://old/model"}
    registry.post(f"model_versions/{version['id']}/artifacts", artifact)
    found: dict[str, Any] = registry.get(f"model_versions/{version['id']}")
    return found


def test_fail_names_the_owner_and_changes_nothing(
    stage: Stage, registry: Registry, theirs: dict[str, Any]
) -> None:
    code, printed = stage.run("--version=v1")
    assert code == 2, printed
    assert f"version 'v1' of model '{stage.name}' is in the registry already" in printed
    assert "made by run other-run" in printed and "skip, update or new" in printed.replace("\n", " ")
    assert registry.versions(stage.name) == [theirs]


def test_skip_leaves_the_version_alone_and_says_so(
    stage: Stage, registry: Registry, theirs: dict[str, Any]
) -> None:
    record = stage.done("--version=v1", "--on-conflict=skip")
    assert record["status"] == "skipped"
    assert "made by run other-run" in record["message"]
    assert record["details"]["model_version_id"] == theirs["id"]
    assert registry.versions(stage.name) == [theirs]


def test_update_replaces_the_pipelines_figures_and_keeps_what_people_wrote(
    stage: Stage, registry: Registry, theirs: dict[str, Any]
) -> None:
    stage.done("--version=v1", "--on-conflict=update", "--description=new words")
    (version,) = registry.versions(stage.name)
    properties = version["customProperties"]
    assert version["id"] == theirs["id"]
    assert properties["reviewed_by"] == text("Ada")
    assert properties["osft_run_id"] == text(RUN)
    assert "eval_old_tuned" not in properties
    (artifact,) = registry.artifacts(version)
    assert (artifact["name"], artifact["uri"]) == ("by hand", f"pvc://osft-ws/runs/{RUN}/train/model")
    assert artifact["state"] == "LIVE"
    (model,) = registry.models(stage.name)
    assert model["description"] == "new words"


def test_new_takes_the_next_number_once(stage: Stage, registry: Registry, theirs: dict[str, Any]) -> None:
    first = stage.done("--version=v1", "--on-conflict=new")
    again = stage.done("--version=v1", "--on-conflict=new", "--version-description=again")
    assert first["details"]["version"] == again["details"]["version"] == "v1-2"
    assert [v["name"] for v in registry.versions(stage.name)] == ["v1", "v1-2"]
    (model,) = registry.models(stage.name)
    assert model["description"] == "written by people"


def test_new_uses_the_plain_name_while_it_is_free(stage: Stage, registry: Registry) -> None:
    assert stage.done("--version=v1", "--on-conflict=new")["details"]["version"] == "v1"


def test_our_own_version_is_completed_and_not_a_conflict(stage: Stage, registry: Registry) -> None:
    """A start killed between version and artifact leaves this; the official client refuses to go on."""
    stage.done("--version=v1")
    (version,) = registry.versions(stage.name)
    orphan = registry.post(
        "model_versions",
        {
            "name": "orphan",
            "registeredModelId": version["registeredModelId"],
            "customProperties": version["customProperties"] | {"reviewed_by": text("Ada")},
        },
    )
    stage.done("--version=orphan")
    found = registry.get(f"model_versions/{orphan['id']}")
    (artifact,) = registry.artifacts(found)
    assert artifact["uri"] == f"pvc://osft-ws/runs/{RUN}/train/model"
    assert found["customProperties"]["reviewed_by"] == text("Ada")


def test_another_evaluation_of_the_same_model_updates_its_version(stage: Stage, registry: Registry) -> None:
    """A run that was judged again, by another gate for one, has not become another model."""
    stage.done("--version=v1")
    (version,) = registry.versions(stage.name)
    before = version["customProperties"]
    older = {"osft_evidence": text("0" * 64), "eval_old_task_tuned": text("0.9")}
    registry.patch(f"model_versions/{version['id']}", {"customProperties": before | older})
    stage.done("--version=v1", "--version-description=judged again")
    (version,) = registry.versions(stage.name)
    assert version["customProperties"] == before
    assert version["description"] == "judged again"


def test_another_model_of_the_same_run_is_a_conflict(stage: Stage, registry: Registry) -> None:
    stage.done("--version=v1")
    (version,) = registry.versions(stage.name)
    other = version["customProperties"] | {"osft_model_digest": text("0" * 64)}
    registry.patch(f"model_versions/{version['id']}", {"customProperties": other})
    code, printed = stage.run("--version=v1", "--version-description=again")
    assert code == 2
    assert "made by this run with another model" in printed


def test_a_version_that_people_archived_stays_archived(stage: Stage, registry: Registry) -> None:
    """The server sets every state back that an update does not name."""
    stage.done("--version=v1")
    (version,) = registry.versions(stage.name)
    registry.patch(f"model_versions/{version['id']}", {"state": "ARCHIVED"})
    stage.done("--version=v1", "--version-description=again")
    (version,) = registry.versions(stage.name)
    assert (version["state"], version["description"]) == ("ARCHIVED", "again")


def test_versions_are_found_on_every_page(stage: Stage, registry: Registry) -> None:
    model = registry.post("registered_models", {"name": stage.name})
    for number in range(103):
        registry.post("model_versions", {"name": f"v{number}", "registeredModelId": model["id"]})
    code, printed = stage.run("--version=v102")
    assert code == 2, printed
    assert "made by others" in printed
