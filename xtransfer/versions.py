"""The versions of everything that can change a score."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import cache

import xtransfer

PACKAGES = ("torch", "lightning", "transformers", "datasets", "torchmetrics", "tokenizers")


@cache
def versions() -> dict[str, str]:
    """Return the versions of everything that can change a score."""
    found = {"xtransfer": xtransfer.__version__, "python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}
