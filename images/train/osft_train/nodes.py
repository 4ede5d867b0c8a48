"""Several nodes: the first prepares and publishes, the others wait for its rows and only train."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from osft_train.work import Work
from osft_workspace import Run, Transient, Workspace
from osft_workspace.predecessors import load_predecessor, open_record

WAIT_SECONDS = 2 * 3600.0
FINISH_SECONDS = 1800.0  # node 0 may still be writing a large model
NAME_SECONDS = 600.0
POLL_SECONDS = 2.0
SAY_SECONDS = 60.0


def wait_until(run: Run, ready: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for another node.

    Raises:
        Transient: it took too long.
    """
    started = said = time.monotonic()
    while not ready():
        now = time.monotonic()
        if now - started > seconds:
            raise Transient(
                f"waited {seconds / 60:.0f} minutes for {what}. Look at node 0; this node is started again."
            )
        if now - said > SAY_SECONDS:
            said = now
            run.event(f"waiting for {what}", minutes=round((now - started) / 60))
        time.sleep(POLL_SECONDS)


def resolves(name: str) -> bool:
    """Return whether the name of node 0 is known; it appears a moment after the pods."""
    with suppress(socket.gaierror):
        return bool(socket.getaddrinfo(name, None))
    return False


def wait_for_master(run: Run, address: str) -> None:
    """Wait for the name of node 0; torchrun would give up at once."""
    if address:
        wait_until(run, lambda: resolves(address), f"the name {address}", NAME_SECONDS)


def wait_for_rows(run: Run, work: Work) -> None:
    """Wait for what node 0 prepares for these inputs."""
    wait_until(run, work.is_ours, "the rows that node 0 prepares", WAIT_SECONDS)


def wait_for_finish(run: Run, work: Work) -> None:
    """Stay until node 0 has written down that training is over: until then it may need everybody again."""
    what = "node 0 to write down that training is over"
    wait_until(run, lambda: is_over(run, work), what, FINISH_SECONDS)


def helper_run(workspace_root: Path, run_id: str, node_rank: int) -> Run:
    """Return the stage as another node than the first sees it: no lock, no record, the same predecessor."""
    workspace = Workspace(workspace_root.resolve())
    record = load_predecessor(workspace, run_id, "download")
    folder = workspace.own_stage_dir(run_id, "train")
    folder.mkdir(parents=True, exist_ok=True)
    run = Run("train", run_id, workspace, folder, {"download": record})
    run.event("start", run=run_id, node=node_rank)
    return run


def is_over(run: Run, work: Work) -> bool:
    """Return whether node 0 has written down that these very inputs are trained."""
    record = open_record(run.workspace, run.run_id, run.stage)
    published = record is not None and record.details.get("work_digest") == work.digest
    return published or (work.is_ours() and work.finished.exists())
