"""Text of models, tasks and rows reaches reports and results without what moves a cursor or turns a line."""

import json
import unicodedata
from pathlib import Path

from osft_workspace.text import is_shown
from tests.stages.eval.conftest import Stage, items_of, village_rows, write_tasks
from tests.support.sandbox import SECRETS
from tests.support.trained_run import make_trained_run

NASTY = "A\x1b[31mB\u202eC\x07D\u2066E\x9bF\u2028G\x00H"
SHOWN = "A\\x1b[31mB\\u202eC\\x07D\\u2066E\\x9bF"
SECRET = SECRETS["HF_TOKEN"]
LAYOUT = "\n"


def hidden(text: str) -> set[str]:
    """Characters that are not what they look like, or look like nothing."""
    return {
        unicodedata.name(char, hex(ord(char))) for char in text if char not in LAYOUT and not is_shown(char)
    }


def test_reports_and_results_show_hostile_text_escaped_and_keep_its_lines(
    stage: Stage, base_model: Path, blank_model: Path, tmp_path: Path
) -> None:
    items = items_of(8)
    for item in items:
        item["question"] = (
            f"{NASTY} first\n\tsecond {SECRET} https://user:pw@host/x?token=t {item['question']}"
        )
        item["choices"] = [f"{NASTY} {choice}" for choice in item["choices"]]
    tasks = write_tasks(tmp_path / "own", items)
    path = tasks / "planted.yaml"
    path.write_text(path.read_text() + f"metadata: {{title: {json.dumps('T ' + NASTY)}}}\n")
    rows = village_rows(4)
    for row in rows:
        row["messages"][-1]["content"] = f"{NASTY} line one\nline two {SECRET}"
    make_trained_run(stage.workspace, "nasty", base=base_model, tuned=blank_model, rows=rows)
    stage.env["HF_TOKEN"] = SECRET
    try:
        code, printed = stage.run(
            "nasty", "--tasks=planted", f"--include-path={tasks}", "--holdout-generate=2",
            "--holdout-max-new-tokens=4", '--gates={"maxTaskDrop": 0}',
        )  # fmt: skip
    finally:
        del stage.env["HF_TOKEN"]
    assert code in (0, 3), printed
    assert hidden(printed) == set() and SECRET not in printed
    for name in ("report.html", "report.md"):
        text = (stage.dir("nasty") / name).read_text()
        assert hidden(text) == set(), name
        assert SECRET not in text and "user:pw" not in text, name
    page = (stage.dir("nasty") / "report.html").read_text()
    assert SHOWN in page
    assert "line one\nline two" in page
    raw = (stage.dir("nasty") / "results.json").read_text()
    assert hidden(raw) == set()
    assert json.loads(raw)["tasks"]["planted"]["title"] == f"T {NASTY}"
    for name in ("planted", "holdout"):
        assert hidden((stage.dir("nasty") / "samples" / f"{name}.jsonl").read_text()) == set()
    assert NASTY in stage.samples("nasty", "planted")[0]["choices"][0]
    assert NASTY in stage.samples("nasty", "holdout")[0]["target"]
    assert hidden((stage.dir("nasty") / "record.json").read_text()) == set()
