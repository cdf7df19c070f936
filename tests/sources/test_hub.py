"""The hub, without a network: folders laid out like its repositories, and what is said when it does not answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from xtransfer.errors import DataError
from xtransfer.sources import Hub
from xtransfer.sources import hub as hub_module
from xtransfer.task import WHERE


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    hub_module.newest_commit.cache_clear()


def publish(folder: Path, tables: dict[tuple[str, str], list[dict[str, Any]]], features: dict[str, Any]) -> str:
    """Write a folder of the hub's layout: one Parquet file a configuration and split, and a README that names them."""
    lines = ["---", "configs:"]
    for config in sorted({config for config, _ in tables}):
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in [split for name, split in tables if name == config]:
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*.parquet"]
    for (config, split), rows in tables.items():
        file = folder / config / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        Dataset.from_list(rows, features=Features(features)).to_parquet(str(file))
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return str(folder)


NLI = {"premise": Value("string"), "label": ClassLabel(names=["contradiction", "neutral", "entailment"])}


def test_class_numbers_become_names_whatever_their_order(tmp_path: Path) -> None:
    rows = [{"premise": "a", "label": 2}, {"premise": "b", "label": 0}, {"premise": "c", "label": -1}]
    path = publish(tmp_path / "nli", {("de", "validation"): rows, ("sw", "validation"): rows[:1]}, NLI)
    source = Hub(path, "{language}", splits={"test": "validation"})
    read = list(source.rows("test", "de", None))
    assert [row["label"] for row in read] == ["entailment", "contradiction", None]
    assert read[1][WHERE] == f"{path} [de] validation row 1"
    assert len(list(source.rows("test", "sw", None))) == 1


def test_tags_are_named_and_columns_renamed(tmp_path: Path) -> None:
    features = {
        "tokens": datasets.Sequence(Value("string")),
        "ner_tags": datasets.Sequence(ClassLabel(names=["O", "B-PER", "I-PER"])),
    }
    rows = [{"tokens": ["Anna", "Berg", "!"], "ner_tags": [1, 2, 0]}]
    path = publish(tmp_path / "ner", {("PAN-X.de", "test"): rows}, features)
    source = Hub(path, "PAN-X.{language}", rename={"ner_tags": "tags"})
    (row,) = source.rows("test", "de", None)
    assert (row["tokens"], row["tags"]) == (["Anna", "Berg", "!"], ["B-PER", "I-PER", "O"])


@pytest.mark.parametrize("of_lists", [True, False])
def test_answers_have_one_shape_in_both_layouts(tmp_path: Path, of_lists: bool) -> None:
    fields = {"text": Value("string"), "answer_start": Value("int32")}
    answers: Any = {"text": ["cat", "a cat"], "answer_start": [3, 1]}
    shape: Any = datasets.Sequence(fields)
    if not of_lists:
        answers = [{"text": "cat", "answer_start": 3}, {"text": "a cat", "answer_start": 1}]
        shape = datasets.List(fields)
    path = publish(
        tmp_path / "qa", {("en", "test"): [{"id": "1", "answers": answers}]}, {"id": Value("string"), "answers": shape}
    )
    (row,) = Hub(path, "en").rows("test", "en", None)
    assert row["answers"] == {"text": ["cat", "a cat"], "answer_start": [3, 1]}


def test_one_table_of_all_languages(tmp_path: Path) -> None:
    rows = [{"id": name} for name in ("english-1", "swahili--7-0", "korean-1", "swahili-8-1")]
    path = publish(tmp_path / "tydi", {("all", "validation"): rows}, {"id": Value("string")})
    source = Hub(path, "all", codes={"sw": "swahili", "te": "telugu"}, language_column="id")
    assert [row["id"] for row in source.rows("validation", "sw", None)] == ["swahili--7-0", "swahili-8-1"]
    with pytest.raises(DataError, match="expected rows of 'te', found none"):
        list(source.rows("validation", "te", None))


def test_sorted_as_the_files_are(tmp_path: Path) -> None:
    rows = [{"s": "eins\n", "t": "b\n"}, {"s": "zwei", "t": "a"}, {"s": "drei", "t": "b"}]
    path = publish(tmp_path / "pairs", {("deu", "validation"): rows}, {"s": Value("string"), "t": Value("string")})
    source = Hub(path, "{language}", codes={"de": "deu"}, splits={"test": "validation"}, sort_by="t")
    read = list(source.rows("test", "de", None))
    assert [(row["t"], row["s"], row["line"]) for row in read] == [("a", "zwei", 1), ("b", "eins", 0), ("b", "drei", 2)]


