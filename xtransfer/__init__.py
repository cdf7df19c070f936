"""Cross-lingual transfer through intermediate tasks, on Lightning. Importing it loads neither torch nor Lightning.

The names below are looked up when they are first used (PEP 562): importing any part of the library runs this file, and
who wants only a head should not wait for a training loop.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xtransfer.encoder import Encoder
    from xtransfer.exporting import export
    from xtransfer.module import TransferModule
    from xtransfer.pipeline import expand, run
    from xtransfer.planning import plan
    from xtransfer.results import Results
    from xtransfer.sweeps.sweeping import sweep
    from xtransfer.task import Source, Task

__version__ = "0.1.0"

__all__ = [
    "Encoder",
    "Results",
    "Source",
    "Task",
    "TransferModule",
    "__version__",
    "expand",
    "export",
    "plan",
    "run",
    "sweep",
]

_HOME = {
    "Encoder": "xtransfer.encoder",
    "Results": "xtransfer.results",
    "Source": "xtransfer.task",
    "Task": "xtransfer.task",
    "TransferModule": "xtransfer.module",
    "expand": "xtransfer.pipeline",
    "export": "xtransfer.exporting",
    "plan": "xtransfer.planning",
    "run": "xtransfer.pipeline",
    "sweep": "xtransfer.sweeps.sweeping",
}

if not TYPE_CHECKING:  # a type checker reads the imports above, and so finds a misspelt name

    def __getattr__(name: str) -> object:
        """Import a public name from its module, once.

        Raises:
            AttributeError: The library has no such name.
        """
        if name not in _HOME:
            raise AttributeError(f"module 'xtransfer' has no attribute '{name}'")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the public names, also those not imported yet."""
    return sorted({*globals(), *__all__})
