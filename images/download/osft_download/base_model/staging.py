"""The base model: from hf://, pvc:// or a path into the content-addressed cache, whole or not at all."""

import os
import shutil
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from osft_download import hub
from osft_download.base_model import check, memory
from osft_download.base_model.check import Wish
from osft_download.base_model.files import files_of, license_of, names_in, regular
from osft_download.base_model.headers import read_header
from osft_download.base_model.trust import strip
from osft_download.meter import Meter
from osft_download.sources import Address, local
from osft_download.sources import parse as parse_uri
from osft_workspace import Run, UserError, digest_json, publish_dir, sha256_file, tree_digest, write_atomic
from osft_workspace.contents import BaseModel
from osft_workspace.digests import tree_files
from osft_workspace.files import check_plain, is_folder, read_digest
from osft_workspace.lock import exclusive
from osft_workspace.predecessors import check_published

SCHEMES = ("hf", "pvc", "path")
WRITTEN = "hf://<org>/<model>, pvc://<claim>/<path> or an absolute path"
PREPARED = 2
"""Changes when the cached copy of a model is made in another way: older copies are not taken for it."""


def parse(uri: str) -> Address:
    """Parse a model's URI. Raises UserError for what is not a supported address."""
    return parse_uri(uri, SCHEMES, WRITTEN)


@dataclass(slots=True, kw_only=True)
class Plan:
    """A model that is there and looks right, before its weights are moved."""

    address: Address
    names: list[str]
    bytes: int
    key: str
    """Names this model at this commit or with this content; the cache remembers by it what it holds."""
    where: str
    """What the model is called in sentences."""
    kind: str
    """Its type, such as `llama`."""
    wish: Wish
    code: list[str]
    """Code files that are not copied."""
    revision: str | None = None
    source: Path | hub.Repo


@dataclass(slots=True)
class Base:
    """A model in the cache."""

    path: Path
    digest: str
    facts: BaseModel


def plan(
    run: Run,
    address: Address,
    revision: str,
    timeout: float,
    work: Path,
    *,
    trust: bool = False,
    resize: bool = False,
) -> Plan:
    """Find the model and look at its parts, with little traffic, so that a wrong name ends the stage early.

    Args:
        trust: code that comes with the model may run; its files and settings stay.
        resize: tokens beyond the embeddings are allowed; training adds rows.

    Raises:
        UserError, Transient: it does not exist, access is denied, or it is not a model that can be tuned.
    """
    wish = Wish(trust=trust, resize=resize)
    hub.set_defaults(timeout)
    check.prepare(wish)
    with memory.bounded(address.shown):
        if address.scheme == "hf":
            name, _, own = hub.split_reference(address.rest.removeprefix("models/"))
            return plan_hub(address, hub.Repo(run, "model", name, own or revision, timeout), work, wish)
        return plan_local(run, address, local.locate(address, run.workspace.root), wish)


def plan_hub(address: Address, repo: hub.Repo, work: Path, wish: Wish) -> Plan:
    """Look at a model of the hub; its small files go below `work`."""
    sizes, where = repo.files(), f"the {repo.where}"
    listed = list(sizes)
    names, kind = check.select(repo.run, where, listed, lambda file: repo.load(file, work / "model"), wish)
    return Plan(
        address=address,
        names=names,
        bytes=sum(sizes[file] for file in names),
        key=digest_json([PREPARED, wish.trust, hub.endpoint(), repo.name, repo.revision]),
        where=where,
        kind=kind,
        wish=wish,
        code=check.code_left_out(listed, wish),
        revision=repo.revision,
        source=repo,
    )


def plan_local(run: Run, address: Address, folder: Path, wish: Wish) -> Plan:
    """Look at a model folder, headers and tokens included, for that costs nothing here."""
    where, listed = str(folder), names_in(folder, trust=wish.trust)
    files_of(folder, trust=wish.trust)
    names, kind = check.select(run, where, listed, lambda file: regular(folder, file), wish)
    check.check_whole(run, where, folder, names, wish, talk=False)
    return Plan(
        address=address,
        names=names,
        bytes=sum((folder / file).stat().st_size for file in names),
        key=digest_json([PREPARED, wish.trust, content_digest(folder)]),
        where=where,
        kind=kind,
        wish=wish,
        code=check.code_left_out(listed, wish),
        source=folder,
    )


