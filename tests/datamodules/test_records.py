"""Every task of the index: its record is complete, and its original files are read as they are published."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xtransfer import datamodules
from xtransfer.datamodules import TaskDataModule
from xtransfer.errors import DataError
from xtransfer.kinds import KINDS
from xtransfer.sources import ConllU, Hub, Joined, choose
from xtransfer.task import Row, Task

FIXTURES = Path(__file__).parents[1] / "data"

INDEX = [getattr(datamodules, name) for name in datamodules.__all__]
TASKS = [cls for cls in INDEX if "task" in vars(cls)]
CODES = """
    af ar az bg bn de el en es et eu fa fi fr gu he hi ht hu id it ja jv ka kk ko lt ml mr ms my nl pa pl pt qu ro ru sw
    ta te th tl tr uk ur vi wo yo zh
"""


def rows(task: Task, split: str, language: str, folder: Path) -> Iterator[Row]:
    """Find and read rows as a run does."""
    return choose(task.files, split, language, folder, task.name).rows(split, language, folder)


def record(cls: type[TaskDataModule], folder: Path) -> Task:
    """Return a task's record, with the labels of its training rows where it has them from there."""
    task = cls.task
    if not task.labels_from_train:
        return task
    return replace(task, labels=tuple(sorted(KINDS[task.kind].labels_in(rows(task, "train", "en", folder), task))))


def examples(cls: type[TaskDataModule], split: str, language: str, folder: Path) -> list[dict[str, Any]]:
    """Find, read and check rows as a run does."""
    task = record(cls, folder)
    return [KINDS[task.kind].example(row, task, language) for row in rows(task, split, language, folder)]


def test_the_index_names_every_task_once() -> None:
    names = [cls.task.name for cls in TASKS]
    assert len(set(names)) == len(names) >= 13
    assert all(issubclass(cls, TaskDataModule) for cls in INDEX)


@pytest.mark.parametrize("cls", TASKS, ids=lambda cls: cls.__name__)
def test_record_is_complete(cls: type[TaskDataModule]) -> None:
    task = cls.task
    KINDS[task.kind].check(task)
    assert {*task.languages, *task.train_languages} <= set(CODES.split())
    assert len(set(task.languages)) == len(task.languages)
    assert set(task.aliases.values()) <= set(task.labels) or task.kind == "multiple_choice"
    assert all(task.declares(key.split("/")[0]) for key in task.sizes)
    assert {key.split("/")[1] for key in task.sizes if "/" in key} <= {
        *task.languages,
        *task.train_languages,
        *task.pool,
    }
    hub = task.hub and task.hub.basis
    assert (
        isinstance(hub, (Hub, Joined))
        or all(s.embedded for s in task.files)
        or "local files only" in (cls.__doc__ or "")
    )
    for part in ("Languages:", "Licence:", "Metric:"):
        assert part in (cls.__doc__ or "")


@pytest.mark.parametrize("cls", TASKS, ids=lambda cls: cls.__name__)
def test_docstring_lists_the_languages_of_the_record(cls: type[TaskDataModule]) -> None:
    listed = (cls.__doc__ or "").split("Languages:")[1].split("Licence:")[0]
    words = listed.replace(".", " ").replace(",", " ").replace(";", " ").split("(")[0].split()
    assert {word for word in words if word in CODES.split()} == set(cls.task.languages)


@pytest.mark.parametrize("cls", [cls for cls in TASKS if cls.trains_on], ids=lambda cls: cls.__name__)
def test_a_head_trained_elsewhere_fits(cls: type[TaskDataModule]) -> None:
    assert cls.trains_on is not None
    task, trained = cls.task, cls.trains_on.task
    assert (task.head or task.name) == (trained.head or trained.name)
    assert (task.kind, task.labels) == (trained.kind, trained.labels)
    heads = [KINDS[task.kind].new_head(each.spec(), 8).config() for each in (task, trained)]
    assert heads[0] == heads[1]
    assert trained.declares("train")
    assert trained.declares("validation")


