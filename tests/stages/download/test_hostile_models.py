"""Model folders as careless or hostile people leave them: each ends with one sentence and exit code 2."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stages.download.support import CHAT, Stage, download_python
from tests.support.model_folders import (
    CONFIG,
    Spec,
    edit,
    llama_tensors,
    write_json,
    write_llama,
    write_raw,
    write_safetensors,
)
from tests.support.sandbox import stage_env

DRIVER = """
import json, sys
from click.testing import CliRunner
from osft_download.cli import main

ends = {}
for name, arguments in json.load(sys.stdin).items():
    result = CliRunner().invoke(main, arguments)
    ends[name] = [result.exit_code, result.output]
json.dump(ends, sys.stdout)
"""
"""Many starts of the command in one process of the stage's own Python, whose imports take seconds."""
SECRET = "canary-secret-4711"
DEEP = b"[" * 100_000 + b"]" * 100_000
Damage = Callable[[Path], object]


def weights(header: Any, data: bytes = b"\0" * 16, length: int | None = None) -> Damage:
    """Write a weight file of this header, a JSON value or bytes, true or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return lambda folder: write_raw(folder / "model.safetensors", text, data, length)


def entry(dtype: Any = "F32", shape: Any = (2, 2), offsets: Any = (0, 16)) -> dict[str, Any]:
    """One entry of a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def one(dtype: Any = "F32", shape: Any = (2, 2), offsets: Any = (0, 16)) -> Damage:
    """Write a weight file of one tensor."""
    return weights({"a": entry(dtype, shape, offsets)})


def raw(name: str, content: bytes) -> Damage:
    """Write a file."""
    return lambda folder: (folder / name).write_bytes(content)


def config(**values: Any) -> Damage:
    """Set values of config.json."""
    return lambda folder: edit(folder / "config.json", lambda value: value.update(values))


def encoded(encoding: str) -> Damage:
    """Write config.json in another encoding."""
    return lambda folder: (folder / "config.json").write_bytes(
        (folder / "config.json").read_text().encode(encoding)
    )


def tensors(change: Callable[[dict[str, Spec]], object], **values: Any) -> Damage:
    """Change the tensors of the weight file, and values of config.json."""

    def damage(folder: Path) -> None:
        found = llama_tensors()
        change(found)
        write_safetensors(folder / "model.safetensors", found)
        config(**values)(folder)

    return damage


def kept(test: Callable[[str], bool]) -> Damage:
    """Keep the tensors that pass."""
    return tensors(lambda found: [found.pop(name) for name in list(found) if not test(name)])


def shards(*parts: Callable[[str], bool], index: Any = None) -> Damage:
    """Write the tensors that each part takes into its own file, with an index or what stands for it."""

    def damage(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        listed: dict[str, str] = {}
        for number, part in enumerate(parts, 1):
            file = f"model-{number}.safetensors"
            own = {name: spec for name, spec in llama_tensors().items() if part(name)}
            write_safetensors(folder / file, own)
            listed |= dict.fromkeys(own, file)
        path = folder / "model.safetensors.index.json"
        if isinstance(index, bytes):
            path.write_bytes(index)
        else:
            write_json(path, index(listed) if index else {"metadata": {}, "weight_map": listed})

    return damage


def everything(name: str) -> bool:
    return True


def in_layers(name: str) -> bool:
    return ".layers." in name


def elsewhere(name: str) -> bool:
    return ".layers." not in name


def named(file: str) -> Damage:
    """Return an index that names this file."""
    return shards(everything, index=lambda listed: {"weight_map": dict.fromkeys(listed, file)})


def link(name: str, target: str) -> Damage:
    """Put a link in the place of a file."""

    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return damage


def pipe(folder: Path) -> None:
    (folder / "vocab.txt").unlink(missing_ok=True)
    os.mkfifo(folder / "vocab.txt")


def odd_name(name: bytes) -> Damage:
    return lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"{}")


