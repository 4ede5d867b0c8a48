"""Tasks that cannot be asked end with a sentence."""

from types import SimpleNamespace
from typing import Any

import pytest

from osft_eval.catalogue import load
from osft_workspace import UserError


class Manager:
    """As much of lm-eval's TaskManager as loading takes: a task with these items, or an error."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def load(self, names: list[str]) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return {"tasks": {names[0]: SimpleNamespace(task_name=names[0], eval_docs=self.found)}, "groups": {}}


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        (StopIteration(), "StopIteration"),
        (IndexError("0 is out of bounds for size 0"), "IndexError 0 is out of bounds for size 0"),
        ([], "its dataset is empty"),
    ],
)
def test_a_task_without_items_is_named(found: Any, seen: str) -> None:
    with pytest.raises(UserError) as raised:
        load(Manager(found), ["wiki"])
    assert f"task 'wiki' has no items that lm-eval can read ({seen})" in str(raised.value)


def test_a_task_with_items_is_loaded() -> None:
    assert list(load(Manager([1]), ["wiki"])["tasks"]) == ["wiki"]
