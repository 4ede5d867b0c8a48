"""The example notebook, run as a user runs it, with a tiny model."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.client.local.support import ROOT, call

NOTEBOOK = ROOT / "docs" / "notebooks" / "first-run.ipynb"
TINY = ROOT / ".cache" / "tests" / "tiny"


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_notebook_is_kept_without_outputs(notebook: nbformat.NotebookNode) -> None:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_the_notebook_runs_and_shows_what_the_model_learned(
    notebook: nbformat.NotebookNode, tmp_path: Path
) -> None:
    maker = [ROOT / ".venvs/train/bin/python", ROOT / "tests/support/tiny_model.py", TINY]
    assert call(*maker).returncode == 0
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source += f"\nMODEL, FOLDER = Path({str(TINY / 'model')!r}), Path({str(tmp_path / 'first')!r})"
    NotebookClient(notebook, timeout=540, resources={"metadata": {"path": str(tmp_path)}}).execute()
    *_, run, figures, report = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert run.outputs[-1].data["text/plain"] == "'done'"
    printed = "".join(output.text for output in figures.outputs)  # a slow kernel sends a cell's text in parts
    assert "held-out loss: " in printed and "Retention suite: " in printed
    assert report.outputs[-1].data["text/html"].startswith("<iframe srcdoc=")
