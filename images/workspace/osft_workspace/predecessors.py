"""Records of other stages and runs, checked against the files beside them before anything is read."""

from pathlib import Path

from osft_workspace.exits import Refused, UserError
from osft_workspace.paths import STAGES, Workspace
from osft_workspace.record import FILE, Record
from osft_workspace.text import excerpt, printable


def open_record(workspace: Workspace, run_id: str, stage: str) -> Record | None:
    """Return the record of a stage of a run, or None where it is missing.

    Raises:
        UserError: a link leads to its folder, the file is not a record, or it is of another run or stage.
    """
    folder = workspace.own_stage_dir(run_id, stage)
    record = Record.load(folder)
    if record is not None and (record.stage, record.run_id) != (stage, run_id):
        raise UserError(
            f"{folder / FILE} is the record of {printable(record.stage, 80)} of run "
            f"{printable(record.run_id, 80)}, expected {stage} of run {run_id}. It was copied: remove "
            f"{folder} and run {stage} again."
        )
    return record


def load_predecessor(workspace: Workspace, run_id: str, stage: str) -> Record:
    """Return the verified record of an earlier stage.

    Raises:
        UserError: it is missing, it belongs to another run, its files have changed, or there are more files.
        Refused: that stage's gate said no, so nothing may follow.
    """
    folder = workspace.stage_dir(run_id, stage)
    record = open_record(workspace, run_id, stage)
    if record is None:
        raise UserError(
            f"{stage} of run {run_id} is not finished: there is no {folder / FILE}. Run {stage} first, "
            "or name a run where it is finished (runId)."
        )
    if record.status == "refused":
        raise Refused(f"the gate of {stage} failed in run {run_id}: {record.message}")
    if record.status == "skipped":
        raise UserError(
            f"{stage} of run {run_id} was skipped ({record.message}), and this stage needs its result."
        )
    damage = record.damage(workspace.root)
    if damage:
        raise UserError(
            f"{stage} of run {run_id} is damaged: {damage}. Remove {folder} and run {stage} again."
        )
    record.check_closed()
    return record


def check_replaceable(workspace: Workspace, run_id: str, stage: str) -> None:
    """Refuse to replace a stage's result whose model a registered version points to.

    Raises:
        UserError: naming that version.
    """
    register = open_record(workspace, run_id, "register")
    if register is None or open_record(workspace, run_id, stage) is None:
        return
    uri = register.details.get("uri", "")
    here = f"/runs/{run_id}/"
    # Evaluation leaves a model only where a mix goes on.
    if stage == "eval":
        here += "eval/"
    if register.status == "done" and here in uri:
        raise UserError(
            f"the inputs of {stage} changed, and version {excerpt(register.details.get('version'))} in the "
            f"Model Registry points to the model of run {run_id} ({excerpt(uri)}), which would be replaced. "
            "Use another run id (leave runId empty), or set runOverwrite to true (--run-overwrite)."
        )


def check_published(folder: Path) -> None:
    """Refuse a folder of a run, such as its model, that holds files that its stage's record does not name.

    Raises:
        UserError: naming them, or the record cannot be read. Folders that no stage published are let pass.
    """
    home = folder.resolve().parent
    if home.name in STAGES and home.parent.parent.name == "runs":
        record = Record.load(home)
        if record is not None:
            record.check_closed()
