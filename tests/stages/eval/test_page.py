"""The report in a real browser, on a phone and on a desk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stages.eval.conftest import HOSTILE, LONG_NAME, Stage
from tests.support.chromium import Browser, browser, find_chromium

HIDDEN = """
[...document.querySelectorAll('table')].filter(table => {
  const box = table.getBoundingClientRect(), style = getComputedStyle(table);
  const outer = table.closest('.scroll').getBoundingClientRect();
  return box.width < 200 || box.height < 40 || style.visibility !== 'visible'
    || outer.left < 0 || outer.right > innerWidth || outer.width < innerWidth * 0.7;
}).length
"""
CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => {
    const f = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const ground = element => { for (; element; element = element.parentElement) {
      const color = rgb(getComputedStyle(element).backgroundColor); if (color[3] === 255) return color; }
    return [255, 255, 255, 255]; };
  let least = 99;
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) continue;
    const pair = [light(rgb(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    least = Math.min(least, (pair[0] + 0.05) / (pair[1] + 0.05));
  }
  return least;
})()
"""


@pytest.fixture(scope="module")
def opened(measured: tuple[int, str]) -> Iterator[Browser]:
    assert measured[0] == 0, measured[1]
    program = find_chromium()
    assert program, "no Chromium found: scripts/prerequisites test installs it"
    with browser(program) as page:
        yield page


@pytest.fixture(params=[(360, False), (360, True), (1280, False), (1280, True)], ids=str)
def page(request: pytest.FixtureRequest, opened: Browser, stage: Stage) -> Browser:
    width, dark = request.param
    opened.show(stage.dir("a") / "report.html", width, dark=dark)
    return opened


def test_nothing_is_reported_and_nothing_is_fetched(page: Browser) -> None:
    assert page.complaints() == []
    assert [url.partition(":")[0] for url in page.requests()] == ["file", "data"]


def test_the_page_fits_its_window(page: Browser) -> None:
    assert page.value("document.documentElement.scrollWidth <= innerWidth")


def test_every_table_is_visible(page: Browser) -> None:
    assert page.value("document.querySelectorAll('table').length") == 2
    assert page.value(HIDDEN) == 0


CUT = """
[...document.querySelectorAll('.scroll')].filter(region => region.scrollWidth > region.clientWidth).length
"""


def test_no_column_of_a_table_lies_outside_a_phone(page: Browser) -> None:
    if page.value("innerWidth") < 600:
        assert page.value(CUT) == 0
        labels = "getComputedStyle(document.querySelector('.tasks td'), '::before').content"
        assert page.value(labels) == '"Base"'


CURVE = (
    "(image => [image.naturalWidth, image.getBoundingClientRect().right <= innerWidth])(document.images[0])"
)


def test_the_curve_of_training_is_drawn(page: Browser) -> None:
    assert page.value(CURVE) == [540, True]


def test_the_top_says_what_was_done(page: Browser) -> None:
    said = page.value(
        "[...document.querySelectorAll('.about > div')].map(each => each.innerText.split('\\n'))"
    )
    found = {label: text for label, text, *_ in said}
    assert found["Base model"] == "hf://org/tiny abc123"
    assert found["Data"] == "hf://org/village"
    assert found["Method"] == "osft, unfreeze rank ratio 0.25"
    assert found["Training"] == "20 steps, learning rate 5e-05, epochs 1"
    assert (found["Hardware"], found["Author"]) == ("2 CPU cores (Test)", "Ada")
    assert set(found) == {"Base model", "Data", "Method", "Training", "Hardware", "Took", "Author", "Date"}


WIDTHS = """
['.tasks th[scope=row]', '.scroll:has(.tasks)'].map(name => document.querySelector(name).offsetWidth)
"""


def test_a_long_name_leaves_room_for_the_figures(page: Browser) -> None:
    """On a phone the name stands above its figures."""
    assert LONG_NAME[1:] in page.value("document.querySelector('.tasks').innerText")
    names, region = page.value(WIDTHS)
    assert names <= (0.6 if page.value("innerWidth") >= 600 else 1) * region


def test_every_text_stands_out_from_its_ground(page: Browser) -> None:
    """4.5 to 1 is what WCAG AA asks of small text."""
    assert page.value(CONTRAST) >= 4.5


def test_text_of_the_data_is_shown_and_never_run(page: Browser) -> None:
    assert "pwned" not in page.value("document.title")
    assert page.value("[document.scripts.length, document.images.length]") == [0, 1]
    assert HOSTILE in page.value("document.body.textContent")


def test_the_figures_are_those_of_the_results(page: Browser, stage: Stage) -> None:
    results = stage.results("a")
    text = page.value("document.body.innerText")
    assert f"{results['holdout']['loss']['tuned']:.3f}" in text
    rows = page.value("[...document.querySelectorAll('.tasks tbody tr')].map(row => row.innerText)")
    assert len(rows) == len(results["tasks"]) + len(results["groups"])
    group = results["groups"]["osft_retention"]
    assert f"{100 * group['tuned']:.1f}" in rows[0]
    assert page.value("document.querySelectorAll('svg.chart').length") == len(rows)


def test_the_page_stands_alone(stage: Stage, measured: tuple[int, str]) -> None:
    text = Path(stage.dir("a") / "report.html").read_text()
    assert "http://" not in text
    assert "https://" not in text
