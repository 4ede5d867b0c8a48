"""Code that comes with a model: never run and never cached, unless it is trusted."""

import json
from pathlib import Path

import pytest

from tests.stages.download.support import CHAT, Stage
from tests.support.hub import Hub, Repo
from tests.support.model_code import PLACES, canary, plant, settings_left, village_model
from tests.support.model_folders import write_llama

NAMES = [*PLACES, "everything"]


def served(hub: Hub, folder: Path) -> str:
    """Put a folder onto the hub; returns its name there."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    hub.repos["models/org/coded"] = Repo(
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    )
    return "hf://org/coded"


def coded(stage: Stage, hub: Hub, scheme: str, *places: str) -> tuple[str, Path]:
    """Return a model with code, and the file that shows that it ran."""
    mark = stage.base / "mark"
    folder = plant(write_llama(stage.base / "coded"), mark, *places)
    canary(stage.base / "code", "own_model.py", mark)
    hub.repos["models/org/code"] = Repo({"own_model.py": (stage.base / "code" / "own_model.py").read_bytes()})
    return (str(folder) if scheme == "path" else served(hub, folder)), mark


@pytest.fixture
def rows(stage: Stage) -> str:
    return stage.file("rows.jsonl", CHAT)


@pytest.mark.parametrize("scheme", ["path", "hf"])
@pytest.mark.parametrize("place", NAMES)
def test_code_of_a_known_type_is_left_out_with_a_notice(
    stage: Stage, rows: str, hub: Hub, place: str, scheme: str
) -> None:
    model, mark = coded(stage, hub, scheme, *([] if place == "everything" else [place]))
    end = stage.good("--uri", rows, model=model, **hub.env())
    cached = stage.workspace / end.record["details"]["model"]["path"]
    assert not mark.exists()
    assert settings_left(cached) == []
    assert "code of the model is left out" in end.printed or place == "generation"
    assert end.record["details"]["model"]["trust_remote_code"] is False
    config = json.loads((cached / "config.json").read_text())
    assert config == json.loads((write_llama(stage.base / "plain") / "config.json").read_text())


@pytest.mark.parametrize("scheme", ["path", "hf"])
def test_a_type_that_only_its_own_code_loads_is_rejected(
    stage: Stage, rows: str, hub: Hub, scheme: str
) -> None:
    mark = stage.base / "mark"
    folder = village_model(write_llama(stage.base / "village"), mark)
    model = str(folder) if scheme == "path" else served(hub, folder)
    sentence = stage.run("--uri", rows, model=model, **hub.env()).failed(2)
    assert "is of type village, which only Python code that comes with it can load" in sentence
    assert "set model.trustRemoteCode (--trust-remote-code) to true" in sentence
    assert not mark.exists()


def test_code_of_a_trusted_model_runs_and_the_record_says_so(stage: Stage, rows: str, hub: Hub) -> None:
    model, mark = coded(stage, hub, "path", "tokenizer", "config")
    plain = stage.good("--uri", rows, model=model).record["details"]["model"]
    assert not mark.exists()
    end = stage.good("--uri", rows, "--trust-remote-code", model=model, run="trusted")
    trusted = end.record["details"]["model"]
    assert mark.exists()
    assert (plain["trust_remote_code"], trusted["trust_remote_code"]) == (False, True)
    assert plain["digest"] != trusted["digest"], "two copies of one model"
    assert (stage.workspace / trusted["path"] / "own_tokenizer.py").is_file()


def test_a_template_cannot_reach_the_machine(stage: Stage, rows: str, hub: Hub) -> None:
    mark = stage.base / "mark"
    folder = write_llama(stage.base / "escape")
    reach = "{{ cycler.__init__.__globals__.os.popen('touch " + str(mark) + "').read() }}"
    template = folder / "chat_template.jinja"
    template.write_text(reach + template.read_text())
    assert "does not render it: access to attribute" in stage.run("--uri", rows, model=str(folder)).failed(2)
    assert not mark.exists()


def test_a_hub_caches_own_links_are_followed(stage: Stage, rows: str) -> None:
    cache = stage.base / "hub" / "models--org--tiny"
    (cache / "blobs").mkdir(parents=True)
    folder = write_llama(cache / "snapshots" / ("a" * 40))
    for path in folder.iterdir():
        path.rename(cache / "blobs" / path.name)
        path.symlink_to(Path("../../blobs") / path.name)
    end = stage.good("--uri", rows, model=str(folder))
    cached = stage.workspace / end.record["details"]["model"]["path"]
    assert not any(path.is_symlink() for path in cached.iterdir())
    assert sorted(path.name for path in cached.iterdir()) == sorted(path.name for path in folder.iterdir())
