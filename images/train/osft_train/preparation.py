"""What every node settles for itself before it trains: base model, device, and arguments of the engine."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from osft_plan.model import Model
from osft_train import adapters, boards, data, decompositions, devices, engine, planned
from osft_train.adapters import Adapter
from osft_train.ahead import Ahead
from osft_train.arguments import Call, collect
from osft_train.base import Base, target_matrices, target_patterns
from osft_train.devices import Device
from osft_train.methods import OSFT
from osft_train.options import Options
from osft_train.work import ADAPTERS, MODELS, Work
from osft_workspace import Run, digest_json
from osft_workspace.options import inputs_of


@dataclass(frozen=True, slots=True)
class Setup:
    """Equal on all nodes."""

    run: Run
    options: Options
    base: Base
    model: Model
    """The base model as the planner sees it."""
    device: Device
    call: Call
    work: Work
    matrices: list[decompositions.Shape]
    """Of the matrices that are decomposed."""
    factors: Path | None
    """Folder where their decompositions are kept."""
    adapter: Adapter | None
    """What is trained in place of the base model's own weights."""

    @property
    def merged(self) -> bool:
        """Whether the result is a whole model."""
        return self.work.saved == MODELS

    @property
    def rows_file(self) -> Path:
        """Where the rows lie when they are not download's file itself."""
        given = self.options.data_output_dir
        # Other inputs make other rows, which a folder of the user's own must not mix up.
        folder = (
            Path(given) / self.work.digest.removeprefix("sha256:")[:16] if given else self.work.dir / "rows"
        )
        return folder / "data.jsonl"

    @property
    def board(self) -> Path:
        """Where TensorBoard's event files lie."""
        root, given = self.run.workspace.root, self.options.tensorboard_log_dir
        return boards.place(root, given, self.run.run_id) or self.run.dir / boards.FOLDER

    def ahead(self, rows: data.Rows) -> Ahead:
        """Plan the training of rows."""
        target = self.rows_file.with_name("held-out.jsonl")
        return Ahead.of(self.run, self.model, self.device, self.options, rows, target)

    def job(self, ahead: Ahead, done: int) -> engine.Job:
        """Return the call of the backend."""
        rank = self.options.node_rank
        return engine.Job(
            run=self.run,
            function=backend_function(),
            call=self.call.with_(data_path=ahead.rows.path, **ahead.arguments(self.options)),
            device=self.device,
            checkpoints=self.work.dir,
            log=self.run.dir / (f"train-node{rank}.log" if rank else "train.log"),
            total=ahead.plan.steps,
            done=done,
            matrices=len(self.matrices),
            factors=self.factors,
            adapter=self.adapter,
            checkpoint_seconds=60 * self.options.checkpoint_minutes,
            owner=self.work.digest,
            node_rank=rank,
            board=None if rank else self.board,
        )


def backend_function() -> Any:
    """training_hub's function of this method."""
    from training_hub import osft

    return osft


def settle(run: Run, options: Options) -> Setup:
    """Look at the base model and the device, and collect the arguments.

    Raises:
        UserError: an argument, pattern or device that cannot be had.
    """
    data.check(run, options)
    asked = inputs_of(options)
    options = planned.with_tokens(run, options)
    devices.prepare_process(options)
    base = Base.load(run, trust_remote_code=options.trust_remote_code)
    model = planned.model_of(run)
    device = devices.choose(run, model, options)
    protects = options.method == OSFT
    patterns = target_patterns(run, base, options.target_patterns) if protects else []
    matrices = target_matrices(run, base, patterns) if protects else []
    factors = decompositions.choose(run, base, matrices, options)
    adapter = Adapter.of(options)
    if adapter:
        adapters.check(run, base, adapter)
    digest = digest_json([asked, run.predecessors["download"].digest])
    merged = adapter is None or options.lora_merge
    work = Work(run.home / "checkpoints", digest, MODELS if merged else ADAPTERS)
    own = {
        "model_path": str(base.path),
        "ckpt_output_dir": str(work.dir),
        "backend": device.backend,
        "target_patterns": patterns,
        "use_processed_dataset": True,
        "use_liger": device.liger,
        "nproc_per_node": device.processes,
    }
    given = replace(options, master_addr="", master_port=None) if options.nnodes == 1 else options
    setup = Setup(run, options, base, model, device, Call({}), work, matrices, factors, adapter)
    own |= {"data_path": "", "data_output_dir": str(setup.rows_file.parent)}
    call = collect(run, backend_function(), given, own)
    return replace(setup, call=call if protects else call.with_(osft=False))
