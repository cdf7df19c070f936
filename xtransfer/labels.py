"""The folder of labels that a benchmark's predictions are scored against, written from the data sets' own files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xtransfer.datamodules as datamodules
from xtransfer.benchmarks import find
from xtransfer.datamodules import TaskDataModule
from xtransfer.errors import ConfigError, DataError
from xtransfer.kinds import KINDS
from xtransfer.results import markdown


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """What became of the labels of a task in one language.

    Args:
        task: The task.
        language: Two-letter code.
        path: The file that was written, or None.
        n: Rows in it.
        published: Rows the data set is published with, or 0 if that is not on record.
        origin: Where they come from, if they were written.
        reason: Why there is no file, if there is none.
    """

    task: str
    language: str
    path: Path | None = None
    n: int = 0
    published: int = 0
    origin: str = ""
    reason: str = ""


def write_labels(
    out: str | Path,
    benchmark: str = "xtreme",
    data_dir: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    folders: Mapping[str, str] | None = None,
) -> list[LabelFile]:
    """Write ``OUT/<task>/test-<language>.<type>`` for all test rows that have gold labels.

    A language whose files are missing or broken, or whose rows have no gold labels, gets no file and is listed with the
    reason.

    Args:
        out: Where the labels go.
        benchmark: ``xtreme`` or ``xtreme-r``.
        data_dir: Folder with the data sets' own files, one sub-folder a task; without it the hub is read.
        tasks: Only these tasks.
        languages: Only these languages.
        folders: Task -> sub-folder of `data_dir` to read in place of the task's name.

    Raises:
        ConfigError: The benchmark does not exist, or has no such task or language.
    """
    record = find(benchmark)
    chosen = record.tasks if tasks is None else tuple(record.task(name) for name in tasks)
    known = {language for task in chosen for language in task.languages}
    for language in languages or ():
        if language not in known:
            raise ConfigError(f"{record.title} has no language '{language}' here; known: {', '.join(sorted(known))}")
    out, data_dir = Path(out), Path(data_dir) if data_dir is not None else None
    if data_dir is not None and not data_dir.is_dir():
        raise ConfigError(f"data.data_dir: no folder {data_dir}")
    classes, written = _classes(), []
    folders = {record.task(task).name: folder for task, folder in (folders or {}).items()}
    for task in chosen:
        for language in task.languages:
            if languages is None or language in languages:
                path = out / task.name / f"test-{language}.{task.suffix}"
                cls, folder = classes.get(task.name), folders.get(task.name)
                written.append(_write(path, task.name, language, cls, data_dir, folder))
    return written


def summary(files: Sequence[LabelFile]) -> str:
    """Return a table of what was written, and why the rest was not: one reason for languages that have a like one."""
    rows, told = [], []
    for task in dict.fromkeys(file.task for file in files):
        own = [file for file in files if file.task == task]
        there = [file for file in own if file.path is not None]
        codes = " ".join(file.language for file in there)
        rows.append([task, f"{len(there)} of {len(own)}", codes, str(sum(file.n for file in there))])
        for file in there:
            if file.published not in (0, file.n):
                told.append(f"incomplete: {task} {file.language}: {file.n} rows, {file.published} are published")
        reasons: dict[str, list[LabelFile]] = {}
        for file in own:
            if file.path is None:
                reasons.setdefault(_shape(file.reason), []).append(file)
        for alike in reasons.values():
            told.append(f"no labels: {task} {' '.join(file.language for file in alike)}: {alike[0].reason}")
    table = markdown(["task", "languages", "written", "rows"], rows, left=(0, 2))
    return "\n".join([table, *([""] if told else []), *told])


def _shape(reason: str) -> str:
    """Return a reason without what differs from language to language: names, numbers, and lists of what is there."""
    return re.sub(r"'[^']*'|\(\w+\)|\d+|\S*/\S*", "", reason.split("; there is:")[0])


def _classes() -> dict[str, type[TaskDataModule]]:
    """Return task -> its DataModule, for the whole catalogue."""
    found = [getattr(datamodules, name) for name in datamodules.__all__]
    return {cls.task.name: cls for cls in found if hasattr(cls, "task")}


def _write(
    path: Path,
    task: str,
    language: str,
    cls: type[TaskDataModule] | None,
    data_dir: Path | None,
    folder: str | None,
) -> LabelFile:
    """Write one language's labels, or say why not."""
    old = f" ({path} lies there from before)" if path.exists() else ""
    if cls is None:
        return LabelFile(task=task, language=language, reason=f"the catalogue has no such task{old}")
    try:
        portion = cls(data_dir=data_dir, languages=[language], folder=folder).portion("test", language)
        examples = portion.examples()
        text = KINDS[portion.task.kind].gold(examples, portion.task)
    except (ConfigError, DataError) as error:
        return LabelFile(task=task, language=language, reason=f"{error}{old}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    published = portion.counts["rows_published"]
    origin = portion.origin()
    return LabelFile(task=task, language=language, path=path, n=len(examples), published=published, origin=origin)
