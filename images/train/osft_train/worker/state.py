"""Full-state checkpoints: atomic, saved during training, and resumed at the same step.

mini-trainer 0.9.0 saves its full state (weights, optimizer, schedule, random numbers) only on SIGTERM
stop, straight under the final name, and resumes correctly only within the first epoch. What is done here:

* a state is written beside its final name, sealed with its digests, synced and renamed, so that a kill never
  leaves a torn one;
* every few minutes of training one is taken without stopping, so that SIGKILL costs minutes, not the run;
* resuming without OSFT loads the weights, where stock code goes on from the base model's;
* resuming finds its place in any epoch and takes its first step with the learning rate of that step;
* the log, which is written behind the training's back, is complete before a process ends.
"""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from mini_trainer.callbacks import TrainingContext
from mini_trainer.full_state_checkpoint import FullStateCheckpointer
from mini_trainer.osft_utils import is_osft_model

from osft_train import states
from osft_train.patches import original, put
from osft_train.worker.guarded import agreed
from osft_train.worker.lines import write_line
from osft_train.worker.validation import WhereMeasured
from osft_workspace import publish_dir

LOOP = "mini_trainer.train:train"
PARTS = "mini_trainer.full_state_checkpoint:get_model_state_dict"
"""Returns what a state holds of a model: with adapters only these."""
PARTIAL = ".partial"
LOG_SECONDS = 60
SHARE_OF_TIME = 20  # a state is taken at most once in this many times its own duration


class WholeCheckpointer(FullStateCheckpointer):  # type: ignore[misc]
    """Publishes a state in one step and keeps the newest only."""

    _checkpoint_dir: Path
    rates: ClassVar[list[float]] = []
    """Learning rates of the state that is resumed."""

    def save(self, **parts: Any) -> None:
        """Save the state of all ranks; see the base class for `parts`."""
        final, partial = self._checkpoint_dir, self._checkpoint_dir / PARTIAL
        step = f"step_{parts['training_state']['step']}"
        self._checkpoint_dir = partial
        try:
            super().save(**parts)
        finally:
            self._checkpoint_dir = final
        if self._rank == 0:
            states.seal(partial / step, os.environ["OSFT_TRAIN_OWNER"])
            publish_dir(partial / step, final / step)
            for old in final.glob("step_*"):
                if old.name != step:
                    shutil.rmtree(old)
            shutil.rmtree(partial)
        finish_log()
        dist.barrier()

    @staticmethod
    def load_metadata(checkpoint_dir: str | Path) -> dict[str, Any]:
        """Remember the schedule's learning rates beside loading them."""
        with agreed():
            metadata: dict[str, Any] = FullStateCheckpointer.load_metadata(checkpoint_dir)
            WholeCheckpointer.rates = metadata["lr_scheduler_state"]["_last_lr"]
        return metadata

    @staticmethod
    def load_rng_states(checkpoint_dir: str | Path, rank: int) -> None:
        """Load the random numbers; see the base class."""
        with agreed():
            FullStateCheckpointer.load_rng_states(checkpoint_dir, rank)

    @staticmethod
    def load_optimizer_state(checkpoint_dir: str | Path, optimizer: Any, rank: int) -> None:
        """Load the moments, and the learning rates, which stock code leaves at those of step 0."""
        with agreed():
            FullStateCheckpointer.load_optimizer_state(checkpoint_dir, optimizer, rank)
            for group, rate in zip(optimizer.param_groups, WholeCheckpointer.rates, strict=True):
                group["lr"] = rate


class ResumedLoader:
    """A data loader for mini-trainer's resume, which skips `step` batches in every epoch until one is left
    over.

    `step` counts from the start of training, so in a later epoch it is more than the epoch has, and stock
    code would skip everything and call that success. Batches of finished epochs are handed out again as
    placeholders, which are skipped unseen. Random numbers go on as they would have, so that dropout does too.
    """

    def __init__(self, loader: Any, step: int) -> None:
        self.loader = loader
        self.step: int | None = step

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        drawn = torch.get_rng_state()
        batches = iter(self.loader)  # draws a random number
        if self.step is not None:
            done = max(self.step - len(self.loader) * self.loader.sampler.epoch, 0)
            if done:  # it was drawn when this epoch began, before the state
                torch.set_rng_state(drawn)
            for _ in range(self.step - done):
                yield None
            if done < len(self.loader):
                self.step = None
        yield from batches


