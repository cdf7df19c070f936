"""Results survive the disk, means and gaps are those computed by hand, and tables read as they should."""

from __future__ import annotations

import dataclasses
import json

import pytest

from xtransfer.errors import DataError
from xtransfer.results import Results, Row, markdown
from xtransfer.run_table import table


def row(language: str = "en", value: float = 50.0, **fields) -> Row:
    given = {
        "run": "toy",
        "stage": "qa",
        "chain": ["qa"],
        "task": "xquad",
        "head": "squad_v1",
        "split": "test",
        "rows": "test",
        "metric": "f1",
        "n": 3,
        "main": True,
    }
    return Row(language=language, value=value, **(given | fields))


FULL = row(
    "zh",
    12.5,
    variant="SQuAD 1.1",
    counts={"rows": 3, "truncated": 1},
    origin="xquad/xquad.zh.json sha256:0",
    encoder="编码器",
    precision="bf16",
    layer=7,
    pooling="mean",
    threshold="0.5 given",
    adapters="LORA, 1024 weights beside the encoder's 88000",
    trained=["squad_v1"],
    training={"shots": 3},
    protocol="xtreme",
    seed=1,
    steps=90,
    tokens=40_000,
    seconds=12.5,
    reused_from="other/squad",
    selected="last",
    config="0123456789abcdef",
    config_file="runs/toy/1-qa/config.yaml",
    versions={"torch": "2"},
    time="2024-01-01T00:00:00+00:00",
)


# ------------------------------------------------------------------ on the disk
def test_rows_come_back_as_they_were(tmp_path):
    assert all(getattr(FULL, f.name) for f in dataclasses.fields(Row))  # no field is left at nothing
    Results([FULL]).append(tmp_path / "run" / "results.jsonl")
    Results([row("de"), row("en")]).append(tmp_path / "run" / "results.jsonl")
    assert Results.load(tmp_path / "run").rows == [FULL, row("de"), row("en")]
    assert Results.load(tmp_path / "run" / "results.jsonl").rows == [FULL, row("de"), row("en")]
    text = (tmp_path / "run" / "results.jsonl").read_text(encoding="utf-8")
    assert "编码器" in text
    assert json.loads(text.splitlines()[0])["value"] == 12.5


def test_only_a_line_feed_ends_a_row(tmp_path):
    """Texts hold other characters that Unicode calls line ends."""
    rows = [dataclasses.replace(FULL, origin="a\u2028b\x85c"), row("de")]
    Results(rows).append(tmp_path / "results.jsonl")
    assert Results.load(tmp_path).rows == rows


def test_rows_of_a_stage_that_is_scored_again_are_replaced(tmp_path):
    """Those of another stage, or of another configuration of the same, stay, and so does what a kill cut short."""
    file = tmp_path / "run" / "results.jsonl"
    other, changed = row("de", stage="other", config="1"), row("de", config="2")
    Results([row("de", config="1", value=1.0), other, changed, row("en", config="1")]).replace(file)
    with file.open("a", encoding="utf-8") as stream:
        stream.write('{"run": "to')
    Results([row("de", config="1", value=3.0)]).replace(file)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines.pop(2) == '{"run": "to'
    file.write_text("\n".join(lines))
    assert Results.load(file).rows == [other, changed, row("de", config="1", value=3.0)]
    assert [path.name for path in file.parent.iterdir()] == ["results.jsonl"]


def test_several_runs_are_loaded_together(tmp_path):
    for name in ("a", "b"):
        Results([row(run=name)]).append(tmp_path / name / "results.jsonl")
    assert [r.run for r in Results.load(tmp_path / "b", tmp_path / "a")] == ["b", "a"]


@pytest.mark.parametrize(
    "line",
    ['{"run": "toy"', "[1]", "3", '{"run": "toy"}', '{"colour": 1}'],
    ids=["cut", "list", "number", "few", "key"],
)
def test_a_broken_line_is_named(tmp_path, line):
    file = tmp_path / "results.jsonl"
    Results([row()]).append(file)
    with file.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match=r"results\.jsonl:2: not a result: "):
        Results.load(file)


def test_no_results_says_where_they_should_be(tmp_path):
    with pytest.raises(DataError, match=r"no results in .*: expected .*results\.jsonl"):
        Results.load(tmp_path)


# ------------------------------------------------------------------ choosing and summing up
def test_where_takes_rows_that_agree_in_everything():
    results = Results([row("en"), row("de"), row("de", metric="em", main=False), row("de", stage="other")])
    assert len(results.where(language="de")) == 3
    assert results.where(language="de", main=True, stage="qa").rows == [row("de")]
    assert len(results.where(language="fr")) == 0
    with pytest.raises(AttributeError):
        results.where(langauge="de")


def test_english_comes_first():
    assert Results([row("zh"), row("ar"), row("en"), row("de"), row("ar")]).languages() == ["en", "ar", "de", "zh"]


