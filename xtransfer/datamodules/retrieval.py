"""Retrieval: translations (Tatoeba, BUCC), answers (LAReQA) and entities (Mewsli-X)."""

from __future__ import annotations

from typing import Any, ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.datamodules.qa import SQuAD
from xtransfer.sources import AnswerSentences, Bucc, Hub, Mewsli, ParallelLines, XquadR
from xtransfer.sources.mewsli import MULTILINGUAL
from xtransfer.task import Task

XTREME_CODES = {
    "af": "afr",
    "ar": "ara",
    "bg": "bul",
    "bn": "ben",
    "de": "deu",
    "el": "ell",
    "es": "spa",
    "et": "est",
    "eu": "eus",
    "fa": "pes",
    "fi": "fin",
    "fr": "fra",
    "he": "heb",
    "hi": "hin",
    "hu": "hun",
    "id": "ind",
    "it": "ita",
    "ja": "jpn",
    "jv": "jav",
    "ka": "kat",
    "kk": "kaz",
    "ko": "kor",
    "ml": "mal",
    "mr": "mar",
    "nl": "nld",
    "pt": "por",
    "ru": "rus",
    "sw": "swh",
    "ta": "tam",
    "te": "tel",
    "th": "tha",
    "tl": "tgl",
    "tr": "tur",
    "ur": "urd",
    "vi": "vie",
    "zh": "cmn",
}
CODES = XTREME_CODES | {"az": "aze", "lt": "lit", "pl": "pol", "ro": "ron", "uk": "ukr"}


class Tatoeba(TaskDataModule):
    """Find the translation of an English sentence among up to 1,000 sentences; nothing is trained.

    Artetxe and Schwenk 2019, "Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual Transfer and
    Beyond". Languages: af ar az bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko lt ml mr nl pl pt ro ru sw
    ta te th tl tr uk ur vi zh, each against English (az lt pl ro uk since XTREME-R, in LASER's files only). Licence:
    Tatoeba's terms of use. Metric: accuracy, by XTREME's evaluator: the English sentences, sorted, are the queries; the
    answer is the number of the foreign line. Reads LASER's files, not XTREME's preprocessed ones, in which the pairing
    is lost.
    """

    task: ClassVar[Task] = Task(
        name="tatoeba",
        kind="retrieval",
        fields={"text": "target_sentence", "candidate": "source_sentence", "candidate_id": "line"},
        languages=tuple(sorted(CODES)),
        train_languages=(),
        hub=Hub(
            "google/xtreme",
            "tatoeba.{language}",
            splits={"test": "validation"},
            codes=XTREME_CODES,
            languages=tuple(XTREME_CODES),
            sort_by="target_sentence",
        ),
        files=(
            ParallelLines(
                paths={"test": "tatoeba.{language}-eng.{language}"},
                partner="tatoeba.{language}-eng.eng",
                codes=CODES,
            ),
        ),
        home="https://github.com/facebookresearch/LASER/tree/main/data/tatoeba/v1",
        sizes={
            "test": 1_000,
            "test/jv": 205,
            "test/ka": 746,
            "test/kk": 575,
            "test/ml": 687,
            "test/sw": 390,
            "test/ta": 307,
            "test/te": 234,
            "test/th": 548,
        },
    )


SIDES: dict[str, str | list[str]] = {"side": "side", "text": "text", "id": "id", "targets": "targets"}


class BUCC2018(TaskDataModule):
    """Find the pairs of translations hidden among sentences of two languages; nothing is trained.

    Zweigenbaum, Sharoff and Rapp 2018, "Overview of the Third BUCC Shared Task: Spotting Parallel Sentences in
    Comparable Corpora". Languages: de fr ru zh, each against English. Licence: not stated in the files. Metric: F1 of
    the pairs above a threshold, by XTREME's evaluator; the threshold is the best one on the development set. As in
    XTREME the shared task's sample is that set and its training set, to which the gold is public, the test set. Reads
    the original archives or XTREME's renamed files; without its gold file a test set can be mined, not scored. The copy
    on the hub holds the gold pairs alone, among which there is nothing to find: local files only.
    """

    task: ClassVar[Task] = Task(
        name="bucc2018",
        kind="retrieval",
        fields=SIDES,
        options={"method": "mining"},
        languages=("de", "fr", "ru", "zh"),
        train_languages=(),
        files=(
            Bucc(
                paths={
                    "validation": "{language}-en.sample.{language}",
                    "test": "{language}-en.training.{language}",
                }
            ),
            Bucc(paths={"validation": "{language}-en.dev.{language}", "test": "{language}-en.test.{language}"}),
        ),
        home="https://comparable.limsi.fr/bucc2018/bucc2018-task.html",
        sizes={"validation/zh": 22_213},
    )


DUAL_ENCODER: dict[str, Any] = {
    "method": "ranking",
    "pooling": "first",
    "dense": True,
    "scale": 100.0,
    "learn_scale": True,
    "middle_layer": False,
}
"""The dual encoder of XTREME-R's scripts: first token -> dense -> tanh, a learned scale, the last layer."""


