"""Features are made once, made again when anything they depend on changes, and never read from a damaged file."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from xtransfer.datamodules import MNLI, cache
from xtransfer.datamodules.cache import cache_folder, cached
from xtransfer.datamodules.features import features_of
from xtransfer.datamodules.flat import FeatureSet
from xtransfer.datamodules.portion import Portion

DATA = Path(__file__).parents[1] / "data"
FEATURES = [
    {"input_ids": list(range(n + 2)), "labels": n % 2, "index": n, "part": 0, "meta": {"gold": n % 2, "text": "猫"}}
    for n in range(5)
]


class Builder:
    """Makes the features above and counts how often it is asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, counts):
        self.calls += 1
        counts.update(rows=5, truncated=2)
        yield from (dict(feature) for feature in FEATURES)


def content(features: FeatureSet) -> list[dict]:
    return [features[i] for i in range(len(features))]


def test_a_second_call_reads_what_the_first_made(tmp_path):
    build = Builder()
    first = cached({"data": "a"}, build, tmp_path)
    second = cached({"data": "a"}, build, tmp_path)
    assert build.calls == 1
    assert content(first) == content(second) == FEATURES
    assert first.counts == second.counts == Counter(rows=5, truncated=2)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]  # no temporary file is left


def test_a_failed_build_leaves_nothing(tmp_path):
    def build(counts):
        yield FEATURES[0]
        raise ValueError("broken row")

    with pytest.raises(ValueError, match="broken row"):
        cached({}, build, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_builds_give_equal_files(tmp_path):
    for name in ("one", "two"):
        cached({"data": "a"}, Builder(), tmp_path / name)
    (one,), (two,) = (list((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert one.name == two.name
    assert one.read_bytes() == two.read_bytes()


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: flipped(content, len(content) - 1),  # the arrays
        lambda content: flipped(content, content.index(b"truncated") + 13),  # the counts
        lambda content: flipped(content, content.index(b"labels") + 1),  # an array's name
    ],
    ids=["truncated", "empty", "arrays", "counts", "names"],
)
def test_a_damaged_file_is_reported_and_made_again(tmp_path, caplog, damage):
    build = Builder()
    cached({}, build, tmp_path)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    path.write_bytes(damage(good))
    with caplog.at_level(logging.WARNING):
        again = cached({}, build, tmp_path)
    assert build.calls == 2
    assert f"cached features {path} are damaged" in caplog.text
    assert content(again) == FEATURES
    assert again.counts == Counter(rows=5, truncated=2)
    assert path.read_bytes() == good
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_is_the_chosen_one_or_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("XTRANSFER_CACHE", raising=False)
    assert cache_folder() == tmp_path / "xdg" / "xtransfer" / "features"
    monkeypatch.setenv("XTRANSFER_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own" / "features"
    assert cache_folder(tmp_path / "chosen") == tmp_path / "chosen"


# ------------------------------------------------------------------ what a file is named by
@pytest.fixture
def made(tiny_encoder, tmp_path):
    """Make features of MNLI's three training rows, something changed, and return how many files there are now."""
    folder = tmp_path / "mnli"
    shutil.copytree(DATA / "mnli", folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    task = MNLI.task

    def made(tokenizer=tokenizer, max_length=32, task=task, **changes) -> int:
        portion = Portion(task, "train", "en", task.files[0], folder, "train", **changes)
        features_of(portion, tokenizer, max_length, tmp_path / "cache")
        return len(list((tmp_path / "cache").iterdir()))

    made.folder, made.tokenizer = folder, tokenizer
    assert made() == 1
    return made


def test_nothing_changed_is_one_file(made):
    assert made() == 1


def test_changed_data(made):
    file = made.folder / "multinli_1.0_train.jsonl"
    file.write_text(file.read_text().replace("cat", "dog"))
    assert made() == 2


def test_other_rows_of_the_same_data(made):
    assert made(limit=2) == 2


def test_another_tokenizer(made, tiny_encoder, tmp_path):
    changed = shutil.copytree(tiny_encoder, tmp_path / "changed")
    file = changed / "tokenizer.json"
    file.write_text(file.read_text().replace('"▁cat"', '"▁cow"'))
    assert made(tokenizer=AutoTokenizer.from_pretrained(changed)) == 2


def test_what_a_tokenizer_was_used_for_before_changes_nothing(made):
    made.tokenizer("cat", truncation=True, max_length=3, padding="max_length")
    assert made() == 1


def test_another_task_record(made):
    labels = MNLI.task.labels
    assert made(task=replace(MNLI.task, labels=(labels[1], labels[0], labels[2]))) == 2


def test_another_length(made):
    assert made(max_length=16) == 2


def test_another_version_of_the_code(made, monkeypatch):
    monkeypatch.setattr(cache, "code_version", lambda: "another")
    assert made() == 2


def test_the_version_of_the_code_is_a_digest_of_it(tmp_path, monkeypatch):
    package = tmp_path / "xtransfer"
    shutil.copytree(Path(cache.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__", "demo"))
    monkeypatch.setattr(cache, "__file__", str(package / "datamodules" / "cache.py"))
    compute = cache.code_version.__wrapped__
    assert compute() == cache.code_version()
    own = [(name, True) for name in ("kinds/text.py", "datamodules/portion.py", "datamodules/flat.py")]
    for name, counts in [*own, ("cli.py", False)]:
        before, file = compute(), package / name
        file.write_text(file.read_text() + "# changed\n")
        assert (compute() != before) == counts, name