class Periodic:
    """Takes full states during training; the loop calls it on every rank, as it calls its callbacks."""

    def __init__(self, seconds: float, output_dir: str, parts: dict[str, Any]) -> None:
        self.context = TrainingContext()
        self.parts = parts
        self.seconds = seconds
        self.due = time.monotonic() + seconds
        self.checkpointer = WholeCheckpointer(
            str(Path(output_dir) / states.FOLDER), dist.get_rank(), dist.get_world_size()
        )

    def has_callbacks(self, hook: str) -> bool:
        """Nothing of ours runs inside a step."""
        return False

    def fire(self, hook: str, **_: Any) -> None:
        """Save after a step when it is time; the first rank's clock decides for all."""
        if hook != "on_step_end":
            return
        device = next(self.parts["model"].parameters()).device
        now = torch.tensor(int(time.monotonic() >= self.due), dtype=torch.int32, device=device)
        dist.broadcast(now, src=0)
        if now.item():
            started = time.monotonic()
            self.save(device)
            taken = time.monotonic() - started
            self.due = time.monotonic() + max(self.seconds, SHARE_OF_TIME * taken)
            if dist.get_rank() == 0:
                write_line(json.dumps({"full_state": self.context.step, "seconds": round(taken, 1)}))

    def save(self, device: torch.device) -> None:
        """Save the state after the step that just ended."""
        saves, checks = Watched.seen["Checkpointer"], Watched.seen["ValidationScheduler"]
        self.checkpointer.save(
            model=self.parts["model"],
            optimizer=self.parts["optimizer"],
            lr_scheduler=self.parts["lr_scheduler"],
            data_loader=self.parts["data_loader"],
            device=device,
            training_state={
                "step": self.context.step,
                "epoch": self.context.epoch,
                "total_samples_accumulated": self.context.total_samples,
                "total_tokens_processed": self.context.total_tokens,
                "last_validation_loss": self.context.batch_metrics.get("val_loss"),
                "validation_scheduler_state": {
                    name: getattr(checks, name) for name in vars(checks) if name.startswith("last_")
                },
            },
            checkpointer_state={
                name: getattr(saves, name)
                for name in ("last_saved_samples", "last_frequency_saved_samples", "best_val_loss")
            },
        )


class Watched:
    """Remembers the objects that the loop keeps for itself and a state must hold."""

    seen: ClassVar[dict[str, Any]] = {}

    @staticmethod
    def watch(name: str, kind: Any) -> type:
        """Return the same class, whose newest instance is remembered under a name."""

        class Seen(kind):  # type: ignore[misc]
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                Watched.seen[name] = self

        return Seen


def finish_log() -> None:
    """Wait until every line of the log is written."""

    async def finish() -> None:
        own = asyncio.current_task()
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not own))

    logger = Watched.seen["AsyncStructuredLogger"]
    asyncio.run_coroutine_threadsafe(finish(), logger.loop).result(timeout=LOG_SECONDS)


def load_weights(model: torch.nn.Module, state: Path) -> None:
    """Load the weights of a full state in place; for OSFT mini-trainer does so when it makes the model."""
    with agreed():
        dcp.load({"model": original(PARTS)(model)}, checkpoint_id=state / "distributed")


def install(seconds: float) -> None:
    """Put all of it in place; `seconds` between states, 0 for none but the last."""
    loop = original(LOOP)

    def resumable(**arguments: Any) -> None:
        resumed = arguments["resume_from_full_state_checkpoint"]
        if resumed:
            metadata = WholeCheckpointer.load_metadata(resumed)
            step, WhereMeasured.written = metadata["step"], metadata["last_validation_loss"]
            arguments["data_loader"] = ResumedLoader(arguments["data_loader"], step)
            if not is_osft_model(arguments["model"]):
                load_weights(arguments["model"], Path(resumed))
        if seconds and arguments["on_demand_checkpointing"]:
            arguments["callback_manager"] = Periodic(seconds, arguments["output_dir"], arguments)
        loop(**arguments)
        finish_log()

    states.ask_by(Path(os.environ["OSFT_TRAIN_STOP_FILE"]))
    put("mini_trainer.train:FullStateCheckpointer", WholeCheckpointer)
    for name in ("Checkpointer", "ValidationScheduler", "AsyncStructuredLogger"):
        target = f"mini_trainer.train:{name}"
        put(target, Watched.watch(name, original(target)))
    put(LOOP, resumable)
