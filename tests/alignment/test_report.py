"""Rows of alignment joined with gains of runs: every number below is computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, count

import pytest

from xtransfer.alignment import Alignment, report
from xtransfer.alignment.gains import gains_of
from xtransfer.errors import ConfigError
from xtransfer.results import Results, Row

INTERMEDIATES = ("mnli", "qqp", "squad_v1", "hellaswag", "ccg", "cosmosqa")
BASE = {"xnli": 70.0, "udpos": 60.0}
GAINS = {
    "xnli": dict(zip(INTERMEDIATES, (6, 5, 4, 3, 2, 1), strict=True)),
    "udpos": dict(zip(INTERMEDIATES, (-1, -2, -3, -4, -5, -6), strict=True)),
}
SERIAL = count()


def scored(target: str, before: str, language: str, value: float, seed: int = 1, **given) -> Row:
    chain = [before, target] if before else [target]
    told = {"run": before or "none", "stage": target, "chain": chain, "trained": chain, "task": target, "head": target}
    plain = {"split": "test", "metric": "accuracy", "n": 9, "main": True, "encoder": "tiny", "seed": seed}
    digest = {"config": f"{'-'.join(chain)}-{seed}", "time": f"{next(SERIAL):09}"}
    return Row(**(told | plain | digest | {"language": language, "value": value} | given))


def runs(languages: str = "en de", intermediates=INTERMEDIATES) -> Results:
    rows = [scored(target, "", code, base) for target, base in BASE.items() for code in languages.split()]
    for target, of_target in GAINS.items():
        for name in intermediates:
            rows += [scored(target, name, code, BASE[target] + of_target[name]) for code in languages.split()]
    return Results(rows)


def measured(measure: str, values: dict[tuple[str, str, str], float | None], **given) -> list[Alignment]:
    told = {"scope": "states", "better": "high", "layer": 2, "encoder": "tiny", "n": (9, 9), "seed": 1} | given
    return [
        Alignment(measure=measure, intermediate=i, target=t, language=code, value=value, **told)
        for (i, t, code), value in values.items()
    ]


def near(sign: int = 1) -> dict[tuple[str, str, str], float | None]:
    """A measure in step with the gains, plus what differs between targets and languages."""
    return {
        (name, target, code): sign * GAINS[target][name] + 50 * (target == "udpos") + 5 * (code == "de")
        for target in GAINS
        for name in INTERMEDIATES
        for code in ("en", "de")
    }


# ------------------------------------------------------------------ gains
def test_a_gain_is_the_mean_over_seeds_of_the_difference_to_the_baseline():
    rows = [scored("xnli", "", "en", 70, 1), scored("xnli", "", "en", 74, 2)]
    rows += [scored("xnli", "mnli", "en", 75, 1), scored("xnli", "mnli", "en", 76, 2)]
    found = gains_of(Results(rows))
    assert dict(found.values) == {("mnli", "xnli", "en"): pytest.approx(3.5)}
    assert found.seeds == (2,)
    assert found.encoders == ("tiny",)


def test_a_fall_of_perplexity_is_a_gain():
    rows = [scored("mlm", "", "en", 9, metric="perplexity"), scored("mlm", "mnli", "en", 7, metric="perplexity")]
    assert gains_of(Results(rows)).values["mnli", "mlm", "en"] == pytest.approx(2)


def test_what_has_no_baseline_is_named():
    rows = [*runs().rows, scored("xnli", "mnli", "sw", 50), scored("pawsx", "mnli", "en", 80)]
    found = gains_of(Results(rows))
    assert ("mnli", "xnli", "sw") not in found.values
    assert "mnli → xnli (sw): no score of the baseline in this language" in found.notes
    assert "pawsx: no score of the baseline, so there is no gain" in found.notes
    with pytest.raises(ConfigError, match="no scores of the baseline 'none'"):
        gains_of(Results(row for row in runs() if row.run != "none"))


# ------------------------------------------------------------------ findings
def test_a_measure_in_step_with_the_gains_is_found():
    (found,) = report(measured("close", near()), runs()).findings
    assert (found.unit, found.units, found.cells) == ("intermediate", 6, 24)
    assert (found.rho, found.tau) == (pytest.approx(1), pytest.approx(1))
    assert found.p == found.corrected == pytest.approx(2 / 720)
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.verdict == "ranks as the gain does"
    assert ("mnli", "udpos", pytest.approx(51.5), -1.0) in found.points  # the mean of English and German
    against = report(measured("close", near(-1)), runs()).findings[0]
    assert (against.rho, against.verdict) == (pytest.approx(-1), "ranks against the gain")
    distance = report(measured("far", near(-1), better="low"), runs()).findings[0]
    assert distance.verdict == "ranks as the gain does"


def test_p_values_are_corrected_for_all_measures_compared():
    rows = [row for name in ("a", "b", "c") for row in measured(name, near())]
    assert [found.corrected for found in report(rows, runs()).findings] == [pytest.approx(6 / 720)] * 3


def test_few_intermediates_conclude_nothing_and_it_is_said():
    found = report(measured("close", near()), runs(intermediates=INTERMEDIATES[:3]))
    (one,) = found.findings
    assert (one.units, one.p) == (3, pytest.approx(2 / 6))
    assert one.verdict == "too few intermediates"
    assert math.isnan(one.partial)
    text = found.markdown()
    assert "3 intermediates are too few to conclude anything" in text
    assert "a p value of 0.17 at best" in text  # 1 of 6 orders
    assert "too few" not in report(measured("close", near()), runs()).markdown()


def test_many_measures_can_make_intermediates_too_few():
    rows = [row for number in range(3) for row in measured(f"close{number}", near())]
    text = report(rows, runs(intermediates=INTERMEDIATES[:4])).markdown()
    assert "would have, with 3 measures compared, a p value of 0.12 at best" in text  # 3 / 24


def test_measures_that_cannot_be_clear_correct_no_other():
    languages = measured("language:x", {("", "", "en"): 1.0, ("", "", "de"): 2.0}, layer=None)
    results = [replace(row, value=row.value + (row.language == "de" and row.run != "none")) for row in runs()]
    found = {one.measure: one for one in report([*measured("close", near()), *languages], Results(results)).findings}
    assert found["close"].corrected == pytest.approx(2 / 720)
    assert (found["language:x"].rho, found["language:x"].p) == (pytest.approx(1), 1)  # German gains one point more
    assert found["language:x"].verdict == "too few languages"


def test_errors_are_told_beside_those_of_simple_baselines():
    (found,) = report(measured("close", near()), runs()).findings
    # Gains 6 5 4 3 2 1: left out, the mean of the others is off by 6/5 of the distance to 3.5.
    assert found.error_of_mean == pytest.approx(6 / 5 * (2.5 + 1.5 + 0.5) / 3)
    assert found.error == pytest.approx(0, abs=1e-9)
    assert math.isnan(found.error_of_size)  # no number of training rows is published for ccg
    # Over the same gains: without ccg and cosmosqa the others are 6 5 4 3.
    fewer = {key: value for key, value in near().items() if key[0] not in ("ccg", "cosmosqa")}
    (found,) = report(measured("close", fewer), runs()).findings
    assert found.error_of_mean == pytest.approx(4 / 3 * (1.5 + 0.5) / 2)
    assert found.error_of_size > 0.1  # published training rows are not in step with these gains


def test_training_size_is_that_of_the_runs_where_they_tell():
    rows = list(runs())
    for place, name in enumerate(INTERMEDIATES):  # e times as many tokens, a point more
        own = scored(name, "", "en", 50.0, tokens=round(1000 * math.exp(6 - place)))
        rows.append(replace(own, run=name))
    found = gains_of(Results(rows))
    assert found.tokens == {row.task: row.tokens for row in rows if row.tokens}
    (one,) = report(measured("close", near()), Results(rows)).findings
    assert one.error_of_size == pytest.approx(0, abs=1e-3)
    (other,) = report(measured("close", near()), Results(rows[:-1])).findings
    assert math.isnan(other.error_of_size), "cosmosqa's is not told, and none is published for ccg"


def test_measures_of_languages_rank_languages():
    languages = {"en": 5, "de": 4, "zh": 2, "ar": 1}
    rows = [scored("xnli", "", code, 60) for code in languages]
    rows += [scored("xnli", name, code, 60 + gain) for name in ("mnli", "qqp") for code, gain in languages.items()]
    table = measured("language:near", {("", "", code): float(gain) for code, gain in languages.items()}, layer=None)
    (found,) = report(table, Results(rows)).findings
    assert (found.unit, found.units, found.cells) == ("language", 4, 8)
    assert found.rho == pytest.approx(1)
    assert found.p == pytest.approx(2 / 24)


def test_an_encoders_own_measures_rank_intermediates_where_theirs_are_there():
    before = measured("logme", {("", "xnli", "en"): -0.7}, scope="labels")
    told = report(before, runs())
    assert told.findings == []
    assert "logme (layer 2): it is the same for all intermediates and languages, so it can rank none" in told.notes
    after = {(name, "xnli", "en"): float(gain) for name, gain in GAINS["xnli"].items()}
    (found,) = report([*before, *measured("logme", after, scope="labels", trained=True)], runs()).findings
    assert (found.unit, found.rho) == ("intermediate", pytest.approx(1))
    assert found.cells == 12  # xnli in both languages: a value of English training rows holds for each


def test_what_is_missing_is_named():
    values = {key: value for key, value in near().items() if key[0] != "ccg"} | {("mnli", "xnli", "de"): None}
    rows = [row for row in measured("close", values, why="") if row.value is not None]
    rows += measured("close", {("mnli", "xnli", "de"): None}, why="too few rows")
    found = report(rows, runs())
    assert found.findings[0].units == 5
    assert found.findings[0].cells == 19
    assert "scored, not measured: ccg" in found.notes
    assert "close: 1 without a value: too few rows" in found.markdown()


def test_another_encoder_than_that_of_the_runs_is_named():
    notes = report(measured("close", near(), encoder="other"), runs()).notes
    assert "the runs have other encoders than was measured with: tiny" in notes


# ------------------------------------------------------------------ what is written
def test_the_report_has_a_table_of_values_a_measure():
    text = report(measured("close", near())).markdown()
    assert "**close**, layer 2 (higher is nearer, means over en, de)" in text
    line = next(line for line in text.splitlines() if line.startswith("| mnli"))
    assert [cell.strip() for cell in line.strip("|").split("|")] == ["mnli", "8.500", "51.500"]
    assert "foretell" not in text


def test_samples_of_different_sizes_are_named():
    rows = measured("close", near())
    assert "cannot be compared" not in report(rows).markdown()
    few = measured("close", {("qqp", "xnli", "sw"): 1.0}, n=(2, 9))
    assert "cannot be compared: qqp 2, mnli 9, squad_v1 9" in report([*rows, *few]).markdown()


def test_pictures_have_a_name_on_every_point(tmp_path):
    from xtransfer.alignment.scatter import scatter

    found = report(measured("close", near()), runs())
    axes = scatter(found.findings[0]).axes[0]
    names = [text for text in axes.texts if text.get_text()]  # those without are lines from names to points
    assert sorted(text.get_text() for text in names) == sorted(INTERMEDIATES * 2)
    boxes = [text.get_window_extent() for text in names]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["udpos", "xnli"]
    assert "ρ = +1.00" in axes.get_title(loc="left")
    points = {(line.get_label(), *map(float, point)) for line in axes.lines for point in line.get_xydata()}
    assert ("udpos", 51.5, -1.0) in points
    x, y = axes.transData.transform((51.5, -1.0))
    away = [math.hypot(max(b.x0 - x, x - b.x1, 0), max(b.y0 - y, y - b.y1, 0)) for b in boxes]
    assert names[away.index(min(away))].get_text() == "mnli"
    written = found.save(tmp_path)
    names = ["report.md", "scatter-close-layer2.png", "scatter-close-layer2.pdf"]
    assert [path.name for path in written] == names
    assert all(path.stat().st_size > 500 for path in written)


def test_names_of_points_that_lie_close_do_not_overlap():
    from xtransfer.alignment.scatter import scatter

    (found,) = report(measured("close", near()), runs()).findings
    crowd = [(name, "xnli", 0.5 + 0.001 * place, 1.0) for place, name in enumerate(INTERMEDIATES)]
    axes = scatter(replace(found, points=[*crowd, ("alone", "xnli", 0.0, 0.0), ("alone", "xnli", 1.0, 2.0)])).axes[0]
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == len(INTERMEDIATES) + 2
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


# ------------------------------------------------------------------ the command
def test_the_command_writes_rows_report_and_pictures(tiny_encoder, tmp_path, capsys):
    from xtransfer.cli import main

    rows = [scored("demo_qa", "", code, 50) for code in ("en", "de")]
    rows += [scored("demo_qa", "demo_nli", code, 52) for code in ("en", "de")]
    Results(rows).append(tmp_path / "run/results.jsonl")
    config = tmp_path / "align.yaml"
    config.write_text(f"encoder: {tiny_encoder}\nlimit: 12\nlayers: all\ntargets: [DemoQA]\nlanguages: [en, de]\n")
    words = ["align", "--config", str(config), "--intermediates", "DemoNLI", "DemoQA", "--limit", "11"]
    words += ["--measures", "jensen_shannon,text_embedding", "--results", str(tmp_path / "run")]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "16 rows in" in told  # 2 intermediates, 2 languages: texts, and three layers
    assert "1 intermediates are too few" in told
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found[0] == "alignment.jsonl"
    assert "report.md" in found
    assert "scatter-text_embedding-layer2.png" in found
    lines = (tmp_path / "out/alignment.jsonl").read_text().splitlines(keepends=True)
    parts = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for part, chosen in zip(parts, (lines[:9], lines[9:]), strict=True):
        part.write_text("".join(chosen))
    again = ["align", "--rows", *map(str, parts), "--results", str(tmp_path / "run"), "--out", str(tmp_path / "again")]
    assert main(again) == 0
    assert (tmp_path / "again/report.md").read_text() == (tmp_path / "out/report.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--intermediates MNLI --targets XNLI", "name a folder for the report"),
        ("--out x --targets XNLI", "name the intermediates"),
        ("--out x --target XNLI", "unknown option '--target'; did you mean '--targets'"),
        ("--out x y --targets XNLI", "option '--out' takes one value, found 2"),
        ("--out x --intermediates MNLI --targets XNLI --layers last", "--layers: expected numbers or 'all'"),
        ("--out x --intermediates MNLI --targets XNLI --limit few", "--limit: expected a whole number"),
        ("--out x --intermediates MNLI --targets XNLI --encoders mnli", "--encoders: expected NAME=VALUE"),
        ("--out x --out y", "option '--out' is there twice"),
        ("--out x --targets", "option '--targets' names nothing"),
        ("MNLI", "expected an option such as --intermediates, found 'MNLI'"),
        ("--config nowhere.yaml", "no configuration file 'nowhere.yaml'"),
    ],
)
def test_wrong_options_are_told_before_anything_is_read(words, message, capsys):
    from xtransfer.cli import main

    assert main(["align", *words.split()]) == 2
    assert message in capsys.readouterr().err


def test_values_of_several_seeds_are_averaged_and_encoders_kept_apart():
    steep = {key: -3 * value for key, value in near().items()}
    rows = [*measured("close", near(), seed=1), *measured("close", steep, seed=2)]
    forth, back = (report(order, runs()).findings[0].rho for order in (rows, rows[::-1]))
    assert forth == back == pytest.approx(-1)  # their mean falls as the gains rise
    other = [replace(row, encoder="other") for row in rows]
    with pytest.raises(ConfigError, match=r"rows of several encoders \(other, tiny\)"):
        report([*rows, *other], runs())
