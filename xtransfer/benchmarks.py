"""What XTREME and XTREME-R consist of: tasks, languages, files, and how their averages are formed. Plain records.

Hu et al. 2020, "XTREME: A Massively Multilingual Multi-task Benchmark"; Ruder et al. 2021, "XTREME-R: Towards More
Challenging and Nuanced Multilingual Evaluation". Tasks, their order and languages are those of the official evaluator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from xtransfer.errors import ConfigError, nearest

Form = Literal["labels", "numbers", "tags", "answers", "pairs", "choices", "rankings"]
"""What a file of predictions holds: a label, a line number or a sentence's tags a line; question id -> answer; pairs of
ids; an object with the number of an option a line; query id -> candidates."""

SUFFIXES: Mapping[Form, str] = {"answers": "json", "choices": "jsonl", "rankings": "json"}
"""File types; all other forms are ``tsv``."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkTask:
    """A task as a benchmark has it.

    Args:
        name: Its name, also that of its folder of predictions.
        form: What its files hold.
        languages: Languages the benchmark scores it in.
        scores: The scores whose mean is the task's.
        labels: Labels or tags that may occur; none where any text may.
        pooled: The task's score is the mean over the questions of all languages, not over languages.
    """

    name: str
    form: Form
    languages: tuple[str, ...]
    scores: tuple[str, ...] = ("accuracy",)
    labels: tuple[str, ...] = ()
    pooled: bool = False

    @property
    def suffix(self) -> str:
        """File type of its predictions and labels."""
        return SUFFIXES.get(self.form, "tsv")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark.

    Args:
        name: What it is called in options: ``xtreme`` or ``xtreme-r``.
        title: What it is called in tables.
        tasks: Its tasks, in the official order.
        groups: Group -> its tasks; a group's score is the mean of theirs.
        overall: Name of the mean over all tasks.
        note: What a reader of the overall score must know.
    """

    name: str
    title: str
    tasks: tuple[BenchmarkTask, ...]
    groups: Mapping[str, tuple[str, ...]]
    overall: str
    note: str = ""

    def task(self, name: str) -> BenchmarkTask:
        """Return a task by name.

        Raises:
            ConfigError: The benchmark has no such task.
        """
        known = {task.name: task for task in self.tasks}
        if name not in known:
            raise ConfigError(f"{self.title} has no task '{name}'{nearest(name, known)}")
        return known[name]


def _codes(*texts: str) -> tuple[str, ...]:
    return tuple(sorted(" ".join(texts).split()))


def _tagging(name: str, languages: tuple[str, ...], labels: str) -> BenchmarkTask:
    return BenchmarkTask(name=name, form="tags", languages=languages, scores=("f1",), labels=tuple(labels.split()))


def _answers(name: str, languages: tuple[str, ...]) -> BenchmarkTask:
    return BenchmarkTask(name=name, form="answers", languages=languages, scores=("em", "f1"))


UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X O"
"""The tags of Universal Dependencies, and `O`, which the official scripts' model has as an 18th."""
NER = "B-LOC B-ORG B-PER I-LOC I-ORG I-PER O"

PANX_LANGUAGES = _codes(
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi",
    "yo zh",
)
UDPOS_LANGUAGES = _codes(
    "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh"
)
TATOEBA_LANGUAGES = _codes(
    "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th tl tr ur vi zh"
)
XQUAD_LANGUAGES = _codes("ar de el en es hi ru th tr vi zh")

_XNLI = BenchmarkTask(
    name="xnli",
    form="labels",
    languages=_codes("ar bg de el en es fr hi ru sw th tr ur vi zh"),
    labels=("contradiction", "entailment", "neutral"),
)
_MLQA = _answers("mlqa", _codes("ar de en es hi vi zh"))
_TYDIQA = _answers("tydiqa", _codes("ar bn en fi id ko ru sw te"))

XTREME = Benchmark(
    name="xtreme",
    title="XTREME",
    tasks=(
        BenchmarkTask(name="pawsx", form="labels", languages=_codes("de en es fr ja ko zh"), labels=("0", "1")),
        _XNLI,
        _tagging("panx", PANX_LANGUAGES, NER),
        _tagging("udpos", UDPOS_LANGUAGES, UPOS),
        BenchmarkTask(name="bucc2018", form="pairs", languages=_codes("de fr ru zh"), scores=("f1",)),
        BenchmarkTask(name="tatoeba", form="numbers", languages=TATOEBA_LANGUAGES),
        _answers("xquad", XQUAD_LANGUAGES),
        _MLQA,
        _TYDIQA,
    ),
    groups={
        "classification": ("pawsx", "xnli"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("bucc2018", "tatoeba"),
    },
    overall="xtreme_avg",
)

XTREME_R = Benchmark(
    name="xtreme-r",
    title="XTREME-R",
    tasks=(
        _XNLI,
        _tagging("panx", _codes(*PANX_LANGUAGES, "az gu lt pa pl qu ro uk"), NER),
        _tagging("udpos", _codes(*UDPOS_LANGUAGES, "lt pl ro uk wo"), UPOS),
        BenchmarkTask(name="tatoeba", form="numbers", languages=_codes(*TATOEBA_LANGUAGES, "az lt pl ro uk")),
        BenchmarkTask(
            name="xcopa", form="choices", languages=_codes("et ht id it qu sw ta th tr vi zh"), labels=("0", "1")
        ),
        BenchmarkTask(name="lareqa", form="rankings", languages=XQUAD_LANGUAGES, scores=("map20",), pooled=True),
        BenchmarkTask(
            name="mewslix",
            form="rankings",
            languages=_codes("ar de en es fa ja pl ro ta tr uk"),
            scores=("map20",),
        ),
        _answers("xquad", _codes(*XQUAD_LANGUAGES, "ro")),
        _MLQA,
        _TYDIQA,
    ),
    groups={
        "classification": ("xnli", "xcopa"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("lareqa", "mewslix", "tatoeba"),
        "retrieval_without_lareqa": ("tatoeba", "mewslix"),
    },
    overall="xtreme_r_avg",
    note="The official script cannot confirm xtreme_r_avg or the group retrieval: it has no metric for lareqa. Its own "
    "retrieval group is retrieval_without_lareqa.",
)

BENCHMARKS: Mapping[str, Benchmark] = {benchmark.name: benchmark for benchmark in (XTREME, XTREME_R)}


def find(name: str) -> Benchmark:
    """Return a benchmark by name.

    Raises:
        ConfigError: There is no such benchmark.
    """
    if name not in BENCHMARKS:
        raise ConfigError(f"unknown benchmark '{name}'{nearest(name, BENCHMARKS)}")
    return BENCHMARKS[name]


def languages(benchmark: str, task: str) -> tuple[str, ...]:
    """Return the languages a benchmark scores a task in, by their codes.

    Raises:
        ConfigError: There is no such benchmark or task.
    """
    return find(benchmark).task(task).languages
