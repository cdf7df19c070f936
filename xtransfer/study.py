"""The scores of many runs, laid out by intermediate task, target and seed, so that like is compared with like."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from xtransfer.errors import ConfigError, nearest
from xtransfer.results import Results, Row
from xtransfer.study_cells import missing, regrouped

NONE = "none"
"""Name of the row of models that saw no task before the target's own."""

ARROW = " → "
OTHERS = "other targets"
"""What a note is about that says which targets are not there."""

Scores = dict[int | None, float]
"""Seed -> score."""

COMPARED = {
    "metric": "score",
    "variant": "definition of the score",
    "n": "number of examples",
    "rows": "part of the data set",
    "layer": "layer",
    "pooling": "pooling",
    "encoder": "encoder",
    "protocol": "protocol",
    "adapters": "use of adapters",
    "precision": "precision of scoring",
}
"""Fields of a row that should agree between rows that are compared, and what they are called."""


@dataclass
class Study:
    """Scores by intermediate task and target.

    Attributes:
        cells: (intermediate, target) -> the rows of all seeds and languages.
        development: The same for development rows, each under the targets whose stage they come from.
        split: What the rows of `cells` served as.
        baseline: The intermediate that the others are compared with; empty if there is none.
        by: What its rows and columns are.
        exact: Exact match of the test rows whose score is F1, by `place` of a row.
        notes: What was left out or pooled: the target it is about, or nothing if it is about all, and the words.
    """

    cells: dict[tuple[str, str], list[Row]]
    development: dict[tuple[str, str], list[Row]]
    split: str
    baseline: str
    by: tuple[str, str] = ("intermediate", "target")
    notes: list[tuple[str, str]] = field(default_factory=list)
    exact: dict[Hashable, float] = field(default_factory=dict)

    @property
    def intermediates(self) -> list[str]:
        """The intermediates in order of first appearance, the baseline first."""
        return sorted(dict.fromkeys(name for name, _ in self.cells), key=lambda name: name != self.baseline)

    @property
    def targets(self) -> list[str]:
        """The targets in order of first appearance."""
        return list(dict.fromkeys(target for _, target in self.cells))

    def told(self, target: str | None = None) -> list[str]:
        """Return the notes, or those on one target."""
        return [words for about, words in self.notes if target is None or about in ("", target)]

    def rows(self, target: str) -> dict[str, list[Row]]:
        """Return intermediate -> rows of a target, the baseline first."""
        return {name: self.cells[name, target] for name in self.intermediates if (name, target) in self.cells}


def lay_out(
    results: Results,
    metric: str | None = None,
    split: str = "test",
    baseline: str = NONE,
    recipes: Mapping[str, str] | None = None,
    tasks: Sequence[str] = (),
    by: tuple[str, str] = ("intermediate", "target"),
) -> Study:
    """Lay out result rows by intermediate task and target.

    What a stage's weights were trained on before the stage's own task is the intermediate, several joined by an
    arrow; ``none`` if there is nothing. The target is the task that is scored. A task whose rows come from stages that
    were trained on different tasks makes a target each, e.g. ``xquad (squad_v1)``.

    Args:
        results: Rows of any number of runs.
        metric: Name of the score; default each task's main score.
        split: ``test`` or ``validation``.
        baseline: The intermediate that the others are compared with.
        recipes: Target -> the intermediate that its published recipe has, e.g. ``{"xcopa": "siqa"}``: there it is no
            intermediate but the baseline, and what came before it is told without it.
        tasks: The tasks to keep; default all.
        by: What stands in the place of intermediates and of targets: these, or axes of a sweep.

    Raises:
        ConfigError: No row is left, or there is no such task, score or baseline.
    """
    kept, notes = newest(results)
    chosen = [row for row in kept if row.split == split and (row.main if metric is None else row.metric == metric)]
    _known("score", [metric] * (metric is not None), {row.metric for row in kept})
    _known("task", tasks, {row.task for row in chosen})
    if not chosen:
        raise ConfigError(f"no {split} scores; there are: {', '.join(sorted({row.split for row in kept})) or 'none'}")
    if (left_out := {row.task for row in kept} - {row.task for row in chosen}) and not tasks:
        notes.append((OTHERS, f"no {split} {metric or 'scores'}: {_list(sorted(left_out))}"))
    cells, more = _cells([row for row in chosen if not tasks or row.task in tasks], recipes or {})
    handed_on = {(row.run, name) for row in kept for name in (row.chain[:-1] if row.stage in row.chain else row.chain)}
    for key, rows in cells.items():
        # Where a target and an intermediate task are one task, the stage that others start from is not the target's.
        cells[key] = [row for row in rows if (row.run, row.stage) not in handed_on] or rows
    cells = regrouped(cells, by, results.sweep)
    more += _averaged(cells) + missing(results.sweep)
    names = {name for name, _ in cells}
    if baseline not in names and baseline != NONE:
        raise ConfigError(f"no scores of the baseline '{baseline}'{nearest(baseline, names)}")
    exact = {place(row): row.value for row in kept if (row.split, row.metric, metric) == (split, "em", None)}
    study = Study(cells, {}, split, baseline if baseline in names else "", by, [*notes, *more], exact)
    study.development = {key: dev for key, rows in cells.items() if (dev := _of_stage(kept, rows))}
    return study if tasks or by[0] != "intermediate" else _without_intermediates(study, handed_on)


