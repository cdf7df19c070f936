"""Pictures say what the tables say, can be read, and need neither a window nor global state."""

from __future__ import annotations

import subprocess
import sys

import pytest

from xtransfer import pictures, plots
from xtransfer.curves import read_curves, smoothed
from xtransfer.errors import ConfigError, DataError
from xtransfer.results import Results, Row
from xtransfer.study import lay_out
from xtransfer.tables import Cell, Table

pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")


def differences(*rows: tuple, header=("xnli", "panx")) -> Table:
    """A table of differences: the baseline's scores, then the differences of others to it."""
    cells = [tuple(Cell(v, signed=bool(i)) for v in values) for i, (_, *values) in enumerate(rows)]
    return Table("t", ("intermediate", *header), tuple(name for name, *_ in rows), tuple(cells), (), rows[0][0])


TABLE = differences(("none", 70.0, 60.0), ("mnli", 4.0, -2.0), ("qqp", None, 0.02))


def texts(axes) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in axes.texts}


def luminance(colour) -> float:
    from matplotlib.colors import to_rgb

    return plots._luminance(*to_rgb(colour))


# ------------------------------------------------------------------ heatmap
def test_a_heatmap_tells_every_cell_at_its_place():
    axes, bar = plots.heatmap(TABLE).axes
    assert texts(axes) == {"70.0": (0, -1.1), "60.0": (1, -1.1), "+4.0": (0, 0), "−2.0": (1, 0), "0.0": (1, 1)}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["xnli", "panx"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "mnli", "qqp"]
    assert "difference" in bar.get_ylabel()


def test_colours_diverge_from_zero_with_symmetrical_limits():
    axes, bar = plots.heatmap(TABLE).axes
    colours = {patch.get_xy(): patch.get_facecolor() for patch in axes.patches if not patch.get_hatch()}
    gain, loss = colours[-0.5, -0.5], colours[0.5, -0.5]
    assert gain[2] > gain[0]  # blue
    assert loss[0] > loss[2]  # red
    assert min(colours[0.5, 0.5][:3]) > 0.95  # nothing gained, nothing lost: white
    assert bar.get_ylim() == (-4, 4)


def test_a_few_large_differences_do_not_hide_the_others():
    ten = [f"t{i}" for i in range(10)]
    figure = plots.heatmap(differences(("none", *[50.0] * 10), ("mnli", *[2.0] * 9, 40.0), header=ten))
    assert figure.axes[1].get_ylim() == (-2, 2)
    assert "+40.0" in texts(figure.axes[0])


def test_a_missing_cell_is_hatched():
    axes = plots.heatmap(TABLE).axes[0]
    assert [patch.get_xy() for patch in axes.patches if patch.get_hatch()] == [(-0.5, 0.5)]


def test_numbers_can_be_read_on_their_background():
    values = [v / 2 for v in range(-20, 21)]
    axes = plots.heatmap(
        differences(("none", *[50.0] * 41), ("mnli", *values), header=[f"t{v}" for v in range(41)])
    ).axes[0]
    backgrounds = {patch.get_x() + 0.5: luminance(patch.get_facecolor()[:3]) for patch in axes.patches}
    for text in axes.texts:
        x, y = text.get_position()
        if y >= 0:
            dark, light = sorted([luminance(text.get_color()), backgrounds[x]])
            assert (light + 0.05) / (dark + 0.05) >= 4.5, text.get_text()  # the contrast WCAG asks for


