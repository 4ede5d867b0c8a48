"""The base model: from hf://, pvc:// or a path into the content-addressed cache, whole or not at all."""

import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from osft_download import hub
from osft_download.meter import Meter
from osft_download.model_files import (
    check_parts,
    check_safetensors,
    check_shards,
    files_of,
    indexes,
    license_of,
    model_type,
    wanted,
)
from osft_download.sources import Address, local
from osft_download.sources import parse as parse_uri
from osft_workspace import Run, digest_json, publish_dir, sha256_file, tree_digest, write_atomic
from osft_workspace.lock import exclusive

SCHEMES = ("hf", "pvc", "path")
WRITTEN = "hf://<org>/<model>, pvc://<claim>/<path> or an absolute path"


def parse(uri: str) -> Address:
    """Take a model's URI apart. Raises UserError for what is none."""
    return parse_uri(uri, SCHEMES, WRITTEN)


@dataclass(slots=True, kw_only=True)
class Plan:
    """A model that is there and looks right, before its weights are moved."""

    address: Address
    names: list[str]
    bytes: int
    key: str
    """Names this model at this commit or with this content; the cache remembers by it what it holds."""
    revision: str | None = None
    source: Path | hub.Repo


@dataclass(slots=True)
class Base:
    """A model in the cache."""

    path: Path
    digest: str
    facts: dict[str, Any]


def plan(run: Run, uri: str, revision: str, timeout: float, work: Path) -> Plan:
    """Find the model and look at its parts, with little traffic, so that a wrong name ends the stage early.

    Raises:
        UserError, Transient: it is not there, not allowed, or no model.
    """
    address = parse(uri)
    if address.scheme == "hf":
        name, _, own = hub.split_reference(address.rest.removeprefix("models/"))
        repo = hub.Repo(run, "model", name, own or revision, timeout)
        sizes = repo.files()
        names = wanted(sizes)
        check_parts(f"the {repo.where}", names)
        model_type(repo.load("config.json", work / "model"), f"config.json of the {repo.where}")
        for index in indexes(names):
            check_shards(f"the {repo.where}", repo.load(index, work / "model"), names)
        total = sum(sizes[name] for name in names)
        key = digest_json([hub.endpoint(), name, repo.revision])
        return Plan(address=address, names=names, bytes=total, key=key, revision=repo.revision, source=repo)
    folder = local.locate(address, run.workspace.root)
    names = files_of(folder)
    check_parts(str(folder), names)
    model_type(folder / "config.json")
    for index in indexes(names):
        check_shards(str(folder), folder / index, names)
    total = sum((folder / name).stat().st_size for name in names)
    return Plan(address=address, names=names, bytes=total, key=content_digest(folder), source=folder)


@lru_cache
def content_digest(folder: Path) -> str:
    """What `tree_digest` will say of the cached folder."""
    return digest_json({name: sha256_file(folder / name) for name in files_of(folder)})


def stage(run: Run, chosen: Plan) -> Base:
    """Bring the model into the cache, or find it there whole.

    One start at a time works on one model; a killed one leaves its part for the next. The folder is published
    under the digest of its content, so two ways to the same model end in one folder.
    """
    staging = run.workspace.models / ".staging" / chosen.key.removeprefix("sha256:")[:16]
    staging.mkdir(parents=True, exist_ok=True)
    note = staging.with_suffix(".digest")
    with exclusive(
        staging.with_suffix(".lock"),
        lambda s: run.event("waiting for another start to bring the model", seconds=round(s)),
    ):
        digest = cached(run, note)
        if digest is None:
            digest = bring(run, chosen, staging)
            write_atomic(note, digest)
        shutil.rmtree(staging, ignore_errors=True)
    path = folder_of(run, digest)
    facts = {
        "uri": chosen.address.shown,
        "revision": chosen.revision,
        "model_type": model_type(path / "config.json"),
        "license": license_of(path),
        "bytes": chosen.bytes,
    }
    return Base(path, digest, facts)


def folder_of(run: Run, digest: str) -> Path:
    """Where a model of this digest lies."""
    return run.workspace.models / digest.removeprefix("sha256:")


def cached(run: Run, note: Path) -> str | None:
    """The digest of a model that was brought before, when it is still whole."""
    if not note.is_file():
        return None
    digest = note.read_text()
    path = folder_of(run, digest)
    if path.is_dir() and tree_digest(path) == digest:
        run.event("model is in the cache", path=path)
        return digest
    run.event("model in the cache is damaged or gone, bringing it again", path=path)
    return None


def bring(run: Run, chosen: Plan, staging: Path) -> str:
    """Fill the staging folder, check the weights, publish it under its digest."""
    run.event("bringing the model", uri=chosen.address.shown, bytes=chosen.bytes, files=len(chosen.names))
    meter = Meter(run, "bringing the model", chosen.bytes)
    before = 0
    for name in chosen.names:
        if isinstance(chosen.source, Path):
            copy(chosen.source / name, staging / name, run.workspace.root / "runs")
        else:
            chosen.source.load(name, staging, meter)
        before += (staging / name).stat().st_size
        meter.at(before)
        if name.endswith(".safetensors"):
            check_safetensors(staging / name)
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the hub client's own notes
    digest = tree_digest(staging)
    target = folder_of(run, digest)
    with exclusive(staging.with_name("publish.lock"), lambda s: None):
        if not target.is_dir() or tree_digest(target) != digest:
            publish_dir(staging, target)
    return digest


def copy(source: Path, target: Path, published: Path) -> None:
    """Copy a file; what a run published never changes, so its files are linked and take no room.

    Other files are copied even inside the workspace: who writes into one in place must not change the cache.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if source.resolve().is_relative_to(published):
        try:
            os.link(source.resolve(), target)
            return
        except OSError:
            pass  # another file system
    shutil.copyfile(source, target)