def renamed(name: str, other: str) -> Damage:
    return lambda folder: (folder / name).rename(folder / other)


def tokens(change: Callable[[dict[str, Any]], object]) -> Damage:
    return lambda folder: edit(folder / "tokenizer.json", change)


def added(token: str, number: Any) -> Damage:
    """Add a token to the tokenizer."""
    return tokens(
        lambda value: value["added_tokens"].append(
            {**value["added_tokens"][0], "id": number, "content": token}
        )
    )


def gpt2(layers: int, rows: int = 50) -> Damage:
    """Return an architecture that has no table: names as GPT-2's."""

    def damage(folder: Path) -> None:
        found: dict[str, Spec] = {"wte.weight": ("F32", (50, 16)), "wpe.weight": ("F32", (8, 16))}
        for number in range(layers):
            found[f"h.{number}.attn.c_attn.weight"] = ("F32", (16, 48))
        write_safetensors(folder / "model.safetensors", found)
        sizes = {"n_embd": 16, "n_layer": 4, "n_head": 4, "n_positions": 8, "vocab_size": rows}
        write_json(folder / "config.json", {"model_type": "gpt2", **sizes})

    return damage


def both(*damages: Damage) -> Damage:
    return lambda folder: [damage(folder) for damage in damages]


def code_of_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text("{}")
    (folder / "tokenization_own.py").write_text("")
    edit(
        folder / "tokenizer_config.json",
        lambda value: value.update(
            auto_map={"AutoTokenizer": ["tokenization_own.Own", None]}, tokenizer_class="Own"
        ),
    )


DAMAGED = "model.safetensors of the model is damaged: "
GPTQ = {"quant_method": "gptq", "bits": 4}

