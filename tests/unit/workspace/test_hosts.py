"""What kind of place a host is, in every form in which it can be written."""

import pytest

from osft_workspace import UserError
from osft_workspace.hosts import check_credential, check_secret_may_travel, forbidden, kind_of


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.1", "loopback"),
        ("0x7f000001", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("localhost.", "loopback"),
        ("169.254.169.254", "link-local"),
        ("2852039166", "link-local"),
        ("0251.0376.0251.0376", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fd00:ec2::254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("metadata.google.internal", "link-local"),
        ("10.0.0.7", "private"),
        ("fd12::1", "private"),
        ("192.168.1.1", "private"),
        ("registry", "cluster"),
        ("registry.kubeflow.svc", "cluster"),
        ("registry.kubeflow.svc.cluster.local", "cluster"),
        ("a.b.svc.evil.com", "public"),
        ("134744072", "public"),
        ("010.8.8.8", "public"),
        ("8.8.8.8", "public"),
        ("2001:db8::1", "public"),
        ("example.com", "public"),
        ("", "public"),
    ],
)
def test_a_host_is_known_however_it_is_written(host: str, kind: str) -> None:
    assert kind_of(host) == kind
    assert (forbidden(host) is not None) == (kind == "link-local")


@pytest.mark.parametrize(
    "url", ["https://example.com", "http://10.0.0.7:9000", "http://minio", "http://[::1]:1"]
)
def test_a_secret_travels_over_tls_and_inside(url: str) -> None:
    check_secret_may_travel(url, "HF_TOKEN", "HF_ENDPOINT")


@pytest.mark.parametrize("url", ["http://example.com", "http://134744072", "http://a.b.svc.evil.com:9000"])
def test_a_secret_to_a_public_address_in_clear_text_is_rejected(url: str) -> None:
    with pytest.raises(UserError, match=r"HF_TOKEN is set and .* not encrypted.*HF_ENDPOINT"):
        check_secret_may_travel(url, "HF_TOKEN", "HF_ENDPOINT")


@pytest.mark.parametrize(
    ("value", "seen"),
    [("a\nb", "a line break"), ("a b", "a space"), ("ä", "not printable"), ("a\x7f", "not printable")],
)
def test_a_credential_that_no_header_carries_is_named_and_not_shown(value: str, seen: str) -> None:
    with pytest.raises(UserError, match=f"KEY holds .*{seen}") as error:
        check_credential("KEY", value, "Check it.")
    assert value not in error.value.message