def test_mean_and_gap_by_hand():
    told = Results([row("en", 80.0), row("de", 70.0), row("sw", 40.0)]).by_language()
    assert list(told) == ["en", "de", "sw", "mean", "gap"]
    assert told["mean"] == pytest.approx(190 / 3)
    assert told["gap"] == pytest.approx(80 - 55)


def test_no_gap_without_english_or_with_english_alone():
    assert Results([row("de", 70.0), row("sw", 40.0)]).by_language() == {"de": 70.0, "sw": 40.0, "mean": 55.0}
    assert Results([row("en", 70.0)]).by_language() == {"en": 70.0, "mean": 70.0}
    assert Results().by_language() == {}


def test_of_two_scores_of_a_language_the_later_counts():
    assert Results([row("en", 1.0), row("en", 2.0)]).by_language()["en"] == 2.0


# ------------------------------------------------------------------ tables
def test_markdown_by_hand():
    assert markdown(["a", "bb"], [["x|y", "1"], ["", "22"]]).splitlines() == [
        "| a    | bb |",
        "|------|---:|",
        "| x\\|y |  1 |",
        "| –    | 22 |",
    ]
    assert markdown(["a", "b"], [["x", "yyy"]], left=(0, 1)).splitlines()[0] == "| a | b   |"


def test_table_by_hand():
    rows = [
        row("en", 80.0, chain=["nli", "qa"]),
        row("de", 61.04, chain=["nli", "qa"]),
        row("en", 78.0, stage="alone", chain=["alone"]),
        row("zh", 50.0, stage="alone", chain=["alone"]),
    ]
    assert table(Results(rows)).splitlines() == [
        "xquad: f1 in percent, test rows, 3 examples a language",
        "",
        "| trained on |   en |   de |   zh | mean |  gap |",
        "|------------|-----:|-----:|-----:|-----:|-----:|",
        "| nli → qa   | 80.0 | 61.0 |    – | 70.5 | 19.0 |",
        "| alone      | 78.0 |    – | 50.0 | 64.0 | 28.0 |",
        "| difference | +2.0 |    – |    – | +2.0 |    – |",
        "",
        "difference: mean and gap over the languages that both have (en)",
    ]


def test_the_title_tells_rows_and_numbers_and_what_was_not_trained_is_said():
    rows = [row("de", chain=[], rows="validation[:9]", n=9), row("zh", chain=[], rows="validation[:9]", n=7)]
    lines = table(Results(rows)).splitlines()
    assert lines[0] == "xquad: f1 in percent, test rows (validation[:9]), 7 to 9 examples a language"
    assert lines[4].startswith("| qa (not trained) |")
    rows = [row(chain=["mnli"], stage="tatoeba")]
    assert table(Results(rows)).splitlines()[4].startswith("| mnli → tatoeba (not trained) |")


def test_the_main_score_comes_first_and_development_scores_only_without_test_scores():
    rows = [
        row(metric="em", main=False),
        row(metric="f1"),
        row(metric="f1", split="validation"),
        row(task="mnli", metric="accuracy", split="validation", rows="validation"),
    ]
    titles = [line for line in table(Results(rows)).splitlines() if "in percent" in line]
    assert [title.split(",")[:2] for title in titles] == [
        ["xquad: f1 in percent", " test rows"],
        ["xquad: em in percent", " test rows"],
        ["mnli: accuracy in percent", " validation rows"],
    ]


def test_a_loss_is_told_in_nats_and_not_in_percent():
    told = table(Results([row("en", 2.346, task="mlm", metric="loss"), row("de", 3.0, task="mlm", metric="loss")]))
    assert told.startswith("mlm: loss in nats, test rows, 3 examples a language")
    assert told.splitlines()[-1].split("|")[2:4] == [" 2.35 ", " 3.00 "]


def test_a_folder_that_was_moved_names_its_configurations_where_they_lie(tmp_path):
    """Two projects may have written the same paths, each from its own working directory."""
    for name in ("a", "b"):
        stage = tmp_path / name / "runs/exp/2-target"
        stage.mkdir(parents=True)
        (stage / "config.yaml").write_text("{}")
        Results([row(run=name, config_file="runs/exp/2-target/config.yaml")]).append(stage.parent / "results.jsonl")
        Results([row(run=name, config_file="runs/exp/2-target/config.yaml")]).append(stage / "results.jsonl")
    runs = Results.load(tmp_path / "a/runs/exp", str(tmp_path / "b/runs/exp/2-target"))
    assert [r.config_file for r in runs] == [str(tmp_path / name / "runs/exp/2-target/config.yaml") for name in "ab"]
    alone = tmp_path / "alone.jsonl"
    Results([row(config_file="runs/exp/2-target/config.yaml")]).append(alone)
    assert Results.load(alone).rows[0].config_file == "runs/exp/2-target/config.yaml"
