"""Tables of runs compare like with like; every number below is computed by hand."""

from __future__ import annotations

import pytest

from xtransfer.errors import ConfigError
from xtransfer.results import Results, Row
from xtransfer.study import lay_out


def scored(target: str, before: str = "", seed: int = 1, split: str = "test", **values) -> list[Row]:
    """Rows of a stage trained on the target after some tasks, e.g. ``scored("xnli", "mnli qqp", en=80, de=60)``.

    Keys that are fields of a row, such as ``n``, are set in all rows.
    """
    chain = [*before.split(), target]
    fields = {key: values.pop(key) for key in list(values) if key in Row.__dataclass_fields__}
    given = {
        "run": before or "alone",
        "stage": target,
        "chain": chain,
        "trained": chain,
        "task": target,
        "head": target,
        "split": split,
        "metric": "accuracy",
        "n": 100,
        "main": True,
        "seed": seed,
        "config": f"{'-'.join(chain)}-{seed}",
    }
    return [Row(language=code, value=float(value), **(given | fields)) for code, value in values.items()]


def table(*stages: list[Row], **options):
    return Results(row for rows in stages for row in rows).table(**options)


def texts(found) -> list[list[str]]:
    several = len({cell.seeds for row in found.cells for cell in row if cell.seeds}) > 1
    return [[name, *(cell.plain(several) for cell in row)] for name, row in zip(found.names, found.cells, strict=True)]


STUDY = [
    scored("xnli", "mnli", en=82, de=66),
    scored("xnli", en=80, de=60),
    scored("pawsx", en=90, de=80),
    scored("pawsx", "mnli", en=88, de=79),
]


# ------------------------------------------------------------------ targets as columns
def test_differences_to_the_baseline_by_hand():
    found = table(*STUDY)
    assert found.header == ("intermediate", "xnli", "pawsx", "mean")
    assert texts(found) == [["none", "70.0", "85.0", "77.5"], ["mnli", "+4.0", "-1.5", "+1.2"]]  # 1.25, to even
    assert found.cell("mnli", "mean").value == pytest.approx(1.25)
    assert [[cell.best for cell in row] for row in found.cells] == [[False, True, False], [True, False, True]]
    assert found.baseline == "none"


def test_scores_on_request():
    found = table(*STUDY, difference=False)
    assert texts(found) == [["none", "70.0", "85.0", "77.5"], ["mnli", "74.0", "83.5", "78.8"]]
    assert found.baseline == ""
    assert [[cell.best for cell in row] for row in found.cells] == [[False, True, False], [True, False, True]]


def test_a_missing_target_is_missing_and_never_averaged_over():
    found = table(*STUDY, scored("xnli", "qqp", en=79, de=57))
    assert texts(found)[2] == ["qqp", "-2.0", "–", "–"]


def test_without_the_baselines_score_there_is_no_difference():
    found = table(*STUDY, scored("udpos", "mnli", en=50, metric="f1"))
    assert texts(found) == [["none", "70.0", "85.0", "–", "–"], ["mnli", "+4.0", "-1.5", "–", "–"]]
    assert "udpos: the baseline has no score, so there is no difference to it" in found.notes
    assert "accuracy: xnli, pawsx" in found.notes
    assert "f1: udpos" in found.notes


def test_equal_ones_are_all_the_best_and_one_alone_is_not():
    found = table(scored("xnli", en=80), scored("xnli", "mnli", en=81.04), scored("xnli", "qqp", en=80.96))
    assert [row[0].best for row in found.cells] == [False, True, True]
    assert [row[0].best for row in table(scored("xnli", en=80)).cells] == [False]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"chain": ["a"], "trained": ["xnli"], "stage": "a"}, "none"),
        ({"chain": ["a", "b"], "trained": ["mnli", "xnli"], "stage": "b"}, "mnli"),
        ({"chain": ["a", "b", "c"], "trained": ["mnli", "squad_v1", "xnli"], "stage": "c"}, "mnli → squad_v1"),
        ({"chain": ["a"], "trained": ["squad_v1"], "stage": "tatoeba"}, "squad_v1"),
        ({"chain": [], "trained": [], "stage": "tatoeba"}, "none"),
        ({"chain": ["mnli", "qa"], "trained": [], "stage": "qa"}, "mnli"),
    ],
    ids=["alone", "one", "two", "untrained", "pretrained", "old-rows"],
)
def test_what_the_intermediate_of_a_row_is(fields, name):
    assert lay_out(Results(scored("xnli", en=1, **fields))).intermediates == [name]


