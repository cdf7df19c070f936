"""The labels of the rows that a sweep scores, so that its predictions can be compared example by example."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from xtransfer.disk import write
from xtransfer.errors import ConfigError, DataError
from xtransfer.example_scores import TASKS
from xtransfer.kinds import KINDS
from xtransfer.significance import gold_of
from xtransfer.stage_cli import data_of, parse
from xtransfer.sweeps.cells import Cell, looks_alike

log = logging.getLogger(__name__)


def write_gold(cells: Sequence[Cell], folder: Path) -> None:
    """Write ``<folder>/<rows>/<task>/test-<language>.<type>`` for all test rows that have official labels.

    Args:
        cells: The cells.
        folder: Where the labels go.
    """
    seen: set[str] = set()
    for cell in cells:
        for stage in cell.plan.stages:
            if (key := looks_alike(stage)) in seen:
                continue
            seen.add(key)
            for portion in data_of(parse(stage, cell.folders[stage.name])).portions("test"):
                if portion.task.name not in TASKS:
                    continue
                suffix = TASKS[portion.task.name].suffix
                name = Path(portion.task.name, f"test-{portion.language}.{suffix}")
                path = gold_of(folder, portion.origin()) / name
                if path.is_file():
                    continue
                try:
                    write(path, KINDS[portion.task.kind].gold(portion.examples(), portion.task))
                except (ConfigError, DataError) as error:
                    log.info("%s: no labels to compare examples by: %s", portion.name, error)
