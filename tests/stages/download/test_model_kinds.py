"""Model folders as hubs and exports have them that are good: what is cached of them, and what is said."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stages.download.support import CHAT, Stage, download_python
from tests.stages.download.test_hostile_models import (
    DRIVER,
    Damage,
    added,
    both,
    config,
    raw,
    shards,
    tensors,
)
from tests.support.hub import Hub, Repo
from tests.support.model_folders import ROWS, edit, llama_tensors, write_json, write_llama, write_safetensors
from tests.support.sandbox import stage_env

HEAD = {"lm_head.weight": ("F32", (ROWS, 16))}
FOREIGN = {"vision.proj": ("F32", (4,)), "model.rotary_emb.inv_freq": ("F32", (2,))}
PLAIN = {
    *("README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors"),
    *("tokenizer.json", "tokenizer_config.json"),
}
IGNORED = "tensors that this architecture does not take are ignored"
LEFT_OUT = "files that transformers does not load as this model are left out files="


def own_head(folder: Path) -> None:
    """An output layer that differs from the embeddings which config.json ties it to."""
    write_safetensors(folder / "head.safetensors", HEAD, fill=1)
    content = (folder / "head.safetensors").read_bytes()
    (folder / "head.safetensors").unlink()
    whole = {**llama_tensors(), **HEAD}
    path = write_safetensors(folder / "model.safetensors", whole)
    size = ROWS * 16 * 4
    path.write_bytes(path.read_bytes()[:-size] + content[-size:])


def half(folder: Path) -> None:
    """A copy in another format beside the weights."""
    other = {name: ("F16", shape) for name, (_, shape) in llama_tensors().items()}
    write_safetensors(folder / "model.fp16.safetensors", other)


def templates(folder: Path) -> None:
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("{{ messages }}")


def without_prefix(folder: Path) -> None:
    """The names of a model without its output layer."""
    found = {name.removeprefix("model."): spec for name, spec in llama_tensors().items()}
    write_safetensors(folder / "model.safetensors", found)


def layers_of_two_kinds(folder: Path) -> None:
    """An architecture without a table, whose layers differ in kind."""
    edit(folder / "config.json", lambda value: value.clear())
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 8, "vocab_size": ROWS}
    write_json(folder / "config.json", {"model_type": "gpt2", **sizes})
    found = {"wte.weight": ("F32", (ROWS, 16)), "h.0.a.weight": ("F32", (4,)), "h.1.b.weight": ("F32", (4,))}
    write_safetensors(folder / "model.safetensors", found)


KINDS: dict[str, tuple[Damage, str, set[str]]] = {
    "plain": (lambda folder: None, "fetching the model", PLAIN),
    "prediction layer": (
        tensors(lambda found: found.update({"model.layers.2.mlp.up_proj.weight": ("F32", (32, 16))})),
        f'{IGNORED} tensors=1 names=model.layers.2.mlp.up_proj.weight',
        PLAIN,
    ),
    "parts for images and buffers": (
        tensors(lambda found: found.update(FOREIGN)),
        f"{IGNORED} tensors=2",
        PLAIN,
    ),
    "own head": (own_head, "chose output layer value=tied reason=", PLAIN),
    "same head": (tensors(lambda found: found.update(HEAD)), "fetching the model", PLAIN),
    "untied head": (
        tensors(lambda found: found.update(HEAD), tie_word_embeddings=False), "fetching the model", PLAIN
    ),
    "variant beside": (half, f"{LEFT_OUT}model.fp16.safetensors", PLAIN),
    "adapter beside": (
        both(raw("adapter_config.json", b"{}"), raw("adapter_model.safetensors", b"x")),
        f'{LEFT_OUT}"adapter_config.json, adapter_model.safetensors"',
        PLAIN,
    ),
    "pickle beside": (raw("pytorch_model.bin", b"x"), "model is in the cache", PLAIN),
    "shards": (
        shards(lambda name: ".layers." in name, lambda name: ".layers." not in name),
        "fetching the model",
        PLAIN
        - {"model.safetensors"}
        | {"model-1.safetensors", "model-2.safetensors", "model.safetensors.index.json"},
    ),
    "templates in a folder": (templates, "fetching the model", {*PLAIN, "additional_chat_templates"}),
    "half precision": (
        tensors(lambda found: [found.update({name: ("BF16", found[name][1])}) for name in list(found)]),
        "fetching the model",
        PLAIN,
    ),
    "without prefix": (without_prefix, "fetching the model", PLAIN),
    "layers of two kinds": (layers_of_two_kinds, "fetching the model", PLAIN),
    "generation settings that cannot be saved": (
        raw("generation_config.json", b'{"temperature": 0.9,   "do_sample": false}'),
        "fetching the model",
        PLAIN,
    ),
    "resized": (added("<new>", ROWS), f"rows are added to the embeddings tokens=1 rows={ROWS}", PLAIN),
    "old name of the number format": (
        both(config(torch_dtype="float32"), lambda f: edit(f / "config.json", lambda own: own.pop("dtype"))),
        "fetching the model",
        PLAIN,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def ends(shared_stage: Stage) -> dict[str, tuple[int, str, Path]]:
    """Every folder, downloaded by the stage's own command."""
    rows = shared_stage.file("rows.jsonl", CHAT)
    arguments, folders = {}, {}
    for number, (name, (make, _, _)) in enumerate(KINDS.items()):
        folders[name] = write_llama(shared_stage.base / f"model-{number}")
        make(folders[name])
        own = ["--workspace", str(shared_stage.workspace), "--run-id", f"kind-{number}", "--uri", rows]
        resize = ["--resize-embeddings"] if name == "resized" else []
        arguments[name] = [*own, "--model-uri", str(folders[name]), *resize]
    done = subprocess.run(
        [download_python(), "-c", DRIVER],
        input=json.dumps(arguments),
        env=stage_env(shared_stage.workspace, shared_stage.base / "scratch"),
        stdout=subprocess.PIPE,
        text=True,
        timeout=500,
        check=True,
    )
    return {name: (code, printed, folders[name]) for name, (code, printed) in json.loads(done.stdout).items()}