def test_the_baseline_comes_first_then_the_order_of_appearance():
    stages = [scored("xnli", before, en=80) for before in ("qqp", "mnli", "", "anli")]
    assert table(*stages).names == ("none", "qqp", "mnli", "anli")
    assert table(*stages, baseline="mnli").names == ("mnli", "qqp", "none", "anli")
    found = table(*stages[:2])
    assert found.names == ("qqp", "mnli")
    assert found.baseline == ""
    assert "no baseline among the results: scores, not differences" in found.notes


def test_the_intermediate_tasks_own_scores_are_no_column():
    own = scored("mnli", en=84)
    found = table(own, *STUDY)
    assert found.header == ("intermediate", "xnli", "pawsx", "mean")
    assert any("intermediate tasks' own scores (mnli)" in note for note in found.notes)
    assert table(own, *STUDY, task="mnli").header == ("intermediate", "mnli")
    assert table(own).header == ("intermediate", "mnli")


def test_a_stage_that_others_start_from_is_not_the_target_of_its_name():
    """In one run MNLI is an intermediate task and a target: the target's own stage counts, not the intermediate one."""
    same = {"run": "r", "n": 5}
    first = scored("mnli", en=10, **same)
    found = table(
        first,
        scored("mnli", en=80, stage="target", chain=["target"], trained=["mnli"], config="t", **same),
        scored("mnli", en=81, stage="again", chain=["mnli", "again"], trained=["mnli", "mnli"], config="a", **same),
        scored("squad_v1", en=50, **same),
        scored("mnli", en=70, stage="c", chain=["squad_v1", "c"], trained=["squad_v1", "mnli"], config="c", **same),
    )
    assert texts(found) == [["none", "80.0"], ["mnli", "+1.0"], ["squad_v1", "-10.0"]]
    assert [note for note in found.notes if "averaged" in note or "differs" in note] == []
    assert texts(table(first, *STUDY, task="mnli")) == [["none", "10.0"]]


def test_stages_of_different_tasks_make_targets_of_their_own():
    found = table(
        scored("xquad", en=70),
        scored("xquad", en=50, trained=["tydiqa"], chain=["x"], stage="x", config="x"),
        scored("xquad", "mnli", en=71),
    )
    assert texts(found) == [["none", "70.0", "50.0", "60.0"], ["mnli", "+1.0", "–", "–"]]
    assert found.header == ("intermediate", "xquad (xquad)", "xquad (tydiqa)", "mean")


def test_a_recipes_own_intermediate_belongs_to_the_baseline():
    stages = [scored("xcopa", "siqa", en=60), scored("xcopa", "mnli siqa", en=63), scored("xcopa", en=50), *STUDY]
    found = table(*stages, recipes={"xcopa": "siqa"})
    assert texts(found)[0] == ["none", "60.0", "70.0", "85.0", "71.7"]
    assert texts(found)[1][:2] == ["mnli", "+3.0"]
    assert "xcopa: the baseline is trained on siqa first, by its recipe" in found.notes
    assert "left out, not trained by the recipe: xcopa (none), 1 scores" in found.notes
    found = table(*stages[:3], baseline="siqa")
    assert texts(found) == [["siqa", "60.0"], ["mnli → siqa", "+3.0"], ["none", "-10.0"]]


# ------------------------------------------------------------------ like with like
def test_means_are_over_the_languages_that_every_row_has():
    found = table(scored("xnli", en=80, de=60, zh=10), scored("xnli", "mnli", en=82, de=63, sw=99))
    assert texts(found) == [["none", "70.0"], ["mnli", "+2.5"]]
    assert "xnli: means over the 2 languages that every row and seed has, without sw, zh" in found.notes
    assert "languages: xnli 2" in found.notes


