"""The commands table, compare and plot: what they print, write and refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xtransfer.cli import main
from xtransfer.results import Results, Row

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "lightning", "transformers", "datasets", "numpy", "matplotlib")


def rows(target: str, before: str, en: float, de: float) -> Results:
    same = {
        "run": before or "alone",
        "stage": target,
        "chain": [*before.split(), target],
        "task": target,
        "head": target,
    }
    same |= {"split": "test", "metric": "accuracy", "n": 9, "main": True, "seed": 1, "config": f"{before}-{target}"}
    return Results(Row(**same, language=code, value=value) for code, value in (("en", en), ("de", de)))


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs: XNLI and PAWS-X alone, and both after MNLI; beside them a file that is no run."""
    monkeypatch.chdir(tmp_path)
    for name, before, scores in (("none", "", (80, 60, 90, 80)), ("mnli", "mnli", (82, 66, 88, 79))):
        rows("xnli", before, *scores[:2]).append(Path("runs") / name / "results.jsonl")
        rows("pawsx", before, *scores[2:]).append(Path("runs") / name / "results.jsonl")
    Path("runs/not_run.txt").touch()
    return ["runs/none", "runs/mnli"]


def said(capsys, *words: str) -> tuple[str, str]:
    assert main(list(words)) == 0
    return tuple(capsys.readouterr())


def refused(capsys, *words: str) -> str:
    assert main(list(words)) == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()[-1]


# ------------------------------------------------------------------ table
def test_a_table_of_runs(runs, capsys):
    out, err = said(capsys, "table", *runs)
    assert out.splitlines()[2:6] == [
        "| intermediate |     xnli |    pawsx |     mean |",
        "|--------------|---------:|---------:|---------:|",
        "| none         |     70.0 | **85.0** |     77.5 |",
        "| mnli         | **+4.0** |     -1.5 | **+1.2** |",
    ]
    assert err == ""


def test_what_has_no_results_is_named_and_left_out(runs, capsys):
    out, err = said(capsys, "table", *runs, "runs/not_run.txt")
    assert out == said(capsys, "table", *runs)[0]
    assert err == "left out, no results: runs/not_run.txt\n"
    assert "no results.jsonl in runs" in refused(capsys, "table", "runs")