def test_tasks_of_one_head_fit_each_other() -> None:
    heads: dict[str, list[str]] = {}
    for cls in TASKS:
        heads.setdefault(cls.task.head or cls.task.name, []).append(cls.__name__)
        first = getattr(datamodules, heads[cls.task.head or cls.task.name][0]).task
        assert (cls.task.kind, cls.task.labels) == (first.kind, first.labels), cls
    shared = {head: set(names) for head, names in heads.items() if len(names) > 1}
    assert shared["mnli"] >= {
        "MNLI",
        "MNLIMismatched",
        "SNLI",
        "ANLI",
        "ANLIR1",
        "ANLIR2",
        "ANLIR3",
        "ANLIPlus",
        "XNLI",
    }
    assert shared["siqa"] == {"SIQA", "COPA", "XCOPA"}
    assert shared["paws"] == {"PAWS", "PAWSX"}
    assert shared["squad_v1"] >= {"SQuAD", "XQuAD", "MLQA"}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("XNLI", 15),
        ("PAWSX", 7),
        ("XQuAD", 12),
        ("MLQA", 7),
        ("TyDiQA", 9),
        ("UDPOS", 38),
        ("PANX", 48),
        ("XCOPA", 11),
        ("Tatoeba", 41),
        ("BUCC2018", 4),
        ("LAReQA", 11),
        ("MewsliX", 11),
        ("MLM", 50),
    ],
)
def test_number_of_languages_is_that_of_the_benchmarks(name: str, number: int) -> None:
    assert len(getattr(datamodules, name).task.languages) == number


def test_official_order_of_labels() -> None:
    assert datamodules.MNLI.task.labels == ("entailment", "neutral", "contradiction")
    assert datamodules.PANX.task.labels == ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")
    assert list(datamodules.UDPOS.task.labels) == sorted(datamodules.UDPOS.task.labels)
    assert len(datamodules.UDPOS.task.labels) == 17


@pytest.mark.parametrize(
    ("name", "split", "language", "path", "config", "published"),
    [
        ("MNLI", "validation", "en", "nyu-mll/glue", "mnli", "validation_matched"),
        ("MNLIMismatched", "test", "en", "nyu-mll/glue", "mnli", "validation_mismatched"),
        ("SNLI", "test", "en", "stanfordnlp/snli", "plain_text", "test"),
        ("ANLIR1", "train", "en", "facebook/anli", "plain_text", "train_r1"),
        ("ANLIR3", "validation", "en", "facebook/anli", "plain_text", "dev_r3"),
        ("ANLIR2", "test", "en", "facebook/anli", "plain_text", "test_r2"),
        ("QQP", "validation", "en", "nyu-mll/glue", "qqp", "validation"),
        ("PAWS", "train", "en", "google-research-datasets/paws", "labeled_final", "train"),
        ("PAWSX", "test", "ko", "google-research-datasets/paws-x", "ko", "test"),
        ("XNLI", "test", "sw", "facebook/xnli", "sw", "test"),
        ("SQuAD", "train", "en", "rajpurkar/squad", "plain_text", "train"),
        ("SQuAD2", "train", "en", "rajpurkar/squad_v2", "squad_v2", "train"),
        ("XQuAD", "test", "ro", "google/xquad", "xquad.ro", "validation"),
        ("MLQA", "test", "hi", "google/xtreme", "MLQA.hi.hi", "test"),
        ("TyDiQA", "test", "te", "google-research-datasets/tydiqa", "secondary_task", "validation"),
        ("UDPOS", "test", "zh", "google/xtreme", "udpos.Chinese", "test"),
        ("PANX", "test", "de", "google/xtreme", "PAN-X.de", "test"),
        ("Tatoeba", "test", "fa", "google/xtreme", "tatoeba.pes", "validation"),
        ("CommonsenseQA", "train", "en", "tau/commonsense_qa", None, "train"),
        ("HellaSwag", "train", "en", "Rowan/hellaswag", None, "train"),
        ("CosmosQA", "train", "en", "allenai/cosmos_qa", None, "train"),
        ("SIQA", "validation", "en", "lighteval/siqa", None, "validation"),
        ("COPA", "train", "en", "aps/super_glue", "copa", "train"),
        ("XCOPA", "test", "qu", "cambridgeltl/xcopa", "qu", "test"),
        ("MLM", "train", "sw", "wikimedia/wikipedia", "20231101.sw", "train"),
    ],
)
def test_names_on_the_hub(name: str, split: str, language: str, path: str, config: str | None, published: str) -> None:
    hub = getattr(datamodules, name).task.hub
    code = hub.codes.get(language, language)
    found = None if hub.config is None else hub.config.replace("{language}", code)
    assert (hub.path, found, hub.splits[split]) == (path, config, published)


