"""The report: what was measured, and whether it foretells the gains."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from xtransfer.alignment.findings import Finding, find, too_few
from xtransfer.alignment.gains import Gains, gains_of
from xtransfer.alignment.rows import Alignment
from xtransfer.alignment.scatter import scatter
from xtransfer.errors import ConfigError
from xtransfer.results import Results, markdown
from xtransfer.study import NONE

PRETRAINED = "pretrained"
FORMATS = ("png", "pdf")


@dataclass(frozen=True)
class Report:
    """What was measured and, where there are results, what it says of the gains.

    Attributes:
        rows: What was measured.
        gains: What runs have shown, if any were given.
        findings: One a measure and layer, the clearest first.
        notes: What was left out, and why.
    """

    rows: Sequence[Alignment]
    gains: Gains | None
    findings: Sequence[Finding]
    notes: Sequence[str]

    def markdown(self) -> str:
        """Return it as Markdown."""
        parts = ["# Alignment", _head(self.rows)]
        if self.gains is not None:
            parts += ["## Do the measures foretell the gains?", *self._foretold()]
        parts += ["## Values", *_tables(self.rows), *_undefined(self.rows)]
        return "\n\n".join(parts) + "\n"

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``report.md``, and the pictures of the findings as PNG and PDF; return the files."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "report.md"
        path.write_text(self.markdown(), encoding="utf-8")
        written = [path]
        for finding in self.findings:
            layer = "" if finding.layer is None else f"-layer{finding.layer}"
            figure = scatter(finding)
            for form in FORMATS:
                picture = folder / f"scatter-{finding.measure.replace(':', '-')}{layer}.{form}"
                figure.savefig(picture, metadata={"CreationDate": None} if form == "pdf" else None)
                written.append(picture)
        return written

    def _foretold(self) -> list[str]:
        assert self.gains is not None
        header = ["measure", "ranks", "n", "cells", "ρ", "95 %", "τ", "p", "corrected", "partial ρ"]
        header += ["error", "of mean", "of size", "says"]
        rows = [
            [
                one.name,
                f"{one.unit}s",
                str(one.units),
                str(one.cells),
                _number(one.rho, "+.2f"),
                "" if math.isnan(one.low) else f"{one.low:+.2f} to {one.high:+.2f}",
                _number(one.tau, "+.2f"),
                _number(one.p, ".3f"),
                _number(one.corrected, ".3f"),
                _number(one.partial, "+.2f"),
                *(_number(error, ".2f") for error in (one.error, one.error_of_mean, one.error_of_size)),
                one.verdict,
            ]
            for one in self.findings
        ]
        explained = [
            "ρ, τ: rank correlations of values and gains within each target and language (or target and intermediate)",
            "p: by permuting whole intermediates or languages; corrected for the number of measures, after Holm",
            "95 %: bootstrap over intermediates or languages, from five on",
            "partial ρ: given training size and whether both tasks are of one kind, where known; from five on",
            "error: mean absolute error, in points, of foretelling an intermediate left out: by the measure, "
            "by the mean of the others, by training size (where all are known)",
            "training size: tokens trained on, if the runs tell them of all intermediates; else published rows",
            "a high correlation on runs that were looked at before choosing the measure proves nothing",
        ]
        few = [f"**{note}.**" for note in too_few(self.findings)]
        seeds = ", ".join(map(str, self.gains.seeds))
        spoken = f"{len(self.gains.values)} gains, each the mean over {seeds} seed(s)."
        table = markdown(header, rows, left=(0, 1, 13)) if rows else "No measure could be compared with a gain."
        return [spoken, *few, table, _bullets(explained), *([_bullets(self.notes)] if self.notes else [])]


def report(
    rows: Sequence[Alignment],
    results: Results | None = None,
    metric: str | None = None,
    split: str = "test",
    baseline: str = NONE,
    recipes: Mapping[str, str] | None = None,
    seed: int = 1,
) -> Report:
    """Join what was measured with the gains that runs have shown.

    Args:
        rows: What `measure` returned, or `read` has read.
        results: Rows of any number of runs; without them the report tells the values alone.
        metric: Name of the score; default each task's main score.
        split: ``test`` or ``validation`` scores.
        baseline: The intermediate that gains are differences to.
        recipes: As for `Results.table`.
        seed: Seed of permutations and resamples.

    Raises:
        ConfigError: There is no row, rows are of several encoders, or there is no gain among the results.
    """
    if not rows:
        raise ConfigError("nothing was measured: no row to report")
    encoders = sorted({row.encoder for row in rows if row.encoder})
    if len(encoders) > 1:
        raise ConfigError(f"rows of several encoders ({', '.join(encoders)}) are not to be averaged: report each alone")
    if results is None:
        return Report(rows, None, [], [])
    gains = gains_of(results, metric, split, baseline, recipes)
    findings, notes = find(rows, gains, seed)
    other = sorted(set(gains.encoders) - {row.encoder for row in rows})
    if other:
        notes.append(f"the runs have other encoders than was measured with: {', '.join(other)}")
    findings.sort(key=lambda one: (math.isnan(one.p), one.p, -abs(one.rho)))
    return Report(rows, gains, findings, [*gains.notes, *notes])


# ------------------------------------------------------------------ tables of values
def _head(rows: Sequence[Alignment]) -> str:
    encoders = sorted({row.encoder for row in rows if row.encoder})
    seeds = sorted({row.seed for row in rows if row.encoder})
    n = [number for row in rows for number in row.n]
    sizes = f"{min(n)} to {max(n)} a sample" if n else "none"
    told = [
        f"encoder: {', '.join(encoders) or 'none'}",
        f"rows: {sizes}, drawn by seed {', '.join(map(str, seeds)) or '–'}",
        "samples are small and drawn once: look at differences between columns, not at the second decimal",
    ]
    return _bullets([*told, *_uneven(rows)])


def _uneven(rows: Sequence[Alignment]) -> list[str]:
    """Return what to say where the samples of intermediates differ in size, which many measures depend on."""
    sizes = {row.intermediate: row.n[0] for row in rows if row.scope == "states" and row.n}
    if len(set(sizes.values())) < 2:
        return []
    told = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items(), key=lambda one: one[1]))
    return [f"the samples of intermediates differ in size, and values of different sizes cannot be compared: {told}"]


def _tables(rows: Sequence[Alignment]) -> list[str]:
    """Return a table a measure and layer: intermediates or encoders by targets, or by languages."""
    by_key: dict[tuple[str, int | None], list[Alignment]] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    return [_table(measure, layer, own) for (measure, layer), own in by_key.items()]


def _table(measure: str, layer: int | None, rows: Sequence[Alignment]) -> str:
    by_target = any(row.target for row in rows)
    better = {"high": "higher is nearer", "low": "lower is nearer", "neither": "neither end is better"}[rows[0].better]
    columns = list(dict.fromkeys(row.target if by_target else row.language for row in rows))
    names = list(dict.fromkeys(row.intermediate for row in rows))
    cells: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.value is not None:
            cells.setdefault((row.intermediate, row.target if by_target else row.language), []).append(row.value)
    first = "encoder" if rows[0].scope not in ("texts", "states", "language") else "intermediate"
    body = [
        [name or PRETRAINED * (first == "encoder"), *(_mean(cells.get((name, column), [])) for column in columns)]
        for name in names
    ]
    languages = list(dict.fromkeys(row.language for row in rows))
    pooled = f", means over {', '.join(languages)}" if by_target and len(languages) > 1 else ""
    title = f"**{measure}**" + ("" if layer is None else f", layer {layer}") + f" ({better}{pooled})"
    return f"{title}\n\n{markdown([first, *columns], body)}"


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f}" if values else ""


def _undefined(rows: Sequence[Alignment]) -> list[str]:
    """Return what to say of rows without a value."""
    found = Counter((row.measure, row.why) for row in rows if row.value is None)
    told = [f"{measure}: {number} without a value: {why}" for (measure, why), number in found.items()]
    return ["## Not defined", _bullets(told)] if told else []


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else f"{value:{form}}"
