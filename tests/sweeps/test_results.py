"""What a sweep tells: data frames, tables by its axes, which differences are clear, and which cells are missing."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from xtransfer.bootstrap import holm, two_sided
from xtransfer.cli import main
from xtransfer.errors import ConfigError, DataError
from xtransfer.results import Results, Row
from xtransfer.significance import gold_of
from xtransfer.sweeps.records import Record

NLI = ("entailment", "neutral", "contradiction")
N = 60


def lines(folder: Path, language: str, wrong: int, first: bool) -> None:
    """Predictions with so many wrong lines, the first or the last."""
    gold = [NLI[i % 3] for i in range(N)]
    flipped = [NLI[(i + 1) % 3] for i in range(N)]
    told = flipped[:wrong] + gold[wrong:] if first else gold[: N - wrong] + flipped[N - wrong :]
    path = folder / "predictions" / "xnli" / f"test-{language}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{label}\n" for label in told))


def cell(sweep: Path, before: str, seed: int, lr: float = 0.1, dev: float = 50.0, **wrong: int) -> None:
    """A cell that is done: its record, rows and predictions; `wrong` lines of each language."""
    name = f"{before}-seed{seed}-lr{lr}"
    folder = sweep / "runs" / name / "2-target"
    chain = ["target"] if before == "none" else ["before", "target"]
    trained = ["xnli"] if before == "none" else [before, "xnli"]
    common = {"run": name, "stage": "target", "chain": chain, "trained": trained, "task": "xnli", "head": "mnli"}
    common |= {"metric": "accuracy", "main": True, "seed": seed, "config": name, "n": N}
    common |= {"config_file": str(folder / "config.yaml"), "origin": "rows"}
    rows = [Row(**common, language="en", split="validation", value=dev)]
    for language, number in wrong.items():
        rows.append(Row(**common, language=language, split="test", value=100 * (N - number) / N))
        lines(folder, language, number, first=before == "none")
        gold = gold_of(sweep / "labels", "rows") / "xnli" / f"test-{language}.tsv"
        gold.parent.mkdir(parents=True, exist_ok=True)
        gold.write_text("".join(f"{NLI[i % 3]}\n" for i in range(N)))
    Results(rows).append(folder / "results.jsonl")
    axes = {"stages.before": before, "seed_everything": f"seed{seed}", "model.lr": f"lr{lr}"}
    Record(state="done", values=axes, stages=["2-target"]).save(sweep / "cells" / f"{name}.json")


def lost(sweep: Path, before: str, seed: int) -> None:
    name = f"{before}-seed{seed}-lr0.1"
    axes = {"stages.before": before, "seed_everything": f"seed{seed}", "model.lr": "lr0.1"}
    Record(state="failed", reason="no room", values=axes, stages=["2-target"]).save(sweep / "cells" / f"{name}.json")


@pytest.fixture
def folder(tmp_path):
    """No intermediate, MNLI, which is better by far, and QQP, which differs by a line; two seeds each."""
    sweep = tmp_path / "sweep"
    for seed in (1, 2):
        cell(sweep, "none", seed, dev=40, en=24, de=30)
        cell(sweep, "mnli", seed, dev=60 + seed, en=6, de=6 * seed)
        cell(sweep, "qqp", seed, dev=70, en=24, de=29)
    return sweep


# ------------------------------------------------------------------ corrections
def test_holm_by_hand():
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2 (not below the one before), 0.4 x 1.
    assert holm([0.02, 0.4, 0.01, 0.03]) == pytest.approx([0.06, 0.4, 0.04, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.01, math.nan, 0.04, 0.03])[::2] == pytest.approx([0.03, 0.06])  # what is no number does not count
    assert math.isnan(holm([0.5, math.nan])[1])


def test_no_probability_is_zero():
    assert two_sided(0.0, 999) == pytest.approx(2 / 1000)
    assert two_sided(0.1, 10) == pytest.approx(4 / 11)
    assert two_sided(1.0, 10) == 1.0


# ------------------------------------------------------------------ clear differences
def test_differences_are_over_languages_and_seeds_and_corrected(folder):
    found = Results.load(folder).gains(samples=2000)
    mnli, qqp = found.gains
    # en: 60 -> 90 in both seeds; de: 50 -> 90 and 80.
    assert mnli.difference.mean == pytest.approx((30 + 40 + 30 + 30) / 4)
    assert mnli.spread == pytest.approx((35 - 30) / 2**0.5)
    assert (mnli.seeds, mnli.languages, mnli.difference.n) == ((1, 2), ("en", "de"), N)
    assert qqp.difference.mean == pytest.approx(100 / N / 2)
    assert (mnli.is_clear, qqp.is_clear) == (True, False)
    assert [mnli.holm, qqp.holm] == pytest.approx(holm([mnli.p, qqp.p]))
    assert mnli.p == pytest.approx(2 / 2001)  # in no resample the other sign
    table = found.table()
    assert [[c.plain() for c in row] for row in table.cells] == [["55.0 ± 0.0"], ["+32.5* ± 3.5"], ["+0.8 ± 0.0"]]
    assert any("corrected by Holm for 2 differences" in note for note in table.notes)
    frame = found.to_frame()
    assert list(frame["clear"]) == [True, False]
    assert list(frame["seeds"]) == [2, 2]
    assert frame["difference"].tolist() == pytest.approx([32.5, 100 / N / 2])


def test_the_same_examples_are_drawn_in_all_seeds(folder):
    """Two equal seeds are no more evidence than one."""
    one = Results.load(folder).where(seed=1).gains(samples=500)
    for language in ("en", "de"):
        lines(folder / "runs/mnli-seed2-lr0.1/2-target", language, 6, first=False)
    rows = [Row(**(asdict(r) | ({"value": 90.0} if r.run == "mnli-seed2-lr0.1" and r.split == "test" else {})))
            for r in Results.load(folder)]  # fmt: skip
    both = Results(rows, Results.load(folder).sweep).gains(samples=500)
    assert both.gains[0].difference.high - both.gains[0].difference.low == pytest.approx(
        one.gains[0].difference.high - one.gains[0].difference.low
    )


def test_predictions_that_are_not_those_of_the_score_are_not_used(folder):
    lines(folder / "runs/qqp-seed2-lr0.1/2-target", "de", 3, first=False)
    found = Results.load(folder).gains(samples=100)
    assert [gain.intermediate for gain in found.gains] == ["mnli"]
    assert "xnli after qqp: not tested: de: the predictions in" in found.notes[0]
    assert "give 95.00, the score is 51.67" in found.notes[0]
    shutil.rmtree(folder / "labels")
    notes = Results.load(folder).gains(samples=100).notes
    assert any("not tested: no labels in" in note and "`xtransfer labels DIR` writes labels" in note for note in notes)


def test_a_sweep_may_be_moved(folder, tmp_path):
    folder.rename(tmp_path / "moved")
    assert len(Results.load(tmp_path / "moved").gains(samples=100).gains) == 2


# ------------------------------------------------------------------ missing cells
def test_missing_cells_are_told_and_never_averaged_over(folder):
    lost(folder, "squad_v1", 1)
    lost(folder, "mnli", 2)
    found = Results.load(folder)
    assert found.sweep.missing == {"mnli-seed2-lr0.1": "failed: no room", "squad_v1-seed1-lr0.1": "failed: no room"}
    table = found.table()
    assert table.cell("mnli", "xnli").seeds == 1
    note = "missing: 2 of 7 cells: mnli-seed2-lr0.1 (failed: no room), squad_v1-seed1-lr0.1 (failed: no room)"
    assert note in table.notes
    assert "mnli-seed2-lr0.1" not in set(found.to_frame()["run"])


def test_a_sweep_without_any_cell_done_has_no_results(tmp_path):
    lost(tmp_path, "mnli", 1)
    with pytest.raises(DataError, match="no results in .*: none of its 1 cells is done"):
        Results.load(tmp_path)
    (tmp_path / "cells/broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken.json: not the record of a cell"):
        Results.load(tmp_path)


# ------------------------------------------------------------------ frames, tables, pictures
def test_the_frame_is_long_and_has_the_axes(folder):
    frame = Results.load(folder).to_frame()
    assert len(frame) == 6 * 3
    assert set(frame["intermediate"]) == {"none", "mnli", "qqp"}
    chosen = frame[(frame["split"] == "test") & (frame["stages.before"] == "mnli") & (frame["seed"] == 2)]
    assert dict(zip(chosen["language"], chosen["value"], strict=True)) == {"en": 90.0, "de": 80.0}
    assert set(frame["model.lr"]) == {"lr0.1"}
    assert len(Results().to_frame()) == 0


def test_rows_and_columns_may_be_axes(folder):
    cell(folder, "mnli", 1, lr=0.2, en=0, de=0)
    found = Results.load(folder).table(rows="model.lr", columns="stages.before", difference=False)
    assert found.header == ("model.lr", "mnli", "none", "qqp", "mean")
    assert found.cell("lr0.2", "mnli").value == 100
    assert found.cell("lr0.2", "none").value is None
    assert found.cell("lr0.2", "mean").value is None
    assert found.cell("lr0.1", "none").value == pytest.approx(55)
    by_seed = Results.load(folder).table(rows="stages.before", columns="seed", difference=False, baseline="none")
    assert by_seed.header[1:3] == ("seed 1", "seed 2")
    with pytest.raises(ConfigError, match="no rows 'model.rl'; did you mean 'model.lr'?"):
        Results.load(folder).table(rows="model.rl")


def test_the_best_is_chosen_on_development_rows_and_told_on_test(folder):
    """QQP is better there, and hardly any better on test."""
    row = Results.load(folder).table(columns="best").cells[0]
    assert row[0].text == "qqp"
    assert [cell.value for cell in row[1:]] == pytest.approx([70, 40, 55 + 50 / N, 55, 50 / N])


def test_pictures(folder, tmp_path):
    pytest.importorskip("matplotlib")
    found = Results.load(folder)
    for kind in ("heatmap", "languages"):
        figure = found.plot(kind, path=tmp_path / f"{kind}.png")
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        assert "55.0" in " ".join(texts)
        assert (tmp_path / f"{kind}.png").stat().st_size > 1000
    log = folder / "runs/mnli-seed1-lr0.1/2-target/csv/metrics.csv"
    log.parent.mkdir()
    log.write_text("epoch,step,train/xnli/loss\n0,0,1.5\n0,1,1.0\n")
    assert found.plot("curves", run="mnli-seed1-lr0.1").axes[0].get_title() == "training loss"
    with pytest.raises(ConfigError, match="learning curves are of one run: choose a run of"):
        found.plot("curves")
    with pytest.raises(ConfigError, match="no picture 'heetmap'; did you mean 'heatmap'?"):
        found.plot("heetmap")


def test_the_commands_take_a_sweeps_folder(folder, capsys):
    assert main(["table", str(folder), "--significance"]) == 0
    assert "+32.5* ± 3.5" in capsys.readouterr().out
    assert main(["table", str(folder), "--rows", "stages.before", "--columns", "model.lr"]) == 0
    assert "lr0.1" in capsys.readouterr().out
    assert main(["table", str(folder), "--significance", "--best"]) == 2
    assert "--significance is a table of its own" in capsys.readouterr().err


def test_records_are_plain_json(folder):
    told = json.loads((folder / "cells/mnli-seed1-lr0.1.json").read_text())
    assert (told["state"], told["values"]["stages.before"]) == ("done", "mnli")