def newest(results: Iterable[Row]) -> tuple[list[Row], list[tuple[str, str]]]:
    """Return the rows without repetitions and without those of stages that were trained again, and what to say of it.

    Rows are the same score if the digest of their stage, task, language, score and split agree. Rows of the same
    stage folder and seed but of another digest are of an earlier state of that folder. The newest is kept of both.
    """
    rows = sorted(results, key=lambda row: row.time)
    order = {id(row): place for place, row in enumerate(results)}
    unique = {(identity(row), row.task, row.language, row.metric, row.split, row.layer): row for row in rows}
    latest: dict[Hashable, str] = {}
    for row in unique.values():
        latest[_folder(row)] = identity(row)
    kept = [row for row in unique.values() if latest[_folder(row)] == identity(row)]
    told = [row for row in kept if not math.isnan(row.value)]
    notes = []
    if len(kept) < len(unique):
        again = sorted({row.stage for row in unique.values() if latest[_folder(row)] != identity(row)})
        notes.append(("", f"left out: {len(unique) - len(kept)} older scores of stages trained again ({_list(again)})"))
    if len(told) < len(kept):
        notes.append(("", f"left out: {len(kept) - len(told)} scores that are not numbers"))
    return sorted(told, key=lambda row: order[id(row)]), notes


def identity(row: Row) -> str:
    """Return what tells a trained stage from others: its digest, or what comes closest to one."""
    return row.config or f"{row.run}/{row.stage}/{row.seed}/{'+'.join(row.chain)}"


def place(row: Row) -> Hashable:
    """Return what scores of one evaluation have in common."""
    return identity(row), row.task, row.language, row.layer


def before(row: Row) -> tuple[str, ...]:
    """Return the tasks that a row's weights were trained on before the stage's own training, if it had any."""
    trained = tuple(row.trained or row.chain)
    return trained[:-1] if row.stage in row.chain else trained


def common_languages(rows: Mapping[str, Iterable[Row]]) -> list[str]:
    """Return the languages that every row of a table (name -> its scores) has with every seed, English first."""
    sets: dict[Hashable, set[str]] = {}
    for name, own in rows.items():
        for row in own:
            sets.setdefault((name, row.seed), set()).add(row.language)
    common = set.intersection(*sets.values()) if sets else set()
    return sorted(common, key=lambda code: (code != "en", code))


def scores(rows: Sequence[Row], languages: Collection[str]) -> Scores:
    """Return seed -> mean over the languages; stages of one seed are averaged, seeds lacking a language left out."""
    told: Scores = {}
    for seed in dict.fromkeys(row.seed for row in rows):
        of_seed = [row for row in rows if row.seed == seed]
        by_language = [[row.value for row in of_seed if row.language == code] for code in languages]
        if by_language and all(by_language):
            told[seed] = fmean(fmean(values) for values in by_language)
    return told


