"""What earlier stages proved about a model, checked to be about one and the same model."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from osft_workspace import Record, Run, UserError, claims, digest_json, excerpt, printable
from osft_workspace.answers import Misfit, check_size, finite
from osft_workspace.contents import RESULTS_SCHEMA
from osft_workspace.details import details_of
from osft_workspace.files import read_regular
from osft_workspace.predecessors import open_record
from osft_workspace.shapes import RESULTS, misfit
from osft_workspace.tuned import Tuned, adapter_of

LARGEST_RESULTS = 16 << 20  # bytes
MOST_VALUES = 200_000  # of 1,000 tasks with 20 figures each, ten times


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The records of one run and what register reads from them."""

    run_id: str
    release: str
    namespace: str
    claim: str
    download: Record
    train: Record
    eval: Record | None
    results: dict[str, Any] | None
    """results.json of eval."""
    parent_version: str = ""
    """Of the run that this one continues, as it was registered; empty where it was not."""

    @cached_property
    def digest(self) -> str:
        """Digest of everything that was proved; two starts of one run agree on it."""
        return digest_json([self.train.digest, self.eval.digest if self.eval else None])

    @property
    def base(self) -> dict[str, Any]:
        """The base model: `uri`, `revision`, `digest`, perhaps `license`."""
        model: dict[str, Any] = self.download.details.get("model") or {}
        return model

    @property
    def chain(self) -> list[dict[str, Any]]:
        """The runs before this one, the first one first; none for a run that continues no other."""
        found = self.download.details.get("chain")
        return list(found["links"]) if found else []

    @property
    def first_base(self) -> dict[str, Any]:
        """The base model of the first run of the chain; empty for a run that continues no other."""
        return dict(self.chain[0]["base"]) if self.chain else {}

    @property
    def license(self) -> str | None:
        """License of the base model: that of the first one of a chain, whose card it came from."""
        return self.base.get("license") or self.first_base.get("license")

    @property
    def data(self) -> dict[str, Any]:
        """What download said of the data: `sources`, `rows`, `seed`, `train_fraction`."""
        return self.download.details

    @property
    def rows(self) -> dict[str, int]:
        """How many rows became what; counts of 0 are left out.

        `train`, `validation` and `dropped_*` are as train counted them, the others as download did.
        """
        trained = self.train.metrics
        counts = {**(self.data.get("rows") or {})}
        if "rows" in trained:
            counts["train"] = trained["rows"]
        counts |= {
            name.removeprefix("rows_"): count for name, count in trained.items() if name.startswith("rows_")
        }
        return {name: int(count) for name, count in counts.items() if count}

    @property
    def end_of_turn(self) -> str:
        """The mark that the model learned to end its turns with; empty where there is none."""
        tokens = self.data.get("tokens") or {}
        return str((tokens.get("tokenizer") or {}).get("end_of_turn") or "")

    @property
    def training_metrics(self) -> dict[str, Any]:
        """Figures of the training itself, without its counts of rows."""
        return {name: value for name, value in self.train.metrics.items() if not name.startswith("rows")}

    @property
    def data_files(self) -> dict[str, str]:
        """sha256 of each file of rows that has a row."""
        return {out["path"]: out["sha256"] for out in self.download.outputs if out["size"]}

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the training call."""
        return self.train.details.get("arguments") or {}

    @property
    def adapter(self) -> dict[str, Any]:
        """The adapter that the model was made from, or is; empty for other methods."""
        found = adapter_of(self.train.details) if self.tuned.base else self.train.details.get("adapter")
        return dict(found or {})

    @property
    def primary_metric(self) -> str | None:
        """The figure that the user said matters most."""
        return self.eval.details.get("primary_metric") if self.eval else None

    @property
    def mix_share(self) -> float | None:
        """Share of the tuned weights in the model that goes on; None: it is the tuned model itself."""
        return self.eval.details["model"].get("share") if self.eval else None

    @cached_property
    def tuned(self) -> Tuned:
        """The model that goes on: eval may have chosen another than train's."""
        return Tuned.of((self.eval or self.train).details)

    @property
    def model_path(self) -> str:
        """That model, below the run's folder."""
        return self.tuned.path

    @cached_property
    def model_files(self) -> list[dict[str, Any]]:
        """Files of that model with size and sha256, as its stage's record lists them."""
        stage, _, folder = self.model_path.partition("/")
        record = {"train": self.train, "eval": self.eval}.get(stage)
        prefix = folder.rstrip("/") + "/"
        outputs = record.outputs if record else []
        return [
            out | {"path": out["path"].removeprefix(prefix)}
            for out in outputs
            if out["path"].startswith(prefix)
        ]

    @property
    def model_digest(self) -> str:
        """Tree digest of the model, from the files' digests that were verified on the way in."""
        return digest_json({file["path"]: file["sha256"] for file in self.model_files})

    @property
    def default_uri(self) -> str:
        """What KServe and people with the claim can resolve: `pvc://claim/path`.

        Without a cluster `file://` and the path on this machine; empty without a claim.
        """
        below = f"runs/{self.run_id}/{self.model_path}"
        folder = claims.folder_of(self.claim)
        if folder is not None:
            return (folder / below).as_uri()
        return f"pvc://{self.claim}/{below}" if self.claim else ""

    @property
    def base_uri(self) -> str:
        """The same of the base model that an adapter is loaded on; empty for a whole model too."""
        return f"pvc://{self.claim}/{self.tuned.base}" if self.claim and self.tuned.base else ""


