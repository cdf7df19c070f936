"""Measures the library beside other ways to do the same, and writes the tables into docs/benchmarks.md.

    python -m benchmarks --data-dir DIR            # everything; some 40 minutes on two quiet cores
    python -m benchmarks --data-dir DIR --quick    # a look; no figure to quote
    python -m benchmarks --only memory search      # some tables, printed

Tables are written where all were measured. The exit status is 1 if a goal is missed by more than the rounds differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import command_line, evaluate, memory, plans, report, search, tokenise, train
from benchmarks.harness import Table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
GROUPS = ("command_line", "plans", "memory", "tokenise", "search", "evaluate", "train")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0], prog="python -m benchmarks")
    parser.add_argument("--data-dir", type=Path, help="folder with the data sets' files, one folder a task")
    parser.add_argument("--quick", action="store_true", help="one round of little: that everything runs")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="measure some tables, write nothing")
    parser.add_argument("--page", type=Path, help="page to write the tables into; default docs/benchmarks.md")
    options = parser.parse_args(arguments)
    began, tables = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="xtransfer-bench-") as folder:
        for name in options.only:
            print(f"{name} ...", flush=True)
            tables.append(measured(name, options.data_dir, Path(folder), options.quick))
            print(report.progress(tables[-1]), flush=True)
    took = f"All of it took {(time.monotonic() - began) / 60:.0f} minutes."
    head = [*report.machine(), *(["**A quick look: one round, no figure to quote.**"] if options.quick else []), took]
    whole = tuple(options.only) == GROUPS
    page = options.page or (PAGE if whole and not options.quick else None)
    if page:
        report.written(tables, page, head)
        print(f"written into {page}")
    else:
        print(report.markdown(tables, head))
    failed = [row.what for table in tables for row in table.rows if row.failed]
    print(*(f"missed: {what}" for what in failed), sep="\n", file=sys.stderr)
    return 1 if failed and not options.quick else 0


def measured(name: str, data_dir: Path | None, folder: Path, quick: bool) -> Table:
    """Measure one table."""
    groups: dict[str, Callable[[], Table]] = {
        "command_line": lambda: command_line.measure(1 if quick else 5),
        "plans": lambda: plans.measure(folder),
        "memory": lambda: memory.measure(folder, words=(memory.JUDGED,) if quick else memory.WORDS),
        "tokenise": lambda: tokenise.measure(data_dir, folder, 1 if quick else 5),
        "search": lambda: search.measure(2_000 if quick else 10_000, 50 if quick else 400, 1 if quick else 5),
        "evaluate": lambda: evaluate.measure(data_dir, folder, evaluate.QUICK if quick else evaluate.FULL),
        "train": lambda: train.measure(data_dir, folder, train.QUICK if quick else train.Scale()),
    }
    return groups[name]()


if __name__ == "__main__":
    report.quiet()
    sys.exit(main())