def test_languages_the_hub_has_elsewhere_or_nowhere() -> None:
    assert not datamodules.UDPOS.task.hub.has("test", "wo", None)
    assert datamodules.PANX.task.hub.elsewhere["uk"].path == "unimelb-nlp/wikiann"


# ------------------------------------------------------------------ three rows a format, written for these tests
LABELS = [0, 1, 2]
CCG_FOLDERS = ("ccg", "formats/ccg-auto", "formats/ccg-lines")
CCG_TRAIN = [r"NP[nb]/N N S[dcl]\NP .", r"S[wq]/(S[dcl]\NP) S[dcl]\NP .", r"NP[nb]/N N S[dcl]\NP"]
CCG_DEV = [r"NP[nb]/N N S[dcl]\NP .", "NP[nb]/N N <unseen> NP[nb]/N N", r"S[wq]/(S[dcl]\NP) S[dcl]\NP ."]
CCG_TEST = [r"NP[nb]/N N S[dcl]\NP .", "NP[nb]/N N <unseen> NP[nb]/N N", r"S[wq]/(S[dcl]\NP) S[dcl]\NP ."]


def plain(categories: str) -> str:
    """Write CCGbank's categories as the Parallel Meaning Bank does."""
    return categories.lower().replace("[nb]", "").replace("[dcl]", ":dcl").replace("[wq]", ":wq")