@lru_cache
def content_digest(folder: Path) -> str:
    """Return the digest of what a local model folder holds now.

    Raises:
        UserError: it is not a folder, or holds a link out of it, a pipe or a device; or it is a run's, and
            holds what the run's record does not name.
    """
    check_published(folder)
    return digest_json({name: sha256_file(regular(folder, name)) for name in files_of(folder, trust=True)})


def stage(run: Run, chosen: Plan) -> Base:
    """Copy the model into the cache, or find it there whole.

    One start at a time works on one model; a killed one leaves its part for the next. The folder is published
    under the digest of its content, so two ways to the same model end in one folder.

    Raises:
        UserError, Transient: the hub failed, or the model does not fit its architecture.
    """
    staging = run.workspace.models / ".staging" / chosen.key.removeprefix("sha256:")[:16]
    staging.parent.mkdir(parents=True, exist_ok=True)
    note = staging.with_suffix(".digest")
    with exclusive(
        staging.with_suffix(".lock"),
        lambda s: run.event("waiting for another start to fetch the model", seconds=round(s)),
    ):
        check_plain(staging, "where the model is assembled")
        staging.mkdir(exist_ok=True)
        digest = cached(run, note)
        if digest is None:
            digest = copied(run, chosen, staging)
            write_atomic(note, digest)
        else:
            found = folder_of(run, digest)
            names = [path.relative_to(found).as_posix() for path in tree_files(found)]
            check.check_whole(run, chosen.where, found, names, chosen.wish, talk=False)
        shutil.rmtree(staging, ignore_errors=True)
    path = folder_of(run, digest)
    facts: BaseModel = {
        "uri": chosen.address.shown,
        "revision": chosen.revision,
        "model_type": chosen.kind,
        "license": license_of(path),
        "bytes": chosen.bytes,
        "trust_remote_code": chosen.wish.trust,
    }
    return Base(path, digest, facts)


def folder_of(run: Run, digest: str) -> Path:
    """Return where a model of this digest lies."""
    return run.workspace.models / digest.removeprefix("sha256:")


def cached(run: Run, note: Path) -> str | None:
    """Return the digest of a model that is in the cache already, if it is still whole."""
    digest = read_digest(note)
    if digest is None:
        return None
    path = folder_of(run, digest)
    if is_folder(path) and tree_digest(path) == digest:
        run.event("model is in the cache", path=path)
        return digest
    run.event("model in the cache is damaged or gone, fetching it again", path=path)
    return None


def copied(run: Run, chosen: Plan, staging: Path) -> str:
    """Fill the staging folder, small files first, check it whole, publish it under its digest."""
    run.event("fetching the model", uri=chosen.address.shown, bytes=chosen.bytes, files=len(chosen.names))
    meter = Meter(run, "fetching the model", chosen.bytes)
    before = 0
    for name in sorted(chosen.names, key=lambda name: (name.endswith(".safetensors"), name)):
        if isinstance(chosen.source, Path):
            copy(regular(chosen.source, name), staging / name, run.workspace.root / "runs")
        else:
            chosen.source.load(name, staging, meter)
        before += (staging / name).stat().st_size
        meter.at(before)
        if name.endswith(".safetensors"):
            read_header(staging / name)
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the hub client's own notes
    if not chosen.wish.trust:
        strip(run, staging, chosen.names, chosen.code)
    check.check_whole(run, chosen.where, staging, chosen.names, chosen.wish, talk=True)
    digest = tree_digest(staging)
    target = folder_of(run, digest)
    with exclusive(staging.with_name("publish.lock"), lambda s: None):
        if not is_folder(target) or tree_digest(target) != digest:
            publish_dir(staging, target)
    return digest


def copy(source: Path, target: Path, published: Path) -> None:
    """Copy a file; what a run published never changes, so its files are linked and take no room.

    Other files are copied even inside the workspace: who writes into one in place must not change the cache.

    Raises:
        UserError: the file has become a link, a pipe or a device since it was looked at.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if source.is_relative_to(published.resolve()):
        try:
            os.link(source, target, follow_symlinks=False)
            return
        except OSError:
            pass  # another file system
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{source} of the model is not a regular file any more. Start again.")
        with target.open("wb") as copied:
            shutil.copyfileobj(file, copied, 16 << 20)
