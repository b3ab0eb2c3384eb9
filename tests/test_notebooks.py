"""The notebooks run from top to bottom, and what is committed of them tells nothing of the machine that ran them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import headstart as hs

ROOT = Path(hs.__file__).parents[1]
SMALL = """
train_limit, epochs, image_size, offline = 300, 1, 32, True

import dataclasses, headstart

def load(*asked, whole=headstart.load, **options):  # with a tenth of test, which would take most of the time
    data = whole(*asked, **options)
    splits = tuple(dataclasses.replace(split, test=split.test[::10]) for split in data.splits)
    return dataclasses.replace(data, splits=splits)

headstart.load = load
"""
NOTEBOOKS = {  # name -> what makes it small, how many pictures it shows
    "CNN_model": (SMALL, 7),
    "EfficientNetB0_model": (f"{SMALL}\nstrategies = ['base-cnn', 'frozen', 'last20']", 8),
}


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def said(notebook: nbformat.NotebookNode) -> str:
    texts = (output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs(notebook))
    return "\n".join(texts)


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(notebook: nbformat.NotebookNode) -> list[str]:
    return [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]


@pytest.mark.usefixtures("users_cache")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
    try:
        hs.load("cifar10")
    except hs.HeadstartError as error:
        pytest.skip(f"no source of CIFAR-10 answers here: {error}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    small, shown = NOTEBOOKS[name]
    notebook = read(name)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source += f"\n{small}"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert len(pictures(notebook)) == shown
    assert (tmp_path / "runs" / "cifar10-1" / "report.html").exists()
    assert "train_limit = 300, epochs = 1, image_size = 32" in said(notebook)
    assert "warning" not in said(notebook).lower()
    assert "\x1b" not in said(notebook), "what only a terminal understands"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_committed_notebook_is_of_one_run_and_tells_no_path_and_no_time(name):
    notebook = read(name)
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == list(
        range(1, 1 + sum(cell.cell_type == "code" for cell in notebook.cells))
    )
    assert len(pictures(notebook)) == NOTEBOOKS[name][1]
    assert all("execution" not in cell.metadata for cell in notebook.cells)
    assert not re.search(r"(^|[\s'\"(=:])(/|~/|[A-Z]:\\)[\w.]+", said(notebook), re.MULTILINE), "an absolute path"