NO_TARGETS = ["candidate"] * 3
SQUAD_SENTENCES = [
    f"{sentence}The cat sleeps in the old house. The dog runs to the river."
    for sentence in ("The cat sleeps in the old house.", "The dog runs to the river.", "The dog runs to the river.")
]
ANIMALS = ["The dog is a friend of people.", "Rain is water that falls."]
PLACES = ["A river is flowing water.", "A day has hours."]
THREE_ROWS = [
    ("MNLI", "train", "en", "mnli", LABELS),
    ("MNLI", "validation", "en", "mnli", LABELS),
    ("MNLI", "train", "en", "formats/mnli-glue", LABELS),
    ("MNLI", "validation", "en", "formats/mnli-glue", LABELS),
    ("MNLI", "train", "en", "formats/mnli-xnli-mt", LABELS),
    ("MNLIMismatched", "test", "en", "mnli", LABELS),
    ("MNLIMismatched", "test", "en", "formats/mnli-glue", LABELS),
    ("SNLI", "train", "en", "snli", [0, None, 2]),
    ("SNLI", "validation", "en", "snli", [0, 1, None]),
    ("SNLI", "train", "en", "formats/snli-txt", [0, None, 2]),
    ("SNLI", "validation", "en", "formats/snli-txt", [0, 1, None]),
    ("SNLI", "test", "en", "formats/snli-txt", LABELS),
    ("ANLI", "train", "en", "anli", LABELS),
    ("ANLI", "test", "en", "anli", LABELS),
    ("ANLIPlus", "train", "en", "anli_plus", [0, None, 2, *LABELS, *LABELS]),
    ("ANLIPlus", "validation", "en", "anli_plus", [0, 1, None, *LABELS, *LABELS]),
    ("ANLIR1", "train", "en", "anli", [0]),
    ("ANLIR2", "validation", "en", "anli", [1]),
    ("ANLIR3", "test", "en", "anli", [2]),
    ("QQP", "train", "en", "qqp", [1, 0, 1]),
    ("QQP", "validation", "en", "qqp", [1, 0, 1]),
    ("PAWS", "train", "en", "paws", [0, 1, 1]),
    ("PAWS", "test", "en", "paws", [0, 1, 1]),
    ("PAWSX", "train", "en", "pawsx", [0, 1, 1]),
    ("PAWSX", "validation", "de", "pawsx", [0, 1, 1]),
    ("PAWSX", "test", "zh", "pawsx", [0, 1, 1]),
    ("PAWSX", "train", "en", "formats/pawsx-xtreme", [0, 1, 1]),
    ("PAWSX", "validation", "de", "formats/pawsx-xtreme", [0, 1, 1]),
    ("PAWSX", "test", "de", "formats/pawsx-xtreme", [None] * 3),
    ("XNLI", "validation", "ar", "xnli", LABELS),
    ("XNLI", "test", "de", "xnli", LABELS),
    ("XNLI", "train", "de", "formats/xnli-mt", LABELS),
    ("XNLI", "validation", "de", "formats/xnli-xtreme", LABELS),
    ("XNLI", "test", "en", "formats/xnli-xtreme", [None] * 3),
    ("SQuAD", "train", "en", "squad_v1", ["in the old house", "The dog", "to the river"]),
    ("SQuAD", "validation", "en", "squad_v1", ["in the old house", "The dog", "to the river"]),
    ("SQuAD2", "train", "en", "squad_v2", ["in the old house", "The dog", ""]),
    ("SQuAD2", "validation", "en", "squad_v2", ["in the old house", "The dog", ""]),
    ("XQuAD", "test", "de", "xquad", ["im alten Haus", "Der Hund", "zum Fluss"]),
    ("XQuAD", "test", "zh", "xquad", ["老房子里", "狗", "河边"]),
    ("MLQA", "validation", "de", "mlqa", ["im alten Haus", "Der Hund", "zum Fluss"]),
    ("MLQA", "test", "en", "mlqa", ["the old house", "The dog", "the river"]),
    ("MLQA", "test", "zh", "mlqa", ["老房子里", "狗", "河边"]),
    ("TyDiQA", "train", "en", "tydiqa", ["in the old house", "The dog", "to the river"]),
    ("TyDiQA", "validation", "en", "tydiqa", ["in the old house", "The dog", "to the river"]),
    ("TyDiQA", "test", "ru", "tydiqa", ["в старом доме", "Собака", "к реке"]),
    ("TyDiQA", "test", "ru", "formats/tydiqa-archive", ["в старом доме", "Собака", "к реке"]),
    ("TyDiQA", "train", "en", "formats/tydiqa-xtreme", ["in the old house", "The dog", "to the river"]),
    ("TyDiQA", "test", "ru", "formats/tydiqa-xtreme", [None] * 3),
    ("UDPOS", "train", "en", "udpos", ["DET NOUN VERB PUNCT", "AUX VERB PUNCT", "NOUN VERB PUNCT"]),
    ("UDPOS", "validation", "en", "udpos", ["DET NOUN VERB PUNCT", "AUX VERB PUNCT", "NOUN VERB PUNCT"]),
    ("UDPOS", "test", "de", "udpos", ["DET NOUN VERB PUNCT", "PRON VERB ADP NOUN PUNCT", "NOUN VERB PUNCT"]),
    ("UDPOS", "train", "en", "formats/udpos-xtreme", ["DET NOUN VERB", "NOUN VERB", "VERB PUNCT"]),
    ("UDPOS", "test", "en", "formats/udpos-xtreme", [None] * 3),
    ("PANX", "train", "en", "panx", ["B-PER I-PER O", "B-LOC O", "B-ORG I-ORG I-ORG"]),
    ("PANX", "test", "de", "panx", ["B-PER I-PER O", "B-LOC O", "B-ORG I-ORG"]),
    ("PANX", "validation", "en", "formats/panx-xtreme", ["B-PER I-PER O", "B-LOC O", "B-ORG I-ORG I-ORG"]),
    ("PANX", "test", "de", "formats/panx-xtreme", [None] * 3),
    *[("CCG", "train", "en", folder, CCG_TRAIN) for folder in CCG_FOLDERS],
    *[("CCG", "validation", "en", folder, CCG_DEV) for folder in CCG_FOLDERS],
    *[("CCG", "test", "en", folder, CCG_TEST) for folder in CCG_FOLDERS],
    ("CCG", "train", "en", "formats/ccg-pmb", [plain(tags) for tags in CCG_TRAIN]),
    ("CCG", "validation", "en", "formats/ccg-pmb", [plain(tags) for tags in CCG_DEV]),
    ("CCG", "test", "en", "formats/ccg-pmb", [plain(tags) for tags in CCG_TEST]),
    ("CommonsenseQA", "train", "en", "commonsenseqa", [0, 2, 4]),
    ("CommonsenseQA", "validation", "en", "commonsenseqa", [0, 2, 4]),
    ("CommonsenseQA", "test", "en", "commonsenseqa", [None] * 3),
    ("HellaSwag", "train", "en", "hellaswag", [0, 2, 3]),
    ("HellaSwag", "test", "en", "hellaswag", [None] * 3),
    ("CosmosQA", "train", "en", "cosmosqa", [0, 2, 1]),
    ("CosmosQA", "validation", "en", "cosmosqa", [0, 2, 1]),
    ("CosmosQA", "test", "en", "cosmosqa", [None] * 3),
    ("SIQA", "train", "en", "siqa", [1, 0, 2]),
    ("SIQA", "validation", "en", "siqa", [1, 0, 2]),
    ("COPA", "train", "en", "copa", [0, 1, 0]),
    ("COPA", "validation", "en", "copa", [0, 1, 0]),
    ("COPA", "test", "en", "copa", [None] * 3),
    ("XCOPA", "validation", "it", "xcopa", [0, 1, 0]),
    ("XCOPA", "test", "zh", "xcopa", [0, 1, 0]),
    ("Tatoeba", "test", "de", "tatoeba", ["Der Hund läuft.", "Alle essen.", "Die Katze schläft."]),
    ("Tatoeba", "test", "zh", "tatoeba", ["狗在跑。", "大家都吃。", "猫在睡觉。"]),
    ("BUCC2018", "validation", "de", "bucc2018", [["en-000000003"], ["en-000000001"], [], *NO_TARGETS]),
    ("BUCC2018", "test", "de", "bucc2018", [["en-000000002"], [], ["en-000000001"], *NO_TARGETS]),
    ("BUCC2018", "validation", "fr", "formats/bucc2018-xtreme", [["en-000000002"], [], ["en-000000001"], *NO_TARGETS]),
    ("BUCC2018", "test", "fr", "formats/bucc2018-xtreme", [None] * 3 + NO_TARGETS),
    ("SQuADRetrieval", "train", "en", "squad_v1", SQUAD_SENTENCES),
    ("SQuADRetrieval", "validation", "en", "squad_v1", SQUAD_SENTENCES),
    ("LAReQA", "test", "de", "lareqa", [[f"{x}/0.0.{n}" for x in datamodules.LAReQA.task.pool] for n in range(3)]),
    ("LAReQA", "pool", "zh", "lareqa", NO_TARGETS),
    ("MewsliX", "test", "en", "mewslix", [["Q1"], ["Q2"], ["Q3"]]),
    ("MewsliX", "pool", "mul", "mewslix", NO_TARGETS),
    ("MewsliX", "test", "fa", "formats/mewslix-xtreme", [None] * 3),
    ("MewsliPairs", "train", "en", "mewslix", ["The cat is a small animal. It sleeps a lot.", *ANIMALS]),
    ("MewsliPairs", "validation", "en", "mewslix", ["A house is a building.", *PLACES]),
    (
        "MLM",
        "train",
        "en",
        "mlm",
        ["The cat sleeps in the house.", "The dog runs in the city.", "Who eats in the house?"],
    ),
    ("MLM", "train", "de", "mlm", ["Die Katze schläft.", "Der Hund ist in der Stadt.", "Wo ist das Haus?"]),
    ("MLM", "validation", "en", "mlm", ["The dog sleeps.", "A cat is not a dog.", "Where is the river?"]),
    (
        "MLM",
        "test",
        "de",
        "mlm",
        ["Der Fluss ist in der Stadt.", "Die Katze ist nicht das Haus.", "Was ist die Frage?"],
    ),
]


