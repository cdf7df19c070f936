"""How often each task is drawn: every rule against its formula, and what is refused."""

from __future__ import annotations

import math

import pytest

from xtransfer.errors import ConfigError
from xtransfer.samplers import Curve, MultiTaskSampler, Nested, Sampling

SIZES = {"mnli": 390_000, "squad": 88_000, "ccg": 38_000, "copa": 400}
STEPS = 10_000


def normalised(weights):
    return {task: weight / sum(weights.values()) for task, weight in weights.items()}


RULES = {
    "proportional": (Sampling(), SIZES),
    "uniform": (Sampling(temperature=math.inf), dict.fromkeys(SIZES, 1.0)),
    "capped": (Sampling(cap=50_000), {"mnli": 50_000, "squad": 50_000, "ccg": 38_000, "copa": 400}),
    "temperature": (Sampling(temperature=2), {task: math.sqrt(n) for task, n in SIZES.items()}),
    "both": (
        Sampling(temperature=2, cap=100_000),
        {"mnli": math.sqrt(100_000), "squad": math.sqrt(88_000), "ccg": math.sqrt(38_000), "copa": 20.0},
    ),
    "weights": (
        Sampling(weights={"mnli": 1, "squad": 2, "ccg": 0, "copa": 1}),
        {"mnli": 1, "squad": 2, "ccg": 0, "copa": 1},
    ),
    "beside": (
        Sampling(weights={"mnli": 3, "squad": 1, "ccg": 0}, beside={"copa": 0.5}),
        {"mnli": 0.75, "squad": 0.25, "ccg": 0, "copa": 0.5},
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_shares_follow_the_formula_and_steps_follow_the_shares(rule):
    sampling, weights = RULES[rule]
    expected = normalised(weights)
    assert sampling.shares(SIZES) == pytest.approx(expected)
    counts = MultiTaskSampler(SIZES, 8, STEPS, sampling, seed=3).counts()
    assert sum(counts.values()) == STEPS
    for task, share in expected.items():
        deviation = math.sqrt(STEPS * share * (1 - share))  # of a binomial count
        assert abs(counts[task] - STEPS * share) <= 4 * deviation, task
        assert (counts[task] == 0) == (share == 0)


@pytest.mark.parametrize(
    "schedule",
    [
        {"mnli": "1 - t", "squad": "t", "ccg": 0, "copa": 0},
        {"mnli": [[0, 1], [1, 0]], "squad": [[0, 0], [1, 1]], "ccg": 0, "copa": 0},
    ],
)
def test_a_schedule_moves_the_shares_over_the_run(schedule):
    sampler = MultiTaskSampler(SIZES, 8, STEPS // 2, Sampling(schedule=schedule), seed=3, epochs=2)
    run = sampler.tasks(0) + sampler.tasks(1)
    assert set(run) == {"mnli", "squad"}
    for tenth in range(10):  # in the k-th tenth of the run the mean share of squad is (k + 1/2) / 10
        drawn = run[tenth * 1000 : (tenth + 1) * 1000]
        share = (tenth + 0.5) / 10
        assert abs(drawn.count("squad") - 1000 * share) <= 4 * math.sqrt(1000 * share * (1 - share)) + 1


def test_a_task_first_then_one_of_its_languages():
    nested = Nested(
        {"nli/en": ("nli", "en"), "mlm/en": ("mlm", "en"), "mlm/sw": ("mlm", "sw")},
        Sampling(beside={"mlm": 1.0}),
        {"nli": Sampling(), "mlm": Sampling(temperature=1 / 0.3)},
    )
    found = nested.shares({"nli/en": 7, "mlm/en": 10_000, "mlm/sw": 10})
    english, swahili = 10_000**0.3, 10**0.3
    assert found == pytest.approx(
        {
            "nli/en": 0.5,
            "mlm/en": 0.5 * english / (english + swahili),
            "mlm/sw": 0.5 * swahili / (english + swahili),
        }
    )


@pytest.mark.parametrize(
    ("shape", "t", "n", "expected"),
    [
        (2, 0.5, 1, 2.0),
        ("1 - t", 0.25, 1, 0.75),
        ("n ** (1 / (1 + 4 * t))", 0.25, 81, 9.0),
        ("1 if t < 0.5 else 3", 0.5, 1, 3.0),
        ("min(n, 10) * exp(-t) + max(0, t - 1)", 1.0, 50, 10 / math.e),
        ("-cos(pi)", 0, 1, 1.0),
        ([[0.2, 1], [0.4, 3], [1, 3]], 0.3, 1, 2.0),
        ([[0.2, 1], [0.4, 3]], 0.1, 1, 1.0),
        ([[0.2, 1], [0.4, 3]], 0.9, 1, 3.0),
    ],
)
def test_the_value_of_a_curve(shape, t, n, expected):
    assert Curve(shape).at(t, n) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("1 -", "'1 -' is no formula"),
        ("u + 1", "unknown name 'u'"),
        ("mim(t, 1)", r"unknown function 'mim'.*min"),
        ("().__class__", "is no arithmetic"),
        ("__import__('os')", "is no arithmetic|unknown function"),
        ("[1, 2][0]", "is no arithmetic"),
        ("'t'", "is no arithmetic"),
        ([[0.5, 1], [0.2, 1]], "points need rising t"),
        ([[0, 1, 2]], "are no points"),
        ([], "points need"),
    ],
)
def test_what_is_no_curve(shape, message):
    with pytest.raises(ConfigError, match=message):
        Curve(shape)


def test_a_formula_without_a_value_is_named_with_its_place():
    with pytest.raises(ConfigError, match=r"'1 / t' has no value at t = 0, n = 5"):
        Curve("1 / t").at(0, 5)
    with pytest.raises(ConfigError, match=r"has no value at t = 0.2"):
        Curve("(t - 1) ** 0.5").at(0.2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0}, "temperature must be above 0, found 0"),
        ({"temperature": -1}, "temperature must be above 0"),
        ({"temperature": math.nan}, "temperature must be above 0"),
        ({"cap": 0}, "cap must be at least 1"),
        ({"weights": {"a": 1}, "cap": 5}, "weights and cap exclude one another"),
        ({"weights": {"a": 1}, "schedule": {"a": 1}}, "weights and schedule exclude one another"),
        ({"weights": {"a": -1}}, "the weight of 'a' is -1"),
        ({"beside": {"a": math.inf}}, "the weight of 'a' is inf"),
    ],
)
def test_settings_that_are_refused_at_once(settings, message):
    with pytest.raises(ConfigError, match=message):
        Sampling(**settings)


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (Sampling(weights={"mnli": 1, "sqad": 1, "squad": 1}), "no task 'sqad' in the mix.*squad"),
        (Sampling(weights={"mnli": 1}), "no weight for squad; give one, 0 leaves a task out"),
        (Sampling(weights={"mnli": 0, "squad": 0}), "one of them above 0; found: mnli 0, squad 0"),
        (Sampling(schedule={"mnli": "0.5 - t", "squad": 0}), "found at t = 0.5: mnli 0, squad 0"),
        (Sampling(schedule={"mnli": "0.5 - t", "squad": 1}), r"found at t = 0.51: mnli -0.01, squad 1"),
        (Sampling(beside={"mlm": 1}), "sampling.beside: no task 'mlm' in the mix"),
        (Sampling(beside={"mnli": 1, "squad": 1}), "one of them above 0; found: none"),
    ],
)
def test_what_does_not_fit_the_tasks(sampling, message):
    with pytest.raises(ConfigError, match=message):
        sampling.check(["mnli", "squad"])
