"""A task whose labels are those of its training rows: when they are read, what they decide, what others score."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from xtransfer.config import expand
from xtransfer.datamodules import CCG, CustomTask, TaskDataModule
from xtransfer.errors import ConfigError, DataError
from xtransfer.module import TransferModule
from xtransfer.pipeline import evaluate, prepare, run
from xtransfer.sources import TaggedLines
from xtransfer.task import Task

DATA = Path(__file__).parent / "data"
LABELS = (".", "N", "NP[nb]/N", r"S[dcl]\NP", r"S[wq]/(S[dcl]\NP)")
"""The five categories of the three training rows, as Python sorts them."""


@pytest.fixture
def settings(tiny_encoder, tmp_path):
    return {"tokenizer": str(tiny_encoder), "cache_dir": tmp_path / "cache", "batch_size": 2}


@pytest.fixture
def config(tiny_encoder, tmp_path):
    """One step on a copy of the three rows."""
    shutil.copytree(DATA / "formats/ccg-lines", tmp_path / "data/ccg")
    init = {"data_dir": str(tmp_path / "data"), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}
    return {
        "out_dir": str(tmp_path / "runs"),
        "model": {"encoder": str(tiny_encoder)},
        "trainer": {"accelerator": "cpu", "max_steps": 1, "logger": False, "enable_progress_bar": False},
        "data": {"class_path": "CCG", "init_args": init},
        "stages": {"ccg": {}},
    }


def features(data: TaskDataModule, split: str, language: str = "en", name: str = "ccg") -> list[dict]:
    made = data.sets[name, split, language]
    return [made[i] for i in range(len(made))]


# ------------------------------------------------------------------ when they are read, and from what
def test_nothing_is_read_before_the_labels_are_needed(tmp_path):
    data = CCG(data_dir=tmp_path / "nowhere")
    assert data.record.labels == ()
    with pytest.raises(DataError, match="^task 'ccg': its labels are those of its training rows, which are needed for"):
        data.specs()


@pytest.mark.parametrize("ask", [TaskDataModule.specs, TaskDataModule.check, lambda data: data.portions("test")])
def test_they_are_the_sorted_tags_of_the_training_rows(settings, ask):
    data = CCG(data_dir=DATA, **settings)
    ask(data)
    assert data.record.labels == LABELS
    (spec,) = data.specs()
    assert spec["labels"] == list(LABELS)


@pytest.mark.parametrize(
    ("chosen", "labels"),
    [
        ({"splits": {"train": "train[2:]"}}, ("N", "NP[nb]/N", r"S[dcl]\NP")),
        ({"limit": 1}, (".", "N", "NP[nb]/N", r"S[dcl]\NP")),
        ({"splits": {"train": "validation"}}, (*LABELS, "conj")),
    ],
)
def test_they_are_those_of_the_rows_trained_on(settings, chosen, labels):
    data = CCG(data_dir=DATA, **chosen, **settings)
    assert data.specs()[0]["labels"] == list(labels)


def test_a_broken_training_row_is_told_by_its_place(config, tmp_path):
    file = tmp_path / "data/ccg/ccg.train"
    file.write_text(file.read_text().replace("A dog runs\t", "A dog\t"))
    with pytest.raises(DataError, match="^stage 'ccg': ccg/ccg.train:3: expected a tag for every word, found 2 words"):
        prepare(expand(config))


def test_a_word_without_its_tag_is_told(settings, tmp_path):
    shutil.copytree(DATA / "formats/ccg-pmb", tmp_path / "data/ccg")
    file = tmp_path / "data/ccg/en/gold/dev.conll"
    file.write_text(file.read_text().replace("dog\tdog\tdog\tXXX\tn\t", "dog\tdog\tdog\tXXX\t\t", 1))
    with pytest.raises(DataError, match=r"^ccg \(en\) ccg/en/gold/dev.conll:6: .*, found none for word 2 \('dog'\)$"):
        CCG(data_dir=tmp_path / "data", **settings).check()


# ------------------------------------------------------------------ tags that were not seen in training
def test_a_tag_not_seen_is_gold_but_not_learned_and_counted(settings):
    data = CCG(data_dir=DATA, **settings)
    data.setup("fit")
    second = features(data, "validation")[1]  # "The cat and the dog": `conj` is in no training row
    assert second["meta"]["gold"] == [2, 1, 5, 2, 1]
    assert [second["labels"][position] for position in second["meta"]["first"]] == [2, 1, -100, 2, 1]
    assert data.sets["ccg", "validation", "en"].counts["tags_unseen"] == 1
    assert data.sets["ccg", "train", "en"].counts["tags_unseen"] == 0


def test_it_counts_as_a_wrong_prediction(config, tmp_path):
    results = run(config)
    assert [row.metric for row in results.where(split="test", main=True)] == ["accuracy"]
    (score,) = results.where(split="test", metric="accuracy")
    written = (tmp_path / "runs/run/1-ccg/predictions/ccg/test-en.tsv").read_text().split("\n\n")
    predicted = [tag for sentence in written for tag in sentence.split()]
    lines = (tmp_path / "data/ccg/ccg.test").read_text().splitlines()
    gold = [tag for line in lines for tag in line.split("\t")[1].split()]
    right = sum(a == b for a, b in zip(predicted, gold, strict=True))
    assert len(gold) == 12  # the unseen one among them
    assert score.value == pytest.approx(100 * right / 12)
    assert score.counts == {"rows": 3, "rows_in_source": 3, "tags_unseen": 1}
    assert json.loads((tmp_path / "runs/run/1-ccg/heads/ccg/head.json").read_text())["labels"] == list(LABELS)


def test_other_training_rows_are_other_labels_so_the_head_does_not_fit(config, tmp_path):
    config["stages"]["more"] = {"init": {"from": "ccg", "parts": ["encoder", "heads"]}}
    config["stages"]["more"]["data"] = {"init_args": {"splits": {"train": "train[2:]"}}}
    with pytest.raises(ConfigError, match=r"head 'ccg' was trained on labels \['\.', 'N', .*\], not \['N', "):
        run(config)


def test_hundreds_of_labels_are_not_listed(tiny_encoder, tmp_path):
    old, new = ([f"c{i}" for i in range(n)] for n in (300, 294))
    spec = CCG.task.spec() | {"dev_languages": []}
    TransferModule([spec | {"labels": old}], encoder=str(tiny_encoder)).save_parts(tmp_path)
    module = TransferModule([spec | {"labels": new}], encoder=str(tiny_encoder))
    with pytest.raises(ConfigError, match=r"on labels \(300: c0, c1, c2, c3, c4, \.\.\.\), not \(294: c0, c1, "):
        module.load_parts(tmp_path, ("heads",))


def test_a_finished_run_is_scored_again_as_long_as_the_training_rows_are_there(config, tmp_path):
    first = run(config).where(split="test")
    again = evaluate(config, "test")
    assert [(row.metric, row.value) for row in again] == [(row.metric, row.value) for row in first]
    (tmp_path / "data/ccg/ccg.train").unlink()
    with pytest.raises(DataError, match="which are needed for scoring too: ccg .*; looked for .*'ccg.train'"):
        evaluate(config, "test")


# ------------------------------------------------------------------ further data sets, other kinds
def test_a_further_data_set_is_scored_with_the_same_labels(settings):
    other = Task(
        name="questions",
        kind="tagging",
        fields={"tokens": "tokens", "tags": "tags"},
        labels_from_train=True,
        files=(TaggedLines(paths={"test": "ccg.dev"}),),
    )
    member = CustomTask(task=other, folder="formats/ccg-lines")
    data = CCG(data_dir=DATA, evaluate=[member], **settings)
    data.setup("test")
    assert [spec["labels"] for spec in data.specs()] == [list(LABELS)] * 2
    assert features(data, "test", name="questions")[1]["meta"]["gold"] == [2, 1, 5, 2, 1]


def test_a_data_set_with_labels_of_its_own_is_not_scored_with_them():
    other = Task(
        name="pos", kind="tagging", fields={"tokens": "tokens", "tags": "tags"}, labels=LABELS, files=CCG.task.files
    )
    with pytest.raises(ConfigError, match="task 'pos' .* cannot be scored with the head of 'ccg'"):
        CCG(evaluate=[CustomTask(task=other)])


def test_only_tagging_has_its_labels_from_there(settings, tmp_path):
    task = Task(
        name="pairs",
        kind="retrieval",
        fields={"text": "tokens", "candidate": "tags", "candidate_id": "tags"},
        labels_from_train=True,
        files=CCG.task.files,
    )
    with pytest.raises(ConfigError, match="task 'pairs': `labels_from_train` is for tagging, not for retrieval"):
        CustomTask(task=task, data_dir=DATA, folder="ccg", **settings).specs()