def readable(example: dict[str, Any], labels: tuple[str, ...]) -> object:
    """Return the gold of an example in words."""
    if "side" in example:
        return example["targets"] if example["side"] == "query" else "candidate"
    label = example.get("candidate", example["label"])
    if "tokens" in example and label is not None:
        return " ".join((*labels, "<unseen>")[tag] for tag in label)
    if "context" in example and label is not None:
        return label[0][0] if label else ""
    return example["text"] if set(example) == {"text", "label"} else label


@pytest.mark.parametrize(("name", "split", "language", "folder", "gold"), THREE_ROWS)
def test_three_rows_of_every_format(name: str, split: str, language: str, folder: str, gold: list[object]) -> None:
    cls = getattr(datamodules, name)
    read = examples(cls, split, language, FIXTURES / folder)
    assert [readable(example, record(cls, FIXTURES / folder).labels) for example in read] == gold


def test_three_rows_cover_every_format() -> None:
    used = set()
    for name, split, language, folder, _ in THREE_ROWS:
        task = getattr(datamodules, name).task
        used.add(id(choose(task.files, split, language, FIXTURES / folder, name)))
    assert used == {id(source) for cls in TASKS for source in cls.task.files if not source.embedded}


@pytest.mark.parametrize(
    ("name", "language", "row", "prompt", "right"),
    [
        ("CommonsenseQA", "en", 0, "Where does a cat sleep?", "house"),
        ("HellaSwag", "en", 0, "A cat sits by the river.", "the cat looks at the water."),
        ("HellaSwag", "en", 1, "Two dogs run through the city.", " They stop at a door."),
        (
            "CosmosQA",
            "en",
            0,
            'My dog ran out, "again", and I had left the door open . Why did the dog get out ?',
            "The door was open .",
        ),
        ("SIQA", "en", 2, "Lena read to the children by the river. Why did Lena do this?", "to make them laugh"),
        ("COPA", "en", 0, "The cat sleeps. What was the cause?", "It was tired."),
        ("XCOPA", "it", 1, "Il cane corre. What was the effect?", "È stanco."),
    ],
)
def test_prompts_and_options_of_multiple_choice(name: str, language: str, row: int, prompt: str, right: str) -> None:
    cls = getattr(datamodules, name)
    example = examples(cls, "validation", language, FIXTURES / cls.task.name)[row]
    assert example["text"] == prompt
    assert example["choices"][example["label"]] == right


