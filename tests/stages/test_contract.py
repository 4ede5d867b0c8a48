"""All four stages are held to `images/README.md` by the same tests.

Each stage lives through one story: its first start is killed, then two starts run at once, then it is started
again. The starts run as a restricted pod would (arbitrary uid, group 0, read-only root) wherever this machine
can make mount namespaces.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.support import stages
from tests.support.sandbox import (
    SECRETS,
    UID,
    can_sandbox,
    executable,
    open_to_group,
    stage_env,
    start,
)

ROOT = Path(__file__).parents[2]
RUN = "story-0a1b2c3d"
SANDBOX = can_sandbox()
HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "lm_eval",
    "training_hub",
    "boto3",
    "pyarrow",
    "httpx",
    "huggingface_hub",
}
StageArgs = Callable[[Path, str, Path], list[str]]
ARGS: dict[str, StageArgs] = {
    "download": stages.download_args,
    "train": stages.train_args,
    "eval": stages.eval_args,
    "register": stages.register_args,
}
PREDECESSOR = {"train": "download", "eval": "train", "register": "train"}


@dataclass
class Story:
    """One stage, its command line, and what its starts printed."""

    stage: str
    args: list[str]
    workspace: Path
    scratch: Path
    killed_left: list[str] = field(default_factory=list)
    ends: list[tuple[int, str]] = field(default_factory=list)
    again: tuple[int, str] = (-1, "")
    record_bytes: bytes = b""
    termination: str = ""

    @property
    def dir(self) -> Path:
        return self.workspace / "runs" / RUN / self.stage

    @property
    def record(self) -> dict[str, object]:
        return dict(json.loads(self.record_bytes))

    def env(self, **extra: str) -> dict[str, str]:
        return stage_env(self.workspace, self.scratch, {**SECRETS, **extra})

    def run(self, *more: str, run_id: str = RUN, workspace: Path | None = None) -> tuple[int, str]:
        """One start as the test's own user: exit code and everything printed."""
        args = [str(workspace or self.workspace) if a == str(self.workspace) else a for a in self.args]
        args = [run_id if a == RUN else a for a in args]
        process = start([*args, *more], self.env(), restricted=False)
        return wait(process)


def wait(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=400)
    return process.returncode, output


