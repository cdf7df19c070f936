"""Retrieval of translations: Tatoeba, 41 languages against English."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.sources import Hub, ParallelLines
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
