"""The loss as a picture."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_train import chart

SPACE = "{http://www.w3.org/2000/svg}"
LOSSES = st.lists(st.floats(0, 1e4, allow_nan=False), min_size=1, max_size=60)


def points(svg: str, kind: str) -> list[tuple[float, float]]:
    root = ET.fromstring(svg)
    path = next(element for element in root.iter(f"{SPACE}path") if element.get("class") == kind)
    pairs = [pair.split() for pair in str(path.get("d")).removeprefix("M").split("L")]
    return [(float(x), float(y)) for x, y in pairs]


@given(LOSSES)
def test_every_step_is_drawn_inside_the_picture(losses: list[float]) -> None:
    svg = chart.draw([{"step": n, "loss": loss} for n, loss in enumerate(losses, 1)], "Loss")
    for kind in ("raw", "line"):
        drawn = points(svg, kind)
        assert len(drawn) == len(losses)
        assert all(0 <= x <= chart.WIDTH and 0 <= y <= chart.HEIGHT for x, y in drawn)


def test_a_lower_loss_is_drawn_lower() -> None:
    drawn = points(chart.draw([{"step": 1, "loss": 4.0}, {"step": 2, "loss": 2.0}], "Loss"), "raw")
    assert drawn[0][0] < drawn[1][0] and drawn[0][1] < drawn[1][1]


def test_validation_losses_are_points_of_their_own() -> None:
    steps = [{"step": 1, "loss": 4.0}, {"step": 2, "loss": 3.0, "val_loss": 3.5}]
    root = ET.fromstring(chart.draw(steps, "a < b & c"))
    assert len(list(root.iter(f"{SPACE}circle"))) == 1
    assert root.findtext(f"{SPACE}title") == "a < b & c"


@pytest.mark.parametrize(("low", "high"), [(0, 0), (2.3, 2.3), (0.1, 0.9), (0, 7), (1, 1234)])
def test_ticks_are_round_and_cover_the_values(low: float, high: float) -> None:
    found = chart.ticks(low, high)
    assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 12
