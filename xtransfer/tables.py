"""Tables as plain data, and how they are written: Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xtransfer.errors import ConfigError, nearest
from xtransfer.results import markdown

MISSING = "–"
FORMATS = ("markdown", "latex", "csv")
LATEX = {
    "\\": r"\textbackslash{}",
    "→": r"$\rightarrow$",
    "±": r"$\pm$",
    "–": "--",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        value: What it says, in percent or points; None is a missing cell, unless there is `text`.
        spread: Standard deviation over seeds; None with one seed.
        seeds: Number of seeds.
        signed: Whether it is a difference, and written with its sign.
        best: Whether it is the best of its column.
        text: Words in place of a number.
        clear: Whether it is a difference that chance among the examples does not explain.
    """

    value: float | None = None
    spread: float | None = None
    seeds: int = 0
    signed: bool = False
    best: bool = False
    text: str = ""
    clear: bool = False

    def plain(self, with_seeds: bool = False) -> str:
        """Return it to one decimal, a star where it is clear, e.g. ``+1.2* ± 0.3 (3)``; seeds only if asked for."""
        if self.value is None:
            return self.text or MISSING
        rounded = round(self.value, 1) + 0.0  # not -0.0
        told = f"{rounded:+.1f}" if self.signed and rounded else f"{rounded:.1f}"
        told += "*" if self.clear else ""
        told += "" if self.spread is None else f" ± {self.spread:.1f}"
        return told + (f" ({self.seeds})" if with_seeds else "")


@dataclass(frozen=True)
class Table:
    """A table as plain data.

    Attributes:
        title: What it shows.
        header: Names of its columns, that of the row names first.
        names: Names of its rows.
        cells: Rows of cells, one a column without the first.
        notes: What has to be said below it.
        baseline: Name of the first row, if the cells of the others are differences to it; else empty.
        lower: Columns in which less is better.
    """

    title: str
    header: tuple[str, ...]
    names: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    baseline: str = ""
    lower: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """The title, and what the cells are differences to."""
        return self.title + (f"; below '{self.baseline}' the difference to it" if self.baseline else "")

    def cell(self, name: str, column: str) -> Cell:
        """Return the cell of a row and a column.

        Raises:
            ConfigError: There is no such row or column.
        """
        for wanted, known in ((name, self.names), (column, self.header[1:])):
            if wanted not in known:
                raise ConfigError(f"the table has no '{wanted}'{nearest(wanted, known)}")
        return self.cells[self.names.index(name)][self.header.index(column) - 1]

    def render(self, form: str = "markdown") -> str:
        """Return the table as text.

        Args:
            form: ``markdown``, ``latex`` or ``csv``.

        Raises:
            ConfigError: Another format.
        """
        ways: dict[str, Callable[[], str]] = {"markdown": self.markdown, "latex": self.latex, "csv": self.csv}
        if form not in ways:
            raise ConfigError(f"no table format '{form}'{nearest(form, ways)}")
        return ways[form]()

    def markdown(self) -> str:
        """Return title, table and notes; the best of a column is bold."""
        rows = [[name, *cells] for name, cells in zip(self.names, self._written("**{}**"), strict=True)]
        left = (0, *(i + 1 for i, column in enumerate(zip(*self.cells, strict=True)) if any(c.text for c in column)))
        table = markdown(self.header, rows, left)
        return "\n\n".join([self.caption, table, *(["\n".join(f"- {note}" for note in self.notes)] * bool(self.notes))])

    def latex(self) -> str:
        """Return a tabular for the package booktabs, the title as a comment above, the notes in small print below."""
        bold = self._written(r"\textbf{{{}}}", _latex)
        rows = [[_latex(name), *cells] for name, cells in zip(self.names, bold, strict=True)]
        lines = [
            f"% {self.caption}",
            "% needs \\usepackage{booktabs}",
            f"\\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
            r"\toprule",
            f"{' & '.join(map(_latex, self.header))} \\\\",
            r"\midrule",
            *(f"{' & '.join(row)} \\\\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        if self.notes:
            notes = " ".join(f"{_latex(note)}." for note in self.notes)
            lines.append(f"\\par\\smallskip{{\\footnotesize {notes}\\par}}")
        return "\n".join(lines)

    def csv(self) -> str:
        """Return numbers to four decimals, with columns of spreads and seeds if there are any; notes are left out."""
        spread = any(cell.spread is not None for row in self.cells for cell in row)
        parts = ["{}", "{} sd", "{} seeds"] if spread else ["{}"]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([self.header[0], *(part.format(column) for column in self.header[1:] for part in parts)])
        for name, cells in zip(self.names, self.cells, strict=True):
            writer.writerow([_harmless(name), *(word for cell in cells for word in _csv(cell)[: len(parts)])])
        return stream.getvalue().rstrip("\n")

    def _written(self, bold: str, escape: Callable[[str], str] = str) -> list[list[str]]:
        with_seeds = len(seed_counts(self.cells)) > 1
        return [
            [
                bold.format(escape(cell.plain(with_seeds))) if cell.best else escape(cell.plain(with_seeds))
                for cell in row
            ]
            for row in self.cells
        ]


def seed_counts(cells: Sequence[Sequence[Cell]]) -> set[int]:
    """Return the different numbers of seeds in a table's cells."""
    return {cell.seeds for row in cells for cell in row if cell.value is not None and cell.seeds}


def _latex(text: str) -> str:
    return "".join(LATEX.get(sign, sign) for sign in text)


def _csv(cell: Cell) -> list[str]:
    if cell.value is None:
        return [_harmless(cell.text), "", ""]
    return [
        f"{cell.value:.4f}",
        "" if cell.spread is None else f"{cell.spread:.4f}",
        str(cell.seeds) if cell.seeds else "",
    ]


def _harmless(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