# ------------------------------------------------------------------ bars by language
def test_bars_go_up_and_down_from_the_baseline():
    table = differences(
        ("none", 80, 60, 70, 20), ("mnli", 2, -1, 0.5, 3), ("qqp", 1, None, 1, 1), header=("en", "de", "mean", "gap")
    )
    (axes,) = plots.language_bars(table).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["en", "de", "mean"]  # a gap is no language
    assert [[round(bar.get_height(), 3) for bar in bars] for bars in axes.containers] == [[2, -1, 0.5], [1, 1]]
    assert [bars.get_label() for bars in axes.containers] == ["mnli", "qqp"]
    assert {"80.0", "60.0", "70.0"} == set(texts(axes))  # the baseline's scores, below
    crosses = [line for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [round(line.get_xdata()[0]) for line in crosses] == [1]


def test_many_languages_go_into_rows_of_one_scale_that_holds_every_bar():
    codes = [f"l{i}" for i in range(40)]
    table = differences(("none", *[50] * 40), *((f"i{k}", *[k - 4] * 40) for k in range(9)), header=codes)
    figure = plots.language_bars(table)
    assert len(figure.axes) > 2
    assert [label.get_text() for axes in figure.axes for label in axes.get_xticklabels()] == codes
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    low, high = figure.axes[0].get_ylim()
    assert low < -4 < 4 < high
    assert figure.get_figwidth() <= plots.WIDTH


def test_a_spread_is_drawn():
    cells = ((Cell(80.0),), (Cell(2.0, 0.5, 3, signed=True),))
    (axes,) = plots.language_bars(Table("t", ("i", "en"), ("none", "mnli"), cells, (), "none")).axes
    assert [1.5, 2.5] in [list(line.get_ydata()) for line in axes.lines]


# ------------------------------------------------------------------ learning curves
LOG = """\
epoch,step,test/qa/f1/en,train/qa/loss,val/qa/f1/de,val/qa/f1/en,val/qa/f1/mean
0,49,,4.0,,,
0,99,,2.0,,,
0,99,,,30.0,50.0,40.0
1,149,,1.0,,,
1,199,,,40.0,60.0,50.0
2,200,,,30.0,50.0,40.0
2,200,44.0,,,,
"""


@pytest.fixture
def stage(tmp_path):
    folder = tmp_path / "run" / "2-qa"
    (folder / "csv").mkdir(parents=True)
    (folder / "csv" / "metrics.csv").write_text(LOG)
    (folder / "DONE").touch()
    return folder


def test_curves_by_hand(stage):
    curves = read_curves(stage)
    assert curves.losses == {"qa": [(49, 4.0), (99, 2.0), (149, 1.0)]}
    assert curves.scores["qa", "f1"] == {
        "de": [(99, 30.0), (199, 40.0)],
        "en": [(99, 50.0), (199, 60.0)],
        "mean": [(99, 40.0), (199, 50.0)],
    }
    assert curves.kept == {
        ("qa", "f1"): {"de": 30.0, "en": 50.0, "mean": 40.0}
    }  # the kept model's are no point of a curve
    (stage / "DONE").unlink()
    assert read_curves(stage).scores["qa", "f1"]["en"][-1] == (200, 50.0)


def test_curves_are_drawn(stage):
    loss, score = plots.learning_curves(read_curves(stage)).axes
    assert [list(line.get_ydata()) for line in loss.lines] == [[4, 2, 1], [4, 2, 1]]  # as logged, and smoothed
    drawn = {line.get_label(): list(line.get_ydata()) for line in score.lines}
    assert drawn == {"de": [30, 40], "en": [50, 60], "mean": [40, 50], "kept model (mean)": [40, 40]}
    assert (loss.get_xlabel(), score.get_title()) == ("step", "development qa f1")


def test_a_loss_that_was_logged_once_can_be_seen(stage):
    file = stage / "csv" / "metrics.csv"
    file.write_text("\n".join(LOG.splitlines()[:2]) + "\n")
    (loss,) = plots.learning_curves(read_curves(stage)).axes
    assert loss.lines[-1].get_marker() == "o"


def test_smoothing_by_hand():
    assert smoothed([(1, 4.0), (2, 2.0), (5, 0.0)], 2) == [(1, 4.0), (2, 3.0), (5, 1.0)]


@pytest.mark.parametrize(
    ("line", "message"),
    [("0,49,,x,,,", r"metrics.csv:2: train/qa/loss: expected"), ("0,,,4.0,,,", r"metrics.csv:2: train/qa/loss")],
)
def test_a_broken_log_is_named(stage, line, message):
    (stage / "csv" / "metrics.csv").write_text(f"{LOG.splitlines()[0]}\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_curves(stage)


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no learning curves in .*metrics.csv"):
        read_curves(tmp_path)


# ------------------------------------------------------------------ all pictures of some runs
def study(*before: str):
    same = {"run": "r", "stage": "xnli", "task": "xnli", "head": "xnli", "split": "test", "metric": "accuracy"}
    return Results(
        Row(**same, chain=[*b.split(), "xnli"], language=code, value=70.0 + len(b), n=9, main=True, config=b or "none")
        for b in before
        for code in ("en", "de")
    )


def test_pictures_of_a_study_and_of_its_logs(stage, tmp_path):
    found = [*pictures.of_study(lay_out(study("", "mnli"))), *pictures.of_logs([stage.parent, stage])]
    assert [picture.name for picture in found] == ["heatmap", "languages-xnli", *["curves-run-2-qa"] * 2]
    assert "accuracy: xnli" in found[0].notes
    names = ["heatmap", "languages-xnli", "curves-run-2-qa", "curves-run-2-qa-2"]
    for form, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        written = pictures.save(found, tmp_path / "out", form)
        assert list(written) == [tmp_path / "out" / f"{name}.{form}" for name in names]
        assert all(path.read_bytes().startswith(start) for path in written)


def test_there_is_no_picture_without_something_to_compare():
    assert list(pictures.of_study(lay_out(study("")))) == []
    assert list(pictures.of_study(lay_out(study("mnli", "qqp")))) == []
    with pytest.raises(ConfigError, match="needs scores of a baseline"):
        plots.heatmap(study("").table())


def test_tensorboard_gets_pictures_and_notes(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert pictures.log_to_tensorboard(study("", "mnli"), tmp_path) == 2
    read = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert read.Tags()["images"] == ["heatmap", "languages-xnli"]
    assert read.Tags()["tensors"] == ["heatmap/text_summary"]  # the other has no notes


@pytest.mark.parametrize(
    ("name", "file"), [("xquad (squad_v1)", "xquad-squad_v1"), ("../a b", "..-a-b"), ("xnli", "xnli")]
)
def test_names_of_files(name, file):
    assert pictures.file_name(name) == file


def test_drawing_touches_no_global_state(tmp_path):
    code = (
        "import sys; from pathlib import Path; from xtransfer import plots; from xtransfer.tables import Cell, Table\n"
        "table = Table('t', ('i', 'en'), ('none', 'mnli'), ((Cell(1.0),), (Cell(2.0),)), (), 'none')\n"
        "plots.heatmap(table, Path(sys.argv[1]) / 'a.png'); plots.language_bars(table, Path(sys.argv[1]) / 'b.png')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'xtransfer\[plots\]'"):
        plots.heatmap(TABLE)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no picture format 'pgn'; did you mean 'png'?"):
        pictures.save([], tmp_path, "pgn")


def test_where_less_is_better_a_fall_is_blue():
    cells = ((Cell(9.0), Cell(60.0)), (Cell(-3.0, signed=True), Cell(-3.0, signed=True)))
    table = Table("t", ("i", "mlm", "xnli"), ("none", "mnli"), cells, (), "none", lower=("mlm",))
    colours = {patch.get_x(): patch.get_facecolor() for patch in plots.heatmap(table).axes[0].patches}
    assert colours[-0.5][2] > colours[-0.5][0]  # blue: better
    assert colours[0.5][0] > colours[0.5][2]  # red: worse


@pytest.mark.parametrize(("intermediates", "languages"), [(31, 15), (45, 11), (25, 33), (42, 40)])
def test_rows_of_bars_are_as_many_as_languages_need(intermediates, languages):
    codes = [f"l{i}" for i in range(languages)]
    rows = [("none", *[50] * languages), *((f"i{k}", *[1] * languages) for k in range(intermediates))]
    figure = plots.language_bars(differences(*rows, header=codes))
    assert [label.get_text() for axes in figure.axes for label in axes.get_xticklabels()] == codes
