"""One portion of a run's data: a task's split in one language, from its source to checked examples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xtransfer.errors import ConfigError, DataError, UnavailableError, nearest
from xtransfer.kinds import KINDS, Example
from xtransfer.samplers import Sampling, permutation
from xtransfer.sources import Joined, native_names
from xtransfer.sources.rows import CHANGED
from xtransfer.task import BLANK, LEFT_OUT, PART, POOL, SPLITS, Row, Source, Task, columns

SLICE = re.compile(r"^(?P<split>[a-z]+)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?$")


@dataclass
class Portion:
    """A task's split in one language.

    Args:
        task: The record.
        split: ``train``, ``validation`` or ``test``: what the rows are used for.
        language: Two-letter code.
        source: Where the rows come from.
        folder: The task's own folder, if the source reads files.
        rows: Which rows, in Hugging Face's notation: ``train``, ``train[:3000]``, ``validation[10%:]``.
            Of joined data sets, such rows of each.
        limit: Read at most so many rows; of joined data sets, from each in turn as long as it has any.
        shots: Draw so many of them, of each label as many.
        seed: By which they are drawn.
    """

    task: Task
    split: str
    language: str
    source: Source
    folder: Path | None
    rows: str
    limit: int | None = None
    shots: int | None = None
    seed: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Check the notation of `rows`."""
        self._cut = parse_rows(self.rows, self.task.name)

    @property
    def name(self) -> str:
        """Name of the portion in logs, e.g. ``xnli/test/sw``."""
        return f"{self.task.name}/{self.split}/{self.language}"

    def origin(self) -> str:
        """Name the rows so exactly that equal texts mean equal rows."""
        limit = "" if self.limit is None else f" limit {self.limit}"
        each = " of each" if isinstance(self.source.basis, Joined) and (limit or self.rows != self._cut[0]) else ""
        shots = "" if self.shots is None else f" {self.shots} shots by seed {self.seed}"
        with self._told_what_to_do():
            return f"{self.source.origin(self._cut[0], self.language, self.folder)} {self.rows}{limit}{each}{shots}"

    def examples(self) -> list[Example]:
        """Read and check every row; `counts` then says how many there were and what was left out.

        Raises:
            DataError: A row is broken, there is none, or two to be scored could not be told apart; the message names
                task, language, file and line.
        """
        kind, task = KINDS[self.task.kind], self.task
        rows = self._rows()
        examples: list[Example] = []
        for row in rows:
            example = kind.example(row, task, self.language)
            if example["label"] is None and self.split == "train":
                if not task.drop_unlabelled:
                    raise DataError(f"{task.where(row, self.language)}: a training row without a label")
                self.counts["dropped_unlabelled"] += 1
                continue
            self.counts["unlabelled"] += example["label"] is None
            if PART in row:
                self.counts[f"rows_{row[PART]}"] += 1
            if BLANK in row:
                self.counts["lines_blank"] += row[BLANK]
            examples.append(example | {"index": len(examples)})
        if self.shots is not None:
            examples = self._few(examples, self.shots)
        if not examples:
            raise DataError(f"{self.name}: no row in {self.origin()}")
        kind.check_together(examples, self.split == "train")
        self.counts["rows"] = len(examples)
        return examples

    def _few(self, examples: list[Example], shots: int) -> list[Example]:
        """Draw some examples, in their order, of each label as many as there are or as come to its turn."""
        if shots > len(examples):
            raise DataError(f"{self.name}: expected at least {shots} rows to draw shots from, found {len(examples)}")
        waiting: dict[str, list[Example]] = {}
        for number in permutation(len(examples), self.seed, self.name).tolist():
            label = examples[number]["label"]
            waiting.setdefault(str(label) if isinstance(label, int) else "", []).append(examples[number])
        turns = [group[turn] for turn in range(len(examples)) for group in waiting.values() if turn < len(group)]
        chosen = sorted(turns[:shots], key=lambda example: int(example["index"]))
        return [example | {"index": index} for index, example in enumerate(chosen)]

    def labels(self) -> set[str]:
        """Return the names of all labels of the rows, for tasks that have their label set from there.

        Raises:
            ConfigError: Tasks of this kind have not.
            DataError: The rows cannot be read; the message names file and line.
        """
        return KINDS[self.task.kind].labels_in(self._rows(), self.task)

    @contextmanager
    def _told_what_to_do(self) -> Iterator[None]:
        """Say of a data set that cannot be had where else it is, and which files of it are read."""
        try:
            yield
        except UnavailableError as error:
            task = self.task
            names = native_names(task.files, self._cut[0], self.language) or "none"
            home = f" ({task.home})" if task.home else ""
            raise DataError(
                f"task '{task.name}' ({self.language}): {error}{home}. Files that are read in its place, below "
                f"data_dir/{task.folder or task.name}: {names}. Other tasks do not need it: leave this one out, of a "
                f"mix by `missing: leave_out`"
            ) from error

    def _rows(self) -> list[Row]:
        split, start, stop = self._cut
        with self._told_what_to_do():
            rows = list(self.source.rows(split, self.language, self.folder))
        if rows and (lacking := self.task.lacking(rows[0])):
            raise DataError(
                f"{self.task.where(rows[0], self.language)}: expected columns {', '.join(lacking)}, found "
                f"{', '.join(columns(rows[0]))}; {CHANGED}"
            )
        published = self.task.sizes.get(f"{split}/{self.language}", self.task.sizes.get(split))
        self.counts = Counter(rows_in_source=len(rows), rows_published=published or 0)
        self.counts["sentences_left_out"] = sum(row.get(LEFT_OUT, 0) for row in rows)
        candidates = [row for row in rows if row.get("side") == "candidate"]  # a pool is never cut
        rows = [row for row in rows if row.get("side") != "candidate"]
        return _cut_out(rows, start, stop, self.limit) + candidates


