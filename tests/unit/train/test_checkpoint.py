"""Which saved model is taken, and what is fixed in it."""

import json
from pathlib import Path

import pytest

from osft_train import checkpoint, weights
from osft_workspace import UserError
from osft_workspace.exits import StageError
from tests.unit.train.support import some_base, some_run, write_model

GOOD = {"model.embed_tokens.weight": [1.0, 2.0], "model.norm.weight": [3.0]}


def saved(checkpoints: Path, name: str) -> Path:
    return write_model(checkpoints / "hf_format" / name, GOOD)


def test_the_model_that_saw_the_most_rows_is_taken_whatever_its_age(tmp_path: Path) -> None:
    newest_by_number = saved(tmp_path, "samples_1000.0")
    saved(tmp_path, "samples_999.0")
    saved(tmp_path, "samples_96.0_best_val_loss")
    assert checkpoint.choose(tmp_path) == newest_by_number


def test_a_name_with_an_ending_counts_by_its_number(tmp_path: Path) -> None:
    saved(tmp_path, "samples_90")
    best = saved(tmp_path, "samples_100.0_best_val_loss")
    assert checkpoint.choose(tmp_path) == best


def test_folders_without_weights_are_passed_over(tmp_path: Path) -> None:
    whole = saved(tmp_path, "samples_10.0")
    (saved(tmp_path, "samples_20.0") / "model.safetensors").unlink()
    (saved(tmp_path, "samples_30.0") / "config.json").unlink()
    torn = saved(tmp_path, "samples_40.0")
    (torn / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001.safetensors", "b": "model-00002.safetensors"}}
    (torn / weights.INDEX).write_text(json.dumps(index))
    (tmp_path / "hf_format" / "samples_50.0.tmp").mkdir()
    assert checkpoint.choose(tmp_path) == whole


def test_without_a_saved_model_nothing_is_chosen(tmp_path: Path) -> None:
    assert checkpoint.choose(tmp_path) is None


def test_buffers_and_the_second_name_of_tied_embeddings_are_left_out(tmp_path: Path) -> None:
    base = some_base(write_model(tmp_path / "base", GOOD, use_cache=True), use_cache=True)
    tied = {**GOOD, "lm_head.weight": GOOD["model.embed_tokens.weight"]}
    tied["model.rotary_emb.inv_freq"] = tied["model.rotary_emb.original_inv_freq"] = [0.5]
    folder = write_model(tmp_path / "saved", tied, use_cache=False, tie_word_embeddings=True)
    checkpoint.fix(some_run(tmp_path), folder, base)
    assert set(weights.tensors(folder)) == set(GOOD)
    assert weights.read_header(folder / "model.safetensors")[0]["__metadata__"] == {"format": "pt"}
    assert json.loads((folder / "config.json").read_text())["use_cache"] is True


def test_an_output_layer_that_learned_by_itself_is_never_dropped(tmp_path: Path) -> None:
    base = some_base(write_model(tmp_path / "base", GOOD))
    folder = write_model(tmp_path / "saved", {**GOOD, "lm_head.weight": [1.0, 2.5]}, tie_word_embeddings=True)
    with pytest.raises(StageError, match="training made them different"):
        checkpoint.fix(some_run(tmp_path), folder, base)


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, b"\x02" + bytes(7) + b"[]", b"\x80\x02K\x01.", None])
def test_a_saved_model_that_was_damaged_is_reported(tmp_path: Path, damage: bytes | None) -> None:
    folder, base = saved(tmp_path, "samples_10"), some_base(write_model(tmp_path / "base", GOOD))
    weights_file = folder / "model.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:-9] if damage is None else damage)
    with pytest.raises(UserError, match=r"samples_10 cannot be read \(.*Remove the folder checkpoints"):
        checkpoint.fix(some_run(tmp_path), folder, base)


def test_an_output_layer_of_its_own_stays(tmp_path: Path) -> None:
    own = {**GOOD, "lm_head.weight": [7.0, 8.0]}
    base = some_base(write_model(tmp_path / "base", own))
    folder = write_model(tmp_path / "saved", own, tie_word_embeddings=False)
    checkpoint.fix(some_run(tmp_path), folder, base)
    assert set(weights.tensors(folder)) == set(own)


def test_files_that_tuning_does_not_change_are_the_bases(tmp_path: Path) -> None:
    base = some_base(write_model(tmp_path / "base", GOOD))
    (base.path / "tokenizer.json").write_text("base")
    (base.path / "generation_config.json").write_text("base")
    folder = write_model(tmp_path / "saved", GOOD)
    (folder / "tokenizer.json").write_text("rewritten")
    (folder / "special_tokens_map.json").write_text("the base has none")
    checkpoint.fix(some_run(tmp_path), folder, base)
    assert (folder / "tokenizer.json").read_text() == "base"
    assert (folder / "generation_config.json").read_text() == "base"
    assert not (folder / "special_tokens_map.json").exists()


def test_templates_in_a_folder_are_the_bases_and_its_card_is_not_taken(tmp_path: Path) -> None:
    base = some_base(write_model(tmp_path / "base", GOOD))
    for name in ("additional_chat_templates/tool_use.jinja", "README.md", "mm_projector.safetensors"):
        (base.path / name).parent.mkdir(exist_ok=True)
        (base.path / name).write_text("base")
    folder = write_model(tmp_path / "saved", GOOD)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "other.jinja").write_text("rewritten")
    checkpoint.fix(some_run(tmp_path), folder, base)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        *("additional_chat_templates", "additional_chat_templates/tool_use.jinja"),
        *("config.json", "model.safetensors"),
    ]


def test_ends_of_the_base_stay_and_only_what_training_changed_differs(tmp_path: Path) -> None:
    settings = {"eos_token_id": [2, 0], "torch_dtype": "float32", "vocab_size": 2}
    base = some_base(write_model(tmp_path / "base", GOOD, **settings), **settings)
    grown = {**GOOD, "model.embed_tokens.weight": [1.0, 2.0, 3.0]}
    folder = write_model(tmp_path / "saved", grown, eos_token_id=7, dtype="float32", vocab_size=3)
    checkpoint.fix(some_run(tmp_path), folder, base)
    config = json.loads((folder / "config.json").read_text())
    assert config == {**base.config, "vocab_size": 3}


@pytest.mark.parametrize(
    ("tuned", "said"),
    [
        ({**GOOD, "model.norm.weight": [1.0, 2.0]}, r"model.norm.weight \(2,\) instead of \(1,\)"),
        ({**GOOD, "model.embed_tokens.weight": [1.0]}, "model.embed_tokens.weight"),
    ],
)
def test_a_model_of_other_shapes_than_its_base_is_rejected(
    tmp_path: Path, tuned: dict[str, list[float]], said: str
) -> None:
    base = some_base(write_model(tmp_path / "base", GOOD))
    with pytest.raises(StageError, match=said):
        checkpoint.check_shapes(write_model(tmp_path / "tuned", tuned), base)


def test_a_vocabulary_may_grow(tmp_path: Path) -> None:
    base = some_base(write_model(tmp_path / "base", GOOD))
    grown = {**GOOD, "model.embed_tokens.weight": [1.0, 2.0, 3.0]}
    checkpoint.check_shapes(write_model(tmp_path / "tuned", grown), base)