FOLDERS: dict[str, tuple[Damage, str]] = {
    # headers that lie
    "cut off": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-1]),
        "(cut off)",
    ),
    "pointer": (
        raw("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
        "a Git LFS pointer",
    ),
    "empty": (raw("model.safetensors", b""), "it has 0 bytes and no header"),
    "seven bytes": (raw("model.safetensors", b"\1" * 7), "it has 7 bytes and no header"),
    "header beyond the file": (weights({"a": entry()}, length=5000), "its header would have 5000 bytes"),
    "header of a terabyte": (weights({"a": entry()}, length=1 << 40), "the format allows 100000000"),
    "header of 2^63": (weights({"a": entry()}, length=1 << 63), "the format allows 100000000"),
    "header of no bytes": (weights({"a": entry()}, length=0), "its header would have 0 bytes"),
    "header not JSON": (weights(b"{not json"), "its header is not JSON"),
    "header not UTF-8": (weights(b'{"\xff": 1}'), "its header is not JSON (UnicodeDecodeError)"),
    "header a list": (weights([1]), "its header lists no tensors"),
    "header deep": (weights(b'{"a":' + DEEP + b"}"), "its header is nested too deeply"),
    "header without tensors": (weights({"__metadata__": {"format": "pt"}}), "its header lists no tensors"),
    "metadata not texts": (weights({"__metadata__": {"a": 1}, "b": entry()}), "is not a map of texts"),
    "entry not an object": (weights({"a": [1, 2]}), "a lacks its format, shape or place"),
    "entry without offsets": (weights({"a": {"dtype": "F32", "shape": [4]}}), "a lacks its format"),
    "named twice": (
        weights(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{}}'),
        "its header names something twice",
    ),
    "control characters in a tensor's name": (weights({"a\x1b[2Jb": entry()}), "holds control characters"),
    "overlapping": (
        weights({"a": entry(), "b": entry("F32", [2], [8, 16])}),
        "a and b overlap",
    ),
    "reversed": (one(offsets=[16, 0]), "the offsets of a are reversed (16, 0)"),
    "negative offset": (one(offsets=[-16, 0]), "has the offsets [-16, 0], expected two whole numbers"),
    "fractional offset": (one(offsets=[0, 16.5]), "has the offsets [0, 16.5]"),
    "whole number as a fraction": (one(offsets=[0, 16.0]), "has the offsets [0, 16.0]"),
    "offset true": (one(offsets=[False, 16]), "has the offsets [False, 16]"),
    "three offsets": (one(offsets=[0, 8, 16]), "expected two whole numbers"),
    "offset beyond the file": (one(shape=[8], offsets=[0, 32]), "ends at byte 32, and the file holds 16"),
    "gap": (
        weights({"a": entry("F32", [1], [0, 4]), "b": entry("F32", [2], [8, 16])}),
        "there is a gap of 4 bytes before b",
    ),
    "begins late": (one(shape=[2], offsets=[8, 16]), "does not begin where the header ends"),
    "stray bytes": (one(shape=[2], offsets=[0, 8]), "8 bytes after its last tensor belong to no tensor"),
    "shape that does not fit": (one(shape=[3, 2]), "does not fit its 16 bytes"),
    "shape beyond all bytes": (one(shape=[1 << 40, 1 << 40]), "does not fit its 16 bytes"),
    "negative shape": (one(shape=[-2, -2]), "has the shape [-2, -2], expected a list of whole numbers"),
    "fractional shape": (one(shape=[2.0, 2]), "has the shape [2.0, 2]"),
    "many dimensions": (one(shape=[1] * 1000 + [4]), "expected a list of whole numbers"),
    "unknown number format": (one("F33"), "has the number format F33"),
    "number format not text": (one(["F32"]), "has the number format"),
    # config.json
    "config not JSON": (raw("config.json", b"nonsense"), "is not JSON (JSONDecodeError"),
    "config not text": (raw("config.json", b"\xff\xfe\xfd"), "is not JSON (UnicodeDecodeError"),
    "config a list": (raw("config.json", b"[1]"), "is a JSON list, expected an object"),
    "config deep": (raw("config.json", b'{"a":' + DEEP + b"}"), "nested more than 100 levels deep"),
    "config less deep": (
        raw("config.json", b'{"a":' + b"[" * 400 + b"]" * 400 + b"}"),
        "more than 100 levels",
    ),
    "config empty": (raw("config.json", b"{}"), "has no model_type in it"),
    "config huge": (lambda f: os.truncate(f / "config.json", 65 << 20), "expected at most 33554432"),
    "type a number": (config(model_type=7), "has no model_type in it (7)"),
    "type unknown": (
        config(model_type="no-such"),
        "is of type no-such, which transformers 5.19.0 does not know",
    ),
    "type without text": (config(model_type="vit"), "generates no text with such a model"),
    "size a text": (config(hidden_size="big"), "cannot use config.json of"),
    "size a fraction": (config(num_hidden_layers=1.5), "Field 'num_hidden_layers' expected int, got float"),
    "sizes that do not divide": (config(num_attention_heads=3, head_dim=None), "not a multiple"),
    "layers without end": (config(num_hidden_layers=10**12), "gives num_hidden_layers as 1000000000000"),
    "vocabulary without end": (config(vocab_size=10**15), "gives vocab_size as 1000000000000000"),
    "rope a text": (config(rope_scaling="x"), "cannot use config.json of"),
    "type of the text part a list": (
        config(text_config={"model_type": ["llama"]}),
        "config.json of {folder}",
    ),
    "text part of another architecture": (
        config(text_config={"model_type": "llama"}),
        "config.json of {folder} has text_config, which a model of type llama does not have. Remove",
    ),
    "text part a text": (config(text_config="x"), "has text_config, which a model of type llama does not"),
    "decoder of another architecture": (config(decoder={"a": 1}), "has decoder, which a model of type llama"),
    "no heads": (config(num_attention_heads=0), "config.json of {folder}"),
    "no groups": (config(num_key_value_heads=-1), "and config.json asks for [-4, 16]"),
    "no layers": (
        config(num_hidden_layers=0),
        "gives num_hidden_layers as 0, expected a whole number from 1 on",
    ),
    "activation unknown": (
        config(hidden_act="nonsense"),
        "gives hidden_act as nonsense, expected one of gelu,",
    ),
    "rotary embedding unknown": (
        config(rope_parameters={"rope_type": "nonsense", "rope_theta": 1e4}),
        "gives rope_parameters.rope_type as nonsense, expected one of default, dynamic, linear,",
    ),
    "rotary embedding unknown, old name": (
        config(rope_scaling={"type": "nonsense", "factor": 2.0}),
        "gives rope_parameters.rope_type as nonsense",
    ),
    "rotary embedding a list": (config(rope_parameters={"rope_type": ["x"]}), "config.json of {folder}"),
    "number format unknown": (
        config(dtype="float7"),
        "gives dtype as float7, expected one of float32, float16",
    ),
    "whole numbers as format": (config(dtype="int8"), "gives dtype as int8, expected one of float32"),
    "number format, old name": (
        lambda f: edit(
            f / "config.json", lambda value: value.update(torch_dtype=value.pop("dtype") and "float7")
        ),
        "gives dtype as float7",
    ),
    "padding beyond the vocabulary": (
        config(pad_token_id=264),
        "gives pad_token_id as 264, expected a token id below vocab_size (264)",
    ),
    "end beyond the vocabulary": (
        config(eos_token_id=99999),
        "gives eos_token_id as 99999, expected a token id",
    ),
    "one end beyond the vocabulary": (config(eos_token_id=[258, 264]), "gives eos_token_id as 264"),
    "config with a byte order mark": (
        encoded("utf-8-sig"),
        "config.json of {folder} begins with a byte order mark, expected UTF-8 without byte "
        "order mark. Convert the file to that.",
    ),
    "config in UTF-16": (encoded("utf-16"), "is UTF-16, expected UTF-8 without byte order mark"),
    "config in UTF-32": (encoded("utf-32-be"), "is UTF-32-BE, expected UTF-8 without byte order mark"),
    # lists of shards
    "shard missing": (
        shards(everything, index=lambda listed: {"weight_map": {**listed, "z": "model-9.safetensors"}}),
        "is not a complete model: model.safetensors.index.json lists model-9.safetensors, which is missing",
    ),
    "list empty": (shards(everything, index=b"{}"), "has no weight_map from tensors to files"),
    "list of lists": (shards(everything, index=b'{"weight_map": [["a", "b"]]}'), "has no weight_map"),
    "list of numbers": (shards(everything, index=b'{"weight_map": {"a": 1}}'), "has no weight_map"),
    "list not JSON": (shards(everything, index=b"{"), "model.safetensors.index.json of"),
    "list deep": (shards(everything, index=b'{"weight_map":' + DEEP + b"}"), "levels deep"),
    "shard above": (named("../model-1.safetensors"), "names the file '../model-1.safetensors'"),
    "shard from the root": (named("/etc/passwd"), "names the file '/etc/passwd', expected files of the same"),
    "shard of dots": (named(".."), "names the file '..'"),
    "shard as pickle": (named("pytorch_model.bin"), "expected *.safetensors"),
    "tensor twice": (
        shards(everything, in_layers),
        "is in model-1.safetensors and in model-2.safetensors, expected each tensor once",
    ),
    "tensor in another shard": (
        shards(
            in_layers,
            elsewhere,
            index=lambda listed: {"weight_map": {**listed, "model.norm.weight": "model-1.safetensors"}},
        ),
        "lists model.norm.weight in model-1.safetensors, which does not hold it",
    ),
    "layer missing from shards": (
        shards(elsewhere),
        "lacks 18 of the 20 weights of its architecture (llama)",
    ),
    # against the architecture
    "layer missing": (
        kept(lambda name: ".layers.1." not in name),
        "lacks 9 of the 20 weights of its architecture (llama): model.layers.1.input_layernorm.weight, ",
    ),
    "norm missing": (
        kept(lambda name: name != "model.norm.weight"),
        "lacks 1 of the 20 weights of its architecture (llama): model.norm.weight. Without them training",
    ),
    "head neither there nor tied": (
        config(tie_word_embeddings=False),
        "lacks lm_head.weight, and its config.json",
    ),
    "names of a wrapper": (
        tensors(lambda found: [found.update({f"_orig_mod.{n}": found.pop(n)}) for n in list(found)]),
        "Its names begin with '_orig_mod.'",
    ),
    "rows not as in the config": (
        config(vocab_size=300),
        "model.embed_tokens.weight of {folder} has the shape [264, 16], and config.json asks for [300, 16]",
    ),
    "matrix of another shape": (
        tensors(lambda found: found.update({"model.layers.0.mlp.up_proj.weight": ("F32", (16, 32))})),
        "has the shape [16, 32], and config.json asks for [32, 16]",
    ),
    "weights as whole numbers": (
        tensors(lambda found: found.update({"model.norm.weight": ("I64", (16,))})),
        "model.norm.weight of {folder} is I64, and tuning needs float16, bfloat16 or float32",
    ),
    "layers missing without a table": (gpt2(3), "lacks 1 of its 4 layers: the first is layers.3"),
    "rows without a table": (gpt2(4, rows=60), "wte.weight of {folder} has 50 rows, and config.json gives"),
    # other kinds of weights
    "GPTQ": (config(quantization_config=GPTQ), "is quantized (config.json names gptq)"),
    "bitsandbytes": (
        config(quantization_config={"load_in_4bit": True, "quant_method": "bitsandbytes"}),
        "is quantized (config.json names bitsandbytes)",
    ),
    "quantization a text": (config(quantization_config="fp8"), "is quantized (config.json names fp8)"),
    "8-bit weights": (
        tensors(lambda found: found.update({"model.layers.0.mlp.up_proj.weight": ("F8_E4M3", (32, 16))})),
        "is quantized (model.layers.0.mlp.up_proj.weight is F8_E4M3)",
    ),
    "packed weights": (
        tensors(lambda found: found.update({"model.layers.0.mlp.up_proj.qweight": ("I32", (2, 16))})),
        "is quantized (model.layers.0.mlp.up_proj.qweight is I32)",
    ),
    "pickle only": (
        renamed("model.safetensors", "pytorch_model.bin"),
        "has its weights only as pytorch_model.bin, expected safetensors",
    ),
    "GGUF only": (renamed("model.safetensors", "model.Q4.gguf"), "has its weights only as model.Q4.gguf"),
    "adapter only": (
        both(renamed("model.safetensors", "adapter_model.safetensors"), raw("adapter_config.json", b"{}")),
        "holds an adapter (adapter_config.json) and not a complete model",
    ),
    "weights under another name": (
        renamed("model.safetensors", "weights.safetensors"),
        "has weights as weights.safetensors, expected model.safetensors",
    ),
    # files that are not regular files, and names
    "link to the environment": (
        link("vocab.txt", "/proc/self/environ"),
        "vocab.txt of the model folder {folder} is a link to /proc/self/environ, which is outside the folder",
    ),
    "config elsewhere": (
        link("config.json", "/etc/hostname"),
        "config.json of the model folder {folder} is a",
    ),
    "weights elsewhere": (
        link("model.safetensors", "../secret"),
        "is a link to ../secret, which is outside",
    ),
    "templates elsewhere": (
        link("additional_chat_templates", "/etc"),
        "is a link to /etc, which is outside",
    ),
    "link to nothing": (link("merges.txt", "nowhere"), "is a broken link (nowhere)"),
    "link to itself": (link("merges.txt", "merges.txt"), "is a broken link (merges.txt)"),
    "pipe": (pipe, "vocab.txt of the model folder {folder} is not a regular file but a pipe"),
    "device": (link("vocab.txt", "/dev/zero"), "is a link to /dev/zero, which is outside the folder"),
    "name not UTF-8": (odd_name(b"vocab\xff.json"), "holds a file named 'vocab\\xff.json'"),
    "line break in a name": (odd_name(b"a\nError: b.json"), "holds a file named 'a\\nError: b.json'"),
    "escape in a name": (odd_name(b"a\x1b[2J.json"), "holds a file named 'a\\x1b[2J.json'"),
    # tokens
    "token beyond the embeddings": (
        both(added("<new>", 264), added("<newer>", 270)),
        "has 2 of its 262 tokens beyond the embeddings, which have 264 rows; the first is '<new>' with id "
        "264",
    ),
    "token beyond in the settings": (
        lambda f: edit(
            f / "tokenizer_config.json",
            lambda value: value.update(added_tokens_decoder={"999": {"content": "<x>"}}),
        ),
        "the first is '<x>' with id 999. Set model.resizeEmbeddings",
    ),
    "token without a number": (added("<new>", "many"), "gives the token '<new>' the id many"),
    "token below zero": (added("<new>", -1), "gives the token '<new>' the id -1"),
    "tokenizer not JSON": (raw("tokenizer.json", b"{"), "tokenizer.json of"),
    "tokenizer deep": (raw("tokenizer.json", b'{"a":' + DEEP + b"}"), "levels deep"),
    "tokenizer settings a list": (raw("tokenizer_config.json", b"[]"), "tokenizer_config.json of"),
    # code
    "code for an unknown type": (
        config(model_type="village", auto_map={"AutoConfig": "own.Config"}),
        "is of type village, which only Python code that comes with it can load (auto_map in config.json), "
        "and model.trustRemoteCode is false",
    ),
    "code for the tokenizer": (
        code_of_tokenizer,
        "can be loaded only by Python code that comes with the model",
    ),
}


