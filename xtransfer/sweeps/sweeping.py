"""A sweep from its configuration to its results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xtransfer.config import laid_over, parse_overrides
from xtransfer.disk import write
from xtransfer.errors import ConfigError
from xtransfer.results import Results
from xtransfer.sweeps.cells import Axes, Cell, cells_of
from xtransfer.sweeps.checking import checked
from xtransfer.sweeps.engines import engine_of
from xtransfer.sweeps.gold import write_gold
from xtransfer.sweeps.progress import Progress
from xtransfer.sweeps.schedule import Item, Schedule, Stop

log = logging.getLogger(__name__)
Config = str | Path | Mapping[str, Any] | Sequence[str | Path]


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was asked for.

    Attributes:
        folder: Its folder.
        cells: Its cells.
    """

    folder: Path
    cells: list[Cell]


def sweep(
    config: Config,
    axes: Axes | None = None,
    out_dir: str | Path | None = None,
    overrides: Sequence[str] | Sequence[tuple[str, Any]] = (),
    workers: int | None = None,
    engine: str = "local",
    settings: object = None,
    retries: int = 1,
    resume: Literal["auto", "never"] = "auto",
) -> Results:
    """Run a configuration once for each combination of some settings' values; what the command ``sweep`` does.

    Every cell is an ordinary run in a process of its own, with a configuration that runs alone as well. All are checked
    before the first one trains. What is done is not run again; what was interrupted goes on. A cell that fails does
    not stop the others: it is told, and is missing in the results.

    Args:
        config: A file, several to be laid over each other, or a mapping.
        axes: Setting -> values, e.g. ``{"stages.mnli": ["MNLI", "SQuAD", None], "seed_everything": [1, 2, 3]}``;
            default those that the configuration has under ``axes``, over which these are laid.
        out_dir: The sweep's folder; default ``sweeps/NAME``, by the name of the configuration.
        overrides: Settings laid over the configuration: ``["--trainer.max_epochs", "1"]`` or pairs.
        workers: How many cells run at a time; default 1 on this machine.
        engine: ``local``, ``slurm`` or ``ray``.
        settings: A `Slurm` or a `Ray`, settings of the engine.
        retries: How often a cell that failed is tried again.
        resume: ``never``: stages that were interrupted are begun anew, as they have to be when their settings have
            changed.

    Returns:
        The scores of all cells that are done; `Results.sweep` tells of the others.

    Raises:
        ConfigError: The configuration or the data of a cell are wrong; nothing was trained.
        KeyboardInterrupt: After Ctrl-C, SIGTERM or SIGHUP; the cells have written snapshots.
    """
    planned = plan(config, axes, out_dir, overrides)
    items = conduct(planned, workers, engine, settings, retries, resume)
    for item in items:
        if item.record.state == "failed":
            log.warning("%s", failure(planned, item))
    return Results.load(planned.folder).of_runs([cell.name for cell in planned.cells])


def plan(
    config: Config,
    axes: Axes | None = None,
    out_dir: str | Path | None = None,
    overrides: Sequence[str] | Sequence[tuple[str, Any]] = (),
) -> Sweep:
    """Return the cells of a sweep; nothing is read but configurations. Arguments and errors are those of `sweep`."""
    words = [word for word in overrides if isinstance(word, str)]
    pairs = [*parse_overrides(words), *(pair for pair in overrides if not isinstance(pair, str))]
    if isinstance(config, Mapping):
        whole, name = dict(config), str(config.get("name", "sweep"))
    else:
        files = [config] if isinstance(config, str | Path) else config
        whole, name = laid_over(files)
    own = whole.pop("axes", None) or {}
    if not isinstance(own, Mapping):
        raise ConfigError(f"axes: expected settings with lists of values, found {own!r:.60}")
    base = Path(out_dir) if out_dir else Path("sweeps") / str(whole.get("name", name or "sweep"))
    folder = base.expanduser().resolve()
    return Sweep(folder, cells_of(whole, {**own, **(axes or {})}, folder, pairs))


def conduct(
    planned: Sweep,
    workers: int | None = None,
    engine: str = "local",
    settings: object = None,
    retries: int = 1,
    resume: Literal["auto", "never"] = "auto",
) -> list[Item]:
    """Check and run the cells of a sweep; arguments and errors are those of `sweep`."""
    if retries < 0:
        raise ConfigError(f"{retries} retries: a number from 0 is needed")
    fingerprints = checked(planned.cells)
    runner = engine_of(engine, workers, settings, planned.folder)
    for cell in planned.cells:
        path, text = planned.folder / "cells" / f"{cell.name}.yaml", cell.document()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write(path, text)
    schedule = Schedule(planned.folder, planned.cells, fingerprints, retries, resume)
    progress, stop = Progress(runner.room), Stop()
    with stop.heeded():
        write_gold(planned.cells, planned.folder / "labels")
        with progress.shown_live():
            schedule.work(runner, stop, progress)
    if stop.times:
        raise KeyboardInterrupt
    return schedule.items


def failure(planned: Sweep, item: Item) -> str:
    """Return why a cell failed, and where more is told."""
    log_file = planned.folder / "logs" / f"{item.cell.name}.log"
    return f"{item.cell.name} failed: {item.record.reason} (tried {item.record.attempts} times; log: {log_file})"
