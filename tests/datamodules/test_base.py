"""The DataModule: which rows it reads, in which order, what it counts and what it refuses."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from xtransfer.datamodules import (
    MNLI,
    PANX,
    SNLI,
    XNLI,
    CustomTask,
    MNLIMismatched,
    SQuAD,
    TaskDataModule,
    Tatoeba,
    TyDiQA,
    XQuAD,
    lookup,
)
from xtransfer.errors import ConfigError, DataError
from xtransfer.sources import Tsv
from xtransfer.task import Task

DATA = Path(__file__).parents[1] / "data"
LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture
def settings(tiny_encoder, tmp_path):
    return {"tokenizer": str(tiny_encoder), "cache_dir": tmp_path / "cache", "batch_size": 4}


@pytest.fixture
def many(tmp_path):
    """A folder with 40 training and development rows of MNLI; row i has i // 3 words more than the shortest."""
    folder = tmp_path / "many" / "mnli"
    folder.mkdir(parents=True)
    lines = [
        json.dumps({"sentence1": "cat " * (1 + i // 3), "sentence2": "dog", "gold_label": LABELS[i % 3]}) + "\n"
        for i in range(40)
    ]
    for name in ("train", "dev_matched"):
        (folder / f"multinli_1.0_{name}.jsonl").write_text("".join(lines))
    return folder.parent


def order(data: TaskDataModule, epoch: int = 0) -> list[list[int]]:
    """Return the positions of the rows in each training batch of an epoch."""
    loader = data.train_dataloader()
    loader.batch_sampler.set_epoch(epoch)
    return [batch["index"] for batch in loader]


def positions(portion) -> list[str]:
    return [example["text"] for example in portion.examples()]


# ------------------------------------------------------------------ order
def test_training_order_is_a_function_of_seed_and_epoch(settings, many, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    first, second = (MNLI(data_dir=many, **settings) for _ in range(2))
    for data in (first, second):
        data.setup("fit")
    batches = order(first)
    assert [len(batch) for batch in batches] == [4] * 10
    assert sorted(i for batch in batches for i in batch) == list(range(40))
    assert order(first) == order(second) == batches
    assert order(first, epoch=1) == order(second, epoch=1) != batches
    assert order(first) == batches  # going back to an epoch, as a resumed run does
    monkeypatch.setenv("PL_GLOBAL_SEED", "8")
    assert order(first) != batches


def test_evaluation_is_longest_first_and_every_row_once(settings, many):
    data = MNLI(data_dir=many, eval_batch_size=8, **settings)
    data.setup("validate")
    (loader,) = data.val_dataloader().values()
    batches = list(loader)
    assert [len(batch["index"]) for batch in batches] == [8] * 5
    widths = [batch["input_ids"].shape[1] for batch in batches]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]
    lengths = [int(n) for batch in batches for n in batch["attention_mask"].sum(1)]
    assert lengths == sorted(lengths, reverse=True)
    assert sorted(i for batch in batches for i in batch["index"]) == list(range(40))
    for batch in batches:
        assert [LABELS[label] for label in batch["labels"]] == [LABELS[i % 3] for i in batch["index"]]


def test_files_of_predictions_are_in_the_order_of_the_rows(settings, many, tmp_path):
    """The first row is the shortest, so it is predicted last."""
    from types import SimpleNamespace

    from xtransfer.metrics import Piece
    from xtransfer.module import TransferModule
    from xtransfer.predictions import PredictionWriter

    data = MNLI(data_dir=many, **settings)
    data.setup("test")
    module = TransferModule(data.specs(), encoder=settings["tokenizer"], pretrained=False)
    writer, trainer = PredictionWriter(tmp_path / "predictions"), SimpleNamespace(is_global_zero=True)
    (loader,) = data.test_dataloader().values()
    seen = []
    for number, batch in enumerate(loader):
        seen += batch["index"]
        pieces = [Piece(i, part, i % 3) for i, part in zip(batch["index"], batch["part"], strict=True)]
        writer.on_test_batch_end(trainer, module, {"pieces": pieces}, batch, number)
    assert seen != sorted(seen)
    writer.on_test_end(trainer, module)
    lines = (tmp_path / "predictions/mnli/test-en.tsv").read_text().splitlines()
    assert lines == [LABELS[i % 3] for i in range(40)]


# ------------------------------------------------------------------ which rows
@pytest.mark.parametrize(
    ("rows", "limit", "expected"),
    [
        ("train", None, range(40)),
        ("train[:7]", None, range(7)),
        ("train[35:]", None, range(35, 40)),
        ("train[-3:]", None, range(37, 40)),
        ("train[10%:30%]", None, range(4, 12)),
        ("train[:-90%]", None, range(4)),
        ("train", 5, range(5)),
        ("train[30:]", 5, range(30, 35)),
        ("train[38:]", 5, range(38, 40)),
        ("validation[:2]", None, range(2)),
    ],
)
def test_slices_and_limit(settings, many, rows, limit, expected):
    data = MNLI(data_dir=many, splits={"train": rows}, limit=limit, **settings)
    (portion,) = data.portions("train")
    examples = portion.examples()
    assert [example["label"] for example in examples] == [i % 3 for i in expected]
    assert [len(example["text"].split()) for example in examples] == [1 + i // 3 for i in expected]
    assert portion.counts["rows"] == len(expected)
    assert portion.counts["rows_in_source"] == 40
    assert portion.rows == rows


@pytest.mark.parametrize("rows", ["train[40:]", "train[5:5]", "train[:0%]"])
def test_an_empty_portion_is_refused(settings, many, rows):
    data = MNLI(data_dir=many, splits={"train": rows}, **settings)
    with pytest.raises(
        DataError, match=r"^mnli/train/en: no row in mnli/multinli_1\.0_train\.jsonl sha256:\w+ train\["
    ):
        data.check()


@pytest.mark.parametrize("rows", ["train[1:2:3]", "train[a:]", "trian", "dev", "train[1]", "train[:5"])
def test_a_slice_that_is_none_is_refused_at_once(rows):
    with pytest.raises(ConfigError, match="task 'mnli': .* names no rows; write for example"):
        MNLI(splits={"train": rows})


def test_rows_of_the_task_trained_on_serve_as_training_rows(settings):
    data = XNLI(data_dir=DATA, languages=["de", "en"], **settings)
    assert data.trains
    assert [p.source.origin("train", "en", p.folder).split()[0] for p in data.portions("train")] == [
        "mnli/multinli_1.0_train.jsonl"
    ]
    report = data.check()
    assert {name: counts["rows"] for name, counts in report.items()} == {
        "xnli/train/en": 3,
        "xnli/validation/en": 3,
        "xnli/test/de": 3,
        "xnli/test/en": 3,
    }


def test_a_task_may_lie_in_the_folder_of_another(settings):
    alone = MNLIMismatched(data_dir=DATA, **settings)
    beside = MNLI(data_dir=DATA, evaluate=[MNLIMismatched()], **settings)
    assert [
        portion.origin().split()[0] for split in ("train", "validation", "test") for portion in alone.portions(split)
    ] == [
        "mnli/multinli_1.0_train.jsonl",
        "mnli/multinli_1.0_dev_matched.jsonl",  # never chosen by the rows it is tested on
        "mnli/multinli_1.0_dev_mismatched.jsonl",
    ]
    assert [portion.origin().split()[0] for portion in beside.portions("test")] == [
        "mnli/multinli_1.0_dev_matched.jsonl",
        "mnli/multinli_1.0_dev_mismatched.jsonl",
    ]
    assert {spec["head"] for spec in [*alone.specs(), *beside.specs()]} == {"mnli"}
    with pytest.raises(DataError, match="nowhere"):
        MNLIMismatched(data_dir=DATA, folder="nowhere", **settings).check(splits=["test"])


@pytest.mark.parametrize("folder", ["snli", "formats/snli-txt"])
def test_pairs_without_a_majority_are_not_trained_on(settings, folder):
    report = SNLI(data_dir=DATA, folder=folder, **settings).check()
    train, dev = report["snli/train/en"], report["snli/validation/en"]
    assert (train["rows"], train["dropped_unlabelled"]) == (2, 1)
    assert (dev["rows"], dev["unlabelled"]) == (3, 1)


def test_members_take_over_settings_they_do_not_have(settings):
    member = XQuAD(languages=["zh"], max_length=100)
    data = TyDiQA(data_dir=DATA, languages=["en"], limit=2, evaluate=[member], max_length=64, **settings)
    assert (member.limit, member.max_length, member.tokenizer) == (2, 100, settings["tokenizer"])
    data.setup("test")
    assert list(data.test_dataloader()) == ["tydiqa/en", "xquad/zh"]
    assert {spec["name"]: spec["head"] for spec in data.specs()} == {"tydiqa": "tydiqa", "xquad": "tydiqa"}


# ------------------------------------------------------------------ what is refused
def test_all_missing_languages_are_named_at_once_with_a_list_to_paste(settings):
    data = XQuAD(data_dir=DATA, **settings)
    with pytest.raises(DataError) as caught:
        data.check()
    message = str(caught.value)
    assert message.startswith("task 'xquad': no files for ar, el, es, hi, ro, ru, th, tr, vi (xquad (ar): no files")
    assert message.endswith("to test in the others only, set its languages: [de, en, zh]")
    assert "xquad/test/zh" in XQuAD(data_dir=DATA, languages=["de", "en", "zh"], **settings).check()


def test_an_input_longer_than_the_encoder_takes_is_refused(settings):
    data = XQuAD(data_dir=DATA, languages=["de"], max_length=400, **settings)
    with pytest.raises(ConfigError, match="task 'xquad': max_length 400 is more than the 128 tokens the encoder takes"):
        data.check(128)


def unlabelled(tmp_path: Path, drop: bool, **settings) -> TaskDataModule:
    """A task of whose four training rows the second and the third, and of whose test rows the last, have no label."""
    folder = tmp_path / "data" / "snli"
    folder.mkdir(parents=True)
    rows = ["good dog\tplus", "dog\t-", "house\t", "bad cat\tminus"]
    (folder / "train.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    (folder / "test.tsv").write_text("text\tlabel\ngood cat\tplus\ncity\t-\n")
    task = Task(
        name="snli",
        kind="classification",
        fields={"text": "text", "label": "label"},
        labels=("plus", "minus"),
        drop_unlabelled=drop,
        files=(Tsv(paths={"train": "train.tsv", "test": "test.tsv"}),),
    )
    return CustomTask(task=task, data_dir=tmp_path / "data", **settings)


def test_a_training_row_without_label_is_named(settings, tmp_path):
    with pytest.raises(DataError, match=r"^snli \(en\) snli/train\.tsv:3: a training row without a label$"):
        unlabelled(tmp_path, drop=False, **settings).check()


def test_rows_without_label_are_left_out_of_training_where_the_authors_ask_and_counted(settings, tmp_path):
    data = unlabelled(tmp_path, drop=True, **settings)
    report = data.check(splits=("train", "test"))
    train, test = report["snli/train/en"], report["snli/test/en"]
    assert (train["rows_in_source"], train["rows"], train["dropped_unlabelled"]) == (4, 2, 2)
    assert (test["rows"], test["unlabelled"], test["dropped_unlabelled"]) == (2, 1, 0)  # never dropped where scored
    data.setup("fit")
    assert data.sets["snli", "train", "en"].counts["dropped_unlabelled"] == 2
    assert sorted(i for batch in order(data) for i in batch) == [0, 1]


@pytest.mark.parametrize(("wrong", "refused"), [(1, False), (2, True)])
def test_training_data_without_their_answers_are_refused(settings, tmp_path, wrong, refused):
    """One answer in a hundred may be missing from its passage, and is counted; two are too many."""
    context = "The dog sleeps in the old house."
    questions = [
        {
            "id": str(i),
            "question": "Who sleeps?",
            "answers": [{"text": "The cow" if i < wrong else "The dog", "answer_start": 0}],
        }
        for i in range(100)
    ]
    folder = tmp_path / "data" / "squad_v1"
    shutil.copytree(DATA / "squad_v1", folder)
    root = {"data": [{"title": "T", "paragraphs": [{"context": context, "qas": questions}]}]}
    (folder / "train-v1.1.json").write_text(json.dumps(root))
    data = SQuAD(data_dir=tmp_path / "data", max_length=64, **settings)
    if refused:
        with pytest.raises(
            DataError, match=r"train-v1.1.json.*: the answer to question '0' is not .*; 2 of 100 answers are not in"
        ):
            data.setup("fit")
        assert not list((tmp_path / "cache").glob("*"))
    else:
        data.setup("fit")
        features = data.sets["squad_v1", "train", "en"]
        assert (features.counts["answer_missing"], len(features)) == (1, 99)


def test_labels_that_differ_cannot_share_a_head(settings, tmp_path):
    other = unlabelled(tmp_path, drop=True)
    with pytest.raises(
        ConfigError, match=r"'snli' \(classification, labels \['plus', 'minus'\]\) cannot be scored with"
    ):
        MNLI(data_dir=DATA, evaluate=[other], **settings)


def test_languages_that_the_hub_s_copy_lacks_are_left_out_unless_they_are_named(caplog):
    """XTREME's copy of Tatoeba has not the five of XTREME-R; the data set's own files have."""
    lookup._tell.cache_clear()
    lacking = {"az", "lt", "pl", "ro", "uk"}
    with caplog.at_level(logging.WARNING):
        assert set(Tatoeba().languages) == set(Tatoeba.task.languages) - lacking
        assert not lacking.intersection(*(spec["languages"] for spec in Tatoeba().specs()))
    assert [record.getMessage() for record in caplog.records] == [
        "tatoeba is not tested in az, lt, pl, ro, uk: google/xtreme on the hub has no such rows; the data set's own "
        "files (data.data_dir) do"
    ]
    assert set(Tatoeba(data_dir=DATA).languages) == set(Tatoeba.task.languages)
    assert set(PANX().languages) == set(PANX.task.languages)  # those are elsewhere on the hub
    named = Tatoeba(languages=["az"])
    assert named.languages == ["az"]
    (portion,) = named.portions("test")
    for read in (portion.examples, portion.origin):
        with pytest.raises(DataError) as caught:
            read()
        message = str(caught.value)
        assert message.startswith("task 'tatoeba' (az): google/xtreme has no 'az', only af, ar, bg, ")
        assert "Files that are read in its place, below data_dir/tatoeba: 'tatoeba.aze-eng.aze'" in message
