"""Extractive question answering: SQuAD in English, XQuAD, MLQA and TyDiQA-GoldP in many languages."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.sources import Hub, SquadJson
from xtransfer.task import Task

FIELDS: dict[str, str | list[str]] = {
    "id": "id",
    "question": "question",
    "context": "context",
    "answers": "answers",
}
SQUAD_HOME = "https://rajpurkar.github.io/SQuAD-explorer"
TRAIN_AND_DEV = {"train": "train", "validation": "validation"}


class SQuAD(TaskDataModule):
    """SQuAD v1.1: the answer to every question is a span of a Wikipedia paragraph.

    Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text". Languages: en. Licence:
    CC BY 4.0, by its card on the hub. Metric: F1 and exact match, by the official SQuAD v1.1 script.
    """

    task: ClassVar[Task] = Task(
        name="squad_v1",
        kind="span",
        fields=FIELDS,
        hub=Hub("rajpurkar/squad", "plain_text", splits=TRAIN_AND_DEV),
        files=(SquadJson(paths={"train": "train-v1.1.json", "validation": "dev-v1.1.json"}),),
        home=SQUAD_HOME,
        sizes={"train": 87_599, "validation": 10_570},
    )


class SQuAD2(TaskDataModule):
    """SQuAD v2.0: SQuAD with as many questions again that the paragraph does not answer.

    Rajpurkar, Jia and Liang 2018, "Know What You Don't Know: Unanswerable Questions for SQuAD". Languages: en. Licence:
    CC BY-SA 4.0. Metric: F1 and exact match, by the official SQuAD v2.0 script.
    """

    task: ClassVar[Task] = Task(
        name="squad_v2",
        kind="span",
        fields=FIELDS,
        options={"no_answer": True},
        hub=Hub("rajpurkar/squad_v2", "squad_v2", splits=TRAIN_AND_DEV),
        files=(SquadJson(paths={"train": "train-v2.0.json", "validation": "dev-v2.0.json"}),),
        home=SQUAD_HOME,
        sizes={"train": 130_319, "validation": 11_873},
    )


class XQuAD(TaskDataModule):
    """A part of SQuAD v1.1's development set, translated by people; trained on English SQuAD v1.1.

    Artetxe, Ruder and Yogatama 2020, "On the Cross-lingual Transferability of Monolingual Representations". Languages:
    ar de el en es hi ro ru th tr vi zh (ro since XTREME-R). Licence: CC BY-SA 4.0. Metric: F1 and exact match, by
    XTREME's evaluator, with SQuAD's English rules in every language. XTREME's copies have no answers.
    """

    task: ClassVar[Task] = Task(
        name="xquad",
        kind="span",
        fields=FIELDS,
        head="squad_v1",
        languages=("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"),
        hub=Hub(
            "google/xquad",
            "xquad.{language}",
            splits={"test": "validation"},
            revision="51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
        ),
        files=(SquadJson(paths={"test": "xquad.{language}.json"}),),
        home="https://github.com/google-deepmind/xquad",
        sizes={"test": 1_190},
    )
    trains_on = SQuAD


class MLQA(TaskDataModule):
    """Questions on Wikipedia paragraphs that say the same in several languages; trained on English SQuAD v1.1.

    Lewis et al. 2020, "MLQA: Evaluating Cross-lingual Extractive Question Answering". Languages: ar de en es hi vi zh,
    question and paragraph in the same one. Licence: CC BY-SA 3.0. Metric: F1 and exact match, by XTREME's evaluator,
    which is MLQA's own script: each language's articles and all of Unicode's punctuation are left out. Models are
    chosen by its English development rows. XTREME's copies of the test files have no answers.
    """

    task: ClassVar[Task] = Task(
        name="mlqa",
        kind="span",
        fields=FIELDS,
        head="squad_v1",
        options={"normalizer": "mlqa"},
        languages=("ar", "de", "en", "es", "hi", "vi", "zh"),
        hub=Hub("google/xtreme", "MLQA.{language}.{language}", splits={"validation": "validation", "test": "test"}),
        files=(
            SquadJson(
                paths={
                    "validation": "dev-context-{language}-question-{language}.json",
                    "test": "test-context-{language}-question-{language}.json",
                }
            ),
        ),
        home="https://github.com/facebookresearch/MLQA",
        sizes={
            "validation/ar": 517,
            "validation/de": 512,
            "validation/en": 1_148,
            "validation/es": 500,
            "validation/hi": 507,
            "validation/vi": 511,
            "validation/zh": 504,
            "test/ar": 5_335,
            "test/de": 4_517,
            "test/en": 11_590,
            "test/es": 5_254,
            "test/hi": 4_918,
            "test/vi": 5_495,
            "test/zh": 5_137,
        },
    )
    trains_on = SQuAD


TYDIQA = {
    "ar": "arabic",
    "bn": "bengali",
    "en": "english",
    "fi": "finnish",
    "id": "indonesian",
    "ko": "korean",
    "ru": "russian",
    "sw": "swahili",
    "te": "telugu",
}
ALL_LANGUAGES = {
    "train": "tydiqa-goldp-v1.1-train.json",
    "validation": "tydiqa-goldp-v1.1-dev.json",
    "test": "tydiqa-goldp-v1.1-dev.json",
}


class TyDiQA(TaskDataModule):
    """TyDiQA-GoldP: questions asked in nine languages by people who did not know the answer; trained in English.

    Clark et al. 2020, "TyDi QA: A Benchmark for Information-Seeking Question Answering in Typologically Diverse
    Languages". Languages: ar bn en fi id ko ru sw te. Licence: Apache 2.0. Metric: F1 and exact match, by XTREME's
    evaluator. As there, the public development set is the test set; its English part is also what models are chosen
    by, so the English score is not a held-out one (set `splits` to hold out training rows instead). Reads the original
    files, or XTREME's: those have no answers for testing, and their training ids are numbers that repeat.
    """

    task: ClassVar[Task] = Task(
        name="tydiqa",
        kind="span",
        fields=FIELDS,
        languages=tuple(TYDIQA),
        hub=Hub(
            "google-research-datasets/tydiqa",
            "secondary_task",
            splits={"train": "train", "validation": "validation", "test": "validation"},
            codes=TYDIQA,
            language_column="id",
        ),
        files=(
            SquadJson(paths=ALL_LANGUAGES, codes=TYDIQA, language_column="id"),
            SquadJson(
                paths=dict.fromkeys(("validation", "test"), "tydiqa-goldp-dev-{language}.json"),
                codes=TYDIQA,
                unless=ALL_LANGUAGES,
            ),
            SquadJson(
                paths={
                    "train": "tydiqa.goldp.{language}.train.json",
                    "validation": "tydiqa.goldp.{language}.dev.json",
                    "test": "tydiqa.goldp.{language}.dev.json",
                },
                ids_repeat=True,
                unless=ALL_LANGUAGES,
            ),
        ),
        home="https://github.com/google-research-datasets/tydiqa",
        sizes={
            "train/en": 3_696,
            "test/ar": 921,
            "test/bn": 113,
            "test/en": 440,
            "test/fi": 782,
            "test/id": 565,
            "test/ko": 276,
            "test/ru": 812,
            "test/sw": 499,
            "test/te": 669,
        },
    )
