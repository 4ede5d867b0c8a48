"""What is read from a stage's log."""

import io
from contextlib import redirect_stdout

import pytest

from osft_pipeline.follow.lines import newest, parse, said_already_done
from osft_workspace.log import event


def logged(stage: str, what: str, **fields: object) -> str:
    """A line as the stages write it."""
    with redirect_stdout(io.StringIO()) as out:
        event(stage, what, **fields)
    return out.getvalue()


def test_a_line_that_counts_is_read_with_its_figures() -> None:
    found = parse(logged("train", "training", step="24/96", loss="3.433", left="8m40s"))
    assert found
    assert (found.what, found.unit, found.done, found.total) == ("training", "step", 24, 96)
    assert (found.share, found.left, found.fields) == (0.25, "8m40s", {"loss": "3.433"})


@pytest.mark.parametrize("value", ['a "quoted" word', "two\nlines", "a=b", "back\\slash and space"])
def test_quoted_values_are_read_back(value: str) -> None:
    found = parse(logged("download", "refused", seen=value))
    assert found and found.fields["seen"] == value.replace("\n", " ")


def test_an_address_with_slashes_and_digits_is_not_a_count() -> None:
    found = parse(logged("download", "fetching", uri="pvc://1/2", files=9))
    assert found and found.total is None


def test_a_total_of_many_digits_is_read() -> None:
    found = parse(logged("download", "copying the model", MB="1.2e+06/5.4e+06"))
    assert found and found.share == pytest.approx(0.222, abs=0.001)


@pytest.mark.parametrize(
    "line", ["", "Error: no row is left", "Traceback (most recent call last):", "a b=1/2"]
)
def test_a_line_that_is_not_an_event_is_ignored(line: str) -> None:
    assert parse(line) is None


def test_work_that_is_counted_goes_before_what_is_said_beside_it() -> None:
    counted, beside = logged("train", "training", step="5/12"), logged("train", "full state saved", step=5)
    assert newest([counted, beside, "noise"]) == parse(counted)
    finished = logged("train", "training", step="12/12")
    assert newest([finished, beside]) == parse(beside)
    assert newest(["noise"]) is None


def test_already_done_is_known_by_the_last_event() -> None:
    again = logged("eval", "already done", run="r", status="done", message="held-out loss 4.058 before")
    assert said_already_done([again])
    assert not said_already_done([again, logged("eval", "result damaged, running again", seen="x")])
    assert not said_already_done([])
