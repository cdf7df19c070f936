"""Natural language inference: MNLI in English, XNLI in 15 languages."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.sources import Hub, JsonLines, Tsv
from xtransfer.task import Task

LABELS = ("entailment", "neutral", "contradiction")
"""One order for all inference tasks, so that they can share a head."""

FIELDS: dict[str, str | list[str]] = {"text": "premise", "pair": "hypothesis", "label": "label"}
ALIASES = {"contradictory": "contradiction"}
NATIVE = {"sentence1": "premise", "sentence2": "hypothesis", "gold_label": "label"}


class MNLI(TaskDataModule):
    """Does the premise entail the hypothesis, contradict it, or neither? English texts of ten genres.

    Williams, Nangia and Bowman 2018, "A Broad-Coverage Challenge Corpus for Sentence Understanding through Inference".
    Languages: en. Licence: mostly the OANC's, the fiction part CC BY 3.0, CC BY-SA 3.0 and others. Metric: accuracy on
    the matched development set, as in GLUE. Reads MultiNLI 1.0 (JSON lines), GLUE's tables, or the English side of
    XNLI's machine-translation file, which is the same text tokenised again.
    """

    task: ClassVar[Task] = Task(
        name="mnli",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        aliases=ALIASES,
        hub=Hub("nyu-mll/glue", "mnli", splits={"train": "train", "validation": "validation_matched"}),
        files=(
            JsonLines(
                paths={"train": "multinli_1.0_train.jsonl", "validation": "multinli_1.0_dev_matched.jsonl"},
                rename=NATIVE,
            ),
            Tsv(paths={"train": "train.tsv", "validation": "dev_matched.tsv"}, rename=NATIVE),
            Tsv(paths={"train": "multinli.train.en.tsv"}, rename={"hypo": "hypothesis"}),
        ),
        sizes={"train": 392_702},
    )


class XNLI(TaskDataModule):
    """MNLI's question in 15 languages: development and test pairs translated by people; trained on English MNLI.

    Conneau et al. 2018, "XNLI: Evaluating Cross-lingual Sentence Representations". Languages: ar bg de el en es fr hi
    ru sw th tr ur vi zh. Licence: CC BY-NC 4.0. Metric: accuracy, by XTREME's evaluator. Reads XNLI 1.0 and XTREME's
    files, whose test rows have no labels.
    """

    task: ClassVar[Task] = Task(
        name="xnli",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        aliases=ALIASES,
        head="mnli",
        languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
        hub=Hub("facebook/xnli", "{language}", splits={"validation": "validation", "test": "test"}),
        files=(
            Tsv(
                paths={"validation": "xnli.dev.tsv", "test": "xnli.test.tsv"},
                rename=NATIVE,
                language_column="language",
            ),
            Tsv(
                paths={"validation": "dev-{language}.tsv", "test": "test-{language}.tsv"},
                columns=("premise", "hypothesis", "label"),
                optional=("label",),
            ),
        ),
        sizes={"validation": 2_490, "test": 5_010},
    )
    trains_on = MNLI
