"""The records of the benchmarks, against the numbers in the papers and against the catalogue."""

from __future__ import annotations

import pytest

from xtransfer import datamodules
from xtransfer.benchmarks import BENCHMARKS, XTREME, XTREME_R, languages
from xtransfer.errors import ConfigError
from xtransfer.kinds import KINDS


@pytest.mark.parametrize(
    ("benchmark", "sizes"),
    [
        (XTREME, "pawsx 7 xnli 15 panx 40 udpos 33 bucc2018 4 tatoeba 36 xquad 11 mlqa 7 tydiqa 9"),
        (XTREME_R, "xnli 15 panx 48 udpos 38 tatoeba 41 xcopa 11 lareqa 11 mewslix 11 xquad 12 mlqa 7 tydiqa 9"),
    ],
)
def test_tasks_and_numbers_of_languages(benchmark, sizes):
    assert " ".join(f"{task.name} {len(set(task.languages))}" for task in benchmark.tasks) == sizes


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("panx", "az gu lt pa pl qu ro uk"),
        ("udpos", "lt pl ro uk wo"),
        ("tatoeba", "az lt pl ro uk"),
        ("xquad", "ro"),
        ("xnli", ""),
    ],
)
def test_xtreme_r_only_adds_languages(task, expected):
    assert set(languages("xtreme-r", task)) - set(languages("xtreme", task)) == set(expected.split())
    assert set(languages("xtreme", task)) <= set(languages("xtreme-r", task))


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=str)
def test_every_task_is_in_a_group_and_every_group_has_tasks(benchmark):
    names = {task.name for task in benchmark.tasks}
    assert {task for tasks in benchmark.groups.values() for task in tasks} == names


def catalogue():
    """Task, benchmark's record, our record, for all that both have."""
    own = {cls.task.name: cls.task for cls in vars(datamodules).values() if hasattr(cls, "task")}
    for benchmark in BENCHMARKS.values():
        for task in benchmark.tasks:
            if task.name in own:
                yield pytest.param(task, own[task.name], id=f"{benchmark.name}-{task.name}")


@pytest.mark.parametrize(("task", "own"), list(catalogue()))
def test_the_catalogue_has_all_languages_labels_and_file_types(task, own):
    assert set(task.languages) <= set(own.languages)
    if own.labels:  # the official model of parts of speech has a tag O besides
        assert set(own.labels) == set(task.labels) - ({"O"} if task.name == "udpos" else set())
    assert KINDS[own.kind].file_type(own.spec()) == task.suffix


def test_misspelt_names_have_a_hint():
    with pytest.raises(ConfigError, match=r"unknown benchmark 'xtremer'; did you mean 'xtreme-?r?'"):
        languages("xtremer", "xnli")
    with pytest.raises(ConfigError, match=r"XTREME has no task 'pawx'; did you mean 'pawsx'"):
        languages("xtreme", "pawx")
