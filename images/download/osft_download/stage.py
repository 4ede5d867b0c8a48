"""The download stage from sources to `train.jsonl`, `eval.jsonl` and a base model in the cache."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from osft_download import model, sources, split
from osft_download.formats import all_columns
from osft_download.rows import Intake, Policy, Spool
from osft_workspace import Outcome, Run, UserError, digest_json, sha256_file

LIBRARIES = ("huggingface_hub", "datasets", "pyarrow", "boto3", "httpx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says; see `cli` for each."""

    uri: tuple[str, ...]
    eval_uri: tuple[str, ...]
    settings: sources.Settings
    format: str
    columns: dict[str, str]
    train_fraction: float
    subset: int
    shuffle: bool
    seed: int
    on_invalid: str
    max_invalid: int
    model_uri: str
    model_revision: str

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The options from click's flat names."""
        settings = {item.name: given[item.name] for item in fields(sources.Settings)}
        own = {item.name: given[item.name] for item in fields(cls) if item.name != "settings"}
        return cls(settings=sources.Settings(**settings), **own)


def download(run: Run, options: Options) -> Outcome:
    """Check and stage everything; the work folder goes whatever happens, `rejected.jsonl` stays."""
    train = [sources.parse(uri) for uri in options.uri]
    held_out = [sources.parse(uri) for uri in options.eval_uri]
    work = run.dir / "work"
    work.mkdir()
    try:
        plan = model.plan(
            run, options.model_uri, options.model_revision, options.settings.timeout_seconds, work
        )
        with (run.dir / "rejected.jsonl").open("wb") as rejected:
            policy = Policy(options.on_invalid == "drop", options.max_invalid)
            intake = Intake(run, policy, options.format, all_columns(options.columns), rejected)
            train_rows, train_told = gather(run, options, intake, train, work, "train")
            eval_rows, eval_told = gather(run, options, intake, held_out, work, "eval")
            intake.close([train_rows, eval_rows] if held_out else [train_rows])
            check_apart(train_told, eval_told)
        counts = publish_rows(run, options, train_rows, eval_rows, bool(held_out))
        base = model.stage(run, plan)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    counts |= {"read": intake.read, "rejected": intake.bad}
    return outcome(run, options, intake, counts, train_told + eval_told, base)


def gather(
    run: Run, options: Options, intake: Intake, addresses: list[sources.Address], work: Path, part: str
) -> tuple[Spool, list[dict[str, Any]]]:
    """Fetch and check the sources of one set, one by one; returns its spool and what to tell of them."""
    told = []
    with Spool(work / f"{part}.spool") as spool:
        for number, address in enumerate(addresses):
            place = work / f"{part}-{number}"
            fetched = sources.fetch(address, sources.Order(run, place, options.settings, part))
            rows = intake.take(fetched, spool)
            told.append({"part": part, "rows": rows, **manifest(fetched)})
            shutil.rmtree(place, ignore_errors=True)  # its rows are in the spool; the room may be needed
    return spool, told


def manifest(fetched: sources.Fetched) -> dict[str, Any]:
    """What a source was, byte for byte."""
    files = [
        {"name": file.name, "bytes": file.path.stat().st_size, "sha256": sha256_file(file.path)}
        for file in fetched.files
    ]
    whole = files[0]["sha256"] if len(files) == 1 else digest_json(files)
    return {
        "uri": fetched.uri,
        "revision": fetched.revision,
        **fetched.facts,
        "sha256": whole,
        "files": files,
    }


def check_apart(train: list[dict[str, Any]], held_out: list[dict[str, Any]]) -> None:
    """A set that was trained on cannot show what was learned.

    Raises:
        UserError: a file is in both sets, byte for byte.
    """
    seen = {file["sha256"]: source["uri"] for source in train for file in source["files"] if file["bytes"]}
    for file, uri in [(file, source["uri"]) for source in held_out for file in source["files"]]:
        if file["sha256"] in seen:
            raise UserError(
                f"{file['name']} of data.evalUri {uri} holds the same bytes as a file of data.uri "
                f"{seen[file['sha256']]}. Name rows that are not trained on, or leave data.evalUri empty to "
                "hold some out."
            )


def publish_rows(run: Run, options: Options, train: Spool, held_out: Spool, explicit: bool) -> dict[str, int]:
    """Split the rows and write both sets; returns how many each got."""
    used = split.pick(train.offsets, options.subset, shuffle=options.shuffle, seed=options.seed)
    border = len(used)
    if not explicit:
        border = split.train_rows(len(used), options.train_fraction)
    elif options.train_fraction < 1:
        run.choice("train_fraction", 1, "an evaluation set is given, so every row trains")
    split.write_rows(run, train.path, used[:border], run.dir / "train.jsonl")
    source, offsets = (held_out.path, held_out.offsets) if explicit else (train.path, used[border:])
    split.write_rows(run, source, offsets, run.dir / "eval.jsonl")
    if not offsets:
        run.event("no rows are held out: evaluation cannot measure what was learned")
    unused = len(train.offsets) - len(used)
    return {"train": border, "eval": len(offsets), "unused": unused}


def outcome(
    run: Run,
    options: Options,
    intake: Intake,
    counts: dict[str, int],
    told: list[dict[str, Any]],
    base: model.Base,
) -> Outcome:
    """The record's part of the stage."""
    path = base.path.relative_to(run.workspace.root).as_posix()
    return Outcome(
        outputs=["train.jsonl", "eval.jsonl", "rejected.jsonl"],
        shared={path: base.digest},
        metrics={f"rows_{name}": count for name, count in counts.items()}
        | {"model_bytes": base.facts["bytes"]},
        details={
            "rows": counts,
            "format": intake.result,
            "formats": dict(intake.formats),
            "rejected": dict(intake.rules),
            "sources": told,
            "model": {"path": path, "digest": base.digest, **base.facts},
            "seed": options.seed,
            "train_fraction": options.train_fraction,
        },
        versions={name: version(name) for name in LIBRARIES},
        message=(
            f"{counts['train']} rows to train on, {counts['eval']} held out, {counts['rejected']} refused; "
            f"base model {base.facts['uri']}, {base.facts['bytes'] / 1e6:,.1f} MB"
        ),
    )
