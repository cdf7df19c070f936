"""A small demonstration data set in six languages, shipped with the package: no download needed.

The files lie beside this one and are written by :mod:`xtransfer.demo.generate`.
"""

from __future__ import annotations

from pathlib import Path

LANGUAGES = ("en", "de", "es", "ru", "zh", "ar")
"""The languages of the test files; train and validation exist in English alone."""

DATA_DIR = Path(__file__).parent
"""The folder with ``nli-*.tsv`` and ``qa-*.json``."""
