"""What is replaced in the engine: one table, and the only place that does so.

    python -m osft_train.patches        shows the table and checks it against what is installed

Each line names what is replaced, and why. Of the engine's own functions and classes it holds a digest of the
source that the replacement was written for, so that another version is noticed at the start, in one message.
After an update, read what changed in each function that is named, then write its new digest here.
"""

import hashlib
import importlib
import inspect
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

PACKAGE, WRITTEN_FOR = "rhai-innovation-mini-trainer", "0.9.0"
DIGITS = 12


@dataclass(frozen=True, slots=True)
class Patch:
    """One replaced name."""

    target: str
    """`module:name`."""
    why: str
    source: str = ""
    """First digits of the sha256 of its source; empty where only the name is relied on."""

    def get(self) -> Any:
        """Return what has that name now. Raises ImportError or AttributeError where it is gone."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)

    def put(self, replacement: Any) -> None:
        """Give the name to a replacement."""
        module, _, name = self.target.partition(":")
        setattr(importlib.import_module(module), name, replacement)

    def problem(self) -> str | None:
        """Return what differs from the version that the replacement was written for, or None."""
        try:
            found = self.get()
        except (ImportError, AttributeError):
            return f"{self.target} is gone"
        if self.source and digest(found) != self.source:
            return f"{self.target} has changed"
        return None


def digest(thing: Any) -> str:
    """Return the first digits of the sha256 of the source of a function or class."""
    return hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()[:DIGITS]


TABLE = {
    patch.target: patch
    for patch in (
        # The worker on every device
        Patch("mini_trainer.sampler:mb_collate_fn", "rows stay apart in the loss", "078aff1f7cb9"),
        Patch("mini_trainer.train:train", "resume in any epoch, take full states meanwhile", "f2328f9aeb7a"),
        Patch("mini_trainer.train:FullStateCheckpointer", "full states whole or absent", "089e08acb1d7"),
        Patch(
            "mini_trainer.full_state_checkpoint:FullStateCheckpointer",
            "the file that asks for a full state is the run's own",
            "089e08acb1d7",
        ),
        Patch("mini_trainer.train:Checkpointer", "its counters belong to a full state", "a88883e80b87"),
        Patch(
            "mini_trainer.train:ValidationScheduler",
            "its best loss belongs to one too; the last step is measured",
            "c69f192377c6",
        ),
        Patch(
            "mini_trainer.train:AsyncStructuredLogger",
            "the log is whole at the end; a measured loss is written once",
            "bd8578f20702",
        ),
        Patch("mini_trainer.setup_model_for_training:dcp", "all ranks give up a damaged state together"),
        Patch("torch.distributed.checkpoint.filesystem:pickle", "a full state runs no code"),
        Patch("torch.linalg:svd", "decompositions are kept for the next training on the same base"),
        Patch(
            "mini_trainer.setup_model_for_training:create_osft_model_class",
            "decomposed layers take fewer operations",
            "25d68ace1a83",
        ),
        Patch("mini_trainer.mlflow_wrapper:init", "evaluation adds to the same run", "54da01ec60f1"),
        Patch("mini_trainer.wandb_wrapper:init", "evaluation adds to the same run", "84ad827e5c54"),
        # The worker with adapters
        Patch(
            "mini_trainer.setup_model_for_training:setup_sft_model_distributed", "adapters", "bc422b350b33"
        ),
        Patch("mini_trainer.setup_model_for_training:wrap_fsdp2", "nothing is sharded", "62bfc9f38b20"),
        Patch(
            "mini_trainer.setup_model_for_training:finalize_model_initialization",
            "nothing is sharded",
            "a58ea0b8c041",
        ),
        Patch("mini_trainer.train:take_gradient_step", "gradients are averaged here", "d072f0ffc5e0"),
        Patch("mini_trainer.train:save_model", "the adapter alone is saved", "47bbd9c2c0d5"),
        Patch("mini_trainer.full_state_checkpoint:get_model_state_dict", "a state holds what is trained"),
        # The stage, which starts the worker
        Patch(
            "mini_trainer.api_train:StreamablePopen", "our worker, its log read and redacted", "4203af709c41"
        ),
        # The worker without CUDA
        Patch("mini_trainer.train:init_distributed_environment", "gloo, not NCCL", "6c448a500c61"),
        Patch("mini_trainer.setup_model_for_training:init_device_mesh", "a mesh of CPUs"),
        Patch("mini_trainer.setup_model_for_training:MixedPrecisionPolicy", "float32 throughout"),
        Patch("mini_trainer.setup_model_for_training:ptd_checkpoint_wrapper", "keep activations"),
        Patch("mini_trainer.setup_model_for_training:fully_shard", "frozen factors are held as one matrix"),
        Patch("mini_trainer.osft_utils:torch", "its CUDA devices are the CPU"),
        Patch(
            "mini_trainer.osft_utils:project_gradient_to_orthogonal_space",
            "products by oneDNN",
            "2bb4803c2116",
        ),
        Patch(
            "mini_trainer.osft_utils:project_parameter_to_orthogonal_space",
            "products by oneDNN",
            "b8428ac75c45",
        ),
        Patch("mini_trainer.train:os", "torchrun, which calls a function, sees the end after a full state"),
        Patch("torch.cuda:reset_peak_memory_stats", "a CPU has no GPU memory to measure"),
        Patch("safetensors.torch:save_file", "tied weights share memory on the CPU"),
    )
}


def original(target: str) -> Any:
    """Return what the table's target is now. Raises KeyError for a target that is not in the table."""
    return TABLE[target].get()


def put(target: str, replacement: Any) -> None:
    """Replace a target of the table. Raises KeyError for one that is not in it."""
    TABLE[target].put(replacement)


def check() -> None:
    """Compare the table with what is installed; call it before anything is replaced.

    Raises:
        RuntimeError: naming everything that differs.
    """
    problems = [problem for patch in TABLE.values() if (problem := patch.problem())]
    if problems:
        raise RuntimeError(
            f"the training engine is not the one that this stage adapts: {', '.join(problems)}. Found "
            f"{PACKAGE} {version(PACKAGE)}, expected {WRITTEN_FOR}. Install that version, or adapt "
            "osft_train/patches.py."
        )


if __name__ == "__main__":
    for line in TABLE.values():
        print(f"{line.target}  {line.why}{f'  ({line.source})' if line.source else ''}")
    check()
    print(f"{len(TABLE)} names are as in {PACKAGE} {WRITTEN_FOR}")
