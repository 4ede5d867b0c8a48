"""The cluster that scenarios run on: the development cluster, or the one that KUBECONFIG names.

Another cluster must reach this machine; CONTRIBUTING.md lists the variables with the addresses that it needs.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import (
    Place,
    Space,
    development_place,
    make_space,
    make_tiny_model,
    serve_hub,
    status,
)
from tests.support.hub import Hub
from tests.support.registry import Registry


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """A model of a million parameters and rows for it."""
    return make_tiny_model()


@pytest.fixture(scope="session")
def hub(tiny_model: Path) -> Iterator[Hub]:
    """A model hub with the tiny model and its rows, on an address that pods reach."""
    host = os.environ.get("E2E_HOST") or status().get("host")
    assert host, "no cluster: `make e2e` starts one, or set KUBECONFIG and E2E_HOST"
    served = serve_hub(host, tiny_model)
    yield served
    served.close()


@pytest.fixture(scope="session")
def place(hub: Hub) -> Place:
    """The cluster and its servers."""
    given = os.environ.get("KUBECONFIG")
    if given and given != status().get("kubeconfig"):
        wanted = [name for name in ("E2E_HOST", "E2E_IMAGES", "E2E_REGISTRY") if not os.environ.get(name)]
        assert not wanted, f"KUBECONFIG is set, expected also {', '.join(wanted)} (see CONTRIBUTING.md)"
        images, registry, s3 = (os.environ.get(f"E2E_{name}", "") for name in ("IMAGES", "REGISTRY", "S3"))
        return Place(Path(given), images, registry, hub.url, s3, os.environ["E2E_HOST"], ours=False)
    return development_place(hub.url)


@pytest.fixture
def registry(place: Place) -> Registry:
    """Looks into the Model Registry."""
    return Registry(place.registry)


@pytest.fixture
def space(place: Place, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Space]:
    """A namespace of the scenario's own; its story is told when the scenario fails."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    space = make_space(place, words[:40].strip("-"), tmp_path)
    failed = request.session.testsfailed
    yield space
    if request.session.testsfailed > failed:
        for release in space.releases:
            print(release.story())
    space.kubectl("delete", "namespace", space.name, "--wait=false")
