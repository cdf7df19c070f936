"""Word tagging: parts of speech in 38 languages, named entities in 48."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.sources import Conll, ConllU, Hub
from xtransfer.task import Task

FIELDS: dict[str, str | list[str]] = {"tokens": "tokens", "tags": "tags"}
XTREME_PATHS = {"train": "train-{language}.tsv", "validation": "dev-{language}.tsv", "test": "test-{language}.tsv"}

UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"

UD_LANGUAGES = {
    "af": "Afrikaans",
    "ar": "Arabic",
    "bg": "Bulgarian",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "kk": "Kazakh",
    "ko": "Korean",
    "mr": "Marathi",
    "nl": "Dutch",
    "pt": "Portuguese",
    "ru": "Russian",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tl": "Tagalog",
    "tr": "Turkish",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "yo": "Yoruba",
    "zh": "Chinese",
}
"""XTREME's 33 languages, as the hub names them."""

XTREME_NER = "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl"
XTREME_NER += " tr ur vi yo zh"
XTREME_R_NER = "az gu lt pa pl qu ro uk"


class UDPOS(TaskDataModule):
    """The part of speech of every word, in Universal Dependencies' 17 tags; trained in English.

    Nivre et al. 2018, "Universal Dependencies 2.2"; XTREME takes 2.5, for lt pl ro uk wo 2.7. Languages: af ar bg de el
    en es et eu fa fi fr he hi hu id it ja kk ko lt mr nl pl pt ro ru ta te th tl tr uk ur vi wo yo zh; kk has no
    development rows, th tl yo only test rows. Licence: of each treebank. Metric: seqeval's F1 over runs of equal tags
    (`f1`), by XTREME's evaluator; the share of words (`accuracy`) beside it. All treebanks of a language are joined.
    A word of which the conversion leaves no character is tagged X, whatever the model says. The hub's copy is not
    converted as the official data are and lacks lt pl ro uk wo.
    """

    task: ClassVar[Task] = Task(
        name="udpos",
        kind="tagging",
        fields=FIELDS,
        labels=tuple(UPOS.split()),
        options={"empty_tag": "X"},
        languages=tuple(sorted([*UD_LANGUAGES, "lt", "pl", "ro", "uk", "wo"])),
        hub=Hub(
            "google/xtreme",
            "udpos.{language}",
            codes=UD_LANGUAGES,
            languages=tuple(UD_LANGUAGES),
            rename={"pos_tags": "tags"},
        ),
        files=(
            ConllU(
                paths={
                    "train": "{language}_*-ud-train.conllu",
                    "validation": "{language}_*-ud-dev.conllu",
                    "test": "{language}_*-ud-test.conllu",
                }
            ),
            Conll(paths=XTREME_PATHS),
        ),
        home="https://universaldependencies.org",
    )


class PANX(TaskDataModule):
    """PAN-X, also called WikiANN: persons, organisations and places, tagged from Wikipedia's links; trained in English.

    Pan et al. 2017, "Cross-lingual Name Tagging and Linking for 282 Languages", in the balanced splits of Rahimi, Li
    and Cohn 2019. Languages: af ar az bg bn de el en es et eu fa fi fr gu he hi hu id it ja jv ka kk ko lt ml mr ms my
    nl pa pl pt qu ro ru sw ta te th tl tr uk ur vi yo zh. Licence: unknown. Metric: seqeval's F1, by XTREME's
    evaluator. Reads the original ``<language>/{train,dev,test}`` and XTREME's files, whose test rows have no tags.
    """

    task: ClassVar[Task] = Task(
        name="panx",
        kind="tagging",
        fields=FIELDS,
        labels=("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"),
        languages=tuple(sorted(f"{XTREME_NER} {XTREME_R_NER}".split())),
        hub=Hub(
            "google/xtreme",
            "PAN-X.{language}",
            rename={"ner_tags": "tags"},
            elsewhere=dict.fromkeys(
                XTREME_R_NER.split(), Hub("unimelb-nlp/wikiann", "{language}", rename={"ner_tags": "tags"})
            ),
        ),
        files=(
            Conll(
                paths={"train": "{language}/train", "validation": "{language}/dev", "test": "{language}/test"},
                prefix=True,
            ),
            Conll(paths=XTREME_PATHS),
        ),
        home="https://github.com/afshinrahimi/mmner",
        sizes={"train/en": 20_000, "validation/en": 10_000, "test/en": 10_000},
    )
