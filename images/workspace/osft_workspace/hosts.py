"""What kind of place a host is: where credentials may go in clear text, and where nothing may go.

One place decides for registry, hub, S3, HTTP and preflight.
"""

import ipaddress
import re
import socket
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from osft_workspace.exits import UserError
from osft_workspace.redact import redact_url
from osft_workspace.text import printable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Kind = Literal["loopback", "link-local", "private", "cluster", "public"]
PORTS = {"http": 80, "https": 443}
NUMERIC = re.compile(r"(0[xX][0-9a-fA-F]*|\d+)(\.(0[xX][0-9a-fA-F]*|\d+)){0,3}\.?")
METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
)
METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
)
"""Metadata services of clouds (AWS, Google, Alibaba, Oracle, Azure) outside the link-local ranges."""
SHARED = ipaddress.ip_network("100.64.0.0/10")  # carrier-grade NAT, which clusters use as private
RESOLV_CONF = Path("/etc/resolv.conf")


def address_of(host: str) -> Address | None:
    """Return the IP address that a host is, in whatever form a resolver reads; None for a name.

    `134744072`, `0x8080808`, `010.8.8.8` and `127.1` are addresses as well; IPv4 inside IPv6 is IPv4.
    """
    plain = host.strip("[]").partition("%")[0]
    try:
        found = ipaddress.ip_address(plain)
    except ValueError:
        if not NUMERIC.fullmatch(plain):
            return None
        try:
            return ipaddress.IPv4Address(socket.inet_aton(plain.rstrip(".")))
        except OSError:
            return None
    inside = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return inside or found


def kind_of_address(address: Address) -> Kind:
    """Return what kind of place an IP address is."""
    if address.is_link_local or address in METADATA:
        return "link-local"
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    return "private" if is_private(address) else "public"


def is_private(address: Address) -> bool:
    """Return whether an address belongs to a private network, not merely to one that is reserved."""
    if isinstance(address, ipaddress.IPv6Address):
        return address in ipaddress.ip_network("fc00::/7")
    ranges = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    return address in SHARED or any(address in ipaddress.ip_network(item) for item in ranges)


def kind_of(host: str) -> Kind:
    """Return what kind of place a host is, by its address or its name alone; nothing is looked up."""
    address = address_of(host)
    if address is not None:
        return kind_of_address(address)
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return "loopback"
    if name in METADATA_NAMES:
        return "link-local"
    return "cluster" if is_cluster_name(name) else "public"


def is_cluster_name(host: str) -> bool:
    """Return whether only a cluster's DNS answers to a name: `registry`, `registry.kubeflow.svc`, ...

    Behind `svc` stands nothing, or the domain of this cluster: `a.b.svc.example.com` is a public name.
    """
    labels = host.lower().rstrip(".").split(".")
    if ":" in host or not all(labels):
        return False
    if len(labels) == 1:
        return not labels[0].isdigit()
    return labels[2:3] == ["svc"] and (len(labels) == 3 or ".".join(labels[3:]) in cluster_domains())


@lru_cache
def cluster_domains() -> frozenset[str]:
    """Return the domains of this cluster: Kubernetes writes `svc.<domain>` into a pod's search list."""
    try:
        lines = [line.split() for line in RESOLV_CONF.read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        lines = []
    searched = [word for line in lines if line[:1] == ["search"] for word in line[1:]]
    found = {word.rstrip(".").removeprefix("svc.") for word in searched if word.startswith("svc.")}
    return frozenset({"cluster.local", *found})


@lru_cache(maxsize=256)
def looked_up(host: str) -> tuple[Address, ...]:
    """Return the addresses behind a host; none where the name is not known here, as behind a proxy."""
    address = address_of(host)
    if address is not None:
        return (address,)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    parsed = (address_of(str(item[4][0])) for item in found)
    return tuple(item for item in parsed if item is not None)


def forbidden(host: str) -> str | None:
    """Return what is wrong with a host that no stage may talk to, as the rest of a sentence, or None.

    Link-local addresses hold the metadata services of clouds, which give out a node's credentials.
    """
    if kind_of(host) == "link-local":
        return f"{printable(host, 100)} is a link-local or cloud metadata address"
    for address in looked_up(host):
        if kind_of_address(address) == "link-local":
            return f"{printable(host, 100)} leads to {address}, a link-local or cloud metadata address"
    return None


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address: what a token belongs to. Raises ValueError."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower().rstrip("."), parts.port or PORTS.get(scheme, 0)


def check_reachable(url: str, setting: str) -> tuple[str, str]:
    """Return scheme and host of an address that a stage may talk to.

    Args:
        setting: where the address stands, such as `data.s3.endpoint`.

    Raises:
        UserError: the address is link-local, or not one.
    """
    try:
        scheme, host, _ = origin(url)
    except ValueError as error:
        raise UserError(
            f"{setting} is {redact_url(url)!r}, which is not an address ({error}). Correct it."
        ) from error
    if reason := forbidden(host):
        raise UserError(
            f"{setting} is {redact_url(url)}: {reason}, to which no stage may send requests. Correct it."
        )
    return scheme, host


def check_secret_may_travel(url: str, secret: str, setting: str) -> None:
    """Keep credentials off the open network: without TLS they go to no public address.

    Args:
        secret: what is sent, such as `HF_TOKEN`.
        setting: as for `check_reachable`.

    Raises:
        UserError: anyone on the network could read the secret, or the address is link-local or not one.
    """
    scheme, host = check_reachable(url, setting)
    if scheme == "http" and kind_of(host) == "public":
        raise UserError(
            f"{secret} is set and {redact_url(url)} is a public address that is not encrypted, so anyone on "
            f"the network could read it. Use an https:// address ({setting}), or unset {secret}."
        )


def check_credential(name: str, value: str, remedy: str) -> None:
    """Raise UserError for a credential that no header can carry; the value is not shown."""
    if "\n" in value or "\r" in value:
        seen = "a line break"
    elif any(char.isspace() for char in value):
        seen = "a space"
    elif not (value.isascii() and value.isprintable()):
        seen = "a character that is not printable ASCII"
    else:
        return
    raise UserError(f"{name} holds {seen}, expected a single line of printable ASCII. {remedy}")
