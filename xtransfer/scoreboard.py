"""A benchmark's scores as tables, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from xtransfer.evaluator import Scores, TaskScore
from xtransfer.results import markdown


def tables(scores: Scores) -> str:
    """Return the scores as Markdown tables: tasks, averages, languages; and what is not there."""
    title = f"{scores.benchmark.title}, in percent; tags scored like seqeval {scores.seqeval}"
    parts = [title, _tasks(scores), _averages(scores)]
    if any(task.languages for task in scores.tasks.values()):
        parts.append(_languages(scores))
    parts += [text for text in (_lists(scores),) if text]
    return "\n\n".join(parts)


def as_json(scores: Scores) -> str:
    """Return the scores as one JSON object, unrounded; null where a mean could not be formed."""
    return json.dumps(plain(scores), indent=1, ensure_ascii=False)


def as_csv(scores: Scores) -> str:
    """Return the scores as CSV, unrounded: one row a task, score and language; then means, gaps, groups, overall.

    A mean that lacks languages says so in the column `language`.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["benchmark", "task", "score", "variant", "language", "value", "n"])
    for task, *row in _rows(scores):
        tags = task in scores.tasks and scores.tasks[str(task)].task.form == "tags"
        row.insert(1, f"seqeval {scores.seqeval}" if tags else "")
        writer.writerow([scores.benchmark.name, task, *row])
    return stream.getvalue().rstrip("\n")


def plain(scores: Scores) -> dict[str, Any]:
    """Return the scores as plain data."""
    return {
        "benchmark": scores.benchmark.name,
        "seqeval": scores.seqeval,
        "overall": {scores.benchmark.overall: scores.overall},
        "note": scores.benchmark.note,
        "groups": scores.groups,
        "tasks": {name: _plain_task(task) for name, task in scores.tasks.items()},
        "missing": [list(item) for item in scores.missing],
        "no_gold_labels": [list(item) for item in scores.unlabelled],
        "ignored": list(scores.ignored),
    }


FORMATS: Mapping[str, Callable[[Scores], str]] = {"markdown": tables, "json": as_json, "csv": as_csv}


def _plain_task(task: TaskScore) -> dict[str, Any]:
    languages = {
        language: {**score.scores, "n": score.n, "unanswered": score.unanswered, "unknown_ids": score.unknown}
        for language, score in task.languages.items()
    }
    return {
        "avg_metric": task.average,
        "means": task.means,
        "gap": task.gap,
        "complete": task.complete,
        "languages": languages,
    }


def _rows(scores: Scores) -> Iterable[list[object]]:
    for name, task in scores.tasks.items():
        lacking = "" if task.complete else f" of {len(task.languages)} of {len(task.task.languages)} languages"
        n = sum(score.n for score in task.languages.values())
        for metric in task.task.scores:
            for language, score in task.languages.items():
                yield [name, metric, language, score.scores[metric], score.n]
            if task.means:
                yield [name, metric, f"mean{lacking}", task.means[metric], n]
        for label, value in (("avg_metric", task.average), ("gap", task.gap)):
            if value is not None:
                yield [name, label, "", value, n]
    for name, value in {**scores.groups, scores.benchmark.overall: scores.overall}.items():
        if value is not None:
            yield [name, "average", "", value, ""]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _tasks(scores: Scores) -> str:
    rows = []
    for name, task in scores.tasks.items():
        means = " / ".join(_number(value) for value in task.means.values())
        there = f"{len(task.languages)} of {len(task.task.languages)}"
        rows.append([name, " / ".join(task.task.scores), there, means, _number(task.average), _number(task.gap)])
    return markdown(["task", "score", "languages", "mean", "task average", "gap"], rows, left=(0, 1))


def _averages(scores: Scores) -> str:
    named = {**scores.groups, scores.benchmark.overall: scores.overall}
    members = {**scores.benchmark.groups, scores.benchmark.overall: tuple(scores.tasks)}
    rows = []
    for name, value in named.items():
        lacking = [task for task in members[name] if not scores.tasks[task].complete]
        note = f"not formed: {', '.join(lacking)} incomplete" if lacking else f"mean of {', '.join(members[name])}"
        rows.append([name, _number(value), note])
    table = markdown(["average", "value", "of which tasks"], rows, left=(0, 2))
    return f"{table}\n\n{scores.benchmark.note}" if scores.benchmark.note else table


def _languages(scores: Scores) -> str:
    shown = {name: task for name, task in scores.tasks.items() if task.languages}
    columns = [(name, metric) for name, task in shown.items() for metric in task.task.scores]
    codes = sorted({code for task in shown.values() for code in task.languages}, key=lambda code: (code != "en", code))

    def cell(name: str, metric: str, code: str) -> str:
        score = shown[name].languages.get(code)
        return "" if score is None else _number(score.scores[metric])

    rows = [[code, *[cell(name, metric, code) for name, metric in columns]] for code in codes]
    return markdown(["language", *[f"{name} {metric}" for name, metric in columns]], rows)


def _lists(scores: Scores) -> str:
    """Return what is not there, has no labels, was not answered, or was ignored, a line each."""
    told = []
    for (name, what), codes in _by_reason(scores.missing).items():
        told.append(f"{what}: {name} {_codes(codes, scores.tasks[name])}")
    for (name, why), codes in _by_reason(scores.unlabelled).items():
        told.append(f"no gold labels: {name} {_codes(codes, scores.tasks[name])} ({why})")
    for name, task in scores.tasks.items():
        for code, score in task.languages.items():
            if score.unanswered:
                told.append(f"not answered: {name} {code}, {score.unanswered} of {score.n}, which count 0")
            if score.unknown:
                told.append(f"unknown ids: {name} {code}, {score.unknown} predictions of ids the labels do not have")
    told += [f"ignored: {path}, which belongs to no task of {scores.benchmark.title}" for path in scores.ignored]
    return "\n".join(told)


def _by_reason(items: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for task, language, reason in items:
        found.setdefault((task, reason), []).append(language)
    return found


def _codes(codes: Sequence[str], task: TaskScore) -> str:
    return f"in all {len(codes)} languages" if len(codes) == len(task.task.languages) else " ".join(codes)
