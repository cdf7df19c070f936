"""Commonsense reasoning with options to choose from: five English tasks, and XCOPA in 11 languages.

Social IQa, COPA and XCOPA share a head: it scores one option at a time, so that their number may differ.
"""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.sources import Csv, Hub, JsonLines
from xtransfer.task import Task

COPA_FIELDS: dict[str, str | list[str]] = {
    "text": "{premise} What was the {question}?",
    "choices": ["choice1", "choice2"],
    "label": "label",
}


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
        home="https://www.tau-nlp.org/commonsenseqa",
        sizes={"train": 9_741, "validation": 1_221, "test": 1_140},
    )


class HellaSwag(TaskDataModule):
    """How does the description of an everyday event go on? Four endings, three of them written by a model.

    Zellers et al. 2019, "HellaSwag: Can a Machine Really Finish Your Sentence?". Languages: en. Licence: MIT. Metric:
    accuracy on the development set; the public test rows have no labels. The data may be gone: in September 2026 the
    authors' repository was blocked after a copyright notice, and copies, that on the hub included, may be taken down
    too. If you have no copy, use another task of this family. An option is the beginning of the last sentence and an
    ending, as in the code base of Phang et al. 2020.
    """

    task: ClassVar[Task] = Task(
        name="hellaswag",
        kind="multiple_choice",
        fields={"text": "ctx_a", "choices": "{ctx_b} {endings}", "label": "label"},
        hub=Hub("Rowan/hellaswag"),
        files=(
            JsonLines(
                paths={
                    "train": "hellaswag_train.jsonl",
                    "validation": "hellaswag_val.jsonl",
                    "test": "hellaswag_test.jsonl",
                },
                optional=("label",),
            ),
        ),
        sizes={"train": 39_905, "validation": 10_042, "test": 10_003},
    )


class CosmosQA(TaskDataModule):
    """A story told in a blog, and a question on what it does not say: causes, consequences, what else was so.

    Huang et al. 2019, "Cosmos QA: Machine Reading Comprehension with Contextual Commonsense Reasoning". Languages: en.
    Licence: not stated in the files. Metric: accuracy on the development set; the public test rows have no labels.
    Whether the hub's copy loads without a script is untried: if it does not, use the authors' files.
    """

    task: ClassVar[Task] = Task(
        name="cosmosqa",
        kind="multiple_choice",
        fields={
            "text": "{context} {question}",
            "choices": ["answer0", "answer1", "answer2", "answer3"],
            "label": "label",
        },
        hub=Hub("allenai/cosmos_qa"),
        files=(
            Csv(paths={"train": "train.csv", "validation": "valid.csv"}),
            JsonLines(paths={"test": "test.jsonl"}, optional=("label",)),
        ),
        home="https://github.com/wilburOne/cosmosqa",
        sizes={"train": 25_262, "validation": 2_985, "test": 6_963},
    )


class SIQA(TaskDataModule):
    """Social IQa: what people will do, feel or want in an everyday situation; three answers to choose from.

    Sap et al. 2019, "Social IQa: Commonsense Reasoning about Social Interactions". Languages: en. Licence: not stated
    in the files. Metric: accuracy on the development set; there are no public test rows. It is the first step of
    XTREME-R's recipe for `XCOPA`.
    """

    task: ClassVar[Task] = Task(
        name="siqa",
        kind="multiple_choice",
        fields={
            "text": "{context} {question}",
            "choices": ["answerA", "answerB", "answerC"],
            "label": "label",
        },
        aliases={"1": "0", "2": "1", "3": "2"},
        hub=Hub("lighteval/siqa", splits={"train": "train", "validation": "validation"}),
        files=(JsonLines(paths={"train": "train.jsonl", "validation": "dev.jsonl"}, labels="{stem}-labels.lst"),),
        home="https://leaderboard.allenai.org/socialiqa",
        sizes={"train": 33_410, "validation": 1_954},
    )


class COPA(TaskDataModule):
    """Choice of Plausible Alternatives: which of two sentences is the cause, or the effect, of the premise?

    Roemmele, Bejan and Gordon 2011, "Choice of Plausible Alternatives: An Evaluation of Commonsense Causal Reasoning",
    in the files of SuperGLUE (Wang et al. 2019). Languages: en. Licence: not stated in the files. Metric: accuracy on
    the development set; SuperGLUE's test rows have no labels. The question is put in the words of XTREME-R's script.
    """

    task: ClassVar[Task] = Task(
        name="copa",
        kind="multiple_choice",
        fields=COPA_FIELDS,
        aliases={"choice1": "0", "choice2": "1", "0": "0", "1": "1"},
        head="siqa",
        hub=Hub("aps/super_glue", "copa"),
        files=(
            JsonLines(
                paths={"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"}, optional=("label",)
            ),
        ),
        home="https://super.gluebenchmark.com/tasks",
        sizes={"train": 400, "validation": 100, "test": 500},
    )


class XCOPA(TaskDataModule):
    """Which of two sentences is the cause, or the effect, of the premise? COPA in 11 languages, none of them English.

    Ponti et al. 2020, "XCOPA: A Multilingual Dataset for Causal Commonsense Reasoning". Languages: et ht id it qu sw ta
    th tr vi zh. Licence: CC BY 4.0. Metric: accuracy, by XTREME-R's evaluator, whose English template asks in every
    language. Trained on English COPA. XTREME-R trains on Social IQa before that and keeps the head: a stage `SIQA`,
    then one `XCOPA` with ``init: {parts: [encoder, heads]}``, as in ``small/siqa_then_xcopa.yaml``.
    """

    task: ClassVar[Task] = Task(
        name="xcopa",
        kind="multiple_choice",
        fields=COPA_FIELDS,
        head="siqa",
        languages=("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"),
        hub=Hub("cambridgeltl/xcopa", "{language}", splits={"validation": "validation", "test": "test"}),
        files=(JsonLines(paths={"validation": "val.{language}.jsonl", "test": "test.{language}.jsonl"}),),
        home="https://github.com/cambridgeltl/xcopa",
        sizes={"validation": 100, "test": 500},
    )
    trains_on = COPA