def known_languages(record: Task, languages: list[str], elsewhere: bool = False) -> list[str]:
    """Return the languages if the task has them all, or its rows are read elsewhere and may be in any.

    Raises:
        ConfigError: It does not; with the code without its region, the nearest code, or all codes.
    """
    known = {*record.languages, *record.train_languages}
    for language in languages:
        if language not in known and not elsewhere:
            base = re.split("[-_]", language)[0].lower()
            hint = f"; did you mean '{base}'?" if base in known else nearest(language, known)
            raise ConfigError(f"task '{record.name}' has no language '{language}'{hint}")
    return languages


def refuse_empty(**lists: list[str] | None) -> None:
    """Refuse lists of languages without any, which would be taken for the default.

    Raises:
        ConfigError: One is empty.
    """
    for name, languages in lists.items():
        if languages is not None and not languages:
            raise ConfigError(f"{name} is an empty list: leave it out for the default, or name languages")


def trained_in(record: Task, languages: list[str] | None, elsewhere: bool, sampling: Sampling | None) -> Task:
    """Return a record that is trained in these languages, drawn by this rule; without any, as it stands.

    Args:
        record: The record.
        languages: The languages.
        elsewhere: Whether rows may be read from elsewhere than the record says, in any language.
        sampling: How often each is drawn, if that is given.

    Raises:
        ConfigError: The task has not all of them, or they are not those that the rule names.
    """
    if languages:
        record = replace(record, train_languages=tuple(known_languages(record, languages, elsewhere)))
    if sampling is not None:
        sampling.check(record.train_languages, f"training language of '{record.name}'")
    return record


def known_splits(record: Task, splits: dict[str, str]) -> dict[str, str]:
    """Return the splits if they are well written.

    Raises:
        ConfigError: A name or a slice is not.
    """
    for name, rows in splits.items():
        if name not in SPLITS:
            raise ConfigError(f"task '{record.name}': unknown split '{name}'{nearest(name, SPLITS)}")
        parse_rows(rows, record.name)
    return splits


def parse_rows(rows: str, task: str) -> tuple[str, str | None, str | None]:
    """Split Hugging Face's notation into split, start and stop.

    Raises:
        ConfigError: The notation is wrong.
    """
    match = SLICE.match(rows)
    if match is None or match["split"] not in (*SPLITS, POOL):
        raise ConfigError(
            f"task '{task}': '{rows}' names no rows; write for example 'train', 'train[:3000]' or 'validation[10%:]'"
        )
    return match["split"], match["start"], match["stop"]


def _cut_out(rows: list[Row], start: str | None, stop: str | None, limit: int | None) -> list[Row]:
    """Return a slice of each joined data set, of these the first rows of each in turn up to `limit`; in their order."""
    parts: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        parts.setdefault(row.get(PART, ""), []).append(number)
    kept = [part[slice(_place(start, len(part)), _place(stop, len(part)))] for part in parts.values()]
    turns = sorted((turn, number) for part in kept for turn, number in enumerate(part))
    return [rows[number] for number in sorted(number for _, number in turns[:limit])]


def _place(bound: str | None, length: int) -> int | None:
    """Turn one side of a slice into a position; a percentage is rounded to the nearest row."""
    if bound is None:
        return None
    return round(int(bound[:-1]) * length / 100) if bound.endswith("%") else int(bound)


def describe(counts: Counter[str]) -> dict[str, Any]:
    """Return the counts that are worth telling: rows always, the rest where it is not zero."""
    told = {key: value for key, value in sorted(counts.items()) if value and key != "rows_published"}
    published = counts["rows_published"]
    if published and published != counts["rows_in_source"]:
        told["rows_published"] = published
    return told
