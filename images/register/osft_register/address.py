"""Where the registry is, and whether a token may travel there."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from osft_workspace import UserError, redact_url
from osft_workspace.hosts import kind_of

BARE_PORT = 8080  # what Model Registry listens on; an address with a scheme has the scheme's port
TLS_PORTS = (443, 8443)


@dataclass(frozen=True, slots=True)
class Address:
    """A registry's address, complete."""

    url: str
    """`scheme://host[:port][/path]`, no slash at the end."""
    host: str
    secure: bool
    explicit: bool
    """Whether the user wrote the scheme."""


def parse_address(text: str, port: int, tls: bool) -> Address:
    """Complete what the user wrote: `host`, `host:port`, `http(s)://host[:port][/path][/]`.

    Args:
        port: for an address without one; 0 for none.
        tls: whether the user gave TLS settings, so that an address without a scheme means https.

    Raises:
        UserError: it is not a valid address, or holds credentials.
    """
    explicit = "://" in text
    try:
        parts = urlsplit(text.strip() if explicit else f"//{text.strip()}")
        host, own_port = parts.hostname or "", parts.port
    except ValueError as error:
        raise not_an_address(text) from error
    if not host or any(char.isspace() for char in host) or parts.scheme not in ("", "http", "https"):
        raise not_an_address(text)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UserError(
            f"the registry address {redact_url(text)} has more than a host, a port and a path. Credentials "
            "go into OSFT_REGISTRY_TOKEN or --token-file, never into an address."
        )
    chosen = own_port or port or (0 if explicit else BARE_PORT)
    secure = parts.scheme == "https" if explicit else tls or chosen in TLS_PORTS
    name = f"[{host}]" if ":" in host else host
    where = f"{name}:{chosen}" if chosen else name
    scheme = "https" if secure else "http"
    return Address(f"{scheme}://{where}{parts.path.rstrip('/')}", host, secure, explicit)


def not_an_address(text: str) -> UserError:
    return UserError(
        f"{redact_url(text)!r} is not a registry address. Expected host, host:port or http(s)://host:port "
        "(register.address), or an empty value to leave registration out."
    )


def check_token_may_travel(address: Address) -> None:
    """Keep the token off the open network.

    Over TLS it may go anywhere. In clear text it stays on this machine, or goes to a name inside the cluster
    when the user wrote `http://`: there a service mesh encrypts what the stage sends in clear.

    Raises:
        UserError: anyone on the network could read the token.
    """
    kind = kind_of(address.host)
    if address.secure or kind == "loopback" or (address.explicit and kind == "cluster"):
        return
    remedy = (
        "Start the address with http:// if a service mesh encrypts the connection, otherwise with https://"
        if kind == "cluster"
        else "Use an https:// address"
    )
    raise UserError(
        f"a registry token is set and {address.url} is not encrypted, so anyone on the network could read "
        f"it. {remedy} (register.address), or remove the token (secrets.registry)."
    )