@pytest.mark.parametrize(
    ("label", "read"), [("1", 0), ("3\n", 2), (3, 2), ("0", None), ("4", None), ("A", None)], ids=repr
)
def test_answers_of_social_iqa_are_numbered_from_one(label: object, read: int | None) -> None:
    row = {"context": "a", "question": "b", "answerA": "c", "answerB": "d", "answerC": "e", "label": label}
    kind, task = KINDS["multiple_choice"], datamodules.SIQA.task
    if read is None:
        with pytest.raises(DataError, match=r"is not one of 1, 2, 3; there are 3 options"):
            kind.example(row, task, "en")
    else:
        assert kind.example(row, task, "en")["label"] == read


def test_rounds_are_joined_in_order_and_none_may_be_missing(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(FIXTURES / "anli", folder)
    read = examples(datamodules.ANLI, "train", "en", folder)
    assert [example["text"].split()[0] for example in read] == ["In", "The", "Everybody"]
    (folder / "anli_v0.1/R2/train.jsonl").unlink()
    with pytest.raises(
        DataError, match=r"^anli_r2 \(en\): .* 'R2/train\.jsonl'.*joined here: anli_r1, anli_r2, anli_r3$"
    ):
        examples(datamodules.ANLI, "train", "en", folder)
    assert len(examples(datamodules.ANLI, "test", "en", folder)) == 3


def test_machine_translated_rows_are_trained_on_only_when_asked() -> None:
    assert datamodules.PAWSX.task.train_languages == ("en",)
    (only,) = datamodules.PAWSX(data_dir=FIXTURES).portions("train")
    assert only.origin().startswith("pawsx/x-final/en/train.tsv sha256:")
    english, german = datamodules.PAWSX(data_dir=FIXTURES, train_languages=["en", "de"]).portions("train")
    assert english.origin() == only.origin()
    assert german.origin().startswith("pawsx/x-final/de/translated_train.tsv sha256:")


def test_retrieval_asks_in_english_and_answers_with_line_numbers() -> None:
    read = examples(datamodules.Tatoeba, "test", "zh", FIXTURES / "tatoeba")
    assert [(e["text"], e["id"]) for e in read] == [
        ("A dog runs.", "1"),
        ("Everybody eats.", "2"),
        ("The cat sleeps.", "0"),
    ]


def test_texts_and_names_of_one_sided_rows() -> None:
    mined = examples(datamodules.BUCC2018, "test", "de", FIXTURES / "bucc2018")
    assert [(e["side"], e["id"], e["text"]) for e in (mined[0], mined[3])] == [
        ("query", "de-000000001", "Das Haus ist alt."),
        ("candidate", "en-000000001", "Everybody eats."),
    ]
    pool = examples(datamodules.LAReQA, "pool", "zh", FIXTURES / "lareqa")
    assert (pool[2]["id"], pool[2]["text"]) == ("zh/0.0.2", "今天下雨。猫在老房子里睡觉。狗跑到河边。今天下雨。")
    mentions = examples(datamodules.MewsliX, "test", "en", FIXTURES / "mewslix")
    assert [(e["id"], e["text"]) for e in mentions] == [
        ("m1", "Blue: The river { Blue } rose on Monday."),
        ("m2", "Oldtown: In { Oldtown } nobody was hurt."),
        ("m3", "Monday: { Monday } is a holiday"),
    ]
    entities = examples(datamodules.MewsliX, "pool", "mul", FIXTURES / "mewslix")
    assert (entities[0]["id"], entities[0]["text"]) == ("Q1", "Die Blau ist ein Fluss. Sie ist tief.")


@pytest.mark.parametrize(("name", "rows"), [("LAReQA", 3), ("MewsliX", 3), ("BUCC2018", 6)])
def test_a_retrieval_task_finds_its_pool_and_its_training_data(name: str, rows: int) -> None:
    """Below one data_dir: the pool stands before the languages, training data lie in the folder of their data set."""
    module = getattr(datamodules, name)(data_dir=FIXTURES, languages=["de"])
    trained = module.trains_on is not None
    report = module.check(splits=["train", "validation", "test"] if trained else ["test"])
    task = module.record.name
    expected = [f"{task}/train/en", f"{task}/validation/en"] * trained
    assert list(report) == [*expected, *(f"{task}/pool/{x}" for x in module.record.pool), f"{task}/test/de"]
    counts = {"MewsliX": {f"{task}/test/de": 1}}.get(name, {})
    assert {key: report[key]["rows"] for key in report} == dict.fromkeys(report, rows) | counts
    origins = [portion.origin() for portion in module.portions("train")] if trained else []
    assert all(("squad_v1/train" if name == "LAReQA" else "mewslix/wikipedia") in origin for origin in origins)


def test_demo_ships_every_language_it_names() -> None:
    demo = [cls for cls in TASKS if all(source.embedded for source in cls.task.files)]
    assert {cls.__name__ for cls in demo} == {"DemoNLI", "DemoQA"}
    for cls in demo:
        for split, languages in (("train", ["en"]), ("validation", ["en"]), ("test", cls.task.languages)):
            for language in languages:
                read = examples(cls, split, language, Path("nowhere"))
                assert len(read) > 2
                assert all(example["label"] is not None for example in read)


# ------------------------------------------------------------------ real rows, where they lie beside the checkout
COUNTS = [
    *[("XNLI", "validation", x, "xnli/xtreme", 2490) for x in ("ar", "de", "sw", "zh")],
    ("XNLI", "test", "de", "xnli/xtreme", 5010),
    ("XNLI", "validation", "ar", "xnli/XNLI-1.0", 49),
    ("XNLI", "test", "ur", "xnli/native_hf/XNLI-1.0", 1),
    ("MNLI", "train", "en", "mnli/multinli_1.0", 5),
    ("MNLI", "train", "en", "mnli/xnli_mt", 49),
    ("MNLI", "validation", "en", "mnli/glue", 2),
    ("SNLI", "validation", "en", "snli/snli_1.0", 1289),
    ("SNLI", "train", "en", "snli/snli_1.0_txt", 3),
    ("ANLI", "train", "en", "anli", 9),
    ("ANLIR3", "test", "en", "anli", 3),
    ("QQP", "train", "en", "qqp/glue", 3),
    ("PAWS", "train", "en", "paws", 4),
    ("PAWSX", "train", "en", "pawsx/x-final", 49),
    ("PAWSX", "test", "ja", "pawsx/x-final_hf", 4),
    *[("PAWSX", "validation", x, "pawsx/xtreme", 2000) for x in ("de", "en", "ko", "zh")],
    ("PAWSX", "test", "de", "pawsx/xtreme", 2000),
    ("SQuAD", "train", "en", "squad_v1", 12723),
    ("SQuAD2", "validation", "en", "squad_v2", 6078),
    *[("XQuAD", "test", x, "xquad", 1190) for x in ("ar", "en", "ro", "zh")],
    *[("MLQA", "validation", x, "mlqa", n) for x, n in (("ar", 517), ("de", 512), ("hi", 507), ("zh", 504))],
    ("TyDiQA", "train", "en", "tydiqa", 3696),
    ("TyDiQA", "test", "bn", "tydiqa", 113),
    ("TyDiQA", "test", "te", "tydiqa", 669),
    ("UDPOS", "validation", "en", "udpos", 2001),
    ("UDPOS", "test", "fr", "udpos", 416),
    ("UDPOS", "test", "ar", "udpos", 1000),
    ("PANX", "validation", "de", "panx/xtreme", 10000),
    ("PANX", "test", "sw", "panx/xtreme", 1000),
    ("PANX", "test", "ja", "panx/wikiann_native", 1),
    *[("CCG", split, "en", "ccg", n) for split, n in (("train", 7745), ("validation", 1174), ("test", 1053))],
    ("CommonsenseQA", "train", "en", "commonsenseqa", 4000),
    ("CommonsenseQA", "validation", "en", "commonsenseqa", 1221),
    ("HellaSwag", "train", "en", "hellaswag", 2),
    ("CosmosQA", "train", "en", "cosmosqa", 2),
    ("CosmosQA", "test", "en", "cosmosqa", 2),
    ("SIQA", "train", "en", "siqa", 2),
    ("COPA", "train", "en", "copa", 368),
    ("COPA", "test", "en", "copa", 500),
    *[("XCOPA", "test", x, "xcopa", 500) for x in ("et", "ht", "qu", "th")],
    ("XCOPA", "validation", "zh", "xcopa", 100),
    *[("Tatoeba", "test", x, "tatoeba", n) for x, n in (("ar", 1000), ("sw", 390), ("ta", 307), ("th", 548))],
    ("BUCC2018", "validation", "zh", "bucc2018", 8624 + 13589),
    ("SQuADRetrieval", "train", "en", "squad_v1", 12723),
    *[("LAReQA", "pool", x, "lareqa", datamodules.LAReQA.task.sizes[f"pool/{x}"]) for x in ("ar", "de", "en", "zh")],
]


@pytest.mark.parametrize(("name", "split", "language", "folder", "count"), COUNTS)
def test_real_rows(name: str, split: str, language: str, folder: str, count: int, real_data: Path) -> None:
    task = getattr(datamodules, name).task
    read = examples(getattr(datamodules, name), split, language, real_data / folder)
    assert len(read) == count
    if name == "SQuAD2":
        assert sum(not example["label"] for example in read) == 3168
    if task.kind == "span" and all(example["label"] for example in read):
        assert all(e["context"][s : s + len(t)] == t for e in read for t, s in e["label"])


def test_the_whole_development_set_of_cosmos_qa(tmp_path: Path, real_data: Path) -> None:
    (tmp_path / "valid.csv").symlink_to(real_data / "cosmosqa/valid.csv")  # of two files of that name
    read = examples(datamodules.CosmosQA, "validation", "en", tmp_path)
    assert len(read) == datamodules.CosmosQA.task.sizes["validation"]
    assert {example["label"] for example in read} == {0, 1, 2, 3}
    assert {len(example["choices"]) for example in read} == {4}


@pytest.mark.parametrize(
    ("language", "missing"), [("de", 68), ("en", 0), ("es", 38), ("fr", 8), ("ko", 35), ("zh", 16)]
)
def test_missing_translations_are_counted_and_kept(
    language: str, missing: int, tiny_encoder: Path, tmp_path: Path, real_data: Path
) -> None:
    """The numbers are 2,000 less those that the data's authors call usable."""
    data = datamodules.PAWSX(
        data_dir=real_data,
        folder="pawsx/xtreme",
        languages=[language],
        splits={"test": "validation"},
        tokenizer=str(tiny_encoder),
        cache_dir=tmp_path,
    )
    data.setup("test")
    features = data.sets["pawsx", "test", language]
    assert (features.counts["placeholder"], len(features)) == (missing, 2000)


@pytest.mark.parametrize("language", ["en", "fr", "es", "de", "el", "ta", "ar"])
def test_fused_words_spell_the_text_of_the_treebank(language: str, real_data: Path) -> None:
    folder = real_data / "udpos"
    source = next(source for source in datamodules.UDPOS.task.files if isinstance(source, ConllU))
    spelt = ["".join(row["tokens"]) for row in source.rows("test", language, folder)]
    lines = [line for file in source.files("test", language, folder) for _, line in file.lines()]
    texts = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
    assert ["".join(text.split()) for text in spelt] == ["".join(text.replace("\u200c", "").split()) for text in texts]


@pytest.mark.parametrize(
    ("split", "words", "unseen"), [("train", 50408, 0), ("validation", 7368, 13), ("test", 6821, 8)]
)
def test_categories_of_real_rows_that_training_rows_lack(split: str, words: int, unseen: int, real_data: Path) -> None:
    labels = record(datamodules.CCG, real_data / "ccg").labels
    tags = [tag for example in examples(datamodules.CCG, split, "en", real_data / "ccg") for tag in example["label"]]
    assert (len(labels), len(tags), tags.count(len(labels))) == (294, words, unseen)