def gather(run: Run, *, release: str, namespace: str, claim: str) -> Evidence:
    """Collect the evidence of a run.

    Raises:
        UserError: the records are not about one model, or eval's results cannot be read.
    """
    train, judged = run.predecessors["train"], run.predecessors.get("eval")
    if judged and judged.needs.get("train") != train.digest:
        raise UserError(
            f"eval of run {run.run_id} evaluated a different training than the current one. Run eval again."
        )
    download = open_record(run.workspace, run.run_id, "download")
    if download is None or download.digest != train.needs.get("download"):
        seen = "is gone" if download is None else "changed after training"
        raise UserError(
            f"download of run {run.run_id} {seen}. Run download and train again, or use a new run id."
        )
    evidence = Evidence(
        run_id=run.run_id,
        release=release,
        namespace=namespace,
        claim=claim,
        download=download,
        train=train,
        eval=judged,
        results=read_results(judged) if judged else None,
        parent_version=version_of_parent(run, download),
    )
    said = (judged or train).details["model"].get("digest")
    if not evidence.model_files or said != evidence.model_digest:
        raise UserError(
            f"{(judged or train).stage} names model {evidence.model_path} with digest {said}, but the files "
            f"there give {evidence.model_digest if evidence.model_files else 'nothing'}. Run it again."
        )
    return evidence


def version_of_parent(run: Run, download: Record) -> str:
    """Return the name under which the run that is continued was registered; empty where it was not."""
    chain = download.details.get("chain")
    if not chain:
        return ""
    record = open_record(run.workspace, chain["links"][-1]["run"], "register")
    return str(record.details.get("version") or "") if record and record.status == "done" else ""


def read_results(judged: Record) -> dict[str, Any]:
    """eval's results. Raises UserError when they are not a file of this version."""
    path = judged.path("results.json")
    try:
        content = read_regular(path, "the results of eval", LARGEST_RESULTS)
        check_size(content, MOST_VALUES)
        results = json.loads(content, parse_constant=lambda _: None, parse_float=finite)
    except Misfit as error:
        raise UserError(f"{path} is a file {error}. Run eval again.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}). Run eval again.") from error
    schema = results.get("schema") if isinstance(results, dict) else type(results).__name__
    if schema != RESULTS_SCHEMA:
        raise UserError(
            f"{path} has schema '{excerpt(schema)}', expected {RESULTS_SCHEMA!r}: another version of eval "
            "wrote it. Run eval again with the images of this version, then register."
        )
    if problem := misfit(results, RESULTS):
        raise UserError(f"{path} is not a complete result ({problem}). Run eval again.")
    found: dict[str, Any] = details_of(results, printable(path), RESULTS)
    return found
