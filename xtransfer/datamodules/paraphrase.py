"""Paraphrase: QQP and PAWS in English, PAWS-X in 7 languages."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.sources import Hub, Tsv
from xtransfer.task import Task

LABELS = ("0", "1")
"""Not the same, the same."""

FIELDS: dict[str, str | list[str]] = {"text": "sentence1", "pair": "sentence2", "label": "label"}


class QQP(TaskDataModule):
    """Quora Question Pairs: would one answer do for both questions?

    Iyer, Dandekar and Csernai 2017, "First Quora Dataset Release: Question Pairs"; the split is GLUE's (Wang et al.
    2018). Languages: en. Licence: Quora's terms. Metric: the mean of accuracy and F1 of the duplicates, as in GLUE, on
    its development set. Reads GLUE's tables in the cleaned release (``QQP-clean``); the first one has lines that are
    broken in the middle, and is refused.
    """

    task: ClassVar[Task] = Task(
        name="qqp",
        kind="classification",
        fields={"text": "question1", "pair": "question2", "label": "label"},
        labels=LABELS,
        aliases={"not_duplicate": "0", "duplicate": "1"},
        metric="accuracy_f1",
        options={"positive": "1"},
        hub=Hub("nyu-mll/glue", "qqp", splits={"train": "train", "validation": "validation"}),
        files=(Tsv(paths={"train": "train.tsv", "validation": "dev.tsv"}, rename={"is_duplicate": "label"}),),
        home="https://gluebenchmark.com/tasks",
        sizes={"train": 363_846, "validation": 40_430},
    )


class PAWS(TaskDataModule):
    """Paraphrase Adversaries from Word Scrambling: pairs of nearly the same words, only some of the same meaning.

    Zhang, Baldridge and He 2019, "PAWS: Paraphrase Adversaries from Word Scrambling"; the labelled pairs from Wikipedia
    (``labeled_final``). Languages: en. Licence: free for any purpose, acknowledgement of Google LLC appreciated.
    Metric: accuracy. The name on the hub is untried.
    """

    task: ClassVar[Task] = Task(
        name="paws",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        hub=Hub("google-research-datasets/paws", "labeled_final"),
        files=(Tsv(paths={"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}),),
        home="https://github.com/google-research-datasets/paws",
        sizes={"train": 49_401, "validation": 8_000, "test": 8_000},
    )


class PAWSX(TaskDataModule):
    """PAWS in seven languages: development and test pairs translated by people; trained in English.

    Yang et al. 2019, "PAWS-X: A Cross-lingual Adversarial Dataset for Paraphrase Identification". Languages: de en es
    fr ja ko zh. Licence: free for any purpose, acknowledgement of Google LLC appreciated. Metric: accuracy, by XTREME's
    evaluator. Translations that are missing hold ``NS``: such rows are counted (`placeholder`), and stay in scores and
    files, as XTREME has it. Its English training rows are PAWS's; the machine-translated ones
    (``translated_train.tsv``) are read for other `train_languages`. Reads the original ``<language>/*_2k.tsv`` and
    XTREME's files, whose test rows have no labels.
    """

    task: ClassVar[Task] = Task(
        name="pawsx",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        head="paws",
        options={"placeholder": "NS"},
        languages=("de", "en", "es", "fr", "ja", "ko", "zh"),
        hub=Hub("google-research-datasets/paws-x", "{language}"),
        files=(
            Tsv(
                paths={
                    "train": "{language}/train.tsv|{language}/translated_train.tsv",
                    "validation": "{language}/dev_2k.tsv",
                    "test": "{language}/test_2k.tsv",
                }
            ),
            Tsv(
                paths={
                    "train": "train-{language}.tsv",
                    "validation": "dev-{language}.tsv",
                    "test": "test-{language}.tsv",
                },
                columns=("sentence1", "sentence2", "label"),
                optional=("label",),
            ),
        ),
        home="https://github.com/google-research-datasets/paws",
        sizes={"train/en": 49_401, "validation": 2_000, "test": 2_000},
    )
