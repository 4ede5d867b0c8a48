"""The model hub: its client set up once, and its errors as sentences."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from osft_download import hub_paths, net
from osft_download.hub_session import Session, not_a_hub
from osft_download.meter import Meter, counting
from osft_workspace import Run, UserError, excerpt
from osft_workspace.exits import StageError, causes
from osft_workspace.hosts import check_credential, check_secret_may_travel

T = TypeVar("T")
MISREAD = (TypeError, KeyError, AttributeError, IndexError, ValueError, RuntimeError)
"""What the client raises where an answer has another shape than it expects; it looks at none beforehand."""
QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # bars would be torn lines in a log; ours are whole
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # or `datasets` reports to a third host what is loaded
    "HF_HUB_DISABLE_XET": "1",  # its own network stack knows no bounds, and takes its hosts from the answer
}


def set_defaults(timeout_seconds: float) -> None:
    """Set what the client reads at import; for before huggingface_hub, datasets or transformers are."""
    silence = str(math.ceil(timeout_seconds))
    timeouts = {"HF_HUB_DOWNLOAD_TIMEOUT": silence, "HF_HUB_ETAG_TIMEOUT": silence}
    for name, value in (QUIET | timeouts).items():
        os.environ.setdefault(name, value)


def prepare(timeout_seconds: float) -> None:
    """Make the client ready.

    Raises:
        UserError: a token that no header can carry or that would travel in clear text, or an unusable CA
            file.
    """
    net.check_trust()
    set_defaults(timeout_seconds)
    if token := os.environ.get("HF_TOKEN", "").strip():
        check_credential("HF_TOKEN", token, "Check the secret (secrets.hf).")
        check_secret_may_travel(endpoint(), "HF_TOKEN", "HF_ENDPOINT")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    hub_paths.install()


def endpoint() -> str:
    """Return the hub's address."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