class SQuADRetrieval(TaskDataModule):
    """SQuAD v1.1 as retrieval: which sentence, seen in its paragraph, answers the question? LAReQA's training data.

    Roy et al. 2020, "LAReQA: Language-Agnostic Answer Retrieval from a Multilingual Pool". Languages: en. Licence:
    CC BY 4.0, by SQuAD's card on the hub. Metric: mean average precision of the first 20, among the answers to all
    questions of the development set. Reads SQuAD's own folder. Two departures from the official script: sentences are
    cut by rules of our own (`AnswerSentences`), and the sentence stands directly before its paragraph, as it does in
    the evaluation; the script trains on them as a pair of texts, with separators between.
    """

    task: ClassVar[Task] = Task(
        name="squad_retrieval",
        kind="retrieval",
        fields={"text": "question", "candidate": "sentence_paragraph"},
        options=DUAL_ENCODER | {"query_length": 96},
        max_length=256,
        head="lareqa",
        folder=SQuAD.task.name,
        home=SQuAD.task.home,
        hub=AnswerSentences(SQuAD.task.hub) if SQuAD.task.hub else None,
        files=tuple(AnswerSentences(source) for source in SQuAD.task.files),
    )


LAREQA_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")


class LAReQA(TaskDataModule):
    """Find the sentences that answer a question, in whichever of 11 languages; trained on English SQuAD v1.1.

    Roy et al. 2020, "LAReQA: Language-Agnostic Answer Retrieval from a Multilingual Pool": XQuAD-R. Languages: ar de el
    en es hi ru th tr vi zh; their 13,014 sentences are one pool, and each question has a right one in every language.
    Licence: CC BY-SA 4.0. Metric: mean average precision of the first 20. It is not in XTREME-R's evaluator but printed
    by its scripts, as the mean over all questions; with 1,190 questions in each language that is the mean over the
    languages. The copy on the hub lacks the sentences: local files only, all 11 (a smaller pool needs a record of its
    own, with other `pool` and `XquadR.languages`).
    """

    task: ClassVar[Task] = Task(
        name="lareqa",
        kind="retrieval",
        fields=SIDES,
        options=SQuADRetrieval.task.options,
        max_length=SQuADRetrieval.task.max_length,
        languages=LAREQA_LANGUAGES,
        pool=LAREQA_LANGUAGES,
        files=(XquadR(paths=dict.fromkeys(("test", "pool"), "xquad-r/{language}.json"), languages=LAREQA_LANGUAGES),),
        home="https://github.com/google-research-datasets/lareqa",
        sizes={
            "test": 1_190,
            "pool/ar": 1_222,
            "pool/de": 1_276,
            "pool/el": 1_234,
            "pool/en": 1_180,
            "pool/es": 1_215,
            "pool/hi": 1_244,
            "pool/ru": 1_219,
            "pool/th": 852,
            "pool/tr": 1_167,
            "pool/vi": 1_209,
            "pool/zh": 1_196,
        },
    )
    trains_on = SQuADRetrieval


MEWSLI_HOME = (
    "https://github.com/google-research/google-research/tree/master/dense_representations_for_entity_retrieval"
)


class MewsliPairs(TaskDataModule):
    """Which entity does a mention in the English Wikipedia refer to? Mewsli-X's training data.

    Ruder et al. 2021, "XTREME-R: Towards More Challenging and Nuanced Multilingual Evaluation". Languages: en. Licence:
    Apache 2.0 (the archive's repository; the texts are Wikipedia's). Metric: mean average precision of the first 20,
    among the entities of the development set. Lies in Mewsli-X's folder; local files only.
    """

    task: ClassVar[Task] = Task(
        name="mewslix_pairs",
        kind="retrieval",
        fields={"text": "mention", "candidate": "description", "candidate_id": "entity_id"},
        options=DUAL_ENCODER,
        max_length=64,
        head="mewslix",
        folder="mewslix",
        files=(Mewsli(paths={"train": "wikipedia_pairs-train.jsonl", "validation": "wikipedia_pairs-dev.jsonl"}),),
        home=MEWSLI_HOME,
        sizes={"train": 167_719, "validation": 14_051},
    )


class MewsliX(TaskDataModule):
    """Which of a million entities does a mention in the news refer to? Entities are described in 50 languages.

    Ruder et al. 2021, "XTREME-R: Towards More Challenging and Nuanced Multilingual Evaluation"; release of May 2022,
    whose scores are not comparable with the paper's. Languages: ar de en es fa ja pl ro ta tr uk. Licence: Apache 2.0
    (the archive's repository; the texts are Wikinews' and Wikipedia's). Metric: mean average precision of the first
    20, by XTREME-R's evaluator; with one right entity it is the mean reciprocal rank. Trained on English Wikipedia. A
    query is the mention's sentence, a candidate the entity's description, 64 tokens each. Reads the files that the
    authors' downloader writes, or XTREME's, one a language and without gold; local files only.
    """

    task: ClassVar[Task] = Task(
        name="mewslix",
        kind="retrieval",
        fields=SIDES,
        options=DUAL_ENCODER,
        max_length=MewsliPairs.task.max_length,
        languages=("ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk"),
        pool=(MULTILINGUAL,),
        files=(
            Mewsli(paths={"test": "wikinews_mentions-test.jsonl", "pool": "candidate_set_entities.jsonl"}),
            Mewsli(
                paths={"test": "wikinews_mentions/test-{language}.jsonl"},
                unless={"test": "wikinews_mentions-test.jsonl"},
            ),
        ),
        home=MEWSLI_HOME,
        sizes={
            "test/ar": 1_501,
            "test/de": 1_551,
            "test/en": 1_490,
            "test/es": 1_552,
            "test/fa": 458,
            "test/ja": 1_519,
            "test/pl": 1_562,
            "test/ro": 672,
            "test/ta": 1_567,
            "test/tr": 1_215,
            "test/uk": 1_537,
            f"pool/{MULTILINGUAL}": 1_003_893,
        },
    )
    trains_on = MewsliPairs
