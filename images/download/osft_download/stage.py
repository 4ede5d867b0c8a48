"""The download stage from sources to checked rows, their tokens, and a base model in the cache."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, cast

from osft_download import parent, published, sources, split
from osft_download.base_model import small_files, staging
from osft_download.formats import all_columns
from osft_download.options import Options
from osft_download.prepare import prepare
from osft_download.prepared import Sets
from osft_download.rows import Intake, Policy
from osft_download.spool import Spool
from osft_rows.settings import Settings
from osft_workspace import Outcome, Run, UserError, digest_json, sha256_file
from osft_workspace.contents import Download, Source, Tokens
from osft_workspace.links import Chain

LIBRARIES = ("huggingface_hub", "datasets", "pyarrow", "boto3", "httpx", "transformers", "tokenizers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The options that are addresses, parsed."""

    train: tuple[sources.Address, ...]
    held_out: tuple[sources.Address, ...]
    model: sources.Address

    @classmethod
    def of(cls, options: Options) -> Self:
        """Parse the addresses without asking any server. Raises UserError with every one that is wrong."""
        problems: list[str] = []

        def parsed(parse: Callable[[str], sources.Address], *uris: str) -> Iterator[sources.Address]:
            for uri in uris:
                try:
                    yield parse(uri)
                except UserError as error:
                    problems.append(error.message)

        train = tuple(parsed(sources.parse, *options.uri))
        held_out = tuple(parsed(sources.parse, *options.eval_uri))
        model = tuple(parsed(staging.parse, options.model_uri))
        if problems:
            raise UserError(" ".join(problems))
        return cls(train=train, held_out=held_out, model=model[0])


def encoding(options: Options, folder: Path) -> Settings:
    """Return how rows become tokens with the tokenizer in a folder."""
    vocabulary = small_files.vocabulary(folder)
    return Settings(
        model=str(folder),
        # Grown embeddings hold whatever the tokenizer writes.
        vocabulary=1 << 31 if options.resize_embeddings else vocabulary,
        trust_remote_code=options.trust_remote_code,
        unmask=options.unmask_messages,
        system_role=options.system_role,
        longest=options.max_seq_len,
        shortest=options.min_tokens,
        document=all_columns(options.columns)["document"],
    )


def download(run: Run, options: Options, addresses: Addresses, chain: Chain | None) -> Outcome:
    """Check and stage everything; the work folder goes whatever happens, `rejected.jsonl` stays."""
    before = parent.shared(run, chain)
    work = run.dir / "work"
    work.mkdir()
    try:
        plan = staging.plan(
            run,
            addresses.model,
            options.model_revision,
            options.timeout_seconds,
            work,
            trust=options.trust_remote_code,
            resize=options.resize_embeddings,
        )
        with (run.dir / "rejected.jsonl").open("wb") as rejected:
            policy = Policy(options.on_invalid == "drop", options.max_invalid)
            intake = Intake(run, policy, options.format, all_columns(options.columns), rejected)
            train_rows, train_told = gather(run, options, intake, addresses.train, work, "train")
            eval_rows, eval_told = gather(run, options, intake, addresses.held_out, work, "eval")
            check_apart(train_told, eval_told)
            published.check_kind(intake.result, options.pretraining)
            sets = sets_of(run, options, train_rows, eval_rows if addresses.held_out else None)
            settings = encoding(options, small_files.fetch(run, plan, work / "tokenizer"))
            prepared = prepare(run, sets, settings)
            rows = published.Rows(run, intake, sets, prepared)
            rows.publish()
            rows.report(options.train_fraction)
        base = staging.stage(run, plan)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    found = outcome(run, options, intake, rows, train_told + eval_told, base)
    if chain:
        found.details, found.shared = {**found.details, "chain": chain}, {**before, **found.shared}
    return found


def sets_of(run: Run, options: Options, train: Spool, held_out: Spool | None) -> Sets:
    """Return the rows that are used, in their final order, and how they are to be split."""
    if held_out and options.train_fraction < 1:
        run.choice("train_fraction", 1, "an evaluation set is given, so every row is used for training")
    return Sets(
        train=train,
        order=split.pick(train.offsets, options.subset, shuffle=options.shuffle, seed=options.seed),
        held_out=held_out,
        fraction=1.0 if held_out else options.train_fraction,
        overlap=options.overlap,
    )


def gather(
    run: Run, options: Options, intake: Intake, places: Sequence[sources.Address], work: Path, part: str
) -> tuple[Spool, list[dict[str, Any]]]:
    """Fetch and check the sources of one set, one by one; returns its spool and what to tell of them."""
    told = []
    with Spool(work / f"{part}.spool") as spool:
        for number, address in enumerate(places):
            place = work / f"{part}-{number}"
            fetched = sources.fetch(address, sources.Order(run, place, options, part))
            rows = intake.take(fetched, spool, held_out=part == "eval")
            told.append({"part": part, "rows": rows, **manifest(fetched)})
            shutil.rmtree(place, ignore_errors=True)  # its rows are in the spool; the room may be needed
    return spool, told


def manifest(fetched: sources.Fetched) -> dict[str, Any]:
    """Return what a source was, byte for byte."""
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


def outcome(
    run: Run,
    options: Options,
    intake: Intake,
    rows: published.Rows,
    told: list[dict[str, Any]],
    base: staging.Base,
) -> Outcome:
    """Return the record's part of the stage."""
    path = base.path.relative_to(run.workspace.root).as_posix()
    tokens = rows.prepared.folder.relative_to(run.workspace.root).as_posix()
    counts = rows.counts
    details: Download = {
        "rows": counts,
        "format": intake.result,
        "formats": dict(intake.formats),
        "rejected": dict(intake.rules),
        "columns_not_read": dict(intake.unread),
        "sources": cast("list[Source]", told),
        "tokens": cast(Tokens, {"path": tokens, **rows.prepared.facts}),
        "no_held_out": rows.why_none_held_out(options.train_fraction),
        "model": {"path": path, "digest": base.digest, **base.facts},
        "seed": options.seed,
        "train_fraction": options.train_fraction,
    }
    return Outcome(
        outputs=["train.jsonl", "eval.jsonl", "rejected.jsonl"],
        shared={path: base.digest, tokens: rows.prepared.digest},
        metrics={f"rows_{name}": count for name, count in counts.items()}
        | {"model_bytes": base.facts["bytes"]},
        details=details,
        versions={name: version(name) for name in LIBRARIES},
        message=f"{rows.message()}; base model {base.facts['uri']}, {base.facts['bytes'] / 1e6:,.1f} MB",
    )
