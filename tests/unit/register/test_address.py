"""Completing an address, and where a token may go."""

import pytest

from osft_register.address import check_token_may_travel, parse_address
from osft_workspace import UserError


@pytest.mark.parametrize(
    ("text", "port", "tls", "url"),
    [
        ("registry", 0, False, "http://registry:8080"),
        ("registry:9090", 0, False, "http://registry:9090"),
        ("registry", 9090, False, "http://registry:9090"),
        ("registry:1", 9090, False, "http://registry:1"),
        ("registry:8443", 0, False, "https://registry:8443"),
        ("registry", 443, False, "https://registry:443"),
        ("registry", 0, True, "https://registry:8080"),
        ("http://registry", 0, False, "http://registry"),
        ("http://registry:8080/", 0, True, "http://registry:8080"),
        ("https://registry/base/", 8443, False, "https://registry:8443/base"),
        (" https://registry ", 0, False, "https://registry"),
        ("[::1]:8080", 0, False, "http://[::1]:8080"),
        ("HTTPS://Registry.Example.com", 0, False, "https://registry.example.com"),
    ],
)
def test_an_address_is_completed(text: str, port: int, tls: bool, url: str) -> None:
    assert parse_address(text, port, tls).url == url


@pytest.mark.parametrize(
    "text", ["ftp://registry", "http://", "registry:port", "a b", "http://r?x=1", "u:p@r"]
)
def test_an_invalid_address_is_rejected(text: str) -> None:
    with pytest.raises(UserError):
        parse_address(text, 0, False)


@pytest.mark.parametrize(
    "text",
    [
        "https://anywhere.example.com",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:8080",
        "http://registry",
        "http://registry.kubeflow.svc",
        "http://registry.kubeflow.svc.cluster.local:8080",
    ],
)
def test_a_token_may_travel(text: str) -> None:
    check_token_may_travel(parse_address(text, 0, False))


@pytest.mark.parametrize(
    "text",
    [
        "http://registry.example.com",
        "http://10.0.0.7:8080",
        "http://svc.example.com",
        "registry.kubeflow.svc:8080",
        "http://[2001:db8::1]:8080",
    ],
)
def test_a_token_may_not_travel(text: str) -> None:
    with pytest.raises(UserError, match="is not encrypted"):
        check_token_may_travel(parse_address(text, 0, False))
