"""Broken data in a whole run: it is told by task, file, line and value before training; what can be used is counted."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from xtransfer.config import expand
from xtransfer.datamodules import SQuAD
from xtransfer.errors import ConfigError, DataError
from xtransfer.pipeline import prepare, run

DATA = Path(__file__).parent / "data"


@pytest.fixture
def toy(tiny_encoder, tmp_path):
    """Return a configuration of one stage, its data a copy of the three rows a task, and the folder of that copy."""

    def toy(task: str, folder: str, **settings) -> tuple[dict, Path]:
        shutil.copytree(DATA / folder, tmp_path / "data" / folder)
        init = {"data_dir": str(tmp_path / "data"), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}
        config = {
            "out_dir": str(tmp_path / "runs"),
            "model": {"encoder": str(tiny_encoder)},
            "trainer": {"accelerator": "cpu", "max_steps": 1, "logger": False, "enable_progress_bar": False},
            "data": {"class_path": task, "init_args": init | settings},
            "stages": {"one": {}},
        }
        return config, tmp_path / "data" / folder

    return toy


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(config: dict, error: type[Exception] = DataError) -> str:
    """Return the message that stops a run before anything is trained."""
    with pytest.raises(error) as caught:
        prepare(expand(config))
    message = str(caught.value)
    assert message.startswith("stage 'one': ")
    assert not Path(config["out_dir"]).exists()
    return message.removeprefix("stage 'one': ")


# ------------------------------------------------------------------ what is used, and counted
def test_empty_texts_are_counted(toy):
    config, folder = toy("MNLI", "mnli")
    change(folder / "multinli_1.0_dev_matched.jsonl", '"A dog runs."', '""')
    (test,) = run(config).where(split="test")
    assert test.counts == {"empty_text": 1, "rows": 3, "rows_in_source": 3, "rows_published": 9815}
    assert test.n == 3


def test_texts_longer_than_the_input_are_counted(toy):
    config, folder = toy("MNLI", "mnli", max_length=32)
    change(folder / "multinli_1.0_dev_matched.jsonl", '"A dog runs."', json.dumps("dog " * 99))
    (test,) = run(config).where(split="test")
    assert test.counts == {"rows": 3, "rows_in_source": 3, "rows_published": 9815, "truncated": 1}
    assert test.n == 3


def test_a_passage_longer_than_the_window_is_read_in_windows(toy):
    config, _ = toy("SQuAD", "squad_v1", max_length=40, options={"stride": 8})
    data = SQuAD(**config["data"]["init_args"], tokenizer=config["model"]["encoder"])
    data.setup("test")
    assert len(data.sets["squad_v1", "test", "en"]) > 3
    (test,) = run(config).where(split="test", metric="f1")
    assert test.n == 3  # questions, not windows
    predicted = json.loads((Path(config["out_dir"]) / "run/1-one/predictions/squad_v1/test-en.json").read_text())
    assert len(predicted) == 3


def test_an_answer_at_another_place_is_moved_and_counted(toy):
    config, folder = toy("SQuAD", "squad_v1")
    root = json.loads((folder / "train-v1.1.json").read_text())
    root["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] += 3
    (folder / "train-v1.1.json").write_text(json.dumps(root))
    prepare(expand(config))
    data = SQuAD(**config["data"]["init_args"], tokenizer=config["model"]["encoder"])
    data.setup("fit")
    features = data.sets["squad_v1", "train", "en"]
    assert features.counts["answer_moved"] == 1
    assert len(features) == 3


def test_answers_of_another_passage_stop_the_run(toy):
    config, folder = toy("SQuAD", "squad_v1")
    root = json.loads((folder / "train-v1.1.json").read_text())
    root["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["text"] = "quite another text"
    (folder / "train-v1.1.json").write_text(json.dumps(root))
    with pytest.raises(
        DataError, match=r"squad_v1/train-v1.1.json.* is not in its passage; 1 of 3 answers are not in their passages"
    ):
        run(config)
    assert not list(Path(config["out_dir"]).rglob("DONE"))


def test_questions_of_unequally_many_options_are_named_before_training(toy):
    config, folder = toy("CommonsenseQA", "commonsenseqa")
    lines = [json.loads(line) for line in (folder / "train_rand_split.jsonl").read_text().splitlines()]
    lines[1]["question"]["choices"].pop()
    (folder / "train_rand_split.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(DataError, match=r"train_rand_split.jsonl:2: found 4 options, expected 5 as in the first row"):
        prepare(expand(config))


# ------------------------------------------------------------------ what is refused
def test_a_label_that_is_none_of_the_tasks(toy):
    config, folder = toy("MNLI", "mnli")
    change(folder / "multinli_1.0_train.jsonl", '"gold_label": "neutral"', '"gold_label": "neutrall"')
    assert refused(config) == (
        "mnli (en) mnli/multinli_1.0_train.jsonl:2: label 'neutrall' is not one of: entailment, neutral, contradiction"
    )


def test_a_label_number_out_of_range(toy):
    config, folder = toy("XCOPA", "xcopa", languages=["it"])
    shutil.copytree(DATA / "copa", folder.parent / "copa")
    lines = (folder / "it/test.it.jsonl").read_text(encoding="utf-8").splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | {"label": 2})
    (folder / "it/test.it.jsonl").write_text("\n".join(lines), encoding="utf-8")
    message = refused(config)
    assert message.startswith("xcopa (it) xcopa/it/test.it.jsonl:3: ")
    assert "2" in message.partition(":3: ")[2]


def test_an_unknown_language(toy):
    config, _ = toy("TyDiQA", "tydiqa", languages=["en", "fl"])
    assert refused(config, ConfigError) == (
        "task 'tydiqa' has no language 'fl'; known: ar, bn, en, fi, id, ko, ru, sw, te"
    )


def test_a_language_that_cannot_be_scored(toy):
    config, _ = toy("TyDiQA", "tydiqa", languages=["en", "ru"], options={"normalizer": "mlqa"})
    assert refused(config, ConfigError) == (
        "MLQA's script compares answers in ar, de, en, es, hi, vi, zh alone, not in 'ru'; for other languages set the "
        "option normalizer: squad"
    )


def test_a_language_whose_rows_are_not_in_the_file(toy):
    config, _ = toy("TyDiQA", "tydiqa", languages=["en", "ko"])
    assert refused(config) == (
        "tydiqa/tydiqa-goldp-v1.1-dev.json: expected rows, found none of language 'korean' in column 'id'"
    )


def test_a_gzip_file_cut_short(toy):
    config, folder = toy("MNLI", "mnli")
    file = folder / "multinli_1.0_train.jsonl"
    packed = gzip.compress(file.read_bytes())
    file.unlink()
    file.with_name(f"{file.name}.gz").write_bytes(packed[:-20])
    message = refused(config)
    assert message.startswith("mnli/multinli_1.0_train.jsonl.gz: the gzip file is cut short or damaged (")
    assert message.endswith("fetch it again")


def test_json_that_is_not_squads(toy):
    config, folder = toy("XQuAD", "xquad", languages=["de"])
    shutil.copytree(DATA / "squad_v1", folder.parent / "squad_v1")
    change(folder / "xquad.de.json", '"paragraphs"', '"paragraph"')
    message = refused(config)
    assert message.startswith(
        "xquad/xquad.de.json: not SQuAD's JSON: expected a list at data[0].paragraphs, found an ob"
    )
    assert "paragraph" in message.partition("found ")[2]


def test_a_tagged_word_without_its_tag(toy):
    config, folder = toy("PANX", "panx", languages=["de"])
    lines = (folder / "de/test").read_text(encoding="utf-8").splitlines()
    word = lines[1].split("\t")[0]
    lines[1] = word
    (folder / "de/test").write_text("\n".join(lines), encoding="utf-8")
    assert refused(config) == f"panx/de/test:2: expected 2 columns, found 1: {word!r}"


def test_a_tag_that_is_none_of_the_tasks(toy):
    config, folder = toy("PANX", "panx", languages=["de"])
    change(folder / "de/test", "B-PER", "B-PRE")
    message = refused(config)
    assert message.startswith("panx (de) panx/de/test:1: ")
    assert "B-PRE" in message


def test_two_files_that_could_both_be_meant(toy):
    config, folder = toy("MNLI", "mnli")
    shutil.copytree(folder, folder / "copy")
    assert refused(config) == (
        "split 'train' in 'en': expected 'multinli_1.0_train.jsonl', one file, found "
        "mnli/copy/multinli_1.0_train.jsonl, mnli/multinli_1.0_train.jsonl; point `folder` at the folder of one of them"
    )
    config["data"]["init_args"]["folder"] = "mnli/copy"
    assert prepare(expand(config))


def test_files_of_two_formats(toy):
    config, folder = toy("MNLI", "mnli")
    shutil.copytree(DATA / "formats/mnli-glue/MNLI", folder / "glue")
    message = refused(config)
    assert message.startswith(
        "mnli (en): expected the train split in one format, found mnli/multinli_1.0_train.jsonl; and"
    )
    assert "mnli/glue/train.tsv" in message


def test_a_tokenizer_that_does_not_fit_the_encoder(toy, tmp_path, tiny_encoder):
    config, _ = toy("MNLI", "mnli")
    folder = shutil.copytree(tiny_encoder, tmp_path / "other")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    size = len(tokenizer["model"]["vocab"])
    tokenizer["model"]["vocab"] += [[f"▁more{i}", -9.0] for i in range(5)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    config["model"]["encoder"] = str(folder)
    message = refused(config, ConfigError)
    assert message.startswith(f"tokenizer and encoder '{folder}' do not belong together: ")
    assert (
        f"the tokenizer's ids go up to {size + 4}, the encoder has embeddings for {size} (0 to {size - 1})" in message
    )


def test_two_questions_with_one_id(toy):
    config, folder = toy("SQuAD", "squad_v1")
    root = json.loads((folder / "dev-v1.1.json").read_text())
    questions = [q for a in root["data"] for p in a["paragraphs"] for q in p["qas"]]
    questions[1]["id"] = questions[0]["id"]
    (folder / "dev-v1.1.json").write_text(json.dumps(root))
    assert refused(config).startswith(f"squad_v1/dev-v1.1.json:{questions[0]['id']}: a second question has this id")