def cached(stage: Stage, name: str) -> Path:
    """Return the model in the cache that a run took."""
    folder = stage.workspace / "runs" / f"kind-{list(KINDS).index(name)}" / "download"
    record: dict[str, Any] = json.loads((folder / "record.json").read_bytes())
    return stage.workspace / record["details"]["model"]["path"]


@pytest.mark.parametrize("name", list(KINDS))
def test_a_good_model_folder_is_cached_with_a_notice_of_what_is_not_taken(
    ends: dict[str, tuple[int, str, Path]], shared_stage: Stage, name: str
) -> None:
    code, printed, folder = ends[name]
    assert code == 0, printed
    assert KINDS[name][1] in printed
    model = cached(shared_stage, name)
    assert {path.name for path in model.iterdir()} == KINDS[name][2]
    kept = [path.name for path in model.iterdir() if path.is_file() and name != "own head"]
    assert all((model / file).read_bytes() == (folder / file).read_bytes() for file in kept)


def test_a_head_that_the_config_ties_is_left_out_of_the_cache(
    ends: dict[str, tuple[int, str, Path]], shared_stage: Stage
) -> None:
    text = (cached(shared_stage, "own head") / "model.safetensors").read_bytes()
    assert b"lm_head" not in text and b"model.norm.weight" in text


def missing_layer(listed: dict[str, str]) -> dict[str, Any]:
    return {"weight_map": {name: file for name, file in listed.items() if ".layers.1." not in name}}


INDEXES: dict[str, tuple[Callable[[dict[str, str]], dict[str, Any]], str]] = {
    "layer missing": (missing_layer, "lacks 9 of the 20 weights of its architecture (llama)"),
    "shard above": (
        lambda listed: {"weight_map": dict.fromkeys(listed, "../a.safetensors")},
        "names the file",
    ),
}


@pytest.mark.parametrize("name", list(INDEXES))
def test_a_model_of_the_hub_is_rejected_by_its_index_before_its_weights_are_loaded(
    stage: Stage, hub: Hub, name: str
) -> None:
    index, sentence = INDEXES[name]
    folder = write_llama(stage.base / "indexed")
    shards(lambda tensor: True, index=index)(folder)
    hub.repos["models/org/indexed"] = Repo({path.name: path.read_bytes() for path in folder.iterdir()})
    hub.asked.clear()
    rows = stage.file("rows.jsonl", CHAT)
    assert sentence in stage.run("--uri", rows, model="hf://org/indexed", **hub.env()).failed(2)
    assert not [path for path in hub.asked if path.endswith(".safetensors")]
