"""What `osft run --local` reads from the rendered chart. Nothing is started here."""

import re
from pathlib import Path

import pytest

from tests.client.local.support import OSFT, ROOT, call

EXAMPLES = ROOT / "charts" / "osft-pipeline" / "examples"
FIVE = ["preflight", "download", "train", "eval", "register"]
CPU = ["--set", "train.gpus=0,eval.gpus=0"]


def dry_run(*words: str | Path, **env: str) -> str:
    done = call(OSFT, "run", "one", "--local", "--dry-run", *words, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def headings(output: str) -> list[str]:
    return re.findall(r"^(\w+)$", output, re.MULTILINE)


HOOKS = "ordering=hooks,hooks.timeoutMinutes=60"
OWN = {
    "cluster": [],
    "hooks": ["--set", HOOKS],
    "plain jobs": ["--set", f"{HOOKS},train.runAs=job"],
}
OLD = "train.runtimeRef.name=training-hub,train.runtimeRef.patches=podTemplateOverrides"
ORDERINGS = {
    **OWN,
    "an installed runtime": ["--set", f"{HOOKS},train.runtimeRef.name=torch-distributed"],
    "an installed runtime of Kubeflow Trainer 2.1": ["--set", f"{HOOKS},{OLD}"],
}


@pytest.mark.parametrize("ordering", ORDERINGS.values(), ids=ORDERINGS)
def test_the_order_is_the_same_in_every_ordering(ordering: list[str], tmp_path: Path) -> None:
    output = dry_run("--set", "data.uri=hf://a/b", *CPU, *ordering, "--workspace", tmp_path)
    assert headings(output) == FIVE


@pytest.mark.parametrize("ordering", OWN.values(), ids=OWN)
def test_a_download_inside_the_training_pod_is_a_step_of_its_own(ordering: list[str], tmp_path: Path) -> None:
    values = [*CPU, "--set", "data.uri=hf://a/b,data.runAs=initContainer", *ordering]
    output = dry_run(*values, "--workspace", tmp_path)
    assert headings(output) == FIVE
    assert output.count("osft-download") == 1


def test_a_stage_that_is_switched_off_is_not_started(tmp_path: Path) -> None:
    output = dry_run(
        *CPU, "--set", "data.uri=hf://a/b,register.enabled=false,eval.enabled=false", "--workspace", tmp_path
    )
    assert headings(output) == FIVE[:3]


def test_helms_own_flags_pass_through(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("data: {uri: 'hf://a/b', seed: 7}\nmodel: {uri: 'hf://c/d'}\n")
    output = dry_run(
        *("-f", values, *CPU, "--set", "train.learningRate=0.001", "--set-string", "register.version=1"),
        *("--set-json", 'data.columns={"prompt":"q"}', "--workspace", tmp_path),
    )
    for word in ("--seed=7", "--learning-rate=0.001", "--version=1", '{"prompt":"q"}', "hf://c/d"):
        assert word in output


def test_folders_here_stand_for_the_mounts_there(tmp_path: Path) -> None:
    claim = tmp_path / "rows"
    claim.mkdir()
    words = ["--set", "data.uri=pvc://rows/x.jsonl", *CPU, "--claim", f"rows={claim}"]
    output = dry_run(*words, "--workspace", tmp_path / "ws")
    assert f"OSFT_WORKSPACE={tmp_path}/ws" in output
    assert "pvc://rows/x.jsonl" in output  # an address, not a path
    assert "/workspace" not in output.replace(".cache/local/workspace", "")


def test_a_claim_without_a_folder_is_named_with_the_flag_to_add(tmp_path: Path) -> None:
    done = call(
        OSFT,
        "run",
        "one",
        "--local",
        "--dry-run",
        *CPU,
        "--set",
        "data.uri=pvc://rows/x",
        "--workspace",
        tmp_path,
    )
    assert done.returncode == 2
    assert "--claim rows=DIR" in done.stderr


def test_every_claim_without_a_folder_is_named_before_anything_starts(tmp_path: Path) -> None:
    values = ["--set", "data.uri=pvc://rows/x", "--set", "model.uri=pvc://models/base"]
    done = call(OSFT, "run", "one", "--local", *CPU, *values, "--workspace", tmp_path / "ws")
    assert done.returncode == 2
    assert "--claim rows=DIR" in done.stderr
    assert "preflight" not in done.stdout and not (tmp_path / "ws").exists()


def test_a_folder_that_no_stage_mounts_is_refused_with_a_similar_name(tmp_path: Path) -> None:
    rows = ["--set", "data.uri=pvc://rows/x", "--claim", f"rows={tmp_path}", "--claim", f"row={tmp_path}"]
    done = call(OSFT, "run", "one", "--local", *CPU, *rows, "--workspace", tmp_path / "ws")
    assert done.returncode == 2
    assert f"--claim row={tmp_path}: no stage mounts a claim, Secret or ConfigMap of that name" in done.stderr
    assert "Did you mean rows?" in done.stderr and not (tmp_path / "ws").exists()


def test_a_folder_without_the_file_of_a_secret_is_refused_once(tmp_path: Path) -> None:
    given = [
        "--set",
        "register.tls.caSecret=ca,register.address=https://127.0.0.1:9",
        "--claim",
        f"ca={tmp_path}",
    ]
    done = call(
        OSFT, "run", "one", "--local", *CPU, *given, "--data", "hf://a/b", "--workspace", tmp_path / "ws"
    )
    assert done.returncode == 2
    assert done.stderr.count(f"--claim ca={tmp_path}: the folder has no file 'ca.crt'") == 1


def test_values_that_contradict_each_other_fail_in_helms_own_words(tmp_path: Path) -> None:
    done = call(OSFT, "run", "one", "--local", "--workspace", tmp_path)
    assert done.returncode == 2
    assert "data.uri" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_value_fails_with_a_similar_name(tmp_path: Path) -> None:
    done = call(
        OSFT, "run", "one", "--local", "--set", "data.uri=hf://a/b,train.lr=1", "--workspace", tmp_path
    )
    assert done.returncode == 2
    assert "train.lr is not a value of the chart. Did you mean train.learningRate?" in done.stderr


def test_a_name_that_no_release_may_have_is_said_once(tmp_path: Path) -> None:
    done = call(OSFT, "run", "My_run", "--local", "--set", "data.uri=hf://a/b", "--workspace", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith('Error: release name check failed: release name "My_run": invalid')
    assert done.stderr.count("My_run") == 1


def test_gpus_that_are_not_here_are_a_sentence(tmp_path: Path) -> None:
    done = call(
        OSFT,
        "run",
        "one",
        "--local",
        "--set",
        "data.uri=hf://a/b,train.gpus=64,eval.gpus=0",
        "--workspace",
        tmp_path,
    )
    assert done.returncode == 2
    assert re.search(r"stage train asks for 64 nvidia.com/gpu; this machine has \d+", done.stderr)
    assert "--set train.gpus=" in done.stderr


def test_several_nodes_are_rejected_with_how_to_fix_it(tmp_path: Path) -> None:
    two = "data.uri=hf://a/b,train.nodes=2,workspace.accessModes={ReadWriteMany}"
    done = call(OSFT, "run", "one", "--local", *CPU, "--set", two, "--workspace", tmp_path)
    assert done.returncode == 2
    assert "--set train.nodes=1" in done.stderr


SECRET = ["--set", "data.uri=hf://a/b,secrets.hf.existing=hub", *CPU]


def test_a_secret_comes_from_the_variable_of_its_name_and_is_never_shown(tmp_path: Path) -> None:
    output = dry_run(*SECRET, "--workspace", tmp_path, HF_TOKEN="hf_canary_71c3")
    assert "HF_TOKEN=(secret)" in output
    assert "hf_canary_71c3" not in output


def test_a_missing_secret_is_named_before_anything_starts(tmp_path: Path) -> None:
    done = call(OSFT, "run", "one", "--local", *SECRET, "--workspace", tmp_path / "ws", HF_TOKEN="")
    assert done.returncode == 2
    assert "set the variable HF_TOKEN" in done.stderr
    assert not (tmp_path / "ws").exists()


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_every_example_can_be_read(example: str, tmp_path: Path) -> None:
    done = call(OSFT, "run", "one", "--local", "--dry-run", "-f", EXAMPLES / example, "--workspace", tmp_path)
    assert done.returncode == 0 or "--set train.nodes=1" in done.stderr or "--claim" in done.stderr, (
        done.stderr
    )


def test_a_file_and_a_folder_of_this_machine_are_mounted_as_claims(tmp_path: Path) -> None:
    rows = tmp_path / "rows,of={today}.jsonl"
    rows.touch()
    (tmp_path / "base").mkdir()
    output = dry_run("--data", rows, "--model", tmp_path / "base", *CPU, "--workspace", tmp_path / "ws")
    assert "pvc://osft-local-data/rows,of={today}.jsonl" in output
    assert "pvc://osft-local-model/base" in output


def test_data_and_model_may_be_addresses(tmp_path: Path) -> None:
    output = dry_run("--data", "s3://a/b,c", "--model", "hf://d/e", *CPU, "--workspace", tmp_path)
    assert "s3://a/b,c" in output and "hf://d/e" in output


@pytest.mark.parametrize("option", ["--data", "--model"])
def test_a_path_that_does_not_exist_is_named(option: str, tmp_path: Path) -> None:
    done = call(OSFT, "run", "one", "--local", option, tmp_path / "nowhere")
    assert done.returncode == 2
    assert f"{option} '{tmp_path}/nowhere': expected an existing path, or an address" in done.stderr


def test_a_file_of_this_machine_is_not_given_to_a_cluster(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.touch()
    done = call(OSFT, "run", "one", "--data", rows, "--dry-run")
    assert done.returncode == 2
    assert "the cluster's pods cannot read it" in done.stderr and "--local" in done.stderr


def test_an_unknown_option_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = call(OSFT, "run", "one", "--local", "--data", "hf://a/b", "--wiat", "--workspace", tmp_path / "ws")
    assert done.returncode == 2
    assert "'--wiat' is not an option of osft run --local" in done.stderr
