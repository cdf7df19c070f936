"""The notebooks run as they stand, and the outputs that are kept with them are of what they do now."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest

from docs.notebooks.refresh import executed
from tests.documentation.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MACHINE = re.compile(r"(?<![\w.])/(?:home|Users|root|tmp|var)/\w")
LARGEST = 400_000
"""Bytes of a notebook with its outputs."""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, offline_encoder):
    """The notebooks, run now, two at a time."""
    assert offline_encoder
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        folders = [tmp_path_factory.mktemp(path.stem) for path in NOTEBOOKS]
        return dict(zip(NOTEBOOKS, pool.map(executed, NOTEBOOKS, folders), strict=True))


def kinds(notebook) -> list[list[str]]:
    """What each cell puts out: text, or the formats of what is shown."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[" ".join(sorted(o.get("data", [o.get("name", "error")]))) for o in cell.outputs] for cell in cells]


@pytest.mark.timeout(600)  # all of them run before the first test
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_is_kept(path, fresh):
    kept = nbformat.read(path, as_version=4)
    assert kinds(fresh[path]) == kinds(kept), "python docs/notebooks/refresh.py"
    assert any(kinds(kept))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_kept_is_small_and_holds_no_error_and_no_place(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < LARGEST
    assert not MACHINE.search(text), MACHINE.search(text)
    assert not any("error" in kind or "stderr" in kind for cell in kinds(nbformat.reads(text, 4)) for kind in cell)


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} >= {"tour", "ablation", "elsewhere", "your_own", "alignment", "scaling"}
