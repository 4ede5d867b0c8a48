"""What Artifact Hub shows of the chart, in the checkout and as released."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import BIN, CHART, ROOT, SOURCE, STAGES, Object, parse, pods, render, run_helm

KINDS = {"added", "changed", "deprecated", "removed", "fixed", "security"}


def described(chart: Path) -> Object:
    """Return what `helm show chart` prints of a folder or an archive."""
    shown: Object = yaml.safe_load(
        subprocess.check_output([BIN / "helm4", "show", "chart", str(chart)], text=True)
    )
    return shown


def listed(chart: Object, name: str) -> list[Object]:
    """Return an annotation of Artifact Hub that is a list."""
    found: list[Object] = yaml.safe_load(chart["annotations"][f"artifacthub.io/{name}"])
    return found


def images(objects: list[Object]) -> set[str]:
    """Return the images of all pods."""
    return {pod.container["image"] for pod in pods(objects)}


def test_the_chart_shows_license_changes_and_that_it_is_a_prerelease() -> None:
    chart = described(CHART)
    assert chart["annotations"]["artifacthub.io/license"] == "Apache-2.0"
    assert chart["annotations"]["artifacthub.io/prerelease"] == str(chart["version"].startswith("0.")).lower()
    assert chart["kubeVersion"] == ">=1.31.0-0"
    changes = listed(chart, "changes")
    assert changes and all(set(change) == {"kind", "description"} for change in changes)
    assert {change["kind"] for change in changes} <= KINDS


def test_the_listed_images_are_those_that_are_rendered(released: Path) -> None:
    flags = ("template", "run1", str(released), "--set", "data.uri=hf://org/dataset")
    for chart, objects in ((CHART, render()), (released, parse(run_helm("helm4", flags, "{}")))):
        shown = listed(described(chart), "images")
        assert [image["name"] for image in shown] == list(STAGES)
        assert {image["image"] for image in shown} == images(objects)


def test_the_listed_platforms_are_those_that_the_release_builds() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "images.yaml").read_text())
    machines = workflow["jobs"]["build"]["strategy"]["matrix"]["include"]
    for image in listed(described(CHART), "images"):
        built = [m["architecture"] for m in machines if image["name"] in m["stages"].split()]
        assert image["platforms"] == [f"linux/{architecture}" for architecture in built]


def test_every_address_of_a_released_chart_is_below_its_repository(released: Path) -> None:
    chart = described(released)
    assert chart["home"] == SOURCE and chart["sources"] == [SOURCE]
    links = [link["url"] for link in listed(chart, "links")]
    addresses = [chart["icon"], *(one["url"] for one in chart["maintainers"]), *links]
    assert [address for address in addresses if not address.startswith(SOURCE)] == [
        "https://arxiv.org/abs/2504.07097"
    ]


@pytest.mark.parametrize("key", ["icon", "links"])
def test_addresses_in_the_repository_name_files_that_exist(key: str) -> None:
    chart = described(CHART)
    found = [chart["icon"]] if key == "icon" else [link["url"] for link in listed(chart, "links")]
    inside = [address.split("/main/")[1] for address in found if address.startswith(chart["home"])]
    assert inside and all((ROOT / path).exists() for path in inside)