def differing(target: str, rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """Return what differs between the intermediates' rows of a target, but should not where they are compared."""
    notes = []
    languages = {name: {row.language for row in own} for name, own in rows.items()}
    shared = common_languages(rows)
    if lost := sorted(set().union(*languages.values()) - set(shared)):
        notes.append(
            f"{target}: means over the {len(shared)} languages that every row and seed has, without {_list(lost)}"
        )
    for name_of_field, word in COMPARED.items():
        seen: dict[str, dict[str, list[str]]] = {}
        for name, own in rows.items():
            for code, value in dict.fromkeys((row.language, str(getattr(row, name_of_field))) for row in own):
                seen.setdefault(code, {}).setdefault(value, []).append(name)
        where = sorted(code for code, values in seen.items() if len(values) > 1)
        if where:
            values = "; ".join(f"{value or 'none'} ({_list(names)})" for value, names in seen[where[0]].items())
            notes.append(f"{target}: the {word} differs ({_list(where)}): {values}")
    return notes


def uneven_seeds(study: Study, targets: Sequence[str]) -> list[str]:
    """Return what to say of targets whose rows have different seeds, if there are any."""
    uneven = [t for t in targets if len({frozenset(row.seed for row in own) for own in study.rows(t).values()}) > 1]
    told = f"the seeds of {_list(uneven)} differ between rows: a difference is over the seeds shared with the baseline"
    return [told] * bool(uneven)


def _cells(
    rows: Sequence[Row], recipes: Mapping[str, str]
) -> tuple[dict[tuple[str, str], list[Row]], list[tuple[str, str]]]:
    """Return (intermediate, target) -> rows, and what to say of it."""
    _known("target of a recipe", recipes, {row.task for row in rows})
    own: dict[str, set[str]] = {}
    for row in rows:
        own.setdefault(row.task, set()).add(_own(row))
    cells: dict[tuple[str, str], list[Row]] = {}
    outside: Counter[str] = Counter()
    for row in rows:
        trained, recipe = before(row), recipes.get(row.task, "")
        if recipe:
            steps = tuple(recipe.split(ARROW))
            if trained[-len(steps) :] != steps:
                outside[f"{row.task} ({ARROW.join(trained) or NONE})"] += 1
                continue
            trained = trained[: -len(steps)]
        target = f"{row.task} ({_own(row) or 'not trained'})" if len(own[row.task]) > 1 else row.task
        cells.setdefault((ARROW.join(trained) or NONE, target), []).append(row)
    notes = [
        (task, f"{task}: the baseline is trained on {name} first, by its recipe") for task, name in recipes.items()
    ]
    for name, number in outside.items():
        notes.append((OTHERS, f"left out, not trained by the recipe: {name}, {number} scores"))
    return cells, notes


def _averaged(cells: Mapping[tuple[str, str], Sequence[Row]]) -> list[tuple[str, str]]:
    """Return what to say of cells that hold several stages of one seed."""
    notes = []
    for (name, target), found in cells.items():
        stages = {(row.seed, identity(row)): row.config_file or row.stage for row in found}
        repeated = [seed for seed, times in Counter(seed for seed, _ in stages).items() if times > 1]
        if repeated:
            files = [file for (seed, _), file in stages.items() if seed == repeated[0]]
            words = f"{target} after {name}: {len(files)} stages of seed {repeated[0]} averaged: {_list(files)}"
            notes.append((target, words))
    return notes


def _without_intermediates(study: Study, handed_on: Collection[tuple[str, str]]) -> Study:
    """Drop targets that are only the intermediate tasks' own scores, if any other target remains."""
    used = {name for names, _ in study.cells for name in names.split(ARROW)}
    own = {t for t in study.targets if all((r.run, r.stage) in handed_on for rs in study.rows(t).values() for r in rs)}
    alone = [t for t in study.targets if list(study.rows(t)) == [study.baseline] and t in own | used]
    if alone and len(alone) < len(study.targets):
        study.cells = {key: rows for key, rows in study.cells.items() if key[1] not in alone}
        words = f"left out, as nothing is compared there: the intermediate tasks' own scores ({_list(alone)})"
        study.notes.append((OTHERS, words))
    return study


def _of_stage(kept: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """Return the development rows of the stages that these rows come from: of their task, else of the one there is."""
    stages = {identity(row) for row in rows}
    found = [row for row in kept if row.split == "validation" and row.main and identity(row) in stages]
    tasks = {row.task for row in found}
    wanted = {row.task for row in rows} & tasks or (tasks if len(tasks) == 1 else set())
    return [row for row in found if row.task in wanted]


def _own(row: Row) -> str:
    return tuple(row.trained or row.chain)[-1] if row.stage in row.chain else ""


def _folder(row: Row) -> Hashable:
    return (row.config_file or identity(row), row.stage, row.seed)


def _known(what: str, wanted: Iterable[str | None], known: Collection[str]) -> None:
    for name in wanted:
        if name not in known:
            raise ConfigError(f"no {what} '{name}' in the results{nearest(str(name), known)}")


def _list(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
