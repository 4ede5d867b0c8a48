"""The model hub: its client set up once, and its errors as sentences."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from osft_download import net
from osft_download.meter import Meter
from osft_workspace import Run, UserError
from osft_workspace.exits import StageError

T = TypeVar("T")
QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # bars would be torn lines in a log; ours are whole
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # or `datasets` tells a third host what is loaded
}


def prepare(timeout_seconds: float) -> None:
    """Set what the client reads at import. Call it before importing huggingface_hub or datasets.

    Raises:
        UserError: a token that no header can carry, or CA files that are none.
    """
    net.check_trust()
    silence = str(math.ceil(timeout_seconds))
    timeouts = {"HF_HUB_DOWNLOAD_TIMEOUT": silence, "HF_HUB_ETAG_TIMEOUT": silence}
    for name, value in (QUIET | timeouts).items():
        os.environ.setdefault(name, value)
    token = os.environ.get("HF_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()):
        raise UserError("HF_TOKEN is not one line of plain letters. Check the secret (secrets.hf).")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def endpoint() -> str:
    """The hub's address."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


class Repo:
    """One repository of the hub at one revision; every call ends in a value or a sentence."""

    def __init__(self, run: Run, kind: str, name: str, revision: str, timeout: float) -> None:
        prepare(timeout)
        import huggingface_hub

        self.run, self.kind, self.name, self.revision = run, kind, name, revision or "main"
        self.api = huggingface_hub.HfApi()
        self.timeout = timeout
        self.where = f"{kind} {name} on {endpoint()}"

    def files(self) -> dict[str, int]:
        """Every file and its size in bytes; from now on the commit that was found is what is read."""
        info = self.call(
            lambda: self.api.repo_info(
                self.name,
                repo_type=self.kind,
                revision=self.revision,
                timeout=self.timeout,
                files_metadata=True,
            )
        )
        self.revision = info.sha or self.revision
        return {file.rfilename: file.size or 0 for file in info.siblings or []}

    def enter(self, filename: str) -> None:
        """Ask for one file's head: a gated repository lists its files to everybody and gives them to some."""
        import huggingface_hub as client

        url = client.hf_hub_url(self.name, filename, repo_type=self.kind, revision=self.revision)
        self.call(lambda: client.get_hf_file_metadata(url, timeout=self.timeout))

    def load(self, filename: str, folder: Path, meter: Meter | None = None) -> Path:
        """One file into a folder; what an earlier start has loaded is used."""
        import huggingface_hub

        return Path(
            self.call(
                lambda: huggingface_hub.hf_hub_download(
                    self.name,
                    filename,
                    repo_type=self.kind,
                    revision=self.revision,
                    local_dir=folder,
                    tqdm_class=counting(meter) if meter else None,
                )
            )
        )

    def call(self, ask: Callable[[], T]) -> T:
        """Ask the hub with patience.

        Raises:
            UserError, Transient: what it said, translated.
        """

        def once() -> T:
            try:
                return ask()
            except Exception as error:
                known = self.translate(error)
                if known is None:
                    raise
                raise known from error

        return net.patiently(self.run, once)

    def translate(self, error: Exception) -> StageError | None:
        """The sentence for an error of the client, by its type."""
        from huggingface_hub import errors

        token = bool(os.environ.get("HF_TOKEN"))
        if isinstance(error, errors.GatedRepoError):
            page = f"{endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.name}"
            state = "HF_TOKEN has no access to it" if token else "HF_TOKEN is empty"
            return UserError(
                f"the {self.where} is gated and {state}. Ask for access at {page} and put a token of that "
                "account into HF_TOKEN (secrets.hf)."
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return UserError(f"the {self.where} has no revision {self.revision!r}.{self.revisions()}")
        if isinstance(error, errors.RepositoryNotFoundError):
            why = "or HF_TOKEN may not see it" if token else "or it is private and HF_TOKEN is empty"
            return UserError(
                f"there is no {self.where}, {why}. Check the name; a file is named by its absolute path, one "
                "on a volume by pvc://<claim>/<path>."
            )
        if isinstance(error, errors.HFValidationError):
            return UserError(f"{self.name!r} is no name that the hub can have: {error}")
        if isinstance(error, errors.OfflineModeIsEnabled):
            return UserError(
                f"the {self.where} is wanted and HF_HUB_OFFLINE is set. Unset it, or use pvc://."
            )
        network = net.network_error(f"the hub at {endpoint()}", error)
        if network is not None:
            return network
        if isinstance(error, errors.EntryNotFoundError):
            return UserError(
                f"the {self.where} lacks a file that it lists: {str(error.args[0]).rstrip('.')}."
            )
        if isinstance(error, errors.HfHubHTTPError):
            return self.refused(error.response.status_code)
        return None

    def refused(self, status: int) -> StageError:
        """The sentence for a status that has no type of its own."""
        if status == 401:
            return UserError(
                f"the hub at {endpoint()} does not accept the token in HF_TOKEN (401). Make a new one and "
                "put it into the secret (secrets.hf), or unset it for public data."
            )
        return net.status_error(f"the hub at {endpoint()}, asked for the {self.kind} {self.name},", status)

    def revisions(self) -> str:
        """The branches and tags that there are, as a sentence."""
        try:
            refs = self.api.list_repo_refs(self.name, repo_type=self.kind)
        except Exception:
            return " Use a branch, a tag or a commit of it."
        names = [ref.name for ref in (*refs.branches, *refs.tags)][:8]
        return f" It has {', '.join(names)}; a commit works too." if names else ""


def counting(meter: Meter) -> Any:
    """A progress class for the hub's client that counts into our meter and draws nothing."""
    from tqdm import tqdm

    class Counting(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            meter.add(int(n or 0))

    return Counting


def split_reference(rest: str) -> tuple[str, str, str]:
    """`org/name:config@revision` -> name, config, revision; the last two may be empty."""
    name, _, revision = rest.partition("@")
    name, _, config = name.partition(":")
    return name.strip("/"), config, revision
