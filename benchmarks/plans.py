"""What a grid of runs trains with a store of stages, beside every run for itself; from ``xtransfer plan``."""

from __future__ import annotations

import importlib
import importlib.util
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, Table
from xtransfer.errors import ConfigError, DataError

INTERMEDIATE = ("mnli", "anliplus", "qqp", "squad_v1", "squad_v2", "hellaswag", "cosmosqa", "commonsenseqa", "ccg")
TARGETS = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba")
CHOSEN: dict[str, Any] = {"languages": ["de"]}
SETTINGS: dict[str, dict[str, Any]] = dict.fromkeys(TARGETS, CHOSEN) | {
    "tydiqa": {"languages": ["en"]},
    "xnli": {"evaluate": [{"class_path": "XNLI", "init_args": CHOSEN}]},
    "mlqa": {"evaluate": [{"class_path": "MLQA", "init_args": CHOSEN}]},
}
"""Settings of the targets' data: languages that the tests have rows in."""
SEEDS = (1, 2, 3)
ROWS = Path(__file__).resolve().parents[1] / "tests" / "data"


def measure(folder: Path, data_dir: Path = ROWS) -> Table:
    """Plan the grid of Phang et al. 2020, as far as its data are there.

    Args:
        folder: Where the store would be.
        data_dir: Folder with the data sets' files; default the tests' own, three rows of each.
    """
    table = Table("A grid of runs")
    if importlib.util.find_spec("xtransfer.planning") is None:
        table.absent.append("tokens of a grid: this version has no `xtransfer plan`")
        return table
    settings = [("data.data_dir", str(data_dir)), ("model.encoder", "offline-small"), ("out_dir", str(folder / "runs"))]
    sources, missing = there([f"paper/intermediate/{name}.yaml" for name in INTERMEDIATE], settings, folder)
    targets, more = there([f"protocols/phang2020/{name}.yaml" for name in TARGETS], settings, folder)
    table.absent += [*missing, *more]
    if not sources or not targets:
        return table
    runs = [[source, target] for source, target in product(sources, targets)]
    found = planned(runs, settings, SEEDS, folder)
    told = {"tokens, each run alone": f"{found.tokens_from_scratch:,}", "tokens, with a store": f"{found.tokens:,}"}
    what = f"{len(sources)} intermediate tasks x {len(targets)} targets x {len(SEEDS)} seeds"
    ratio = found.tokens_from_scratch / found.tokens
    table.rows.append(Row(what, "each run trains all of its stages", [ratio], None, told, "tokens trained on; planned"))
    table.notes = [
        "Reckoned by `xtransfer plan` from the tests' few rows of each data set, whose sizes say nothing of the "
        "whole ones: the ratio shows the reckoning, no saving to quote. Nothing is trained.",
    ]
    return table


def planned(runs: list[list[str]], settings: list[tuple[str, Any]], seeds: tuple[int, ...], folder: Path) -> Any:
    """Return the plan of some runs, each with some seeds."""
    config_files: Any = importlib.import_module("xtransfer.config")
    planning: Any = importlib.import_module("xtransfer.planning")
    plans = []
    for files, seed in product(runs, seeds):
        name = "-".join(Path(file).stem for file in files) + f"-{seed}"
        target = Path(files[-1]).stem
        chosen = [(f"stages.{target}.data.{key}", value) for key, value in SETTINGS.get(target, {}).items()]
        plans.append(config_files.read(files, [*settings, *chosen, ("seed_everything", seed), ("name", name)]))
    return planning.plan(plans, store=folder / "store")


def there(files: list[str], settings: list[tuple[str, Any]], folder: Path) -> tuple[list[str], list[str]]:
    """Return the configurations whose data are there, and why the others cannot be planned."""
    kept, missing = [], []
    for file in files:
        try:
            planned([[file]], settings, SEEDS[:1], folder)
        except (ConfigError, DataError) as error:
            told = str(error).replace(str(settings[0][1]), "DIR").split(". ")[0]
            missing.append(f"{Path(file).stem} in the grid: {type(error).__name__}: {told:.160}")
        else:
            kept.append(file)
    return kept, missing
