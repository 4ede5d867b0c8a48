"""Addresses taken apart, and what is shown of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_download.base_model.files import wanted
from osft_download.hub import split_reference
from osft_download.sources import parse
from osft_workspace import UserError


@pytest.mark.parametrize(
    ("uri", "scheme", "rest", "shown"),
    [
        ("org/name", "hf", "org/name", "hf://org/name"),
        (" org/name:config@v1.2 ", "hf", "org/name:config@v1.2", "hf://org/name:config@v1.2"),
        ("hf://name", "hf", "name", "hf://name"),
        ("S3://bucket/key", "s3", "bucket/key", "s3://bucket/key"),
        ("https://u:p@host/a?sig=x#f", "https", "u:p@host/a?sig=x#f", "https://host/a"),
        ("pvc://claim/a b.jsonl", "pvc", "claim/a b.jsonl", "pvc://claim/a b.jsonl"),
        ("/data/a.jsonl", "path", "/data/a.jsonl", "/data/a.jsonl"),
    ],
)
def test_an_address_is_taken_apart(uri: str, scheme: str, rest: str, shown: str) -> None:
    address = parse(uri)
    assert (address.scheme, address.rest, address.shown) == (scheme, rest, shown)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "name",
        "./a.jsonl",
        "a/b/c",
        "ftp://h/a",
        "file:///a",
        "hf://",
        "/",
        "/a/../b",
        "s3://b/../k",
        "a/..",
        "hf://a/b/c",
        "hf://a/b@c@d",
        "pvc:///rows.jsonl",
        "pvc://./rows.jsonl",
        "pvc://My_Claim/rows.jsonl",
        "http:///rows.jsonl",
        "http://[::1/rows.jsonl",
        "http://host:port/rows.jsonl",
    ],
)
def test_an_invalid_address_is_rejected(uri: str) -> None:
    with pytest.raises(UserError):
        parse(uri)


@pytest.mark.parametrize(
    "uri", ["hf://user:hf_SECRET@org/name", "hf://hf_SECRET@org/name", "user:hf_SECRET@org/name@main"]
)
def test_a_token_in_a_hub_address_is_rejected_and_not_shown(uri: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(uri)
    assert "SECRET" not in caught.value.message
    assert "HF_TOKEN" in caught.value.message


def test_a_revision_with_a_slash_is_not_taken_for_a_user() -> None:
    assert parse("hf://squad:plain_text@refs/convert/parquet").rest == "squad:plain_text@refs/convert/parquet"


@pytest.mark.parametrize("uri", ["s3://ID:SECRET@bucket/k", "s3://ID:SEC/RET@bucket/k", "s3://ID@bucket/k"])
def test_keys_in_an_s3_address_are_rejected_and_not_shown(uri: str) -> None:
    with pytest.raises(UserError, match=r"go into AWS_ACCESS_KEY_ID .* \(secrets.s3\)") as caught:
        parse(uri)
    assert "ID:" not in caught.value.message
    assert "RET" not in caught.value.message.replace("SECRET_ACCESS", "")


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_user_error(uri: str) -> None:
    try:
        assert ".." not in parse(uri).rest.split("?")[0].split("/")
    except UserError as error:
        assert "Expected" in error.message or "'..'" in error.message


@pytest.mark.parametrize(
    ("rest", "parts"),
    [
        ("org/name", ("org/name", "", "")),
        ("org/name:small@main", ("org/name", "small", "main")),
        ("org/name@refs/convert/parquet", ("org/name", "", "refs/convert/parquet")),
    ],
)
def test_a_hub_reference_is_taken_apart(rest: str, parts: tuple[str, str, str]) -> None:
    assert split_reference(rest) == parts


def test_the_wanted_files_of_a_model_are_safetensors_and_what_belongs_to_them() -> None:
    names = [
        "config.json", "tokenizer.json", "chat_template.jinja", "LICENSE", "README.md",
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "additional_chat_templates/tool.jinja",
    ]  # fmt: skip
    doubles = ["pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.safetensors", "model.gguf"]
    others = [".gitattributes", "onnx/model.onnx", "original/consolidated.00.pth", "flax_model.msgpack"]
    assert wanted([*doubles, *names, *others, "modeling_x.py"]) == sorted(names)
    assert wanted([*names, "modeling_x.py"], trust=True) == sorted([*names, "modeling_x.py"])
    assert wanted(["config.json", "pytorch_model.bin"]) == ["config.json"]
