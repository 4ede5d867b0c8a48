"""Whom to trust when the registry is reached over TLS."""

import ssl
from pathlib import Path

from osft_workspace import UserError
from osft_workspace.files import read_regular

LARGEST_CA = 4 << 20  # bytes


def trust(ca_file: Path | None, skip_verify: bool) -> ssl.SSLContext:
    """Whom to trust. Raises UserError when the CA file is missing or holds no certificate."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            read_regular(ca_file, "a CA file (register.tls)", LARGEST_CA, follow=True)
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise UserError(
                f"{ca_file} cannot be used as a CA file ({error}). Expected a PEM certificate (register.tls)."
            ) from error
    if skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
