"""The train stage: choose the method, keep the contract."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from osft_train import nodes, osft
from osft_train.arguments import NOT_DECIDING, check_options
from osft_workspace import Outcome, Run, UserError, run_stage

METHODS: dict[str, Callable[[Run, Mapping[str, Any]], Outcome]] = {"osft": osft.train}
"""How to tune, one module for each way."""

HELPERS: dict[str, Callable[[Run, Mapping[str, Any]], None]] = {"osft": osft.help_train}
"""What nodes other than the first do."""


def start(workspace: Path, run_id: str, options: dict[str, Any]) -> None:
    """Run the stage on this node.

    Raises:
        UserError: an unknown method, or options that would be misread.
    """
    method = options["method"]
    if method not in METHODS:
        raise UserError(f"--method (train.method) is {method!r}, expected {', '.join(METHODS)}.")
    check_options(options)
    if options["node_rank"]:
        HELPERS[method](nodes.helper_run(workspace, run_id, options["node_rank"]), options)
        return
    inputs = {name: value for name, value in options.items() if name not in NOT_DECIDING}
    run_stage(
        "train",
        workspace,
        run_id,
        inputs=inputs,
        needs=("download",),
        body=lambda run: METHODS[method](run, options),
        keep=("checkpoints",),
    )
