"""What files and their names hold: splits as `datasets` finds them, arrays taken apart, packed streams."""

import bz2
import gzip
import io
import json
import lzma
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from osft_download.exact import depth, parse
from osft_download.names import is_data, splits_of
from osft_download.readers import packed
from osft_download.readers.json_text import Broken, Items
from osft_download.rules import RejectedRow

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def items(text: bytes, **bounds: int) -> list[bytes | None]:
    return list(Items(io.BufferedReader(io.BytesIO(text)), **bounds))  # type: ignore[type-var]


@given(st.lists(JSON), st.sampled_from([None, 1]), st.integers(1, 7), st.booleans())
def test_an_array_gives_its_items_whatever_pieces_it_is_read_in(
    values: list[Any], indent: int | None, piece: int, ascii_only: bool
) -> None:
    text = b"[" + json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()[1:]
    found = items(text + b" \n", piece=piece)
    assert [orjson.loads(item or b"") for item in found] == values


@given(st.lists(JSON), st.data())
def test_an_array_that_is_cut_off_is_broken(values: list[Any], data: st.DataObject) -> None:
    text = json.dumps(values).encode()
    cut = data.draw(st.integers(1, len(text) - 1))
    with pytest.raises(Broken):
        items(text[:cut])


@pytest.mark.parametrize("text", [b"[1,]", b"[,1]", b"[1,,2]", b"[1}", b"[1] 2", b"[1]]", b'["a]'])
def test_an_array_that_does_not_go_on_as_one_is_broken(text: bytes) -> None:
    with pytest.raises(Broken):
        items(text)


def test_an_item_that_is_too_long_is_left_out_and_the_next_one_read() -> None:
    assert items(b'[1, "' + b"x" * 50 + b'", 2]', piece=4, longest=10) == [b"1", None, b"2"]


@example("{")
@given(JSON)
def test_depth_is_counted_outside_of_strings(value: Any) -> None:
    def deep(part: Any) -> int:
        inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else None
        return 0 if inside is None else 1 + max(map(deep, inside), default=0)

    assert depth(json.dumps(value).encode()) == deep(value)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"[" * 101 + b"]" * 101, "too-deep"),
        (b"[" * 100_000 + b"]" * 100_000, "too-deep"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "too-deep"),
        (b"[" + b"9" * 5000 + b"]", "not-json"),
        (b'{"a": NaN}', "not-json"),
        (b'"\xff"', "not-utf8"),
    ],
)
def test_json_that_cannot_be_held_is_rejected_by_name(text: bytes, rule: str) -> None:
    with pytest.raises(RejectedRow) as caught:
        parse(text)
    assert caught.value.rule == rule


def test_integers_keep_all_their_digits() -> None:
    assert parse(b"[123456789012345678901234567890, 18446744073709551616]") == [
        123456789012345678901234567890, 18446744073709551616
    ]  # fmt: skip
    assert parse(b"[" * 100 + b"]" * 100)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["a.jsonl", "b/c.jsonl"], {"train": ["a.jsonl", "b/c.jsonl"]}),
        (
            ["data/train-00000-of-00002.parquet", "data/train_sft-00001-of-00002.parquet", "x.jsonl"],
            {
                "train": ["data/train-00000-of-00002.parquet"],
                "train_sft": ["data/train_sft-00001-of-00002.parquet"],
            },
        ),
        (
            ["data/train/a.jsonl", "my-test.v1/b.jsonl", "train.jsonl"],
            {"train": ["data/train/a.jsonl"], "test": ["my-test.v1/b.jsonl"]},
        ),
        (
            ["train.jsonl", "x_dev.csv", "eval 1.json", "trainer.jsonl"],
            {"train": ["train.jsonl"], "validation": ["x_dev.csv"], "test": ["eval 1.json"]},
        ),
        (["contrain.jsonl", "latest.jsonl"], {"train": ["contrain.jsonl", "latest.jsonl"]}),
    ],
)
def test_splits_are_those_of_the_names(names: list[str], splits: dict[str, list[str]]) -> None:
    assert splits_of(names) == splits


def test_info_files_are_not_data_and_packed_files_are() -> None:
    data = ["a.jsonl", "b/C.JSONL.GZ", "x.arrow", "y.json.zst", "z.csv.xz", "w.tsv.bz2", "state_of.json"]
    others = ["state.json", "a/dataset_info.json", "dataset_dict.json", "README.md", "a.txt", "a.gz", "a.zip"]
    assert [name for name in data + others if is_data(name)] == data


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, bytes])
def test_packed_files_are_read_as_what_they_hold(tmp_path: Path, pack: Any) -> None:
    text = b"".join(b"%d\n" % number for number in range(100_000))
    path = tmp_path / "a"
    path.write_bytes(pack(text) + (pack(b"joined\n") if pack is not bytes else b""))
    with packed.open_plain(path) as file:
        assert file.read() == text + (b"joined\n" if pack is not bytes else b"")
