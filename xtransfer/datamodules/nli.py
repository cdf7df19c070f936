"""Natural language inference: MNLI, SNLI and ANLI in English, XNLI in 15 languages. One head serves them all."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.sources import Hub, Joined, JsonLines, Tsv
from xtransfer.task import Task

LABELS = ("entailment", "neutral", "contradiction")
"""One order for all inference tasks, so that they can share a head."""

FIELDS: dict[str, str | list[str]] = {"text": "premise", "pair": "hypothesis", "label": "label"}
ALIASES = {"contradictory": "contradiction"}
ANLI_HOME = "https://github.com/facebookresearch/anli"
ANLI_ALIASES = {"e": "entailment", "n": "neutral", "c": "contradiction"}
MNLI_HOME = "https://cims.nyu.edu/~sbowman/multinli"
NATIVE = {"sentence1": "premise", "sentence2": "hypothesis", "gold_label": "label"}


def _named(pattern: str) -> dict[str, str]:
    """Return the names that SNLI and ANLI give to files and splits."""
    names = {"train": "train", "validation": "dev", "test": "test"}
    return {split: pattern.replace("{name}", name) for split, name in names.items()}


def _anli(number: int, train: int, held_out: int) -> Task:
    """Return the record of a round of ANLI: its number, its training rows, and the rows of each other split."""
    return Task(
        name=f"anli_r{number}",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        aliases=ANLI_ALIASES,
        head="mnli",
        hub=Hub("facebook/anli", "plain_text", splits=_named(f"{{name}}_r{number}")),
        files=(JsonLines(paths=_named(f"R{number}/{{name}}.jsonl"), rename={"context": "premise"}),),
        folder="anli",
        home=ANLI_HOME,
        sizes={"train": train, "validation": held_out, "test": held_out},
    )


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
        home=MNLI_HOME,
        sizes={"train": 392_702, "validation": 9_815},
    )


class MNLIMismatched(TaskDataModule):
    """MNLI's second development set: five genres that are not among its training rows; trained on MNLI.

    Williams, Nangia and Bowman 2018, as `MNLI`. Languages: en. Licence: as MNLI's. Metric: accuracy. Its rows serve as
    test rows, so that no model is chosen by them. Read from MNLI's folder.
    """

    task: ClassVar[Task] = Task(
        name="mnli_mismatched",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        aliases=ALIASES,
        head="mnli",
        hub=Hub("nyu-mll/glue", "mnli", splits={"test": "validation_mismatched"}),
        files=(
            JsonLines(paths={"test": "multinli_1.0_dev_mismatched.jsonl"}, rename=NATIVE),
            Tsv(paths={"test": "dev_mismatched.tsv"}, rename=NATIVE),
        ),
        folder="mnli",
        home=MNLI_HOME,
        sizes={"test": 9_832},
    )
    trains_on = MNLI


class SNLI(TaskDataModule):
    """MNLI's question about captions of photographs: the first large collection of inference pairs.

    Bowman et al. 2015, "A large annotated corpus for learning natural language inference". Languages: en. Licence:
    CC BY-SA 4.0. Metric: accuracy. Pairs on whose label the annotators did not agree (``-``) are left out of training,
    as the authors ask, and not scored; both are counted. Reads SNLI 1.0, JSON lines or tables.
    """

    task: ClassVar[Task] = Task(
        name="snli",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        drop_unlabelled=True,
        head="mnli",
        hub=Hub("stanfordnlp/snli", "plain_text"),
        files=(
            JsonLines(paths=_named("snli_1.0_{name}.jsonl"), rename=NATIVE),
            Tsv(
                paths=_named("snli_1.0_{name}.txt"),
                rename=NATIVE,
                optional=("label2", "label3", "label4", "label5"),
            ),
        ),
        home="https://nlp.stanford.edu/projects/snli",
        sizes={"train": 550_152, "validation": 10_000, "test": 10_000},
    )


class ANLIR1(TaskDataModule):
    """The first round of `ANLI`.

    Nie et al. 2020. Languages: en. Licence: CC BY-NC 4.0. Metric: accuracy. Read from ANLI's folder.
    """

    task: ClassVar[Task] = _anli(1, 16_946, 1_000)


class ANLIR2(TaskDataModule):
    """The second round of `ANLI`, against a stronger model.

    Nie et al. 2020. Languages: en. Licence: CC BY-NC 4.0. Metric: accuracy. Read from ANLI's folder.
    """

    task: ClassVar[Task] = _anli(2, 45_460, 1_000)


class ANLIR3(TaskDataModule):
    """The third round of `ANLI`, against a stronger model still, on texts of more kinds than Wikipedia's.

    Nie et al. 2020. Languages: en. Licence: CC BY-NC 4.0. Metric: accuracy. Read from ANLI's folder.
    """

    task: ClassVar[Task] = _anli(3, 100_459, 1_200)


ROUNDS = Joined((ANLIR1.task, ANLIR2.task, ANLIR3.task), FIELDS)


class ANLI(TaskDataModule):
    """Adversarial NLI: MNLI's question, asked by people who tried to mislead a model; its three rounds joined.

    Nie et al. 2020, "Adversarial NLI: A New Benchmark for Natural Language Understanding". Languages: en. Licence:
    CC BY-NC 4.0. Metric: accuracy. Each round was collected against a stronger model than the one before: for scores
    by round, `evaluate` them as well.
    """

    task: ClassVar[Task] = Task(
        name="anli",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        aliases=ANLI_ALIASES,
        head="mnli",
        hub=ROUNDS,
        files=(ROUNDS,),
        home=ANLI_HOME,
        sizes=ROUNDS.sizes,
    )


PARTS = (SNLI, MNLI, ANLIR1, ANLIR2, ANLIR3)
PLUS = Joined(tuple(part.task for part in PARTS), FIELDS)


class ANLIPlus(TaskDataModule):
    """SNLI, MNLI and the three rounds of ANLI as one task, none of them repeated.

    Phang et al. 2020, "English Intermediate-Task Training Improves Zero-Shot Cross-Lingual Transfer Too"; the data sets
    are those of `SNLI`, `MNLI` and `ANLI`, in this order. Languages: en. Licence: each data set's own. Metric: accuracy
    on the development rows of all five (of MNLI the matched ones), by which models are chosen; those of each are scored
    by themselves too. Each data set is read from its own folder, beside the one this task would have. Slices of
    `splits` are taken of each of the five, and `limit` takes rows of each in turn.
    """

    task: ClassVar[Task] = Task(
        name="anli_plus",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        aliases={key: label for part in PARTS for key, label in part.task.aliases.items()},
        unlabelled=tuple(sorted({name for part in PARTS for name in part.task.unlabelled})),
        drop_unlabelled=any(part.task.drop_unlabelled for part in PARTS),
        head="mnli",
        hub=PLUS,
        files=(PLUS,),
        sizes=PLUS.sizes,
    )
    also = PARTS


class XNLI(TaskDataModule):
    """MNLI's question in 15 languages: development and test pairs translated by people; trained on English MNLI.

    Conneau et al. 2018, "XNLI: Evaluating Cross-lingual Sentence Representations". Languages: ar bg de el en es fr hi
    ru sw th tr ur vi zh. Licence: CC BY-NC 4.0. Metric: accuracy, by XTREME's evaluator. Reads XNLI 1.0 and XTREME's
    files, whose test rows have no labels. With `train_languages` other than English it is trained on the
    machine-translated training rows of XNLI-MT 1.0.
    """

    task: ClassVar[Task] = Task(
        name="xnli",
        kind="classification",
        fields=FIELDS,
        labels=LABELS,
        aliases=ALIASES,
        head="mnli",
        languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
        hub=Hub("facebook/xnli", "{language}"),
        files=(
            Tsv(paths={"train": "multinli.train.{language}.tsv"}, rename={"hypo": "hypothesis"}),
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
        home="https://github.com/facebookresearch/XNLI",
        sizes={"validation": 2_490, "test": 5_010},
    )
    trains_on = MNLI
