"""Every values file of the chart gives objects that the real schemas take, under Helm 3 and 4."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import (
    BIN,
    CHART,
    CI,
    DATA,
    EXAMPLES,
    ROOT,
    Object,
    overlay,
    refusal,
    render,
    run_helm,
)

FILES = [*EXAMPLES, *CI]
OLDEST = str(ROOT / ".cache" / "schemas" / "trainer-2.1" / "{{.ResourceKind}}{{.KindSuffix}}.json")


def kubeconform(schemas: list[str], objects: list[Object], *before: str) -> None:
    """Check objects strictly; fails with kubeconform's words."""
    done = subprocess.run(
        [BIN / "kubeconform", "-strict", "-summary", *before, *schemas],
        input=yaml.safe_dump_all(objects),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Valid: {len(objects)}, Invalid: 0, Errors: 0, Skipped: 0" in done.stdout


def test_there_are_examples_and_ci_values() -> None:
    assert {path.stem for path in EXAMPLES} >= {
        "demo",
        "one-gpu",
        "many-nodes",
        "hooks",
        "s3-secrets",
        "continual-chain",
    }
    assert len(CI) >= 2
    # ct installs only files of this name; any other would be skipped silently.
    assert {path.name for path in (CHART / "ci").iterdir()} == {path.name for path in CI}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_values_file_renders_alike_under_both_helms_and_fits_the_real_schemas(
    path: Path, schemas: list[str]
) -> None:
    four = render(path)
    key = lambda thing: (thing["kind"], thing["metadata"]["name"])  # noqa: E731
    assert sorted(render(path, helm="helm3"), key=key) == sorted(four, key=key)
    kubeconform(schemas, four)


@pytest.mark.parametrize("ordering", ["cluster", "hooks"])
def test_objects_fit_the_oldest_supported_trainer(ordering: str, schemas: list[str]) -> None:
    many = yaml.safe_load((CHART / "examples" / "many-nodes.yaml").read_text())
    objects = render(overlay(many, {"ordering": ordering, "hooks": {"timeoutMinutes": 3000}}))
    trainer = [thing for thing in objects if thing["apiVersion"].startswith("trainer.kubeflow.org/")]
    assert len(trainer) == 2
    kubeconform(schemas, trainer, "-schema-location", OLDEST)


def test_the_schemas_refuse_a_field_that_does_not_exist(schemas: list[str]) -> None:
    objects = render()
    runtime = next(thing for thing in objects if thing["kind"] == "TrainingRuntime")
    job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    job["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(AssertionError, match="volumeMount"):
        kubeconform(schemas, objects)


@pytest.mark.parametrize("path", CI, ids=lambda path: path.stem)
def test_helm_lint_finds_nothing(path: Path) -> None:
    # `make lint` does the same for every file and under Helm 3.
    flags = ("lint", "--strict", str(CHART), "--values", str(path))
    assert "0 chart(s) failed" in run_helm("helm4", flags, "{}")


def test_fractions_given_on_the_command_line_are_taken(schemas: list[str]) -> None:
    objects = render(
        sets=[
            "train.learningRate=2e-5",
            "data.trainFraction=0.75",
            "train.epochs=1000000",
            "eval.gates.maxTaskDrop=1.5",
        ]
    )
    text = yaml.safe_dump(objects)
    assert "--learning-rate=2e-05" in text
    assert "--train-fraction=0.75" in text
    assert "--num-epochs=1000000" in text
    assert '{"maxTaskDrop":1.5}' in text


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_a_kubernetes_that_is_too_old_is_refused(helm: str) -> None:
    assert "kubeVersion" in refusal({}, helm=helm, flags=["--kube-version=1.30.9"])
    assert render({}, helm=helm, flags=["--kube-version=1.31.0-gke.1"])


def test_an_archive_holds_what_users_need_and_no_more(tmp_path: Path) -> None:
    subprocess.run([BIN / "helm4", "package", CHART, "-d", tmp_path], check=True, capture_output=True)
    (archive,) = tmp_path.iterdir()
    names = subprocess.run(["tar", "tf", archive], check=True, capture_output=True, text=True).stdout.split()
    assert {f"osft-pipeline/examples/{path.name}" for path in EXAMPLES} <= set(names)
    assert not [name for name in names if "/ci/" in name or name.endswith(".gotmpl")]
    assert render(DATA) and archive.stat().st_size < 200_000