def test_without_a_common_language_there_is_nothing_to_compare():
    found = table(scored("xnli", en=80), scored("xnli", "mnli", de=82))
    assert texts(found) == [["none", "–"], ["mnli", "–"]]


@pytest.mark.parametrize(
    ("field", "values", "note"),
    [
        ("n", (100, 50), "xnli: the number of examples differs (de, en): 100 (none); 50 (mnli)"),
        ("layer", (7, 8), "xnli: the layer differs (de, en): 7 (none); 8 (mnli)"),
        ("variant", ("a", "b"), "xnli: the definition of the score differs (de, en): a (none); b (mnli)"),
        (
            "rows",
            ("test", "validation"),
            "xnli: the part of the data set differs (de, en): test (none); validation (mnli)",
        ),
        ("encoder", ("large", "base"), "xnli: the encoder differs (de, en): large (none); base (mnli)"),
        ("protocol", ("", "xtreme"), "xnli: the protocol differs (de, en): none (none); xtreme (mnli)"),
    ],
)
def test_what_differs_between_rows_is_said(field, values, note):
    stages = [
        scored("xnli", before, en=80, de=70, **{field: v}) for before, v in zip(("", "mnli"), values, strict=True)
    ]
    assert note in table(*stages).notes
    assert not [words for words in table(*STUDY).notes if "differs" in words]


def test_repeated_rows_count_once_and_the_newest_of_a_stage_counts():
    old = scored("xnli", en=10, config="a", config_file="runs/x/1-xnli/config.yaml", time="2025-01-01")
    repeated = scored("xnli", en=80, config="b", config_file="runs/x/1-xnli/config.yaml", time="2025-01-03")
    same = scored("xnli", en=80, config="b", config_file="elsewhere/config.yaml", time="2025-01-02", run="copy")
    found = table(repeated, old, same, repeated)
    assert texts(found) == [["none", "80.0"]]
    assert "left out: 1 older scores of stages trained again (xnli)" in found.notes


def test_a_second_seed_in_the_same_folder_is_another_run():
    file = "runs/x/1-xnli/config.yaml"
    found = table(*(scored("xnli", seed=s, en=v, config_file=file) for s, v in ((1, 80), (2, 84))))
    assert texts(found) == [["none", "82.0 ± 2.8"]]


def test_scores_that_are_no_numbers_are_left_out_and_counted():
    found = table(scored("xnli", en=80, de="nan"))
    assert texts(found) == [["none", "80.0"]]
    assert "left out: 1 scores that are not numbers" in found.notes


def test_two_stages_of_one_seed_are_averaged_and_named():
    found = table(*(scored("xnli", en=v, config=f, config_file=f) for v, f in ((80, "a.yaml"), (84, "b.yaml"))))
    assert texts(found) == [["none", "82.0"]]
    assert "xnli after none: 2 stages of seed 1 averaged: a.yaml, b.yaml" in found.notes


# ------------------------------------------------------------------ seeds
def test_mean_and_spread_over_seeds_by_hand():
    found = table(
        *(scored("xnli", seed=s, en=v) for s, v in ((1, 70), (2, 72))),
        *(scored("xnli", "mnli", seed=s, en=75) for s in (1, 2)),
        *(scored("pawsx", seed=s, en=v) for s, v in ((1, 80), (2, 84))),
        *(scored("pawsx", "mnli", seed=s, en=v) for s, v in ((1, 86), (2, 84))),
    )
    # xnli: differences 5 and 3; pawsx: 6 and 0; means of a seed 75 and 78, after mnli 80.5 and 79.5: 5.5 and 1.5
    assert texts(found) == [
        ["none", "71.0 ± 1.4", "82.0 ± 2.8", "76.5 ± 2.1"],
        ["mnli", "+4.0 ± 1.4", "+3.0 ± 4.2", "+3.5 ± 2.8"],
    ]
    assert found.notes[-1] == "±: standard deviation over 2 seeds"
    assert {cell.seeds for row in found.cells for cell in row} == {2}


