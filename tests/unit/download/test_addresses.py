"""Addresses taken apart, and what is shown of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_download.hub import split_reference
from osft_download.model_files import wanted
from osft_download.seen import query
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
def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(UserError):
        parse(uri)


@pytest.mark.parametrize("uri", ["s3://ID:SECRET@bucket/k", "s3://ID:SEC/RET@bucket/k", "s3://ID@bucket/k"])
def test_keys_in_an_s3_address_are_refused_and_not_shown(uri: str) -> None:
    with pytest.raises(UserError, match=r"go into AWS_ACCESS_KEY_ID .* \(secrets.s3\)") as caught:
        parse(uri)
    assert "ID:" not in caught.value.message
    assert "RET" not in caught.value.message.replace("SECRET_ACCESS", "")


SIGNED = [
    "X-Amz-Algorithm=AWS4&X-Amz-Date=1&X-Amz-Credential=c&X-Amz-Signature=s&x-amz-security-token=t",
    "AWSAccessKeyId=a&Signature=s&Expires=1",
    "GoogleAccessId=a&Signature=s&Expires=1",
    "sv=2022-11-02&st=a&se=b&sr=b&sp=r&sig=s&skoid=k",
    "Policy=p&Key-Pair-Id=k&Signature=s",
    "access_token=t&api_key=k&password=p",
]


@pytest.mark.parametrize("signed", SIGNED)
def test_what_signs_a_link_does_not_say_what_it_names(signed: str) -> None:
    assert query(f"https://host/rows?{signed}") == []
    assert query(f"https://host/rows?file=a&{signed}&page=2&empty=") == [
        ("file", "a"), ("page", "2"), ("empty", "")
    ]  # fmt: skip


def test_a_key_of_s3_is_told_from_another_to_its_end() -> None:
    asked = [query(f"s3://bucket/{key}") for key in ("a", "a?b", "a?c", "a#b", "a?b#b")]
    assert asked[0] == []
    assert len({str(item) for item in asked}) == len(asked)


def test_short_names_sign_only_beside_azures_signature() -> None:
    assert query("https://host/rows?sp=2&st=train") == [("sp", "2"), ("st", "train")]


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


def test_the_wanted_files_of_a_model_hold_its_weights_once() -> None:
    names = [
        "config.json", "tokenizer.json", "chat_template.jinja", "modeling_x.py", "LICENSE", "README.md",
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "additional_chat_templates/tool.jinja",
    ]  # fmt: skip
    doubles = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.safetensors", "model.gguf"]
    others = [".gitattributes", "onnx/model.onnx", "original/consolidated.00.pth", "flax_model.msgpack"]
    assert wanted([*doubles, *names, *others]) == sorted(names)
    assert wanted(["config.json", "pytorch_model.bin"]) == ["config.json", "pytorch_model.bin"]