@pytest.fixture(scope="module")
def ends(shared_stage: Stage) -> dict[str, tuple[int, str, Path]]:
    """Every folder, downloaded by the stage's own command."""
    rows = shared_stage.file("rows.jsonl", CHAT)
    (shared_stage.base / "folders").mkdir()
    (shared_stage.base / "folders" / "secret").write_text(SECRET)
    arguments, folders = {}, {}
    for number, (name, (damage, _)) in enumerate(FOLDERS.items()):
        folders[name] = write_llama(shared_stage.base / "folders" / f"model-{number}")
        damage(folders[name])
        own = ["--workspace", str(shared_stage.workspace), "--run-id", f"hostile-{number}", "--uri", rows]
        arguments[name] = [*own, "--model-uri", str(folders[name])]
    done = subprocess.run(
        [download_python(), "-c", DRIVER],
        input=json.dumps(arguments),
        env=stage_env(shared_stage.workspace, shared_stage.base / "scratch", {"HF_TOKEN": SECRET}),
        stdout=subprocess.PIPE,
        text=True,
        timeout=500,
        check=True,
    )
    return {name: (code, printed, folders[name]) for name, (code, printed) in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", list(FOLDERS))
def test_a_hostile_model_folder_ends_with_one_message(
    ends: dict[str, tuple[int, str, Path]], name: str
) -> None:
    code, printed, folder = ends[name]
    assert code == 2, printed
    (error,) = [line for line in printed.splitlines() if line.startswith("Error: ")]
    assert FOLDERS[name][1].replace("{folder}", str(folder)) in error
    assert not re.search(r"[^.]\.\. ", error)
    assert "This is a bug" not in printed and "Traceback" not in printed
    assert SECRET not in printed


def test_nothing_of_a_hostile_model_is_cached(
    ends: dict[str, tuple[int, str, Path]], shared_stage: Stage
) -> None:
    models = shared_stage.workspace / "cache" / "models"
    assert not models.is_dir() or not [path for path in models.iterdir() if not path.name.startswith(".")]


def test_the_folder_that_is_damaged_here_is_good_before(stage: Stage) -> None:
    assert CONFIG["model_type"] == "llama"
    stage.good("--uri", stage.file("rows.jsonl", CHAT), model=str(write_llama(stage.base / "good")))
