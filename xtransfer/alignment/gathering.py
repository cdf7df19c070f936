"""What is measured: the measures that can be, the languages, and the samples they need."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xtransfer.alignment.parallel_rows import ENGLISH, draw_parallel
from xtransfer.alignment.registry import BETWEEN_LANGUAGES, PAIRS, Measure
from xtransfer.alignment.samples import Sample, draw, task_data
from xtransfer.datamodules import TaskDataModule
from xtransfer.errors import ConfigError, nearest

log = logging.getLogger(__name__)

SPLITS = ("test", "validation")

Key = tuple[str, str, str]
"""Role (``intermediate``, ``target``, ``training``, ``english``, ``other``), task and language of a sample."""


@dataclass(frozen=True)
class Tasks:
    """The tasks of one measurement.

    Attributes:
        intermediates: Those whose training rows are compared.
        targets: Those they are compared with.
        parallel: Data set of translations, if there is one.
    """

    intermediates: Sequence[TaskDataModule]
    targets: Sequence[TaskDataModule]
    parallel: TaskDataModule | None

    def languages(self, wanted: Sequence[str] | None) -> dict[str, list[str]]:
        """Return the languages of each target, and under the empty name those that are compared with English.

        Args:
            wanted: Those asked for; default all the targets have.

        Raises:
            ConfigError: No target has one of them, or a target has none.
        """
        spoken = sorted({code for data in self.targets for code in data.languages})
        for code in wanted or ():
            if code not in spoken:
                raise ConfigError(f"no target has the language '{code}'{nearest(code, spoken)}")
        found = {
            data.record.name: [code for code in data.languages if code in (wanted or spoken)] for data in self.targets
        }
        for name, codes in found.items():
            if not codes:
                raise ConfigError(f"task '{name}' has none of the languages {', '.join(wanted or ())}")
        other = self.parallel.languages if self.parallel else []
        return found | {"": [code for code in other if code in (wanted or spoken) and code != ENGLISH]}

    def lengths(self) -> dict[str, int]:
        """Return the tokens of one input of each task."""
        every = [*self.intermediates, *self.targets, *([self.parallel] if self.parallel else [])]
        return {data.record.name: data.length for data in every}


def tasks_of(
    intermediates: Sequence[str | TaskDataModule],
    targets: Sequence[str | TaskDataModule],
    parallel: str | TaskDataModule | None,
    encoders: Collection[str],
    options: Mapping[str, Any],
) -> Tasks:
    """Return the tasks by their names.

    Args:
        intermediates: Names, or DataModules.
        targets: The same.
        parallel: Data set of translations, if there is one.
        encoders: Intermediates whose encoders are given.
        options: Arguments of the DataModules.

    Raises:
        ConfigError: There is no such task, or an encoder is that of no intermediate.
    """
    first, second = ([task_data(name, options) for name in names] for names in (intermediates, targets))
    names = [data.record.name for data in first]
    for name in encoders:
        if name not in names:
            raise ConfigError(f"an encoder is given of '{name}', which is no intermediate{nearest(name, names)}")
    return Tasks(first, second, task_data(parallel, options) if parallel else None)


@dataclass(frozen=True)
class Draws:
    """How rows are drawn.

    Attributes:
        limit: Rows of each task and language; None for all.
        seed: By which they are drawn.
        split: Rows of the targets: ``test`` or ``validation``.
    """

    limit: int | None
    seed: int
    split: str

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            ConfigError: No row would be drawn, or the split is another one.
        """
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}; at least 1 row has to be drawn")
        if self.split not in SPLITS:
            raise ConfigError(f"targets have no '{self.split}' rows to measure{nearest(self.split, SPLITS)}")


def gather(
    tasks: Tasks, languages: Mapping[str, Sequence[str]], measures: Sequence[Measure], draws: Draws
) -> dict[Key, Sample]:
    """Draw the samples that the measures need.

    Raises:
        ConfigError: An intermediate has no training rows, or a target not those asked for.
        DataError: A data set cannot be read.
    """
    scopes, samples = {measure.scope for measure in measures}, {}

    def add(role: str, data: TaskDataModule, split: str, language: str) -> None:
        log.info("alignment: reading %s, %s rows in %s", data.record.name, split, language)
        samples[role, data.record.name, language] = draw(data, split, language, draws.limit, draws.seed)

    for data in tasks.intermediates if scopes & {*PAIRS} else []:
        if not data.trains:
            raise ConfigError(f"task '{data.record.name}' has no training rows, so it can be no intermediate")
        add("intermediate", data, "train", data.record.train_languages[0])
    for data in tasks.targets:
        for language in languages[data.record.name] if scopes & {*PAIRS, "sample", "change"} else []:
            add("target", data, draws.split, language)
        if "labels" in scopes and data.trains:
            add("training", data, "train", data.record.train_languages[0])
    for language in languages[""] if scopes & {*BETWEEN_LANGUAGES} and tasks.parallel else []:
        assert tasks.parallel is not None
        log.info("alignment: reading %s in English and %s", tasks.parallel.record.name, language)
        english, other = draw_parallel(tasks.parallel, language, draws.limit, draws.seed)
        samples["english", tasks.parallel.record.name, language] = english
        samples["other", tasks.parallel.record.name, language] = other
    return samples


def possible(measures: Sequence[Measure], parallel: bool, trained: bool) -> list[Measure]:
    """Return the measures that have what they need; the others are named in the log.

    Args:
        measures: Those asked for.
        parallel: Whether there is a data set of translations.
        trained: Whether there are encoders that intermediates left.
    """
    lacking = {scope: "a data set of translations" for scope in BETWEEN_LANGUAGES if not parallel}
    lacking |= {} if trained else {"change": "encoders that intermediates left"}
    for one in measures:
        if one.scope in lacking:
            log.info("alignment: %s is left out: it needs %s", one.name, lacking[one.scope])
    return [one for one in measures if one.scope not in lacking]
