"""The official mock predictions must score what the official evaluator says of them, unrounded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from xtransfer.evaluator import Scores, score
from xtransfer.scoreboard import as_json, tables

MOCK = Path(__file__).parents[2].parent / "shared" / "data" / "xtreme_mock_test_data"

pytestmark = pytest.mark.skipif(
    not MOCK.parent.is_dir(), reason="the folder of real samples, shared/data beside the repository, is not there"
)

MEANS = {
    "pawsx": {"accuracy": 51.42857142857143},
    "xnli": {"accuracy": 30.666666666666668},
    "panx": {"f1": 57.50793650793652},
    "udpos": {"f1": 70.21746048354693},
    "bucc2018": {"f1": 55.0},
    "tatoeba": {"accuracy": 53.611111111111114},
    "xquad": {"em": 77.27272727272727, "f1": 79.9586776859504},
    "mlqa": {"em": 57.142857142857146, "f1": 81.76870748299321},
    "tydiqa": {"em": 88.88888888888889, "f1": 97.22222222222223},
}
"""What ``evaluate_test.py`` expects."""


@pytest.fixture(scope="module")
def mock() -> Scores:
    return score(MOCK / "predictions", MOCK / "labels")


@pytest.mark.parametrize("task", MEANS)
def test_tasks(mock: Scores, task: str) -> None:
    assert mock.tasks[task].means == pytest.approx(MEANS[task], abs=1e-9)


def test_averages(mock: Scores) -> None:
    expected = {"classification": 41.0476, "tagging": 63.8627, "qa": 80.3757, "retrieval": 54.3056}
    assert mock.groups == pytest.approx(expected, abs=5e-5)
    assert mock.overall == pytest.approx(62.1732, abs=5e-5)
    assert (mock.missing, mock.unlabelled) == ([], [])


def test_averages_by_the_newer_seqeval() -> None:
    newer = score(MOCK / "predictions", MOCK / "labels", seqeval="1.x")
    assert newer.tasks["udpos"].average == pytest.approx(70.3981, abs=5e-5)
    assert newer.tasks["panx"].average == pytest.approx(57.5079, abs=5e-5)
    assert newer.overall == pytest.approx(62.1933, abs=5e-5)
    assert "like seqeval 1.x" in tables(newer)


def test_a_folder_of_no_task_is_ignored_and_named(mock: Scores) -> None:
    assert [Path(name).relative_to(MOCK).as_posix() for name in mock.ignored] == [
        "predictions/mewslix",
        "labels/mewslix",
    ]


def test_mewslix_and_what_xtreme_r_lacks() -> None:
    found = score(MOCK / "predictions", MOCK / "labels", "xtreme-r")
    ranks = {"ar": 16, "de": 2, "en": 12, "es": 12, "fa": 4, "ja": 14, "pl": 19, "ro": 6, "ta": 13, "tr": 8, "uk": 9}
    expected = {language: pytest.approx(100 / rank) for language, rank in ranks.items()}
    assert {language: one.scores["map20"] for language, one in found.tasks["mewslix"].languages.items()} == expected
    assert found.tasks["mewslix"].average == pytest.approx(sum(100 / rank for rank in ranks.values()) / 11)
    assert found.tasks["panx"].average is None
    assert found.tasks["panx"].means == pytest.approx(MEANS["panx"])
    assert ("xquad", "ro", "no predictions and no labels") in found.missing
    assert found.groups == dict.fromkeys(found.groups)  # each has a task that lacks languages
    assert found.overall is None
    text = tables(found)
    assert "| panx    | f1       |  40 of 48 |         57.51 |            – |" in text
    assert "not formed: panx, udpos, tatoeba, xcopa, lareqa, xquad incomplete" in text
    assert "The official script cannot confirm xtreme_r_avg" in text


def test_one_missing_language_withholds_the_averages_it_is_part_of(tmp_path: Path) -> None:
    for side in ("predictions", "labels"):
        shutil.copytree(MOCK / side, tmp_path / side)
    (tmp_path / "predictions" / "xnli" / "test-sw.tsv").unlink()
    (tmp_path / "labels" / "tatoeba" / "test-af.tsv").write_text("")
    found = score(tmp_path / "predictions", tmp_path / "labels")
    assert found.missing == [("xnli", "sw", "no predictions")]
    assert found.unlabelled == [("tatoeba", "af", "the file is empty")]
    assert found.tasks["xnli"].means["accuracy"] == pytest.approx((15 * 30.666666666666668 - 20) / 14)
    assert (found.tasks["xnli"].average, found.tasks["xnli"].gap) == (None, None)
    assert {name for name, value in found.groups.items() if value is None} == {"classification", "retrieval"}
    assert found.overall is None
    plain = json.loads(as_json(found))
    assert plain["overall"] == {"xtreme_avg": None}
    assert plain["no_gold_labels"] == [["tatoeba", "af", "the file is empty"]]
    text = tables(found)
    assert "no predictions: xnli sw\n" in text
    assert "no gold labels: tatoeba af (the file is empty)\n" in text
