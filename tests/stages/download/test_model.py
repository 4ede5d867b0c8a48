"""The base model: whole and checked in the cache, or a sentence."""

import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.stages.download.support import CHAT, Stage
from tests.support.hub import Hub, Repo
from tests.support.sandbox import stage_env


def cached(stage: Stage) -> list[Path]:
    """Return the models in the cache."""
    return [
        path for path in (stage.workspace / "cache" / "models").iterdir() if not path.name.startswith(".")
    ]


@pytest.fixture
def rows(stage: Stage) -> str:
    return stage.file("rows.jsonl", CHAT)


def test_a_model_lies_in_the_cache_under_the_digest_of_its_content(stage: Stage, rows: str) -> None:
    first = stage.good("--uri", rows, run="a").record
    copy = stage.base / "elsewhere"
    shutil.copytree(stage.model, copy)
    (copy / "notes").mkdir()
    (copy / "notes" / "loss.png").write_bytes(b"not wanted")
    second = stage.good("--uri", rows, run="b", model=str(copy)).record
    digest = first["details"]["model"]["digest"]
    assert digest == second["details"]["model"]["digest"]
    assert [path.name for path in cached(stage)] == [digest.removeprefix("sha256:")]
    assert first["shared"][first["details"]["model"]["path"]] == digest


def test_writing_into_the_users_model_does_not_change_the_cache(stage: Stage, rows: str) -> None:
    stage.good("--uri", rows)
    before = (stage.model / "tokenizer.json").read_text()
    with (stage.model / "tokenizer.json").open("w") as file:
        file.write(before + "\n")
    (model,) = cached(stage)
    assert (model / "tokenizer.json").read_text() == before
    assert "inputs changed, running again changed=contents" in stage.good("--uri", rows).printed
    assert len(cached(stage)) == 2


def test_a_model_of_an_earlier_run_takes_no_room(stage: Stage, rows: str) -> None:
    tuned = stage.workspace / "runs" / "earlier" / "train" / "model"
    shutil.copytree(stage.model, tuned)
    stage.good("--uri", rows, model="pvc://ws/runs/earlier/train/model", OSFT_WORKSPACE_CLAIM="ws")
    (model,) = cached(stage)
    assert (model / "model.safetensors").samefile(tuned / "model.safetensors")


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_cache_is_found_and_fetched_again(stage: Stage, rows: str, damage: str) -> None:
    stage.good("--uri", rows)
    (model,) = cached(stage)
    if damage == "gone":
        shutil.rmtree(model)
    else:
        (model / "config.json").write_text("{}")
    end = stage.good("--uri", rows)
    assert "result damaged, running again" in end.printed
    assert "damaged or gone, fetching it again" in end.printed
    assert (model / "config.json").read_bytes() == (stage.model / "config.json").read_bytes()


def broken(folder: Path, what: str) -> None:
    """Damage a model folder."""
    weights = folder / "model.safetensors"
    if what.startswith("no "):
        (folder / what.removeprefix("no ")).unlink()
    elif what == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif what == "pointer":
        weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 8\n")
    else:
        (folder / "config.json").write_text(what)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("no config.json", "is not a model: it lacks config.json. It has README.md, chat_template.jinja"),
        ("no model.safetensors", "is not a model: it lacks weights (*.safetensors)."),
        ("no tokenizer.json", "is not a model: it lacks a tokenizer (tokenizer.json)."),
        ("cut", "model.safetensors of the model is damaged"),
        ("pointer", "model.safetensors of the model is damaged"),
        ("{}", "has no model_type in it (None), expected the name of an architecture"),
        ("nonsense", "is not JSON (JSONDecodeError"),
    ],
)  # fmt: skip
def test_a_folder_without_a_model_is_named_with_what_it_lacks(
    stage: Stage, rows: str, what: str, sentence: str
) -> None:
    broken(stage.model, what)
    assert sentence in stage.run("--uri", rows).failed(2)
    assert not (stage.workspace / "cache" / "models").exists() or cached(stage) == []


INDEX = b'{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'


@pytest.mark.parametrize("scheme", ["path", "hf"])
def test_a_model_without_one_of_its_shards_is_named(stage: Stage, rows: str, hub: Hub, scheme: str) -> None:
    (stage.model / "model.safetensors").rename(stage.model / "model-00001-of-00002.safetensors")
    (stage.model / "model.safetensors.index.json").write_bytes(INDEX)
    files = {path.name: path.read_bytes() for path in stage.model.iterdir()}
    hub.repos["models/org/shards"] = Repo(files)
    model = str(stage.model) if scheme == "path" else "hf://org/shards"
    sentence = stage.run("--uri", rows, model=model, **hub.env()).failed(2)
    assert (
        "is not a complete model: model.safetensors.index.json lists model-00002-of-00002.safetensors, "
        in sentence
    )
    (stage.model / "model.safetensors.index.json").write_bytes(b"{}")
    assert "is not a list of shards" in stage.run("--uri", rows, run="none").failed(2)


def test_a_model_elsewhere_than_known_is_named(stage: Stage, rows: str) -> None:
    assert "unsupported scheme s3:// in s3://a/b. Expected hf://<org>/<model>" in stage.run(
        "--uri", rows, model="s3://a/b"
    ).failed(2)
    assert "is a file. A model is a folder" in stage.run("--uri", rows, model=rows).failed(2)


def test_two_runs_bring_one_model_once(stage: Stage, rows: str, hub: Hub) -> None:
    hub.repos["models/org/tiny"] = Repo({path.name: path.read_bytes() for path in stage.model.iterdir()})
    hub.asked.clear()
    ends = []
    threads = [
        threading.Thread(
            target=lambda run=run: ends.append(
                stage.run("--uri", rows, run=run, model="hf://org/tiny", **hub.env())
            )
        )
        for run in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [end.code for end in ends] == [0, 0], "\n".join(end.printed for end in ends)
    assert len([path for path in hub.asked if path.startswith("GET") and "model.safetensors" in path]) == 1
    assert len(cached(stage)) == 1


def test_a_start_killed_while_it_fetches_the_model_leaves_no_model(stage: Stage, rows: str) -> None:
    (stage.model / "extra.json").write_bytes(b" " * (96 << 20))
    process = subprocess.Popen(
        stage.command("--uri", rows),
        env=stage_env(stage.workspace, stage.base / "scratch"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "fetching the model" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    assert cached(stage) == []
    end = stage.good("--uri", rows)
    (model,) = cached(stage)
    assert model.name == end.record["details"]["model"]["digest"].removeprefix("sha256:")
    assert (model / "extra.json").stat().st_size == 96 << 20