def test_differences_are_over_shared_seeds():
    base = [scored("xnli", seed=s, en=v) for s, v in ((1, 70), (2, 72), (3, 98))]
    found = table(*base, *(scored("xnli", "mnli", seed=s, en=75) for s in (2, 1)), scored("xnli", "qqp", seed=9, en=81))
    assert texts(found) == [["none", "80.0 ± 15.6 (3)"], ["mnli", "+4.0 ± 1.4 (2)"], ["qqp", "+1.0 (1)"]]
    assert (
        "the seeds of xnli differ between rows: a difference is over the seeds shared with the baseline" in found.notes
    )
    assert found.notes[-1] == "±: standard deviation over seeds; in brackets their number"


# ------------------------------------------------------------------ languages as columns
def test_languages_by_hand():
    found = table(
        scored("xnli", de=60, en=80, ar=40),
        scored("xnli", "mnli", en=82, de=66, ar=41),
        columns="language",
        task="xnli",
    )
    assert found.title == "xnli: accuracy in percent, test rows"
    assert found.header == ("intermediate", "en", "ar", "de", "mean", "gap")
    assert texts(found) == [
        ["none", "80.0", "40.0", "60.0", "60.0", "30.0"],
        ["mnli", "+2.0", "+1.0", "+6.0", "+3.0", "-1.5"],
    ]
    assert [row[-1].best for row in found.cells] == [False, True]  # the smaller gap


def test_mean_and_gap_are_over_common_languages():
    found = table(scored("xnli", en=80, de=60), scored("xnli", "mnli", en=82, de=66, ar=10), columns="language")
    assert texts(found) == [
        ["none", "80.0", "–", "60.0", "70.0", "20.0"],
        ["mnli", "+2.0", "–", "+6.0", "+4.0", "-4.0"],
    ]


def test_no_gap_without_english():
    found = table(scored("tatoeba", de=60, ar=40), columns="language")
    assert found.header == ("intermediate", "ar", "de", "mean")


# ------------------------------------------------------------------ the best of each target
def chosen(target, before, dev, test, **fields):
    rows = scored(target, before, en=test, **fields)
    return rows if dev is None else [*rows, *scored(target, before, split="validation", en=dev, **fields)]


def test_the_best_is_chosen_on_development_rows_and_told_on_test_rows():
    found = table(
        chosen("xnli", "", 70, 60),
        chosen("xnli", "mnli", 75, 62),
        chosen("xnli", "qqp", 74, 69),
        chosen("pawsx", "", 90, 80),
        chosen("pawsx", "mnli", 85, 81),
        chosen("pawsx", "qqp", None, 99),
        columns="best",
    )
    assert found.header == ("target", "chosen", "dev", "baseline dev", "test", "baseline test", "difference")
    assert texts(found) == [
        ["xnli", "mnli", "75.0", "70.0", "62.0", "60.0", "+2.0"],
        ["pawsx", "mnli", "85.0", "90.0", "81.0", "80.0", "+1.0"],
        ["mean", "–", "–", "–", "71.5", "70.0", "+1.5"],
    ]
    assert "pawsx: no development scores of qqp: not chosen from" in found.notes
    assert "pawsx: no intermediate is better than the baseline on the development rows" in found.notes


def test_development_scores_are_those_of_the_stage_even_of_another_task():
    stages = [
        [*scored("xquad", b, en=t), *scored("xquad", b, en=d, task="squad_v1", split="validation")]
        for b, d, t in (("", 80, 70), ("mnli", 82, 60), ("qqp", 81, 75))
    ]
    assert texts(table(*stages, columns="best")) == [["xquad", "mnli", "82.0", "80.0", "60.0", "70.0", "-10.0"]]


def test_development_scores_are_means_over_seeds():
    def of(before, *scores):
        return [r for s, (d, t) in enumerate(scores) for r in chosen("xnli", before, d, t, seed=s)]

    found = table(
        of("", (0, 50), (0, 50)), of("mnli", (90, 60), (70, 60)), of("qqp", (82, 70), (80, 70)), columns="best"
    )
    assert texts(found)[0][1] == "qqp"  # 81 against 80, though mnli has the best seed


def test_without_development_scores_nothing_is_chosen():
    found = table(scored("tatoeba", de=40), scored("tatoeba", "mnli", de=60), *STUDY, columns="best")
    assert texts(found)[0] == ["tatoeba", *["–"] * 6]
    assert "tatoeba: no development scores, so nothing is chosen" in found.notes
    assert found.names == ("tatoeba", "xnli", "pawsx")  # no mean over what is not there


