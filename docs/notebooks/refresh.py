"""Runs notebooks and keeps their outputs: ``python docs/notebooks/refresh.py [NAME ...]``, all without a name."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
READ = ("small_study",)
"""Folders that notebooks read."""


def executed(path: Path, folder: Path) -> NotebookNode:
    """Run a notebook in a folder and return it with its outputs, without timings or what goes to the standard error.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell fails.
    """
    for name in READ:
        (folder / name).symlink_to(HERE / name)
    notebook = nbformat.read(path, as_version=4)
    settings = {"timeout": 600, "record_timing": False, "coalesce_streams": True}
    NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **settings).execute()
    notebook.metadata = {key: notebook.metadata[key] for key in ("kernelspec",)}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main(names: list[str]) -> None:
    """Run the notebooks of these names, each in a folder of its own, and write them back."""
    for path in [HERE / f"{name}.ipynb" for name in names] or sorted(HERE.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
