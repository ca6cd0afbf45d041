"""Tests that the notebooks that ship run from the first cell to the last. `make notebooks` executes all of them."""

import json
import os
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

from loom_dev.waiting import patience
from support.documents import ROOT

NOTEBOOKS = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
EXECUTED = NOTEBOOKS if os.environ.get("LOOM_NOTEBOOKS") == "all" else NOTEBOOKS[:1]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("notebook", EXECUTED, ids=lambda path: path.stem)
async def test_a_notebook_runs_from_its_first_cell_to_its_last(notebook, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".loom", "results"))
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    read = nbformat.read(notebook, 4)
    place = {"metadata": {"path": str(tmp_path / "examples/notebooks")}}
    await NotebookClient(read, timeout=int(patience(120)), resources=place).async_execute()
    shown = "".join(
        output.get("data", {}).get("text/html", "") for cell in read.cells for output in cell.get("outputs", ())
    )
    assert shown.count("<svg") >= 2
    assert "succeeded" in shown


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_ships_without_outputs(notebook):
    assert notebook.stat().st_size < 10_000
    cells = json.loads(notebook.read_text())["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
    nbformat.validate(nbformat.read(notebook, 4))
