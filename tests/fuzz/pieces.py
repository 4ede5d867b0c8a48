"""What inputs are made of beside the seeds, and the secrets that are planted in them."""

import base64
import gzip
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

CANARY = "canary /+5f0c\u00e9'\"1e="
"""A secret that every coded form writes in another way."""
HIDDEN = b"{}"
"""Stands in a seed where the canary is planted."""


def coded(secret: str) -> Iterator[str]:
    """Yield a secret as addresses, JSON, Python, base64 and hexadecimal text write it."""
    data = secret.encode()
    yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1])
    yield from (quote(secret).lower(), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield from (data.hex(), base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode())
    yield from (base64.b64encode(before + data + b"xyz").decode() for before in (b"a", b"ab", b"u:p"))


FORMS = tuple(dict.fromkeys(coded(CANARY)))
SHOWS = tuple(dict.fromkeys((*FORMS[:-3], "5f0c", CANARY.encode()[3:-3].hex())))
"""What must not be left of a form; the last of base64 keep characters of what stands beside the secret."""

TOKEN = "hf_canary_5f0c1e"
LARGE = {
    b"<large>": b"a" * (5 << 20),
    b"<deep>": b"[" * 100_000,
    b"<bomb>": gzip.compress(b'{"items": [' + b"0," * (32 << 20)),
    b"<many>": b",".join([b'{"id": "1", "name": "n"}'] * 90_000),
}
"""What stands for large pieces of an answer: inputs stay small."""
MARKS = tuple(bytes([code]) for code in b"@:/?#&=% \n'\"<>[]`*_~|-")
ADDRESSES = (
    b"https://", b"http:/", b"hf://", b"s3://", b"pvc://", b"//", b"user:", b"@host.example", b"org/name",
    b"[::1]", b":8443", b"?token=", b"&sig=", b"%3A%2F%2F", b"%40", b"localhost", b"refs/", b"..", HIDDEN,
)  # fmt: skip
ACTING = (*"\x1b[31m|\r|\0|\u202e|\u2028|\x9b|\\".encode().split(b"|"), b"\xff", b"\xed\xa0\x80")
ANSWER = (
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 404 \r\n", b"HTTP/1.1 500 x\r\n", b"\r\n\r\n",
    b"Content-Length: 5\r\n", b"Content-Type: application/json\r\n", b"Content-Encoding: gzip\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Location: /x\r\n", b'{"items": [', b'{"id": "1", "name": "model"}', b"]}", b'"nextPageToken": "a"',
    b"NaN", b'{"message": "no"}', b"null", b"[[[[", b"1e999", b'"\\ud800"', b"<html>", HIDDEN, *LARGE,
    b"Retry-After: 9\r\n", b"HTTP/1.1 409 x\r\n", b"HTTP/1.1 401 {}\r\n", b'"state": "LIVE"',
    b'"artifactType": "model-artifact"', b'"customProperties": {"a": {"int_value": "1"}}',
)  # fmt: skip
FILES = (
    b".jsonl\n", b".json\n", b".csv\n", b".tsv\n", b".parquet\n", b".arrow\n", b".jsonl.gz\n",
    b'{"messages": [', b'{"role": "user", "content": "a"}', b"]}\n", b"[", b"]", b",", b"\t", b";", b'"',
    b"NaN", b"\\u0000", b"\xef\xbb\xbf", b"PAR1", b"ARROW1\0\0", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd",
    b"\xff\xff\xff\xff", b"PK\x03\x04", b"1e999", b"\r\n", HIDDEN, b'"weight": 0', b'"tool_calls": [',
    b'{"function": {"name": "f", "arguments": "{}"}}', b'"tools": "[', b'"from": "human", "value": "a"',
    b'"prompt": "a"', b'"completion": "b"', b'"instruction": ', b'"output": ', b'"input_ids": [1, 2]',
    b'"labels": [-100, 2]', b'"document": "a"', b'"role": "assistant"', b'"role": "tool"', b'"train": false',
    b'"reasoning_content": "a"', b"null", b"true", b"<|im_end|>", b"<|im_start|>", b"\\ud83d", b"[]", b"{",
)  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, whole: st.SearchStrategy[bytes], pieces: st.SearchStrategy[bytes]) -> bytes:
    """Draw an input with a few slices replaced, doubled or taken out."""
    value = draw(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, min(start + 16, len(value))))
        new = draw(pieces | st.just(b"") | st.just(value[start:end] * 2))
        value = value[:start] + new + value[end:]
    return value


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """Return bytes as Python decodes names that are not UTF-8."""
    return data.decode("utf-8", "surrogateescape")