class Repo:
    """One repository of the hub at one revision; every call returns a value or raises a StageError."""

    def __init__(self, run: Run, kind: str, name: str, revision: str, timeout: float) -> None:
        prepare(timeout)
        import huggingface_hub

        self.run, self.kind, self.name, self.revision = run, kind, name, revision or "main"
        self.api = huggingface_hub.HfApi()
        self.timeout, self.session = timeout, Session(endpoint(), timeout)
        self.sizes: dict[str, int] = {}
        self.where = f"{kind} {name} on {endpoint()}"

    def files(self) -> dict[str, int]:
        """Return every file and its size in bytes; from now on the commit that was found is what is read."""
        info: Any = self.call(
            lambda: self.api.repo_info(
                self.name,
                repo_type=self.kind,
                revision=self.revision,
                timeout=self.timeout,
                files_metadata=True,
            )
        )
        files = info.siblings or []
        if not (isinstance(info.sha, str | None) and all(map(is_listed, files))):
            raise not_a_hub(f"the hub at {endpoint()} lists {self.kind} {self.name} without names and sizes")
        self.revision = info.sha or self.revision
        self.sizes = {file.rfilename: file.size for file in files if file.size is not None}
        return {file.rfilename: file.size or 0 for file in files}

    def enter(self, filename: str) -> None:
        """Ask for one file's head: a gated repository lists its files to all, and serves them to some."""
        import huggingface_hub as client

        url = client.hf_hub_url(self.name, filename, repo_type=self.kind, revision=self.revision)
        self.call(lambda: client.get_hf_file_metadata(url, timeout=self.timeout))

    def load(self, filename: str, folder: Path, meter: Meter | None = None) -> Path:
        """One file into a folder; what an earlier start has loaded is used."""
        hub_paths.check_name(self.where, filename)
        import huggingface_hub

        listed, before = self.sizes.get(filename), meter.done if meter else 0
        where = f"the hub at {endpoint()}, asked for {filename} of the {self.kind} {self.name},"
        folder.mkdir(parents=True, exist_ok=True)

        def ask() -> Path:
            if meter:
                meter.at(before)
            self.session.begin(net.room(folder, where, listed))
            path = Path(
                huggingface_hub.hf_hub_download(
                    self.name,
                    filename,
                    repo_type=self.kind,
                    revision=self.revision,
                    local_dir=folder,
                    tqdm_class=counting(meter) if meter else None,
                )
            )
            came = path.stat().st_size
            if came != listed:
                path.unlink() if listed is not None else None
                net.check_length(where, came, listed)
            return path

        return self.call(ask, done=lambda: meter.done if meter else 0)

    def call(
        self, ask: Callable[[], T], *, done: Callable[[], int] = lambda: 0, reads_cards: bool = False
    ) -> T:
        """Ask the hub, with retries.

        Args:
            done: bytes of a file that have arrived.
            reads_cards: `ask` reads files of people, so that its errors may be theirs and not the hub's.

        Raises:
            UserError, Transient: what it said, translated.
        """

        def once() -> T:
            self.session.begin(None)
            try:
                with net.limited(self.run, f"the hub at {endpoint()}", self.timeout, done):
                    return ask()
            except Exception as error:
                known = self.translate(error)
                if known is None and not reads_cards and isinstance(error, MISREAD):
                    what = f"{type(error).__name__}: {excerpt(str(error))}"
                    known = not_a_hub(f"the {self.where}: the answer is not valid ({what})")
                if known is None:
                    raise
                raise known from error

        return net.with_retries(self.run, once)

    def translate(self, error: Exception) -> StageError | None:
        """Return the sentence for an error of the client, by its type."""
        from huggingface_hub import errors

        token = bool(os.environ.get("HF_TOKEN"))
        if misread := self.misread(error):
            return misread
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
            why = "or HF_TOKEN has no access to it" if token else "or it is private and HF_TOKEN is empty"
            return UserError(
                f"there is no {self.where}, {why}. Check the name; a file is named by its absolute path, one "
                "on a volume by pvc://<claim>/<path>."
            )
        if isinstance(error, errors.HFValidationError):
            return UserError(f"{self.name!r} is not a valid name on the hub: {error}")
        if isinstance(error, errors.OfflineModeIsEnabled):
            return UserError(
                f"the {self.where} is needed, but HF_HUB_OFFLINE is set. Unset it, or use pvc://."
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

    def misread(self, error: Exception) -> StageError | None:
        """The sentence for an answer that no hub gives, or that breaks off; None for any other error."""
        from huggingface_hub.errors import FileMetadataError

        where, what = f"the hub at {endpoint()}", f"the {self.kind} {self.name}"
        links = list(causes(error))
        if any(isinstance(link, FileMetadataError) for link in links):
            return not_a_hub(f"{where}: a file of {what} comes without ETag and commit")
        if "Consistency check failed" in str(error):
            return net.Away(f"{where} closed the connection during a file of {what}", "Start again later.")
        if any(type(link).__name__ == "TooManyRedirects" for link in links):
            return not_a_hub(f"{where}, asked for {what}, does not stop redirecting")
        return None

    def refused(self, status: int) -> StageError:
        """Return the sentence for a status that has no type of its own."""
        if status == 401:
            return UserError(
                f"the hub at {endpoint()} does not accept the token in HF_TOKEN (401). Make a new one and "
                "put it into the secret (secrets.hf), or unset it for public data."
            )
        return net.status_error(f"the hub at {endpoint()}, asked for the {self.kind} {self.name},", status)

    def revisions(self) -> str:
        """Return the branches and tags that there are, as a sentence."""
        try:
            refs = self.api.list_repo_refs(self.name, repo_type=self.kind)
        except Exception:
            return " Use a branch, a tag or a commit of it."
        names = [ref.name for ref in (*refs.branches, *refs.tags)][:8]
        return f" It has {', '.join(names)}; a commit works too." if names else ""


def is_listed(file: Any) -> bool:
    """Return whether an entry of a listing has the name and size that its type promises."""
    size = file.size
    return isinstance(file.rfilename, str) and (size is None or (type(size) is int and size >= 0))


def split_reference(rest: str) -> tuple[str, str, str]:
    """`org/name:config@revision` -> name, config, revision; the last two may be empty."""
    name, _, revision = rest.partition("@")
    name, _, config = name.partition(":")
    return name.strip("/"), config, revision
