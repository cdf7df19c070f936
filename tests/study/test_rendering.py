"""Tables as text: what a person reads, what LaTeX and a spreadsheet take."""

from __future__ import annotations

import csv
import io

import pytest

from xtransfer.errors import ConfigError
from xtransfer.tables import Cell, Table

TABLE = Table(
    title="Scores",
    header=("intermediate", "xnli", "panx"),
    names=("none", "a_b & c → d"),
    cells=(
        (Cell(70.04, 1.25, 2), Cell()),
        (Cell(-1.26, signed=True, seeds=1), Cell(0.04, signed=True, best=True, seeds=1)),
    ),
    notes=("±: spread", "100 % {sure}"),
    baseline="none",
)


def test_markdown_by_hand():
    assert TABLE.render().splitlines() == [
        "Scores; below 'none' the difference to it",
        "",
        "| intermediate |           xnli |        panx |",
        "|--------------|---------------:|------------:|",
        "| none         | 70.0 ± 1.2 (2) |           – |",
        "| a_b & c → d  |       -1.3 (1) | **0.0 (1)** |",
        "",
        "- ±: spread",
        "- 100 % {sure}",
    ]


def test_latex_by_hand():
    assert TABLE.render("latex").splitlines() == [
        "% Scores; below 'none' the difference to it",
        r"% needs \usepackage{booktabs}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"intermediate & xnli & panx \\",
        r"\midrule",
        r"none & 70.0 $\pm$ 1.2 (2) & -- \\",
        r"a\_b \& c $\rightarrow$ d & -1.3 (1) & \textbf{0.0 (1)} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip{\footnotesize $\pm$: spread. 100 \% \{sure\}.\par}",
    ]


def test_csv_has_all_digits_and_spreads_of_their_own():
    rows = list(csv.reader(io.StringIO(TABLE.render("csv"))))
    assert rows == [
        ["intermediate", "xnli", "xnli sd", "xnli seeds", "panx", "panx sd", "panx seeds"],
        ["none", "70.0400", "1.2500", "2", "", "", ""],
        ["a_b & c → d", "-1.2600", "", "1", "0.0400", "", "1"],
    ]


def test_csv_without_spreads_is_plain_and_names_are_no_formulas():
    table = Table("", ("task", "chosen", "x"), ("=cmd()", "b,c"), ((Cell(text="@x"), Cell(1.0)), (Cell(), Cell(2.0))))
    assert table.render("csv").splitlines() == ["task,chosen,x", "'=cmd(),'@x,1.0000", '"b,c",,2.0000']


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(), "–"),
        (Cell(text="mnli"), "mnli"),
        (Cell(1.25), "1.2"),
        (Cell(1.25, signed=True), "+1.2"),
        (Cell(-0.04, signed=True), "0.0"),
        (Cell(-0.04), "0.0"),
        (Cell(-0.06, signed=True), "-0.1"),
        (Cell(2.0, 0.0, 3), "2.0 ± 0.0"),
    ],
)
def test_cells(cell, text):
    assert cell.plain() == text


def test_words_stand_left_in_markdown():
    table = Table("t", ("target", "chosen", "dev"), ("xnli",), ((Cell(text="mnli"), Cell(1.0)),))
    assert table.markdown().splitlines()[3] == "|--------|--------|----:|"


def test_what_is_not_there_is_refused():
    assert TABLE.cell("none", "xnli").value == 70.04
    for refused, message in (
        (lambda: TABLE.cell("nine", "xnli"), "the table has no 'nine'; did you mean 'none'?"),
        (lambda: TABLE.cell("none", "xnil"), "the table has no 'xnil'; did you mean 'xnli'?"),
        (lambda: TABLE.render("latx"), "no table format 'latx'; did you mean 'latex'?"),
    ):
        with pytest.raises(ConfigError) as error:
            refused()
        assert str(error.value) == message
