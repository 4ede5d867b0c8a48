"""Files that the environment names, such as CA files and credentials, looked at before a library opens them.

Opening a pipe waits for its writer, a device never ends, and most libraries name no variable when they fail.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from osft_workspace.exits import UserError
from osft_workspace.files import kind
from osft_workspace.text import excerpt

LARGEST = 4 << 20  # bytes; the certificates of a whole system take a few hundred kilobytes
CERTIFICATES, CREDENTIALS, SETTINGS = (
    "a file of PEM certificates",
    "a file with credentials",
    "a settings file",
)
FILES = {
    "SSL_CERT_FILE": CERTIFICATES,
    "REQUESTS_CA_BUNDLE": CERTIFICATES,
    "CURL_CA_BUNDLE": CERTIFICATES,
    "AWS_CA_BUNDLE": CERTIFICATES,
    "KUBEFLOW_TRAINER_SERVER_CA_CERT": CERTIFICATES,
    "KUBEFLOW_TRAINER_SERVER_TOKEN": CREDENTIALS,
    "AWS_SHARED_CREDENTIALS_FILE": CREDENTIALS,
    "AWS_CONFIG_FILE": SETTINGS,
    "AWS_WEB_IDENTITY_TOKEN_FILE": CREDENTIALS,
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": CREDENTIALS,
    "BOTO_CONFIG": SETTINGS,
    "HF_TOKEN_PATH": CREDENTIALS,
    "HF_STORED_TOKENS_PATH": CREDENTIALS,
    "NETRC": CREDENTIALS,
    "MLFLOW_TRACKING_SERVER_CERT_PATH": CERTIFICATES,
    "MLFLOW_TRACKING_CLIENT_CERT_PATH": CERTIFICATES,
}
"""Variable -> what the file should be."""
USUAL = {
    "~/.aws/credentials": CREDENTIALS,
    "~/.aws/config": SETTINGS,
    "~/.boto": SETTINGS,
    "~/.netrc": CREDENTIALS,
    "~/.cache/huggingface/token": CREDENTIALS,
}
"""Where libraries look when no variable names a file."""
FOLDERS = frozenset({"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"})
"""Variables that may name a folder of certificates."""


def check_named_files(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse what is named as a file and is not one; what is missing is for the library that needs it.

    Raises:
        UserError: naming the variable, the path and what lies there.
    """
    named = [(name, environment.get(name, ""), what) for name, what in FILES.items()]
    home = environment.get("HOME", "")
    if home:
        named += [(path, path.replace("~", home), what) for path, what in USUAL.items()]
    if hub := environment.get("HF_HOME"):
        named.append(("HF_HOME", f"{hub}/token", CREDENTIALS))
    for name, path, what in named:
        if path:
            check(name, Path(path), what)


def check(name: str, path: Path, what: str) -> None:
    """Refuse one path that is named as a file. Raises UserError."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return
    is_folder = stat.S_ISDIR(status.st_mode)
    if is_folder and name in FOLDERS:
        return
    where = f"{excerpt(str(path))} (named by {name})"
    if not stat.S_ISREG(status.st_mode):
        raise UserError(
            f"{where} is {kind(status.st_mode)}, expected {what}. Mount the file there, or unset the "
            "variable."
        )
    if status.st_size > LARGEST:
        raise UserError(
            f"{where} has {status.st_size} bytes, expected {what} of at most {LARGEST}. Mount the right file "
            "there, or unset the variable."
        )