# ------------------------------------------------------------------ choosing and refusing
def test_other_scores_and_rows_on_request():
    stages = [chosen("xnli", b, d, t) for b, d, t in (("", 70, 60), ("mnli", 75, 62))]
    assert texts(table(*stages, split="validation")) == [["none", "70.0"], ["mnli", "+5.0"]]
    em = scored("xquad", en=30, metric="em", main=False), scored("xquad", "mnli", en=33, metric="em", main=False)
    assert texts(table(*stages, *em, metric="em")) == [["none", "30.0"], ["mnli", "+3.0"]]
    assert "no test em: xnli" in table(*stages, *em, metric="em").notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "xnil"}, "no task 'xnil' in the results; did you mean 'xnli'?"),
        ({"metric": "acuracy"}, "no score 'acuracy' in the results; did you mean 'accuracy'?"),
        ({"baseline": "mnil"}, "no scores of the baseline 'mnil'; did you mean 'mnli'?"),
        ({"columns": "langage"}, "no columns 'langage'; did you mean 'language'?"),
        ({"columns": "language"}, "2 targets have a table each: choose a task of ['xnli', 'pawsx']"),
        ({"split": "validation"}, "no validation scores; there are: test"),
        ({"recipes": {"xcopa": "siqa"}}, "no target of a recipe 'xcopa' in the results"),
    ],
)
def test_what_is_not_there_is_refused(options, message):
    with pytest.raises(ConfigError) as error:
        table(*STUDY, **options)
    assert message in str(error.value)


def test_the_best_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="nothing to choose from"):
        table(scored("xnli", en=80), columns="best")


def test_of_a_perplexity_less_is_better():
    rows = [
        scored("mlm", metric="perplexity", en=8, de=10),
        scored("mlm", "mnli", metric="perplexity", en=9, de=9.5),
    ]
    found = table(*rows, columns="language", task="mlm", metric="perplexity")
    assert found.title == "mlm: perplexity per word, test rows"
    assert texts(found)[1] == ["mnli", "+1.0", "-0.5", "+0.2", "+1.5"]
    assert [[cell.best for cell in row][:3] for row in found.cells] == [[True, False, True], [False, True, False]]


def test_where_less_is_better_columns_are_marked_by_themselves():
    stages = [*STUDY, scored("mlm", metric="perplexity", en=10), scored("mlm", "mnli", metric="perplexity", en=14)]
    found = table(*stages)
    assert found.header == ("intermediate", "xnli", "pawsx", "mlm")  # percent and perplexity have no mean
    assert "no mean over targets, whose scores are of different units" in found.notes
    assert [[cell.best for cell in row] for row in found.cells] == [[False, True, True], [True, False, False]]
    assert found.lower == ("mlm",)


def test_the_mean_over_targets_counts_f1_and_exact_match_of_questions():
    def asked(before: str, f1: float, em: float) -> list[Row]:
        told = scored("xquad", before, metric="f1", en=f1) + scored("xquad", before, metric="em", main=False, en=em)
        return told

    found = table(asked("", 80, 60), scored("xnli", en=70), asked("mnli", 84, 70), scored("xnli", "mnli", en=71))
    assert texts(found) == [["none", "80.0", "70.0", "70.0"], ["mnli", "+4.0", "+1.0", "+4.0"]]
    assert "in the mean over targets: the mean of F1 and exact match of xquad" in found.notes
    alone = table(scored("xquad", metric="f1", en=80), scored("xnli", en=70))
    assert alone.cell("none", "mean").value == 75


def test_languages_of_an_axis_are_those_that_all_its_rows_have():
    from xtransfer.study_cells import Cells

    rows = [*scored("t", run="a", config="a", en=52, de=54), *scored("t", run="b", config="b", en=50)]
    values = {"a": {"model.lr": "1"}, "b": {"model.lr": "2"}}
    found = Results(rows, Cells(values=values)).table(rows="model.lr", task="t")
    assert texts(found) == [["1", "52.0"], ["2", "50.0"]]
    assert "t: means over the 1 languages that every row and seed has, without de" in found.notes
