"""The losses as a picture."""

import math
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from osft_train import chart

SPACE = "{http://www.w3.org/2000/svg}"
LOSSES = st.lists(st.floats(0, 1e4, allow_nan=False), min_size=1, max_size=60)


def drawn(losses: list[float], **checks: float) -> ET.Element:
    """The picture of these losses; `checks` are the losses of held-out rows after a step, `step3=2.5`."""
    steps = [{"step": n, "loss": loss, "lr": 1e-5 / n} for n, loss in enumerate(losses, 1)]
    for step, loss in checks.items():
        steps[int(step.removeprefix("step")) - 1]["val_loss"] = loss
    return ET.fromstring(chart.draw(steps, "a < b & c"))


def points(root: ET.Element, name: str) -> list[tuple[float, float]]:
    """The places of one line."""
    group = next(element for element in root.iter(f"{SPACE}g") if element.get("id") == name)
    path = group.find(f"{SPACE}path")
    assert path is not None
    pairs = [pair.split() for pair in str(path.get("d")).removeprefix("M").split("L")]
    return [(float(x), float(y)) for x, y in pairs]


@settings(max_examples=25, deadline=None)
@given(LOSSES)
def test_every_step_is_drawn_inside_the_picture(losses: list[float]) -> None:
    root = drawn(losses)
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    for name in ("loss", "smoothed", "learning-rate"):
        places = points(root, name)
        assert len(places) == len(losses)
        assert all(0 <= x <= width and 0 <= y <= height for x, y in places)


def test_a_lower_loss_is_drawn_lower_and_a_lower_rate_too() -> None:
    root = drawn([4.0, 2.0])
    for name in ("loss", "smoothed", "learning-rate"):
        first, last = points(root, name)
        assert first[0] < last[0] and first[1] < last[1]


def test_validation_losses_are_a_line_of_their_own_on_the_same_axis() -> None:
    root = drawn([4.0, 3.0, 2.0], step1=4.0, step3=2.5)
    first, last = points(root, "validation")
    assert first == points(root, "loss")[0]
    assert points(root, "loss")[1][1] < last[1] < points(root, "loss")[2][1]


def test_the_legend_names_each_line() -> None:
    named = {"loss of a step", "smoothed", "learning rate"}
    assert named <= set(map(str.strip, drawn([4.0, 2.0]).itertext()))
    assert {"held-out rows", "lowest, 3.000"} <= set(map(str.strip, drawn([4.0, 2.0], step2=3.0).itertext()))


def test_the_title_is_text() -> None:
    assert drawn([1.0]).findtext(f"{SPACE}title") == "a < b & c"


def test_each_colour_of_the_picture_that_needs_it_has_another_on_a_dark_page() -> None:
    steps = [{"step": n, "loss": n, "lr": 1e-5, "val_loss": n} for n in (1, 2)]
    rules, _, picture = chart.draw(steps, "Loss").partition("</style>")
    for light, dark in chart.DARK.items():
        assert f'[style*="stroke: {light}"] {{ stroke: {dark} !important }}' in rules
        assert f": {light}" in picture


def test_the_same_losses_make_the_same_file() -> None:
    steps = [{"step": n, "loss": math.log(n + 1), "lr": 1e-5} for n in range(1, 9)]
    assert chart.draw(steps, "t") == chart.draw(steps, "t")
