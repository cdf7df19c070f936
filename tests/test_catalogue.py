"""The page of the tasks is the one the records make, and says of a task what a user needs to fetch and judge it."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtransfer import catalogue
from xtransfer.catalogue import document
from xtransfer.cli import main
from xtransfer.datamodules import MNLI
from xtransfer.errors import ConfigError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tasks.md"


def section(name: str) -> list[str]:
    return document().split(f"\n## {name}\n")[1].split("\n## ")[0].strip().splitlines()


def test_the_page_is_the_one_the_records_make(capsys):
    assert main(["tasks", "--docs"]) == 0
    made = capsys.readouterr().out
    assert PAGE.read_text(encoding="utf-8") == made, "xtransfer tasks --docs > docs/tasks.md"


def test_a_section_says_where_the_rows_come_from():
    assert section("XQuAD") == [
        "A part of SQuAD v1.1's development set, translated by people; trained on English SQuAD v1.1.",
        "",
        "- **name**: `xquad`",
        "- **kind**: span, head `squad_v1`; trained on SQuAD",
        "- **languages**: 12: ar de el en es hi ro ru th tr vi zh (ro since XTREME-R)",
        "- **rows**: test 1,190",
        "- **hub, untried**: `google/xquad`, configuration `xquad.{language}`, revision "
        "`51adfef1c1287aab1d2d91b5bead9bcfb9c68583` (test = `validation`)",
        "- **files**: SquadJson: `xquad.{language}.json` (test)",
        "- **published at**: https://github.com/google-deepmind/xquad",
        "- **licence**: CC BY-SA 4.0",
        "- **metric**: F1 and exact match, by XTREME's evaluator, with SQuAD's English rules in every language. "
        "XTREME's copies have no answers.",
        '- **from**: Artetxe, Ruder and Yogatama 2020, "On the Cross-lingual Transferability of Monolingual '
        'Representations".',
    ]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("XNLI", "- **labels**: `entailment`, `neutral`, `contradiction`"),
        ("XNLI", "- **files**: Tsv: `xnli.dev.tsv` (validation), `xnli.test.tsv` (test)"),
        ("XNLI", "- **files**: Tsv: `dev-{language}.tsv` (validation), `test-{language}.tsv` (test)"),
        ("MNLI", "- **rows**: train 392,702; validation 9,815"),
        ("Tatoeba", "- **kind**: retrieval, head `tatoeba`; trained on nothing"),
        (
            "Tatoeba",
            "- **rows**: test 1,000, jv 205, ka 746, kk 575, ml 687, sw 390, ta 307, te 234, th 548",
        ),
        (
            "Tatoeba",
            "- **files**: ParallelLines: `tatoeba.{language}-eng.{language}` (test), `tatoeba.{language}-eng.eng` "
            "beside it; `afr` for af, and so on",
        ),
        (
            "PANX",
            "- **hub, untried**: `google/xtreme`, configuration `PAN-X.{language}` (train, validation, test); az gu lt "
            "pa pl qu ro uk from `unimelb-nlp/wikiann`, configuration `{language}` (train, validation, test)",
        ),
        ("DemoNLI", "- **hub**: none"),
    ],
)
def test_a_section_has_the_line(name, line):
    assert line in section(name)


@pytest.mark.parametrize("name", catalogue.tasks())
def test_a_section_tells_all_there_is_to_know(name):
    facts = dict(line[4:].split("**: ", 1) for line in section(name) if line.startswith("- **"))
    assert {"name", "kind", "languages", "rows", "licence", "metric", "from"} <= facts.keys()
    assert all(facts.values())
    assert facts.keys() & {"files", "joined"}


def test_a_docstring_without_its_parts_is_named(monkeypatch):
    class Bare(MNLI):
        """Only a first line."""

    monkeypatch.setattr(catalogue, "tasks", lambda: {"Bare": Bare})
    with pytest.raises(ConfigError, match="Bare: its docstring needs"):
        document()
