"""Two small tasks that are shipped with the package: they show that everything works, and measure nothing."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.datamodules.nli import FIELDS as NLI_FIELDS
from xtransfer.datamodules.nli import LABELS
from xtransfer.datamodules.qa import FIELDS as QA_FIELDS
from xtransfer.sources import SquadJson, Tsv
from xtransfer.task import Task

LANGUAGES = ("ar", "de", "en", "es", "ru", "zh")
PACKAGE = "xtransfer/demo"


class DemoNLI(TaskDataModule):
    """A few sentence pairs of the kind of XNLI, written for this package; no score on them means anything.

    Written for xtransfer, no paper. Languages: ar de en es ru zh. Licence: the package's own. Metric: accuracy.
    """

    task: ClassVar[Task] = Task(
        name="demo_nli",
        kind="classification",
        fields=NLI_FIELDS,
        labels=LABELS,
        languages=LANGUAGES,
        files=(
            Tsv(
                paths={
                    "train": "nli-train.{language}.tsv",
                    "validation": "nli-validation.{language}.tsv",
                    "test": "nli-test.{language}.tsv",
                },
                package=PACKAGE,
            ),
        ),
        sizes={"train/en": 900, "validation/en": 144, "test": 216},
    )


class DemoQA(TaskDataModule):
    """A few questions of the kind of XQuAD, written for this package; no score on them means anything.

    Written for xtransfer, no paper. Languages: ar de en es ru zh. Licence: the package's own. Metric: F1 and exact
    match, as for SQuAD v1.1.
    """

    task: ClassVar[Task] = Task(
        name="demo_qa",
        kind="span",
        fields=QA_FIELDS,
        languages=LANGUAGES,
        files=(
            SquadJson(
                paths={
                    "train": "qa-train.{language}.json",
                    "validation": "qa-validation.{language}.json",
                    "test": "qa-test.{language}.json",
                },
                package=PACKAGE,
            ),
        ),
        sizes={"train/en": 900, "validation/en": 150, "test": 200},
    )
