"""Safetensors files as bytes."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_train import weights
from tests.unit.train.support import write_weights

VECTORS = st.dictionaries(
    st.text("abc.", min_size=1, max_size=6),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5),
    min_size=1,
    max_size=6,
)


@given(VECTORS, st.data())
def test_leaving_tensors_out_keeps_the_bytes_of_the_others(
    tensors: dict[str, list[float]], data: st.DataObject
) -> None:
    dropped = data.draw(st.sets(st.sampled_from(sorted(tensors))))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_weights(folder / "model.safetensors", tensors)
        before = {key: b"".join(weights.blocks(t)) for key, t in weights.tensors(folder).items()}
        weights.leave_out(folder, dropped)
        after = {key: b"".join(weights.blocks(t)) for key, t in weights.tensors(folder).items()}
    assert after == {key: value for key, value in before.items() if key not in dropped}


def test_the_index_of_several_files_follows(tmp_path: Path) -> None:
    write_weights(tmp_path / "model-1.safetensors", {"a": [1.0], "rotary": [2.0]}, {"format": "pt"})
    write_weights(tmp_path / "model-2.safetensors", {"b": [3.0, 4.0]}, {"format": "pt"})
    names = {"a": "model-1.safetensors", "rotary": "model-1.safetensors", "b": "model-2.safetensors"}
    (tmp_path / weights.INDEX).write_text(json.dumps({"metadata": {"total_size": 16}, "weight_map": names}))
    untouched = (tmp_path / "model-2.safetensors").stat().st_mtime_ns
    weights.leave_out(tmp_path, ["rotary"])
    index = json.loads((tmp_path / weights.INDEX).read_text())
    assert index == {
        "metadata": {"total_size": 12},
        "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"},
    }
    assert (tmp_path / "model-2.safetensors").stat().st_mtime_ns == untouched


def test_a_file_that_the_index_names_must_be_there(tmp_path: Path) -> None:
    (tmp_path / weights.INDEX).write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    with pytest.raises(FileNotFoundError, match=r"model-1\.safetensors"):
        weights.files(tmp_path)