def kill_after_start(process: subprocess.Popen[str], stage: str) -> None:
    """SIGKILL the whole group as soon as the stage says that it works."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if f" {stage} start " in line:
            os.killpg(process.pid, signal.SIGKILL)
            process.stdout.close()
            process.wait()
            return
    raise AssertionError(f"{stage} ended before it said that it started:\n{printed}")


@pytest.fixture(scope="module", params=list(ARGS))
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    stage = request.param
    base = tmp_path_factory.mktemp(f"contract-{stage}")
    workspace, scratch = base / "workspace", base / "scratch"
    workspace.mkdir()
    scratch.mkdir()
    told = Story(stage, ARGS[stage](workspace, RUN, base), workspace, scratch)
    open_to_group(workspace, scratch)

    first = start(told.args, told.env(), restricted=SANDBOX)
    kill_after_start(first, stage)
    told.killed_left = sorted(path.name for path in told.dir.iterdir())

    termination = scratch / "termination-log"
    both = [
        start(told.args, told.env(OSFT_TERMINATION_LOG=str(termination)), restricted=SANDBOX)
        for _ in range(2)
    ]
    told.ends = [wait(process) for process in both]
    told.record_bytes = (told.dir / "record.json").read_bytes()
    told.termination = termination.read_text()
    told.again = wait(start(told.args, told.env(), restricted=SANDBOX))
    yield told
    shutil.rmtree(base, ignore_errors=True)


def test_a_killed_start_leaves_no_record(story: Story) -> None:
    assert "record.json" not in story.killed_left


def test_two_starts_at_once_do_the_work_once(story: Story) -> None:
    assert [code for code, _ in story.ends] == [0, 0], "\n".join(text for _, text in story.ends)
    assert sorted("already done" in text for _, text in story.ends) == [False, True]


def test_the_record_fits_the_published_schema_and_holds_no_detail_that_it_does_not_name(story: Story) -> None:
    schema = json.loads((ROOT / "images" / "record.schema.json").read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(story.record)] == []
    named = set(schema["$defs"][story.stage]["properties"])
    assert set(json.loads(story.record_bytes)["details"]) - named == set()


def test_the_schema_of_records_refuses_a_detail_of_another_type(story: Story) -> None:
    schema = json.loads((ROOT / "images" / "record.schema.json").read_text())
    record = json.loads(story.record_bytes)
    for name in record["details"]:
        if schema["$defs"][story.stage]["properties"][name]:
            wrong = {**record, "details": {**record["details"], name: [["wrong"]]}}
            assert not Draft202012Validator(schema).is_valid(wrong), name


def test_the_record_names_every_output_with_size_and_sha256(story: Story) -> None:
    record = json.loads(story.record_bytes)
    assert record["schema"] == "osft-pipeline/record/v1"
    assert (record["stage"], record["status"], record["run_id"]) == (story.stage, "done", RUN)
    assert record["timings"]["peak_memory_bytes"] > 0
    assert record["outputs"]
    for output in record["outputs"]:
        content = (story.dir / output["path"]).read_bytes()
        assert output["size"] == len(content)
        assert output["sha256"] == "sha256:" + hashlib.sha256(content).hexdigest()


def test_the_tuned_model_renders_stops_and_loads_by_its_bases_own_files(story: Story) -> None:
    """Template, special tokens, ends of generation: what tuning does not change is the base's own bytes."""
    if story.stage != "train":
        pytest.skip("only train publishes a model")
    base = story.workspace / json.loads(story.record_bytes)["details"]["base"]["path"]
    tuned = story.dir / "model"
    assert {path.name for path in tuned.iterdir()} == {path.name for path in base.iterdir()}
    kept = [path.name for path in base.iterdir() if path.suffix != ".safetensors"]
    assert {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"} <= set(kept)
    for name in kept:
        one, other = (tuned / name).read_bytes(), (base / name).read_bytes()
        # The configuration is written again: the same values, whatever their order and layout.
        assert one == other or json.loads(one) == json.loads(other), name


def test_a_finished_stage_answers_already_done_and_changes_nothing(story: Story) -> None:
    code, printed = story.again
    assert code == 0, printed
    assert f"{story.stage} already done" in printed
    assert (story.dir / "record.json").read_bytes() == story.record_bytes


def test_the_end_is_one_message_in_the_termination_message(story: Story) -> None:
    assert story.termination == story.record["message"]


def test_no_secret_is_printed_or_kept(story: Story) -> None:
    printed = "".join(text for _, text in [*story.ends, story.again])
    for secret in SECRETS.values():
        assert secret not in printed
        for path in story.dir.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_log_lines_carry_time_stage_and_event(story: Story) -> None:
    lines = [line for _, text in story.ends for line in text.splitlines() if f" {story.stage} " in line]
    assert any(
        re.match(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ {story.stage} start run=", line) for line in lines
    )
    assert not any("\r" in text for _, text in story.ends)


@pytest.mark.skipif(not SANDBOX, reason="needs root to take another uid and a read-only root")
def test_another_uid_of_group_0_can_continue_with_what_was_left(story: Story) -> None:
    for output in json.loads(story.record_bytes)["outputs"]:
        status = (story.dir / output["path"]).stat()
        assert (status.st_uid, status.st_gid) == (UID, 0), output["path"]
        assert status.st_mode & 0o060 == 0o060, output["path"]


def test_a_changed_output_is_noticed(story: Story) -> None:
    damaged = story.dir / json.loads(story.record_bytes)["outputs"][0]["path"]
    before = damaged.read_bytes()
    process = None
    try:
        damaged.write_bytes(before + b" ")
        process = start(story.args, story.env(), restricted=SANDBOX)
        assert process.stdout is not None
        assert any("result damaged, running again" in line for line in process.stdout)
    finally:
        if process is not None:
            process.wait(timeout=400)
        if not (story.dir / "record.json").exists():
            raise AssertionError("the stage did not do its work again")


def test_a_missing_predecessor_is_named(story: Story) -> None:
    if story.stage not in PREDECESSOR:
        pytest.skip("download comes first")
    code, printed = story.run(run_id="never-ran")
    assert code == 2, printed
    assert "of run never-ran is not finished" in printed


def test_a_copied_predecessor_is_rejected(story: Story) -> None:
    if story.stage not in PREDECESSOR:
        pytest.skip("download comes first")
    source = story.workspace / "runs" / RUN / PREDECESSOR[story.stage]
    target = story.workspace / "runs" / "copied" / PREDECESSOR[story.stage]
    shutil.copytree(source, target, copy_function=os.link)
    code, printed = story.run(run_id="copied")
    assert code == 2, printed
    assert f"is the record of {PREDECESSOR[story.stage]} of run {RUN}, expected" in printed


def test_a_damaged_predecessor_is_rejected(story: Story) -> None:
    if story.stage not in PREDECESSOR:
        pytest.skip("download comes first")
    folder = story.workspace / "runs" / RUN / PREDECESSOR[story.stage]
    output = next(o for o in json.loads((folder / "record.json").read_bytes())["outputs"] if o["size"])
    before = (folder / output["path"]).read_bytes()
    try:
        (folder / output["path"]).write_bytes(bytes([before[0] ^ 1]) + before[1:])
        code, printed = story.run()
    finally:
        (folder / output["path"]).write_bytes(before)
    assert code == 2, printed
    assert f"is damaged: {output['path']} has a different sha256" in printed


def test_a_workspace_that_is_not_mounted_is_named(story: Story, tmp_path: Path) -> None:
    code, printed = story.run(workspace=tmp_path / "nowhere")
    assert code == 2, printed
    assert f"there is no workspace at {tmp_path / 'nowhere'}" in printed


def test_an_unknown_flag_is_a_usage_error(story: Story) -> None:
    code, printed = story.run("--no-such-flag")
    assert code == 2
    assert re.search(r"No such option:? .?--no-such-flag", printed)


@pytest.mark.skipif(not SANDBOX, reason="needs root to mount a small volume")
def test_a_full_disk_is_reported_and_nothing_half_done(story: Story, tmp_path: Path) -> None:
    volume = tmp_path / "small"
    volume.mkdir()
    wanted = (
        []
        if story.stage == "download"
        else ["cache", *(f"runs/{RUN}/{s}" for s in ("download", "train", "eval"))]
    )
    own = f"runs/{RUN}/{story.stage}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m,mode=2775", "tmpfs", str(volume)], check=True)
    try:
        for name in wanted:
            if name != own and (story.workspace / name).is_dir():
                shutil.copytree(story.workspace / name, volume / name)
        free = shutil.disk_usage(volume).free
        with (volume / "filler").open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, free - 16 * 1024)
        code, printed = story.run(workspace=volume)
        assert code == 2, printed
        assert "the disk is full" in printed
        assert not (volume / own / "record.json").exists()
    finally:
        subprocess.run(["umount", "--lazy", str(volume)], check=True)


@pytest.mark.parametrize("stage", list(ARGS))
def test_help_loads_no_heavy_library(stage: str) -> None:
    code = f"import sys, osft_{stage}.cli; print(sorted({HEAVY!r} & set(sys.modules)))"
    python = str(Path(executable(stage)).with_name("python"))
    assert subprocess.check_output([python, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("stage", list(ARGS))
def test_help_names_each_flag_with_its_variable(stage: str) -> None:
    text = subprocess.check_output([executable(stage), "--help"], text=True)
    flags = re.split(r"^  (?=-)", text, flags=re.MULTILINE)[1:]
    assert len(flags) > 8
    without = [flag for flag in flags if not flag.startswith("--help") and "OSFT_" not in flag]
    assert not without
