"""The page of `osft compare` in a real browser, on a phone and on a desk."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.client.local.support import OSFT, call
from tests.stages.eval.test_page import CONTRAST
from tests.support.chromium import Browser, browser, find_chromium
from tests.support.compared import TASKS, make_run
from tests.support.eval_results import Task

EVIL = "<script>alert(1)</script>"
CUT = """
[...document.querySelectorAll('table, td, th, svg')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width && (box.left < 0 || box.right > innerWidth + 1);
}).length
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("compare")
    tasks = {**TASKS, "osft_verbs": Task(EVIL, 90, 80, 1, 3)}
    for number in range(1, 5):
        make_run(workspace, f"ratio-{number}", fall=0.4 * number, tasks=tasks, document_column_name="text")
    make_run(workspace, "other-5", tasks=tasks, rows="more", document_column_name=EVIL, evaluated=False)
    page = workspace / "page.html"
    runs = [*(f"ratio-{number}" for number in range(1, 5)), "other-5"]
    done = call(OSFT, "compare", *runs, "--workspace", workspace, "-o", page)
    assert done.returncode == 0 and f"written to {page}" in done.stdout, done.stderr
    return page


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    program = find_chromium()
    assert program, "no Chromium found: scripts/prerequisites test installs it"
    with browser(program) as page:
        yield page


@pytest.fixture(params=[(390, False), (390, True), (1280, False), (1280, True)], ids=str)
def page(request: pytest.FixtureRequest, opened: Browser, written: Path) -> Browser:
    width, dark = request.param
    opened.show(written, width, dark=dark)
    return opened


def test_nothing_is_reported_and_nothing_is_fetched(page: Browser) -> None:
    assert page.complaints() == []
    assert [url.partition(":")[0] for url in page.requests()] == ["file"]
    assert page.value("document.scripts.length + document.images.length") == 0
    assert EVIL in page.value("document.body.textContent")


def test_the_page_fits_its_window_and_no_table_is_cut(page: Browser) -> None:
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    assert page.value("document.querySelectorAll('table').length") == 4
    assert page.value(CUT) == 0


def test_its_text_can_be_read_in_light_and_dark(page: Browser) -> None:
    assert page.value(CONTRAST) >= 4.5


def test_the_pictures_have_words_for_every_run(page: Browser) -> None:
    labels = page.value("[...document.querySelectorAll('svg')].map(svg => svg.getAttribute('aria-label'))")
    assert len(labels) == 2
    for number, letter in enumerate("ABCD", start=1):
        assert re.search(rf"{letter} ratio-{number}: training loss 3\.\d+ to [23]\.\d+, held-out", labels[0])
        assert re.search(
            rf"{letter} ratio-{number}: held-out loss .\d\.\d+, retention .1\.9 points", labels[1]
        )
    assert "E other-5: training loss" in labels[0] and "other-5" not in labels[1]
    assert page.value("document.querySelectorAll('svg.plot g > title').length") == 9


def test_the_letters_of_the_runs_do_not_cover_each_other(page: Browser) -> None:
    letters = "[...document.querySelector('svg.plot').querySelectorAll('.letter')]"
    ends = sorted(page.value(f"{letters}.map(letter => +letter.getAttribute('y'))"))
    assert len(ends) == 5 and all(below - above >= 10.9 for above, below in pairwise(ends))


def test_the_page_stands_alone_and_can_be_printed(written: Path) -> None:
    text = written.read_text()
    assert "http://" not in text and "https://" not in text and EVIL not in text
    assert "@media print" in text
