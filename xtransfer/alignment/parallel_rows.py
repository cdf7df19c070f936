"""Which rows of a data set are translations of each other, and which of them are options of one question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from xtransfer.alignment.arrays import Array, UndefinedError
from xtransfer.alignment.samples import Sample, draw, sides
from xtransfer.alignment.states import States
from xtransfer.datamodules import TaskDataModule
from xtransfer.errors import ConfigError, DataError
from xtransfer.samplers.order import permutation

ENGLISH = "en"


def draw_parallel(data: TaskDataModule, language: str, limit: int | None, seed: int) -> tuple[Sample, Sample]:
    """Return English rows and their translations, row by row.

    Of pairs of translations (Tatoeba) both sides are in one row; of a data set that exists in several languages (XNLI,
    XQuAD) row i in one language is row i in the other. Rows of one premise are drawn together: they are its options.

    Args:
        data: The data set.
        language: The other language.
        limit: At most so many rows.
        seed: By which they are drawn.

    Raises:
        ConfigError: The data set has no English rows.
        DataError: There are not as many as in the other language.
    """
    other = draw(data, "test", language, None, seed)
    order = permutation(other.there, seed, data.record.name, "parallel").tolist()
    if all("candidate" in row for row in other.examples):
        own, partner = (_side(other, role) for role in sides(data.record))
        return _picked(replace(partner, language=ENGLISH), order[:limit]), _picked(own, order[:limit])
    if ENGLISH not in data.record.languages:
        raise ConfigError(
            f"task '{data.record.name}' has neither pairs of translations nor test rows in English: name another data "
            "set for the measures between languages, e.g. Tatoeba or XNLI"
        )
    english = draw(data, "test", ENGLISH, None, seed)
    if english.there != other.there:
        raise DataError(
            f"task '{data.record.name}': {english.there} rows in English and {other.there} in '{language}'; they are "
            "paired by their place, so both need as many: choose a data set that is parallel row by row"
        )
    places = list(_whole_questions(english, order, limit))
    return _picked(english, places), _picked(other, places)


def options(english: States, other: States, sample: Sample, counts: Counter[str]) -> tuple[Array, Array]:
    """Return states ``(N, C, H)`` of questions with each of their options, in English and another language.

    Options are those of multiple choice, or the texts that are paired with one premise, as in XNLI, whose rows come in
    threes. Questions with fewer or more options than most have are left out, and counted.

    Args:
        english: States of the English rows.
        other: States of the rows in the other language.
        sample: The English rows.
        counts: Questions left out are added here.

    Raises:
        UndefinedError: There is no question with two options.
    """
    if sample.task.kind == "multiple_choice":
        groups = list(zip(english.inputs, other.inputs, strict=True))
    elif sample.task.kind == "classification":
        groups = [(english.rows[rows], other.rows[rows]) for rows in map(list, _by_premise(sample).values())]
    else:
        groups = []
    sizes = Counter(len(a) for a, b in groups if len(a) == len(b) > 1)
    if not sizes:
        raise UndefinedError("no question with two options or more")
    usual = max(sizes, key=lambda size: (sizes[size], size))
    kept = [(a, b) for a, b in groups if len(a) == len(b) == usual]
    counts["questions_with_other_options"] += len(groups) - len(kept)
    return np.stack([a for a, _ in kept]), np.stack([b for _, b in kept])


def _whole_questions(english: Sample, order: Sequence[int], limit: int | None) -> Iterable[int]:
    """Yield the places of rows in the order given, each with all rows of its premise, as far as they fit the limit."""
    groups = _by_premise(english) if english.task.kind == "classification" else {}
    told: set[int] = set()
    for place in order:
        group = groups.get(english.examples[place].get("text", ""), [place])
        if place in told:
            continue
        if limit is not None and len(told) + len(group) > limit:
            return
        told.update(group)
        yield from group


def _side(sample: Sample, role: str) -> Sample:
    """Return one side of pairs, as texts alone."""
    rows = [{**{k: v for k, v in row.items() if k != "candidate"}, "text": row[role]} for row in sample.examples]
    return replace(sample, examples=rows)


def _picked(sample: Sample, places: Sequence[int]) -> Sample:
    rows = [{**sample.examples[place], "index": number} for number, place in enumerate(places)]
    return replace(sample, examples=rows)


def _by_premise(sample: Sample) -> Mapping[str, Sequence[int]]:
    """Return the places of the rows of each premise, in their order."""
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(sample.examples):
        groups.setdefault(row["text"], []).append(number)
    return groups
