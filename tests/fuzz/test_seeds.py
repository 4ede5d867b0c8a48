"""Inputs that once broke a promise, and some more, the same in every run; `make fuzz` looks for others."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.targets import SEEDS, TARGETS

KEPT = sorted(path for name in TARGETS for path in (SEEDS / name).iterdir())
EXAMPLES = 150


@pytest.mark.parametrize("seed", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_kept_seed_breaks_no_promise(seed: Path) -> None:
    TARGETS[seed.parent.name].hold(seed.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds_break_no_promise(name: str) -> None:
    target = TARGETS[name]

    @settings(derandomize=True, max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(target.inputs(name))
    def attempt(data: bytes) -> None:
        target.hold(data)

    attempt()
