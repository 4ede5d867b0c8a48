"""Rows on volumes: claims, paths, folders, and what a run answers when they change."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.stages.download.support import CHAT, Stage, chat, lines
from tests.support.sandbox import ROOT, stage_env

MORE = lines([chat("More?")])
ALL = ("--train-fraction=1", "--no-shuffle")


def test_a_claim_is_read_where_it_is_mounted(stage: Stage) -> None:
    stage.file("mine/rows/a.jsonl", CHAT)
    end = stage.good("--uri=pvc://mine/rows/a.jsonl", *ALL, OSFT_PVC_ROOT=str(stage.data))
    assert end.lines("train.jsonl") == CHAT.splitlines()
    assert end.record["details"]["sources"][0]["uri"] == "pvc://mine/rows/a.jsonl"


def test_the_command_in_the_readme_works(stage: Stage) -> None:
    readme = (ROOT / "images/download/README.md").read_text()
    command = readme.split("```sh\n")[1].split("```")[0]
    claim = stage.base / ".cache" / "demo" / "claim"
    claim.mkdir(parents=True)
    (claim / "train.jsonl").write_bytes(CHAT)
    stage.model.rename(claim / "model")
    (stage.base / ".venvs").symlink_to(ROOT / ".venvs")
    env = stage_env(stage.base / "ws", stage.base / "scratch")
    subprocess.run(["sh", "-ec", command], cwd=stage.base, env=env, check=True)
    assert (stage.base / "ws/runs/try/download/train.jsonl").read_bytes().count(b"\n") == 18


def test_the_workspaces_own_claim_is_the_workspace(stage: Stage) -> None:
    (stage.workspace / "rows.jsonl").write_bytes(CHAT)
    assert stage.good("--uri=pvc://ws/rows.jsonl", OSFT_WORKSPACE_CLAIM="ws").code == 0


def test_several_sources_are_joined_in_their_order(stage: Stage) -> None:
    one, two = stage.file("one.jsonl", CHAT), stage.file("two.jsonl", MORE)
    end = stage.good("--uri", two, "--uri", one, *ALL)
    assert end.lines("train.jsonl") == [*MORE.splitlines(), *CHAT.splitlines()]
    assert [source["rows"] for source in end.record["details"]["sources"]] == [1, 20]


def test_a_folder_gives_its_data_files_by_name(stage: Stage) -> None:
    for name in ("b.jsonl", "a/z.jsonl", "README.md", ".hidden/x.jsonl"):
        stage.file(f"folder/{name}", MORE)
    end = stage.good("--uri", str(stage.data / "folder"), *ALL)
    (source,) = end.record["details"]["sources"]
    assert [file["name"] for file in source["files"]] == ["a/z.jsonl", "b.jsonl"]


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("ftp://host/a.jsonl", "unsupported scheme ftp:// in ftp://host/a.jsonl. Expected hf://<org>/<dataset>"),
        ("rows.jsonl", "'rows.jsonl' is not a supported address"),
        ("/data/../etc/passwd", "/data/../etc/passwd contains '..'"),
        ("pvc://ws/../../etc/passwd", "pvc://ws/../../etc/passwd contains '..'"),
        ("/no/such/rows.jsonl", "there is no file or folder /no/such/rows.jsonl. /no/such is empty, or"),
        ("pvc://other/rows.jsonl", "names the claim 'other', and nothing is mounted at /mnt/pvc/other"),
        ("s3://", "names no data after its scheme"),
        ("hf://<org>/<name>", "'hf://<org>/<name>' is not a supported address. Expected hf://<org>/<dataset>"),
        ("hf://org/rows:<config>", "'hf://org/rows:<config>' is not a supported address"),
        ("s3://<bucket>/rows", "'s3://<bucket>/rows' is not a supported address"),
        ("https://<address>", "'https://<address>' is not a supported address"),
    ],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_named(stage: Stage, uri: str, sentence: str) -> None:
    assert sentence in stage.run("--uri", uri, OSFT_WORKSPACE_CLAIM="ws").failed(2)


def test_a_missing_file_is_named_with_what_is_there(stage: Stage) -> None:
    stage.file("rows.jsonl", CHAT)
    sentence = stage.run("--uri", str(stage.data / "row.jsonl")).failed(2)
    assert sentence.endswith(f"row.jsonl. {stage.data} holds rows.jsonl.")


def test_a_file_that_may_not_be_read_is_reported_with_the_uid(stage: Stage) -> None:
    source = Path(stage.file("rows.jsonl", CHAT))
    source.chmod(0)
    # Root reads everything, unless it gives that right away.
    meek = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*meek, *stage.command("--uri", str(source))],
        env=stage_env(stage.workspace, stage.base / "scratch"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"Error: uid {os.geteuid()} may not read {source}. Make it readable" in done.stderr
    assert done.returncode == 2


def test_a_folder_inside_that_may_not_be_read_is_an_error(stage: Stage) -> None:
    stage.file("folder/a.jsonl", CHAT)
    closed = Path(stage.file("folder/closed/b.jsonl", MORE)).parent
    closed.chmod(0)
    meek = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*meek, *stage.command("--uri", str(stage.data / "folder"))],
        env=stage_env(stage.workspace, stage.base / "scratch"),
        capture_output=True,
        text=True,
        check=False,
    )
    closed.chmod(0o755)
    assert f"Error: uid {os.geteuid()} may not read {closed}." in done.stderr
    assert done.returncode == 2


def test_folders_behind_links_are_read_once(stage: Stage) -> None:
    stage.file("folder/.store/b.jsonl", MORE)
    stage.file("folder/a.jsonl", CHAT)
    for name, target in {"one": ".store", "two": ".store", "up": ".", "again.jsonl": "a.jsonl"}.items():
        (stage.data / "folder" / name).symlink_to(target)
    end = stage.good("--uri", str(stage.data / "folder"), *ALL)
    (source,) = end.record["details"]["sources"]
    assert [file["name"] for file in source["files"]] == ["a.jsonl", "one/b.jsonl"]


def test_what_is_not_a_file_is_named(stage: Stage) -> None:
    link = stage.data / "folder" / "rows.jsonl"
    link.parent.mkdir()
    link.symlink_to("gone.jsonl")
    assert "is a link to gone.jsonl, which does not exist" in stage.run("--uri", str(link)).failed(2)
    sentence = stage.run("--uri", str(link.parent), run="folder").failed(2)
    assert f"{link} is not a regular file, or a link to nothing." in sentence
    assert "/dev/null is neither a file nor a folder" in stage.run("--uri=/dev/null").failed(2)
    assert "cannot be used (File name too long)" in stage.run(f"--uri=/{'x' * 5000}").failed(2)


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        (["--config=a", "--revision=v1"], 0, 'seen="--config is for the hub, and no address is of that'),
        (["--split=test"], 0, "data.split has no effect"),
        (["--uri=org/a:small", "--config=big"], 2, "--config is 'big', and the address says 'small' itself"),
    ],
)  # fmt: skip
def test_an_option_that_would_be_ignored_is_reported(
    stage: Stage, given: list[str], code: int, sentence: str
) -> None:
    end = stage.run("--uri", stage.file("a.jsonl", CHAT), *given)
    assert (end.code, sentence in end.printed) == (code, True), end.printed


def test_a_folder_without_data_is_named(stage: Stage) -> None:
    stage.file("folder/README.md", b"# Nothing")
    assert "holds no .jsonl, " in stage.run("--uri", str(stage.data / "folder")).failed(2)


def test_no_data_at_all_is_reported_with_the_choices(stage: Stage) -> None:
    sentence = stage.run().failed(2)
    assert "data.uri is empty. Set it (--uri, OSFT_DATA_URI) to hf://<org>/<dataset>, s3://" in sentence


def test_rows_that_changed_in_place_are_staged_again(stage: Stage) -> None:
    source = stage.file("a.jsonl", CHAT)
    stage.good("--uri", source, *ALL)
    assert "already done" in stage.good("--uri", source, *ALL).printed
    stage.file("a.jsonl", CHAT + MORE)
    end = stage.good("--uri", source, *ALL)
    assert "inputs changed, running again changed=contents" in end.printed
    assert len(end.lines("train.jsonl")) == 21


def test_a_finished_run_outlives_its_source(stage: Stage) -> None:
    source = stage.file("a.jsonl", CHAT)
    stage.good("--uri", source)
    Path(source).unlink()
    assert "already done" in stage.good("--uri", source).printed
    end = stage.run("--uri", source, "--seed=7")
    assert (end.code, "there is no file or folder" in end.error) == (2, True)
    assert len((end.dir / "train.jsonl").read_bytes().splitlines()) == 18, "what was finished is still there"
