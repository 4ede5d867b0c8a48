"""The train stage: choose the method, keep the contract."""

from collections.abc import Callable
from pathlib import Path

from osft_train import boards, devices, nodes, osft
from osft_train.arguments import OSFT, SFT, check_options, checked_arguments
from osft_train.options import Options
from osft_workspace import Outcome, Run, UserError, run_stage
from osft_workspace.options import inputs_of, say_checked

METHODS: dict[str, Callable[[Run, Options], Outcome]] = {OSFT: osft.train, SFT: osft.train}
"""How to tune, one module for each way."""

HELPERS: dict[str, Callable[[Run, Options], None]] = {OSFT: osft.help_train, SFT: osft.help_train}
"""What nodes other than the first do."""


def settled(workspace: Path, run_id: str, options: Options) -> None:
    """Check what the options alone can tell, in no time. Raises UserError."""
    method = options.method
    if method not in METHODS:
        raise UserError(f"--method (train.method) is {method!r}, expected {', '.join(METHODS)}.")
    boards.place(workspace.resolve(), options.tensorboard_log_dir, run_id)
    check_options(options)


def check(workspace: Path, run_id: str, options: Options) -> None:
    """Check the options against what is installed, without a run, a model or a GPU.

    Raises:
        UserError: with every problem found.
    """
    settled(workspace, run_id, options)
    devices.prepare_process(options)
    _, problems = checked_arguments(osft.backend_function(), options, {})
    if problems:
        raise UserError(" ".join(problems))
    say_checked("train")


def start(workspace: Path, run_id: str, options: Options, *, overwrite: bool) -> None:
    """Run the stage on this node.

    Args:
        overwrite: see `run_stage`.

    Raises:
        UserError: an unknown method, or options that would be misread.
    """
    method = options.method
    settled(workspace, run_id, options)
    if options.node_rank:
        HELPERS[method](nodes.helper_run(workspace, run_id, options.node_rank), options)
        return
    run_stage(
        "train",
        workspace,
        run_id,
        inputs=inputs_of(options),
        needs=("download",),
        body=lambda run: METHODS[method](run, options),
        keep=("checkpoints",),
        overwrite=overwrite,
    )
