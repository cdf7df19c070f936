"""Commonsense reasoning with options to choose from: CommonsenseQA in English, XCOPA in 11 languages."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.sources import Hub, JsonLines
from xtransfer.task import Task


class CommonsenseQA(TaskDataModule):
    """A question and five options that only everyday knowledge tells apart.

    Talmor et al. 2019, "CommonsenseQA: A Question Answering Challenge Targeting Commonsense Knowledge". Languages: en.
    Licence: not stated in the files. Metric: accuracy on the development set of the
    random split. The public test rows have no labels.
    """

    task: ClassVar[Task] = Task(
        name="commonsenseqa",
        kind="multiple_choice",
        fields={"text": "question", "choices": "choices.text", "label": "answerKey"},
        aliases={"A": "0", "B": "1", "C": "2", "D": "3", "E": "4"},
        hub=Hub("tau/commonsense_qa"),
        files=(
            JsonLines(
                paths={
                    "train": "train_rand_split.jsonl",
                    "validation": "dev_rand_split.jsonl",
                    "test": "test_rand_split_no_answers.jsonl",
                },
                rename={"question.stem": "question", "question.choices": "choices"},
                optional=("answerKey",),
                flatten=True,
            ),
        ),
        sizes={"train": 9_741, "validation": 1_221, "test": 1_140},
    )


class XCOPA(TaskDataModule):
    """Which of two sentences is the cause, or the effect, of the premise? COPA in 11 languages, none of them English.

    Ponti et al. 2020, "XCOPA: A Multilingual Dataset for Causal Commonsense Reasoning". Languages: et ht id it qu sw ta
    th tr vi zh. Licence: CC BY 4.0. Metric: accuracy, by XTREME-R's evaluator, whose English template asks in every
    language. Here it is trained on CommonsenseQA; the official recipe, Social IQa and then English COPA, will follow
    when those tasks join the catalogue. Scores so made are not comparable with XTREME-R's.
    """

    task: ClassVar[Task] = Task(
        name="xcopa",
        kind="multiple_choice",
        fields={
            "text": "{premise} What was the {question}?",
            "choices": ["choice1", "choice2"],
            "label": "label",
        },
        head="commonsenseqa",
        languages=("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"),
        hub=Hub("cambridgeltl/xcopa", "{language}", splits={"validation": "validation", "test": "test"}),
        files=(JsonLines(paths={"validation": "val.{language}.jsonl", "test": "test.{language}.jsonl"}),),
        sizes={"validation": 100, "test": 500},
    )
    trains_on = CommonsenseQA
