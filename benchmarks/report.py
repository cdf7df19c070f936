"""Tables of measurements in Markdown, written into a page between two marks, so that what stands around them stays."""

from __future__ import annotations

import logging
import os
import platform
import warnings
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.harness import Row, Table, seconds

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PACKAGES = ("torch", "transformers", "lightning", "accelerate", "faiss-cpu", "sentence-transformers")


def written(tables: Sequence[Table], page: Path, head: Sequence[str]) -> None:
    """Write tables into a page, between its marks.

    Raises:
        ValueError: The page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{page}: expected the lines '{BEGIN}' and '{END}', once each and in this order")
    before, rest = text.split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{markdown(tables, head)}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def markdown(tables: Sequence[Table], head: Sequence[str]) -> str:
    """Write tables under their headings, after some lines on how they came about."""
    parts = ["\n".join(f"- {line}" for line in head) + "\n"]
    for table in tables:
        parts.append(f"## {table.title}\n")
        parts += [f"{note}\n" for note in table.notes]
        if table.rows:
            parts.append(of_rows(table.rows) + "\n")
        parts += [f"Not measured: {line}.\n" for line in table.absent]
    return "\n".join(parts)


def of_rows(rows: Sequence[Row]) -> str:
    """Write rows as one table; columns that none of them fills are left out."""
    names = list(dict.fromkeys(name for row in rows for name in row.told))
    titles = ["what", "beside", "ratio", "spread", "goal", "", *names, "remark"]
    lines = [[*_first(row), *(row.told.get(name, "") for name in names), row.note] for row in rows]
    kept = [i for i in range(len(titles)) if any(line[i] for line in lines)]
    cells = [[line[i] for i in kept] for line in [titles, ["---"] * len(titles), *lines]]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in cells)


def _first(row: Row) -> list[str]:
    spread = f"{min(row.values):.2f} to {max(row.values):.2f}" if len(row.values) > 1 else ""
    goal = ""
    if row.goal:
        sign = "<=" if row.goal.less else ">="
        goal = f"{sign} {row.goal.least:g}, aim {row.goal.aim:g}"
    return [row.what, row.peer, f"{row.median:.2f}", spread, goal, row.verdict]


def machine() -> list[str]:
    """Describe what was measured on, and with which versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    return [
        f"Measured on {date.today().isoformat()}: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()}, Python {platform.python_version()}.",
        "; ".join(versions) + ".",
    ]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    fields = dict(reversed([tuple(map(str.strip, line.split(":", 1))) for line in lines if ":" in line]))
    flags = fields.get("flags", "").split()
    wide = next((name for name in ("avx512f", "avx2") if name in flags), "")
    return f"{fields.get('model name', platform.processor() or platform.machine())}{f' ({wide})' if wide else ''}"


def progress(table: Table) -> str:
    """Say in a few lines how a table came out, for the terminal."""
    lines = [f"{row.what}, beside {row.peer}: {seconds(row.values)} {row.verdict}" for row in table.rows]
    return "\n".join(f"  {line}" for line in [*lines, *(f"not measured: {line}" for line in table.absent)])


def quiet() -> None:
    """Leave out what frameworks say of themselves."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric", "xtransfer", "sentence_transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
