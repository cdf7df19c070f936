"""The tables of a study: intermediates by targets, intermediates by languages, the best intermediate of each target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev

from xtransfer.errors import ConfigError, nearest
from xtransfer.results import GAP, LESS_IS_BETTER, MEAN, unit
from xtransfer.study import Scores, Study, common_languages, differing, place, scores, uneven_seeds
from xtransfer.tables import Cell, Table, seed_counts

COLUMNS = ("target", "language", "best")


def tables(study: Study, columns: str = "target", difference: bool = True) -> list[Table]:
    """Return the tables that have these columns: one of all targets, one a target of its languages, or one of the best.

    Raises:
        ConfigError: Other columns.
    """
    if columns not in COLUMNS:
        raise ConfigError(f"no columns '{columns}'{nearest(columns, COLUMNS)}")
    if columns == "language":
        return [by_language(study, target, difference) for target in study.targets]
    return [best(study) if columns == "best" else by_target(study, difference)]


def by_target(study: Study, difference: bool = True) -> Table:
    """Return intermediates as rows, targets as columns, each the mean over languages, and the mean over targets.

    The means of a column are over the same languages: those that every row and seed has. The mean over targets is
    given only where no target is missing; there a target of questions counts with the mean of F1 and exact match, as in
    Phang et al. 2020 and XTREME.

    Args:
        study: The scores.
        difference: Tell the baseline's scores, and of the others the difference to them.
    """
    targets, names = study.targets, study.intermediates
    columns: list[list[Scores]] = []
    notes = study.told()
    for target in targets:
        rows = study.rows(target)
        languages = common_languages(rows)
        columns.append([scores(rows.get(name, []), languages) for name in names])
        notes += differing(target, rows)
    metrics: dict[str, list[str]] = {}
    for target in targets:
        for metric in dict.fromkeys(row.metric for own in study.rows(target).values() for row in own):
            metrics.setdefault(metric, []).append(target)
    units, header, lower = list(dict.fromkeys(map(unit, metrics))), [*targets], _lower(metrics)
    if len(targets) > 1 and len(units) == 1:
        averaged = [_halved(study, target) for target in targets]
        entering = [own or column for own, column in zip(averaged, columns, strict=True)]
        columns.append([average(row) for row in zip(*entering, strict=True)])
        header.append(MEAN)
        halved = ", ".join(target for target, told in zip(targets, averaged, strict=True) if told)
        notes += [f"in the mean over targets: the mean of F1 and exact match of {halved}"] * bool(halved)
        lower += [MEAN] * (lower == targets)
    elif len(targets) > 1:
        notes.append("no mean over targets, whose scores are of different units")
    told = [f"{metric}: {', '.join(own)}" for metric, own in metrics.items()]
    counted = [f"{t} {len(common_languages(study.rows(t)))}" for t in targets]
    told += [f"languages: {', '.join(counted)}"]
    title = f"{study.split.capitalize()} scores {' or '.join(units)}, means over languages"
    return _table(study, title, header, columns, [*told, *notes, *uneven_seeds(study, targets)], difference, lower)


def by_language(study: Study, target: str, difference: bool = True) -> Table:
    """Return intermediates as rows, one target's languages as columns, with their mean and the gap.

    Mean and gap are over the languages that every row and seed has. The gap is the English score less the mean over
    the other languages, as in XTREME's paper; the smallest is the best.

    Args:
        study: The scores.
        target: The target.
        difference: Tell the baseline's scores, and of the others the difference to them.

    Raises:
        ConfigError: There is no such target.
    """
    if target not in study.targets:
        raise ConfigError(f"no scores of '{target}'{nearest(target, study.targets)}")
    rows = study.rows(target)
    everything = [row for own in rows.values() for row in own]
    languages = sorted({row.language for row in everything}, key=lambda code: (code != "en", code))
    common = common_languages(rows)
    columns = [[scores(own, [code]) for own in rows.values()] for code in languages]
    header = list(languages)
    if len(languages) > 1:
        columns.append([scores(own, common) for own in rows.values()])
        header.append(MEAN)
    if others := [code for code in common if code != "en" and "en" in common]:
        gaps = [minus(scores(own, ["en"]), scores(own, others)) for own in rows.values()]
        columns.append(gaps)
        header.append(GAP)
    metric = ", ".join(dict.fromkeys(row.metric for row in everything))
    title = f"{target}: {metric} {unit(metric)}, {study.split} rows"
    notes = [*study.told(target), *differing(target, rows), *uneven_seeds(study, [target])]
    lower = [name for name in header if (name == GAP) != (metric in LESS_IS_BETTER)]
    return _table(study, title, header, columns, notes, difference, lower, list(rows))


def best(study: Study) -> Table:
    """Return for each target the intermediate with the best development score, and what it gains on test.

    The development score is the main score of the stage's own development rows, the mean over seeds; those of
    intermediates that are compared are over the same languages. The baseline is no candidate. Of equal ones the first
    is taken.

    Raises:
        ConfigError: There is no baseline, or nothing but the baseline.
    """
    if not study.baseline or len(study.intermediates) == 1:
        raise ConfigError(f"nothing to choose from: found {study.intermediates}, the baseline being '{study.baseline}'")
    header = ("target", "chosen", "dev", "baseline dev", "test", "baseline test", "difference")
    notes, cells = study.told(), []
    for target in study.targets:
        row, more = _chosen(study, target)
        cells.append(row)
        notes += more
    if all(row[-1].value is not None for row in cells) and len(cells) > 1:
        means = [fmean(row[i].value or 0.0 for row in cells) for i in range(3, 6)]
        cells.append([Cell(), Cell(), Cell(), *(Cell(value, signed=i == 2) for i, value in enumerate(means))])
    names = (*study.targets, *([MEAN] if len(cells) > len(study.targets) else []))
    title = "The intermediate with the best development score, and its test scores in percent"
    notes += [f"{MEAN}: of main scores, F1 of questions"] * (len(cells) > len(study.targets))
    notes += ["dev: the main score by which the intermediate was chosen; the baseline is no candidate"]
    notes += uneven_seeds(study, study.targets) + _legend(cells)
    return Table(title, header, names, tuple(tuple(row) for row in cells), tuple(notes))


def _chosen(study: Study, target: str) -> tuple[list[Cell], list[str]]:
    """Return the cells of a target, and what to say of them."""
    rows = study.rows(target)
    dev = {name: study.development[name, target] for name in rows if (name, target) in study.development}
    languages = common_languages(dev)
    values = {name: scores(own, languages) for name, own in dev.items()}
    candidates = {name: fmean(own.values()) for name, own in values.items() if own and name != study.baseline}
    silent = [name for name in rows if name not in candidates and name != study.baseline]
    notes = differing(f"{target}, development", dev) + differing(target, rows)
    if not candidates:
        return [Cell()] * 6, [*notes, f"{target}: no development scores, so nothing is chosen"]
    notes += [f"{target}: no development scores of {', '.join(silent)}: not chosen from"] * bool(silent)
    name = max(candidates, key=candidates.__getitem__)
    tested = common_languages(rows)
    own, baseline = scores(rows[name], tested), scores(rows.get(study.baseline, []), tested)
    dev_baseline = values.get(study.baseline, {})
    if dev_baseline and fmean(dev_baseline.values()) >= candidates[name]:
        notes.append(f"{target}: no intermediate is better than the baseline on the development rows")
    pairs = [
        cell(values[name]),
        cell(dev_baseline),
        cell(own),
        cell(baseline),
        replace(cell(minus(own, baseline)), signed=True),
    ]
    return [Cell(text=name), *pairs], notes


def cell(values: Scores) -> Cell:
    """Return the cell of some scores: their mean over seeds, and the spread if there are several."""
    if not values:
        return Cell()
    spread = stdev(values.values()) if len(values) > 1 else None
    return Cell(fmean(values.values()), spread, len(values))


def average(columns: Sequence[Scores]) -> Scores:
    """Return the mean over several scores, seed by seed; nothing if one is missing.

    Seeds that not all have are left out; if they share none, the means over seeds are averaged.
    """
    if not all(columns):
        return {}
    shared = [seed for seed in columns[0] if all(seed in column for column in columns)]
    if shared:
        return {seed: fmean(column[seed] for column in columns) for seed in shared}
    return {None: fmean(fmean(column.values()) for column in columns)}


def minus(a: Scores, b: Scores) -> Scores:
    """Return a less b, seed by seed, over the seeds both have, or of the means over seeds if they share none."""
    if not a or not b:
        return {}
    shared = [seed for seed in a if seed in b]
    return {seed: a[seed] - b[seed] for seed in shared} or {None: fmean(a.values()) - fmean(b.values())}


def _table(
    study: Study,
    title: str,
    header: Sequence[str],
    columns: Sequence[Sequence[Scores]],
    notes: Sequence[str],
    difference: bool,
    lower: Sequence[str],
    names: Sequence[str] = (),
) -> Table:
    """Return the table of columns of scores, one an intermediate; the best of each is marked."""
    names, notes = names or study.intermediates, list(notes)
    relative = difference and len(names) > 1 and names[0] == study.baseline
    if difference and not study.baseline:
        notes.append("no baseline among the results: scores, not differences")
    written: list[list[Cell]] = []
    for name, column in zip(header, columns, strict=True):
        shown = [minus(own, column[0]) for own in column] if relative else column
        told = [replace(cell(own), signed=relative) for own in shown]
        if relative:
            told[0] = cell(column[0])
        for i in _best(shown, lowest=name in lower):
            told[i] = replace(told[i], best=True)
        if relative and not column[0] and any(column) and name not in (MEAN, GAP):
            notes.append(f"{name}: the baseline has no score, so there is no difference to it")
        written.append(told)
    cells = [list(row) for row in zip(*written, strict=True)]
    baseline = study.baseline if relative else ""
    told_below = (*notes, *_legend(cells))
    return Table(
        title, (study.by[0], *header), tuple(names), tuple(map(tuple, cells)), told_below, baseline, tuple(lower)
    )


def _halved(study: Study, target: str) -> list[Scores]:
    """Return the means of F1 and exact match, an intermediate each, as the paper averages; nothing without both."""
    rows, languages = study.rows(target), common_languages(study.rows(target))
    if not all(place(row) in study.exact and row.metric == "f1" for own in rows.values() for row in own):
        return []
    both = {name: [replace(r, value=(r.value + study.exact[place(r)]) / 2) for r in own] for name, own in rows.items()}
    return [scores(both.get(name, []), languages) for name in study.intermediates]


def _lower(metrics: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the targets (metric -> its targets) that have no score but such of which less is better."""
    higher = {target for metric, own in metrics.items() if metric not in LESS_IS_BETTER for target in own}
    return list(dict.fromkeys(target for own in metrics.values() for target in own if target not in higher))


def _best(column: Sequence[Scores], lowest: bool) -> list[int]:
    """Return the places of the best means, to one decimal; none where there is nothing to compare."""
    means = {i: round(fmean(own.values()), 1) for i, own in enumerate(column) if own}
    wanted = (min if lowest else max)(means.values(), default=0.0)
    return [i for i, value in means.items() if value == wanted and len(means) > 1]


def _legend(cells: Sequence[Sequence[Cell]]) -> list[str]:
    """Return what has to be said of marks in the cells."""
    counts = seed_counts(cells)
    if not any(one.spread is not None for row in cells for one in row):
        return []
    if len(counts) == 1:
        return [f"±: standard deviation over {counts.pop()} seeds"]
    return ["±: standard deviation over seeds; in brackets their number"]
