"""How near are an intermediate task and a target, and a language and English, and does that foretell the gain?

`measure` gives rows, `report` joins them with the gains that runs have shown. docs/alignment.md tells of both.
"""

from xtransfer.alignment.arrays import Texts, UndefinedError
from xtransfer.alignment.measuring import measure
from xtransfer.alignment.registry import MEASURES, Measure, register
from xtransfer.alignment.reporting import Report, report
from xtransfer.alignment.rows import Alignment, read, write

__all__ = [
    "MEASURES",
    "Alignment",
    "Measure",
    "Report",
    "Texts",
    "UndefinedError",
    "measure",
    "read",
    "register",
    "report",
    "write",
]