def test_more_rows_than_are_read_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "BATCH", 2)
    path = publish(tmp_path / "n", {("en", "test"): [{"n": i} for i in range(5)]}, {"n": Value("int32")})
    read = list(Hub(path, "en").rows("test", "en", None))
    assert [(row["n"], row[WHERE].rpartition(" ")[2]) for row in read] == [(i, str(i)) for i in range(5)]


def test_a_column_that_is_gone_is_told_before_the_first_row(tmp_path: Path) -> None:
    path = publish(tmp_path / "nli", {("de", "test"): [{"premise": "a", "label": 0}]}, NLI)
    with pytest.raises(DataError, match=r"\[de\] test: expected columns gold_label, found premise, label"):
        list(Hub(path, "de", rename={"gold_label": "label"}).rows("test", "de", None))


def test_unknown_split_or_configuration_is_named(tmp_path: Path) -> None:
    path = publish(tmp_path / "nli", {("de", "test"): [{"premise": "a", "label": 0}]}, NLI)
    with pytest.raises(DataError, match=r"\[xx\] test cannot be loaded .*'xx' not found"):
        list(Hub(path, "{language}").rows("test", "xx", None))
    with pytest.raises(DataError, match=r'\[de\] train cannot be loaded .*Unknown split "train"'):
        list(Hub(path, "de").rows("train", "de", None))
    with pytest.raises(DataError, match="no train split; there is: test"):
        list(Hub(path, "de", splits={"test": "test"}).rows("train", "de", None))


def test_origin_of_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    row = {"premise": "a", "label": 0}
    path = publish(tmp_path / "nli", {("de", "test"): [row]}, NLI)
    before = Hub(path, "de").origin("test", "de", None)
    assert before.startswith(f"{path} de test sha256:")
    publish(tmp_path / "nli", {("de", "test"): [row | {"label": 1}]}, NLI)
    assert Hub(path, "de").origin("test", "de", None) != before


def test_what_it_holds_is_said_without_asking() -> None:
    other = Hub("b/b", splits={"test": "test"})
    source = Hub("a/a", languages=("de",), elsewhere={"lt": other})
    assert source.has("train", "de", None)
    assert not source.has("train", "fr", None)
    assert source.has("test", "lt", None)
    assert not source.has("train", "lt", None)


def test_the_newest_commit_is_asked_for_once_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    loaded: list[tuple[Any, ...]] = []

    class Info:
        sha = "0123456789abcdef"

    def dataset_info(self: object, path: str) -> Info:
        asked.append(path)
        return Info()

    def load_dataset(path: str, config: str, split: str, revision: str, streaming: bool) -> Dataset:
        loaded.append((path, config, split, revision))
        return Dataset.from_list([{"text": "a"}])

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    source = Hub("owner/name", "c.{language}", splits={"test": "validation"})
    (row,) = source.rows("test", "de", None)
    assert row[WHERE] == "owner/name [c.de] validation @0123456 row 0"
    assert source.origin("test", "de", None) == "owner/name c.de validation @0123456789abcdef"
    list(source.rows("test", "fr", None))
    assert asked == ["owner/name"]
    assert [call[3] for call in loaded] == ["0123456789abcdef"] * 2
    list(Hub("owner/name", revision="fixed").rows("test", "de", None))
    assert (asked, loaded[-1][3]) == (["owner/name"], "fixed")
    changed = Hub("owner/name", revision="fedcba9876543210", rename={"sentence": "text"})
    with pytest.raises(DataError, match="owner/name test @fedcba9: expected columns sentence, found text; if the data"):
        list(changed.rows("test", "de", None))


def test_rows_found_elsewhere(tmp_path: Path) -> None:
    path = publish(tmp_path / "other", {("lt", "test"): [{"premise": "a", "label": 1}]}, NLI)
    source = Hub("owner/gone", elsewhere={"lt": Hub(path, "{language}")})
    assert [row["label"] for row in source.rows("test", "lt", None)] == ["neutral"]
    assert source.origin("test", "lt", None).startswith(path)


def test_offline_or_gone_names_both_and_what_to_do() -> None:
    source = Hub("xtransfer-tests/there-is-no-such-data-set", "{language}")
    with pytest.raises(DataError) as caught:
        list(source.rows("test", "de", None))
    message = str(caught.value)
    assert message.startswith("xtransfer-tests/there-is-no-such-data-set [de] test @newest cannot be loaded")
    for part in ("no network", "HF_HUB_OFFLINE", "no longer there under this id", "own files", "HF_HOME"):
        assert part in message
