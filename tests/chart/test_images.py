"""Where images come from: a published chart names them, the chart of a checkout asks for a registry."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from osft_eval import backends
from osft_workspace import UserError
from tests.chart.rendering import (
    STAGES,
    Object,
    overlay,
    parse,
    pods,
    refusal,
    render,
    run_helm,
    stage_pods,
)

HELMS = ("helm3", "helm4")
ROWS = ("--set", "data.uri=hf://org/dataset")


def no_registry(**images: Object) -> Object:
    """Return values without a registry."""
    return {"images": {"registry": "", **images}}


@pytest.mark.parametrize("helm", HELMS)
def test_installing_a_published_chart_needs_only_the_address_of_the_rows(helm: str, released: Path) -> None:
    objects = parse(run_helm(helm, ("template", "run1", str(released), *ROWS), "{}"))
    for pod in pods(objects):
        stage = pod.stage if pod.stage in STAGES else "download"
        digest = f"sha256:{STAGES.index(stage) + 1:064x}"
        assert pod.container["image"] == f"registry.example.com/team/osft/{stage}:0.1.0@{digest}"


@pytest.mark.parametrize("helm", HELMS)
def test_installing_the_chart_of_a_checkout_asks_for_the_registry_of_the_images(helm: str) -> None:
    text = refusal(no_registry(), helm=helm)
    assert "1 problem in the values; nothing was created." in text
    assert (
        "- images.registry is empty; expected the registry that the cluster pulls the images of download, "
        "train, eval, register from. Build and push them with `make images PUSH=<registry>` and set "
        "images.registry to it, or install a published chart, which names its images.\n"
    ) in text


def test_only_images_that_run_need_a_registry() -> None:
    mine: Object = {"repository": "images.example.com/mine"}
    only = {
        "data": {"enabled": False},
        "train": {"enabled": False},
        "eval": {"enabled": False},
        "runId": "run1-1",
    }
    assert "the images of download, register from" in refusal(overlay(only, no_registry()))
    assert "the images of download from" in refusal(overlay(only, no_registry(register=mine)))
    objects = render(overlay(only, no_registry(register=mine, download=mine)))
    assert {pod.container["image"] for pod in pods(objects)} == {"images.example.com/mine:0.1.0"}


def test_a_registry_of_the_user_replaces_that_of_a_published_chart(released: Path) -> None:
    flags = ("template", "run1", str(released), *ROWS, "--set", "images.registry=mirror.example.com")
    images = {pod.container["image"] for pod in pods(parse(run_helm("helm4", flags, "{}")))}
    assert all(image.startswith("mirror.example.com/team/osft/") and "@sha256:" in image for image in images)


def vllm(backend: str = "vllm", **images: Object) -> Object:
    """Return values that evaluate with vLLM."""
    return {"eval": {"backend": backend}, "images": images}


@pytest.mark.parametrize("backend", ["vllm", "auto"])
@pytest.mark.parametrize(
    ("named", "image"),
    [
        ({"tag": "0.1.0-vllm"}, "registry.example.com/osft-pipeline/eval:0.1.0-vllm"),
        ({"digest": f"sha256:{9:064x}"}, f"registry.example.com/osft-pipeline/eval:0.1.0@sha256:{9:064x}"),
        ({"repository": "mine.example.com/eval-vllm"}, "mine.example.com/eval-vllm:0.1.0"),
    ],
)
def test_evaluating_with_vllm_runs_the_image_that_contains_it(
    named: Object, image: str, backend: str
) -> None:
    # The image without vLLM may be pinned, as in a published chart.
    plain: Object = {"digest": f"sha256:{3:064x}", "tag": "plain"}
    objects = render(vllm(backend, evalVllm=named, eval=plain))
    assert stage_pods(objects)["eval"].container["image"] == image
    check = stage_pods(objects)["preflight"].spec["containers"][1]
    assert (check["name"], check["image"]) == ("eval-check", image)


@pytest.mark.parametrize("backend", ["vllm", "auto"])
def test_evaluating_with_vllm_without_its_image_is_refused_as_the_stage_would(backend: str) -> None:
    with pytest.raises(UserError) as said:
        backends.require_installed(SimpleNamespace(backend=backend))  # type: ignore[arg-type]
    assert f"- {said.value.message}\n" in refusal(vllm(backend))
    assert render(overlay(vllm(backend), {"eval": {"enabled": False}}))


@pytest.mark.parametrize("gpus", [{"eval": {"gpus": 0}}, {"train": {"gpus": 0}}], ids=["eval", "train"])
@pytest.mark.parametrize("backend", ["vllm", "auto"])
def test_evaluating_with_vllm_without_a_gpu_is_refused(backend: str, gpus: Object) -> None:
    values = overlay(vllm(backend, evalVllm={"tag": "vllm"}), gpus)
    assert f"eval.backend is {backend} and eval.gpus is 0" in refusal(values)
    assert render(overlay(values, {"eval": {"gpus": 1}}))
