"""What the record of each stage says in its details: one type for each stage.

A record is held to them when it is opened, and `images/record.schema.json` is made from them. Keys that stand
in no type are kept, and no stage reads them.
"""

from typing import Annotated, Any, TypedDict

from osft_workspace.links import Chain
from osft_workspace.shapes import COUNT_AND_ROW, shapes_of

RESULTS_SCHEMA = "osft-pipeline/eval-results/v2"
"""Of results.json. An input of evaluation, so that results of another version are made again."""
Count = int
"""A whole number from 0 on; others are `Any`."""


class BaseModel(TypedDict, total=False):
    """The base model in the workspace's cache."""

    uri: str
    revision: str | None
    path: str
    """Below the workspace."""
    digest: str
    license: str | None
    model_type: str
    bytes: Count
    trust_remote_code: bool


class Source(TypedDict, total=False):
    """One address that rows came from."""

    part: str
    """train or eval."""
    uri: str
    revision: str | None
    rows: Count
    sha256: str


class Tokenizer(TypedDict, total=False):
    """The tokenizer that encoded the rows."""

    kind: str
    tokens: Count
    template_digest: str
    end_of_turn: str
    end_of_turn_ids: list[Count]
    eos_token: str
    eos_token_id: Count | None


class EncodingSettings(TypedDict, total=False):
    """How rows became tokens."""

    unmask: bool
    document: str
    shortest: Count
    longest: Count
    vocabulary: Count
    trust_remote_code: bool
    system_role: str


class EncodedSet(TypedDict, total=False):
    """The rows of one set, in tokens."""

    rows: Count
    tokens: Count
    learned: Count
    longest: Count


class Piece(TypedDict, total=False):
    """A part of a row as text."""

    text: str
    learned: bool


class Encoded(TypedDict, total=False):
    """What download says of encoded rows."""

    tokenizer: Tokenizer
    settings: EncodingSettings
    sets: dict[str, EncodedSet]
    """train and eval."""
    preview: list[list[Piece]]
    rows_repeated: Count
    rows_overlap: Count
    overlap_first: list[Count]
    answers_unclosed: Count
    rows_system_merged: Count
    left_out: dict[str, Annotated[list[Count], COUNT_AND_ROW]]
    """Kind of text that the chat template does not write -> rows that hold some, and the first of them."""


class Tokens(Encoded, total=False):
    """Encoded rows in the workspace's cache."""

    path: str


class Download(TypedDict, total=False):
    """Details of the download stage."""

    rows: dict[str, Count]
    """Set -> rows."""
    format: str | None
    formats: dict[str, Count]
    rejected: dict[str, Count]
    """Reason -> rows."""
    columns_not_read: dict[str, Count]
    sources: list[Source]
    tokens: Tokens
    no_held_out: str
    model: BaseModel
    chain: Chain
    """Only where the base model is that of an earlier run (`osft_workspace/chain.py`)."""
    seed: Any
    train_fraction: float


class Model(TypedDict, total=False):
    """A tuned model of the run: `osft_workspace/tuned.py` reads it."""

    path: str
    """Below the run."""
    digest: str
    base: str
    """Below the workspace: the model that the adapter in `path` belongs to. Not there for a whole model."""
    share: float
    """Of the tuned weights in it, where it is a mix with the base model."""
    parameters: Count
    dtype: str
    bytes: Count


class Adapter(TypedDict, total=False):
    """An adapter of the run, in PEFT's layout; the tuned model is the base model with it."""

    path: str
    """Below the run."""
    digest: str
    r: Count
    bias: str
    use_dora: bool


class Estimate(TypedDict, total=False):
    """What train planned before its first step."""

    steps: Count | None
    steps_per_epoch: Count
    seconds: Any
    tokens_at_a_time: Count
    """Of a process, at most."""
    memory: dict[str, Count]
    """Terms of the peak memory of a process, in bytes; docs/plan.md explains them."""
    memory_bytes: Count
    """Their sum."""


class TrackedRun(TypedDict, total=False):
    """The run of a tracker that got the steps of training."""

    run_id: str
    experiment_id: str
    """Of MLflow."""
    project: str
    """Of Weights & Biases, as `entity`."""
    entity: str


class Train(TypedDict, total=False):
    """Details of the train stage."""

    model: Model
    trackers: dict[str, TrackedRun]
    """mlflow or wandb -> its run, where one was asked for."""
    adapter: Adapter | None
    base: BaseModel
    method: str
    device: str
    backend: str
    attention: str
    compute: str
    processes: Count
    nodes: Count
    cpus: Count | None
    hardware: str
    """Of this node: GPUs or processor, by name."""
    matrices: Count
    """Matrices that were decomposed."""
    arguments: dict[str, Any]
    """What the engine was called with."""
    max_steps: Count | None
    held_out: dict[str, Any] | None
    """Rows whose loss was measured during training: `rows`, `tokens`, and `every` so many steps."""
    estimate: Estimate
    work_digest: str


class Benchmark(TypedDict, total=False):
    """A dataset of the hub that tasks asked about."""

    dataset: str
    config: str | None
    revision: str
    """Commit."""
    path: str
    """Below the workspace."""
    digest: str
    bytes: Count
    files: Count


class Eval(TypedDict, total=False):
    """Details of the eval stage."""

    model: Model
    """The one that goes on."""
    primary_metric: str | None
    benchmarks: list[Benchmark]


class Register(TypedDict, total=False):
    """Details of the register stage."""

    registered_model_id: str
    model_version_id: str
    model_artifact_id: str | None
    version: str
    api: str
    uri: str
    url: str


ENCODED = shapes_of(Encoded)
DETAILS = {
    "download": shapes_of(Download),
    "train": shapes_of(Train),
    "eval": shapes_of(Eval),
    "register": shapes_of(Register),
}
"""Stage -> the shape of its record's details."""
