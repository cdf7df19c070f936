"""The commands around files of predictions: score them, and write the labels they are scored against."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from xtransfer.errors import ConfigError, nearest
from xtransfer.options import listed, split, wants_help

SCORE_HELP = """\
usage: xtransfer score PREDICTIONS LABELS [options]

Scores PREDICTIONS/<task>/test-<language>.* against LABELS/<task>/test-<language>.* by the rules of XTREME's official
evaluator. What is not there is listed; a mean over tasks is given only when nothing of it is lacking.

  --benchmark NAME   xtreme (default) or xtreme-r
  --seqeval VERSION  tags are scored like seqeval 0.0.12 (default; believed to be the published scores') or 1.x
  --format NAME      markdown (default), json or csv
  --output FILE      write there rather than print

  xtransfer score submission labels --benchmark xtreme
"""

LABELS_HELP = """\
usage: xtransfer labels OUT [options]

Writes OUT/<task>/test-<language>.*, the labels that `xtransfer score` needs, from the data sets' own files. Languages
without files or without gold labels are listed, with the reason.

  --benchmark NAME           xtreme (default) or xtreme-r
  --data.data_dir DIR        folder with the data sets' own files, one sub-folder a task; without it the hub is read
  --tasks "[NAME, ...]"      these tasks only
  --languages "[CODE, ...]"  these languages only
  --folder.TASK DIR          sub-folder of data_dir to read in place of the task's name

  xtransfer labels labels --benchmark xtreme --data.data_dir data
"""


def score(words: list[str]) -> int:
    """Run ``xtransfer score``; return the exit status."""
    if wants_help(words):
        print(SCORE_HELP, end="")
        return 0
    names, options = split(words, ("benchmark", "seqeval", "format", "output"))
    if len(names) != 2:
        raise ConfigError(f"score needs two folders, found {len(names)}: xtransfer score PREDICTIONS LABELS")
    from xtransfer import evaluator
    from xtransfer.scoreboard import FORMATS

    style = options.get("format", "markdown")
    if style not in FORMATS:
        raise ConfigError(f"unknown format '{style}'{nearest(style, FORMATS)}")
    version: Any = options.get("seqeval", "0.0.12")  # checked where it is used
    scores = evaluator.score(Path(names[0]), Path(names[1]), options.get("benchmark", "xtreme"), version)
    text = FORMATS[style](scores)
    if "output" not in options:
        print(text)
        return 0
    path = Path(options["output"])
    if not path.parent.is_dir():
        raise ConfigError(f"--output: no folder {path.parent}")
    path.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)
    return 0


def labels(words: list[str]) -> int:
    """Run ``xtransfer labels``; return the exit status: 2 where nothing could be written."""
    if wants_help(words):
        print(LABELS_HELP, end="")
        return 0
    from xtransfer.benchmarks import BENCHMARKS

    tasks = {f"folder.{task.name}": task.name for record in BENCHMARKS.values() for task in record.tasks}
    names, options = split(words, ("benchmark", "data.data_dir", "tasks", "languages", *tasks))
    if len(names) != 1:
        raise ConfigError(f"labels needs one folder, found {len(names)}: xtransfer labels OUT --benchmark NAME")
    from xtransfer.labels import summary, write_labels

    folder = options.get("data.data_dir")
    files = write_labels(
        Path(names[0]),
        options.get("benchmark", "xtreme"),
        None if folder is None else Path(folder),
        listed(options, "tasks"),
        listed(options, "languages"),
        {tasks[key]: value for key, value in options.items() if key in tasks},
    )
    print(summary(files))
    return 0 if any(file.path for file in files) else 2
