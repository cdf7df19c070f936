"""The commands that sum up runs: tables, pictures, comparisons of two."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xtransfer.errors import ConfigError, DataError
from xtransfer.options import chosen, listed, number, split, wants_help
from xtransfer.results import Results
from xtransfer.study import Study, lay_out
from xtransfer.study_tables import COLUMNS, tables
from xtransfer.tables import FORMATS, Table

STUDY_HELP = """\
  --task TASK[,TASK]           these tasks only
  --metric NAME                the score (default: each task's main score)
  --split NAME                 test (default) or validation
  --baseline NAME              what the others are compared with (default: none, no intermediate task)
  --recipe TASK=NAME[,...]     an intermediate that is part of a target's published recipe, e.g. xcopa=siqa
"""

TABLE_HELP = f"""\
usage: xtransfer table RUNS... [options]

Intermediate tasks as rows, targets as columns: means over languages, the baseline's scores and the differences to it.
RUNS are folders of sweeps, runs or stages, or results.jsonl files; rows of several runs and seeds are put together.

  --columns target|language    targets (default), or one table a target of its languages, with mean and transfer gap;
                               or seed, or an axis of a sweep, e.g. model.lr
  --rows intermediate          what the rows are: intermediates (default), target, seed, or an axis of a sweep
  --best                       per target the intermediate chosen on development rows, and its test scores
  --significance               a star on differences that are not by chance among the examples: paired bootstrap of the
                               predictions, corrected by Holm; of runs outside of sweeps with --labels
  --labels DIR                 labels, as `xtransfer labels` writes them
  --difference yes|no          differences to the baseline (default), or scores
  --format NAME                markdown (default), latex (needs the package booktabs) or csv
  --output FILE                write there rather than print
{STUDY_HELP}
  xtransfer table runs/phang2020/*
"""

PLOT_HELP = f"""\
usage: xtransfer plot RUNS... --out DIR [options]

Pictures: a heatmap of intermediates by targets, bars of each target's languages, and the learning curves of all stages
of RUNS, which are folders of runs or stages, or results.jsonl files.

  --out DIR                    where the pictures go
  --format png|svg             default: png
  --tensorboard DIR            write heatmap and bars there too, for TensorBoard
{STUDY_HELP}
  xtransfer plot runs/phang2020/* --out pictures
"""

COMPARE_HELP = """\
usage: xtransfer compare A B --labels LABELS [options]

Is A better than B, or is it chance? The paired bootstrap over the examples of each language. A and B are folders of
predictions, or of the stages that wrote them; LABELS is what `xtransfer labels` writes. Seeds of training are another
matter: the table of several runs tells their spread.

  --task TASK[,TASK]    these tasks (default: all that A, B and LABELS have)
  --metric NAME         the score (default: F1 for questions, else the task's only one)
  --samples N           resamples (default: 10000)
  --seed N              seed of the draws (default: 1)

  xtransfer compare runs/mnli_then_xquad/2-xquad runs/xquad/1-xquad --labels labels
"""

STUDY_KEYS = ("task", "metric", "split", "baseline", "recipe")


def table(words: list[str]) -> int:
    """Run ``xtransfer table``; return the exit status."""
    if wants_help(words):
        print(TABLE_HELP, end="")
        return 0
    known = ("rows", "columns", "difference", "format", "output", "labels", *STUDY_KEYS)
    names, options = split(words, known, ("best", "significance"))
    for flag in [flag for flag in ("significance", "best") if flag in options]:
        if other := {"best", "significance", "columns", "rows", "difference"} & set(options) - {flag}:
            raise ConfigError(f"--{flag} is a table of its own: leave out --{min(other)}")
    if "labels" in options and "significance" not in options:
        raise ConfigError("--labels is for --significance")
    form = chosen(options, "format", FORMATS, "markdown")
    found = _tables(load(names, "table"), options)
    text = "\n\n".join(one.render(form) for one in found)
    if form == "csv":
        _tell_notes(found)
    if "output" not in options:
        print(text)
        return 0
    path = Path(options["output"])
    if not path.parent.is_dir():
        raise ConfigError(f"--output: no folder {path.parent}")
    path.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)
    return 0


def _tables(results: Results, options: Mapping[str, str]) -> list[Table]:
    """Return the tables that a command asks for."""
    if "significance" in options:
        if options.get("split", "test") != "test":
            raise ConfigError("--significance is of test scores: there are no predictions of development rows")
        if "labels" in options and not Path(options["labels"]).is_dir():
            raise ConfigError(f"no folder '{options['labels']}'")
        labels = Path(options["labels"]) if "labels" in options else None
        told = {key: value for key, value in _laid_out(options).items() if key != "split"}
        table: Table = results.gains(labels=labels, **told).table()
        return [table]
    columns = "best" if "best" in options else options.get("columns", "target")
    across = "target" if columns in COLUMNS else columns
    axes = ("target", "language", "seed", *(results.sweep.axes if results.sweep else ()))
    chosen(options, "columns", axes, "target")
    difference = chosen(options, "difference", ("yes", "no"), "yes") == "yes"
    study = _study(results, options, (options.get("rows", "intermediate"), across))
    return tables(study, columns if columns in COLUMNS else "target", difference)


def plot(words: list[str]) -> int:
    """Run ``xtransfer plot``; return the exit status."""
    if wants_help(words):
        print(PLOT_HELP, end="")
        return 0
    names, options = split(words, ("out", "format", "tensorboard", *STUDY_KEYS))
    if "out" not in options:
        raise ConfigError("name a folder for the pictures: xtransfer plot RUNS... --out DIR")
    from xtransfer import pictures

    form = chosen(options, "format", pictures.FORMATS, "png")
    drawn = list(pictures.of_study(_study(load(names, "plot"), options)))
    if not drawn:
        print("no heatmap and no bars: there is no baseline, or nothing to compare with it", file=sys.stderr)
    folders = [folder for name in map(Path, names) for folder in ([name, *sorted((name / "runs").glob("*"))])]
    curves = pictures.of_logs(folder for folder in folders if folder.is_dir())
    written = pictures.save([*drawn, *curves], Path(options["out"]), form)
    if not written:
        raise ConfigError("nothing to draw: there is nothing to compare, and no stage has logs")
    for path, picture in written.items():
        print("\n  - ".join([str(path), *picture.notes]))
    if "tensorboard" in options:
        number = pictures.write_to_tensorboard(drawn, Path(options["tensorboard"]))
        print(f"{number} pictures for TensorBoard in {options['tensorboard']}")
    return 0


def compare(words: list[str]) -> int:
    """Run ``xtransfer compare``; return the exit status."""
    if wants_help(words):
        print(COMPARE_HELP, end="")
        return 0
    names, options = split(words, ("labels", "task", "metric", "samples", "seed"))
    if len(names) != 2 or "labels" not in options:
        raise ConfigError("compare needs two folders and labels: xtransfer compare A B --labels LABELS")
    a, b, labels = (Path(name) for name in (*names, options["labels"]))
    for folder in (a, b, labels):
        if not folder.is_dir():
            raise ConfigError(f"no folder '{folder}'")
    from xtransfer import compare

    tasks = listed(options, "task") or compare.common_tasks(a, b, labels)
    if not tasks:
        raise ConfigError(f"{a}, {b} and {labels} have no folder of a task in common")
    samples, seed = number(options, "samples", 10_000), number(options, "seed", 1)
    found = [compare.compare(a, b, labels, task, options.get("metric"), samples, seed) for task in tasks]
    print("\n\n".join([f"A: {a}\nB: {b}", *(one.markdown() for one in found)]))
    return 0


def load(names: list[str], command: str) -> Results:
    """Return the results in these folders and files; those without, of several, are named and left out.

    Raises:
        ConfigError: None is given, or one does not exist.
        DataError: None has results, or a file is broken.
    """
    if not names:
        raise ConfigError(f"name runs: xtransfer {command} RUNS..., folders of runs or results.jsonl files")
    for name in names:
        if not Path(name).exists():
            raise ConfigError(f"no folder or file '{name}'")
    usable = [name for name in names if _has_results(Path(name))]
    if not usable:
        raise DataError(f"no results.jsonl in {', '.join(names)}: runs write it when a stage is finished")
    for name in names:
        if name not in usable:
            print(f"left out, no results: {name}", file=sys.stderr)
    return Results.load(*map(Path, usable))


def _has_results(path: Path) -> bool:
    if path.is_dir():
        return (path / "results.jsonl").is_file() or any((path / "cells").glob("*.json"))
    return path.suffix == ".jsonl"


def _study(results: Results, options: Mapping[str, str], by: tuple[str, str] = ("intermediate", "target")) -> Study:
    """Lay results out by a command's options."""
    return lay_out(results, by=by, **_laid_out(options))


def _laid_out(options: Mapping[str, str]) -> dict[str, Any]:
    """Return how a command's options say that results are to be laid out."""
    recipes = {}
    for pair in listed(options, "recipe") or []:
        task, equals, name = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--recipe: expected TASK=NAME, e.g. xcopa=siqa, found '{pair}'")
        recipes[task] = name
    return {
        "metric": options.get("metric"),
        "split": chosen(options, "split", ("test", "validation"), "test"),
        "baseline": options.get("baseline", "none"),
        "recipes": recipes,
        "tasks": listed(options, "task") or (),
    }


def _tell_notes(found: list[Table]) -> None:
    """Tell titles and notes where the format itself has no place for them."""
    for one in found:
        print("\n- ".join([one.caption, *one.notes]), file=sys.stderr)
