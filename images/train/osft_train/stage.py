"""The train stage: choose the method, keep the contract."""

from pathlib import Path

from osft_train import boards, devices, methods, nodes, preparation, tune
from osft_train.arguments import check_options, checked_arguments
from osft_train.options import Options
from osft_workspace import Outcome, Run, UserError, run_stage
from osft_workspace.options import inputs_of, say_checked
from osft_workspace.training_config import note


def settled(workspace: Path, run_id: str, options: Options) -> Options:
    """Check what the options alone can tell, in no time; return them with the method's defaults.

    Raises:
        UserError: an unknown method, or options that would be misread.
    """
    options = methods.settled(options)
    boards.place(workspace.resolve(), options.tensorboard_log_dir, run_id)
    check_options(options)
    return options


def check(workspace: Path, run_id: str, options: Options) -> None:
    """Check the options against what is installed, without a run, a model or a GPU.

    Raises:
        UserError: with every problem found.
    """
    options = settled(workspace, run_id, options)
    devices.prepare_process(options)
    _, problems = checked_arguments(preparation.backend_function(), options, {})
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
    options = settled(workspace, run_id, options)
    if options.node_rank:
        tune.help_train(nodes.helper_run(workspace, run_id, options.node_rank), options)
        return

    def body(run: Run) -> Outcome:
        note(run)
        return tune.train(run, options)

    run_stage(
        "train",
        workspace,
        run_id,
        inputs=inputs_of(options),
        needs=("download",),
        body=body,
        keep=("checkpoints",),
        overwrite=overwrite,
    )
