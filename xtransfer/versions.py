"""The versions of everything that can change a score, and the code that can change what is trained."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from contextlib import suppress
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import xtransfer

PACKAGES = ("torch", "lightning", "transformers", "datasets", "torchmetrics", "tokenizers")
OPTIONAL = ("peft",)
"""Recorded where they are installed."""


@cache
def versions() -> dict[str, str]:
    """Return the versions of everything that can change a score; an optional package may be missing."""
    found = {"xtransfer": xtransfer.__version__, "python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in PACKAGES}
    for name in OPTIONAL:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


ELSEWHERE = (
    *("align_cli", "alignment/*", "background", "benchmarks", "board", "bootstrap", "catalogue", "cli"),
    *("compare", "config_files", "costs", "curves", "errors", "evaluator", "example_scores", "export_cli"),
    *("exporting", "labels", "layer_sweep", "lock", "mix_cli", "mix_plot", "model_card", "options"),
    *("pictures", "plan_cli", "plan_text", "planning", "plots", "predictions", "provenance", "publishing"),
    *("report", "results", "run_cli", "scoreboard", "scoring_cli", "sentence_folder", "sharing"),
    *("run_table", "significance", "stage_costs", "store", "study_cells", "sweep_cli", "sweeps/*"),
    *("study", "study_tables", "submission", "tables", "tables_cli"),
)
"""Modules that no weight depends on: they plan, score, tell, draw and keep. Any other may change what is trained."""


@cache
def code_digest() -> str:
    """Return a digest of the code that what is trained depends on; a version's number does not tell of a checkout."""
    package = Path(__file__).parent
    names = {file: file.relative_to(package).as_posix()[:-3] for file in package.rglob("*.py")}
    files = [file for file, name in names.items() if not any(fnmatch(name, pattern) for pattern in ELSEWHERE)]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(package).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]
