"""The chart's presets: values files for one model and one kind of GPU."""

import subprocess
from pathlib import Path

import pytest
import yaml

from osft_pipeline.presets import table
from tests.chart.rendering import BIN, CHART, HOOKS, ROOT, overlay, render, stage_pods
from tests.chart.test_rendering import kubeconform

PRESETS = sorted((CHART / "presets").glob("*.yaml"))
each_preset = pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)


@each_preset
@pytest.mark.parametrize("ordering", [{}, HOOKS], ids=["cluster", "hooks"])
def test_a_preset_renders_with_rows_alone_and_fits_the_schemas(
    path: Path, ordering: dict[str, object], schemas: list[str]
) -> None:
    values = overlay(yaml.safe_load(path.read_text()), ordering)
    objects = render(values)
    kubeconform(schemas, objects)
    assert objects == render(values, helm="helm3") or ordering
    asked = values["train"].get("gpus", 1)
    limits = stage_pods(objects)["train"].container["resources"]["limits"]
    assert limits.get("nvidia.com/gpu", 0) == asked


@each_preset
def test_a_preset_is_short_and_says_what_it_is_for_and_where_its_figures_come_from(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 40
    assert "$schema=../values.schema.json" in lines[0]
    assert path.stem.split("-")[0].lower() in lines[1].lower()
    assert lines[2].startswith("# Figures: ") and not lines[3].startswith("#")


def test_the_table_of_presets_is_what_the_files_say() -> None:
    assert table(PRESETS) in (ROOT / "docs" / "presets.md").read_text()


def test_an_archive_has_the_presets(tmp_path: Path) -> None:
    subprocess.run([BIN / "helm4", "package", CHART, "-d", tmp_path], check=True, capture_output=True)
    (archive,) = tmp_path.iterdir()
    names = subprocess.run(["tar", "tf", archive], check=True, capture_output=True, text=True).stdout.split()
    assert {f"osft-pipeline/presets/{path.name}" for path in PRESETS} <= set(names)