def test_files_of_results_are_runs_too(runs, capsys):
    files = [f"{run}/results.jsonl" for run in runs]
    assert said(capsys, "table", *files, *runs)[0] == said(capsys, "table", *runs)[0]  # equal rows count once


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--task", "xnli"], "| mnli         | **+4.0** |"),
        (["--task=pawsx,xnli", "--difference", "no"], "| mnli         | **74.0** |     83.5 | **78.8** |"),
        (["--baseline", "mnli", "--task", "xnli"], "| none         |     -4.0 |"),
        (["--columns", "language", "--task", "xnli"], "| mnli         | **+2.0** | **+6.0** | **+4.0** | **-4.0** |"),
        (["--format", "csv", "--task", "xnli"], "mnli,4.0000"),
        (["--format", "latex", "--task", "xnli", "--rows", "intermediate"], r"mnli & \textbf{+4.0} \\"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_of_a_table(runs, capsys, options, line):
    assert line in said(capsys, "table", *runs, *options)[0].splitlines()


def test_a_table_a_target(runs, capsys):
    out, _ = said(capsys, "table", *runs, "--columns", "language")
    assert [line for line in out.splitlines() if "in percent" in line] == [
        f"{task}: accuracy in percent, test rows; below 'none' the difference to it" for task in ("xnli", "pawsx")
    ]


def test_a_table_can_be_written_and_notes_of_csv_are_told_elsewhere(runs, capsys):
    out, err = said(capsys, "table", *runs, "--format", "csv", "--output", "scores.csv")
    assert out == ""
    assert "- accuracy: xnli, pawsx" in err
    assert err.endswith("wrote scores.csv\n")
    assert (
        Path("scores.csv").read_text()
        == "intermediate,xnli,pawsx,mean\nnone,70.0000,85.0000,77.5000\nmnli,4.0000,-1.5000,1.2500\n"
    )


def test_a_recipe_on_the_command_line(runs, capsys):
    for before, value in (("siqa", 60), ("mnli siqa", 63)):
        rows("xcopa", before, value, value).append(Path("runs/xcopa/results.jsonl"))
    out, _ = said(capsys, "table", "runs/xcopa", "--recipe", "xcopa=siqa")
    assert "| mnli         | **+3.0** |" in out


# ------------------------------------------------------------------ plot
def test_pictures_of_runs(runs, capsys):
    out, _ = said(capsys, "plot", *runs, "--out", "pictures", "--format", "svg", "--tensorboard", "logs")
    names = ["heatmap", "languages-xnli", "languages-pawsx"]
    assert [line for line in out.splitlines() if line.startswith("pictures/")] == [f"pictures/{n}.svg" for n in names]
    assert all(Path(f"pictures/{name}.svg").stat().st_size > 1000 for name in names)
    assert "  - accuracy: xnli, pawsx" in out
    assert out.endswith("3 pictures for TensorBoard in logs\n")
    assert list(Path("logs").iterdir())


def test_learning_curves_alone(runs, capsys):
    log = Path("runs/none/1-xnli/csv/metrics.csv")
    log.parent.mkdir(parents=True)
    log.write_text("epoch,step,train/mnli/loss\n0,1,1.5\n0,2,1.0\n")
    out, err = said(capsys, "plot", "runs/none", "--out", "pictures")
    assert out == "pictures/curves-none-1-xnli.png\n"
    assert err.startswith("no heatmap and no bars")
    log.unlink()
    assert "nothing to draw" in refused(capsys, "plot", "runs/none", "--out", "pictures")


# ------------------------------------------------------------------ compare
def test_two_stages_compared(tmp_path, capsys):
    for folder, lines in (
        ("a/predictions", 30 * ["neutral"]),
        ("b", 30 * ["entailment"]),
        ("labels", 30 * ["neutral"]),
    ):
        path = tmp_path / folder / "xnli" / "test-en.tsv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([*lines, ""]))
    words = [
        "compare",
        *(str(tmp_path / name) for name in "ab"),
        "--labels",
        str(tmp_path / "labels"),
        "--samples",
        "50",
    ]
    out, _ = said(capsys, *words)
    assert f"A: {tmp_path}/a\nB: {tmp_path}/b\n" in out
    assert "| en       | 100.00 | 0.00 | +100.00 | +100.00 to +100.00 |      0.0 % |    30 |" in out
    assert "en: A - B is +100.00, 95 % interval +100.00 to +100.00: A is better, at n=30 lines" in out
    assert f"left out (no predictions in {tmp_path}/a/predictions): ar bg de el es" in out
    assert said(capsys, *words, "--task", "xnli")[0] == out
    assert "no folder of a task in common" in refused(capsys, *words[:3], "--labels", str(tmp_path))


# ------------------------------------------------------------------ help, and what is refused
@pytest.mark.parametrize("command", ["table", "plot", "compare"])
def test_help_loads_nothing_heavy(command):
    script = (
        f"import sys; from xtransfer.cli import main; status = main([{command!r}, '--help'])\n"
        f"print('LOADED', sorted({set(HEAVY)!r} & set(sys.modules))); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert f"usage: xtransfer {command} " in done.stdout
    assert "LOADED []" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tabel"], "unknown command 'tabel'; did you mean 'table'?"),
        (["table"], "name runs: xtransfer table RUNS"),
        (["table", "runs/nnoe"], "no folder or file 'runs/nnoe'"),
        (["table", "runs/none", "--colums", "language"], "unknown option '--colums'; did you mean '--columns'?"),
        (["table", "runs/none", "--columns", "langage"], "--columns: no 'langage'; did you mean 'language'?"),
        (["table", "runs/none", "--rows", "sed"], "no rows 'sed'; did you mean 'seed'?"),
        (["table", "runs/none", "--format", "html"], "--format: no 'html'"),
        (["table", "runs/none", "--task", "xnil"], "no task 'xnil' in the results; did you mean 'xnli'?"),
        (["table", "runs/none", "--best", "--columns", "language"], "--best is a table of its own"),
        (["table", "runs/none", "--best=yes"], "option '--best' takes no value"),
        (["table", "runs/none", "--recipe", "xnli"], "--recipe: expected TASK=NAME, e.g. xcopa=siqa, found 'xnli'"),
        (["table", "runs/none", "--output", "no/such.md"], "--output: no folder no"),
        (["plot", "runs/none"], "name a folder for the pictures"),
        (["plot", "runs/none", "--out", "x", "--format", "pgn"], "--format: no 'pgn'; did you mean 'png'?"),
        (["compare", "runs/none", "--labels", "runs"], "compare needs two folders and labels"),
        (["compare", "runs/none", "runs/mnli"], "compare needs two folders and labels"),
        (["compare", "runs/none", "runs/x", "--labels", "runs"], "no folder 'runs/x'"),
        (
            ["compare", "runs/none", "runs/mnli", "--labels", "runs", "--samples", "many"],
            "no folder of a task in common",
        ),
        (
            ["compare", "runs/none", "runs/mnli", "--labels", "runs", "--task", "xnli", "--seed", "-1"],
            "--seed: expected",
        ),
    ],
)
def test_what_is_refused(runs, capsys, words, message):
    assert message in refused(capsys, *words)
