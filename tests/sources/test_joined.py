"""Several data sets as one: in their order, each found by itself, each row with its place and its data set's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtransfer.errors import ConfigError, DataError
from xtransfer.sources import Hub, Joined, JsonLines, Tsv, locate
from xtransfer.task import PART, WHERE, Task

FIELDS: dict[str, str | list[str]] = {"text": "premise", "pair": "hypothesis", "label": "label"}
LABELS = ("yes", "no")
ALPHA = Task(
    name="alpha",
    kind="classification",
    fields=FIELDS,
    labels=LABELS,
    hub=Hub("some/alpha", splits={"train": "train", "validation": "dev"}),
    files=(Tsv(paths={"train": "train.tsv", "validation": "dev.tsv"}, columns=("premise", "hypothesis", "label")),),
)
BETA = Task(
    name="beta",
    kind="classification",
    fields={"text": "a.left", "pair": "{b} really", "label": "gold"},
    labels=LABELS,
    hub=Hub("some/beta"),
    files=(JsonLines(paths={"train": "train.jsonl", "validation": "dev.jsonl", "test": "test.jsonl"}),),
)
BOTH = Joined((ALPHA, BETA), FIELDS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the joined task; it is not there, its parts are beside it."""
    (tmp_path / "alpha").mkdir()
    (tmp_path / "beta").mkdir()
    (tmp_path / "alpha/train.tsv").write_text("dog\truns\tyes\ncat\tsleeps\tno\n")
    (tmp_path / "beta/train.jsonl").write_text('{"a": {"left": "house"}, "b": "city", "gold": "n", "id": 7}\n')
    return tmp_path / "both"


def test_rows_of_the_parts_one_after_another_in_the_columns_of_the_joined_task(folder: Path) -> None:
    assert list(BOTH.rows("train", "en", folder)) == [
        {"premise": "dog", "hypothesis": "runs", "label": "yes", WHERE: "alpha/train.tsv:1", PART: "alpha"},
        {"premise": "cat", "hypothesis": "sleeps", "label": "no", WHERE: "alpha/train.tsv:2", PART: "alpha"},
        {"premise": "house", "hypothesis": "city really", "label": "n", WHERE: "beta/train.jsonl:1", PART: "beta"},
    ]
    turned = Joined((BETA, ALPHA), FIELDS)
    assert [row[PART] for row in turned.rows("train", "en", folder)] == ["beta", "alpha", "alpha"]


def test_the_origin_names_every_file_and_changes_with_each(folder: Path) -> None:
    before = BOTH.origin("train", "en", folder)
    assert [part.split()[0] for part in before.split("; ")] == ["alpha/train.tsv", "beta/train.jsonl"]
    for file in ("alpha/train.tsv", "beta/train.jsonl"):
        with (folder.parent / file).open("a") as stream:
            stream.write("\n")
        after = BOTH.origin("train", "en", folder)
        assert after != before
        before = after


def test_a_split_that_one_part_lacks_is_none(folder: Path) -> None:
    declared = [BOTH.declares(split) for split in ("train", "validation", "test")]
    assert declared == [BOTH.has(split, "en", folder) for split in ("train", "validation", "test")]
    assert declared == [True, True, False]


def test_without_a_folder_each_part_is_on_its_own_place_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "origin", lambda hub, split, language, folder: f"{hub.path} {split} {folder}")
    assert BOTH.origin("validation", "en", None) == "some/alpha validation None; some/beta validation None"
    assert BOTH.path == "some/alpha + some/beta"


@pytest.mark.parametrize("read", [Joined.origin, lambda *args: list(Joined.rows(*args))])
def test_a_missing_part_is_named_with_what_was_looked_for(folder: Path, read) -> None:
    (folder.parent / "beta/train.jsonl").unlink()
    with pytest.raises(DataError) as caught:
        read(BOTH, "train", "en", folder)
    message = str(caught.value)
    assert message.startswith("beta (en): no files of the train split; looked for 'train.jsonl' (or the same with .gz)")
    assert message.endswith("; it is one of the data sets joined here: alpha, beta")


def test_a_part_that_is_nowhere_to_be_had() -> None:
    nowhere = Task(name="gamma", kind="classification", fields=FIELDS, labels=LABELS, files=ALPHA.files)
    with pytest.raises(ConfigError, match="^task 'gamma' is not on the hub: set data.data_dir .*; it is one of"):
        Joined((ALPHA, nowhere), FIELDS).origin("train", "en", None)


def test_a_broken_row_is_told_by_its_own_place(folder: Path) -> None:
    (folder.parent / "beta/train.jsonl").write_text('{"a": {"left": "house"}, "b": "city"}\n')
    with pytest.raises(DataError, match=r"^beta beta/train\.jsonl:1: no column 'gold'; found: a, b$"):
        list(BOTH.rows("train", "en", folder))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            Task(name="gamma", kind="classification", fields=FIELDS, labels=("no", "yes")),
            r"^'gamma' \(classification, labels \['no', 'yes'\]\) cannot be joined to 'alpha'",
        ),
        (
            Task(name="gamma", kind="multiple_choice", fields=FIELDS, labels=LABELS),
            r"^'gamma' \(multiple_choice, .* cannot be joined to 'alpha' \(classification",
        ),
        (
            Task(name="gamma", kind="classification", fields={"text": "t", "label": "l"}, labels=LABELS),
            "^'gamma' cannot be joined: it has no pair$",
        ),
    ],
)
def test_data_sets_that_are_no_one_task(part: Task, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Joined((ALPHA, part), FIELDS)


def test_a_joined_task_is_located_like_any_other(folder: Path) -> None:
    task = Task(name="both", kind="classification", fields=FIELDS, labels=LABELS, hub=BOTH, files=(BOTH,))
    assert locate(task, "train", "en", folder) is locate(task, "train", "en", None) is BOTH
    assert locate(ALPHA, "train", "en", folder.parent / "alpha") is ALPHA.files[0]
    assert locate(ALPHA, "train", "en", None) is ALPHA.hub
