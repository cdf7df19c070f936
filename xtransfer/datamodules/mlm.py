"""Masked language modelling on plain text, beside other tasks or alone."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.benchmarks import BENCHMARKS
from xtransfer.datamodules.base import TaskDataModule
from xtransfer.samplers import Sampling
from xtransfer.sources import Hub, TextLines
from xtransfer.task import Task

LANGUAGES = sorted({code for one in BENCHMARKS.values() for task in one.tasks for code in task.languages})


class MLM(TaskDataModule):
    """Guessing the hidden words of plain text, beside other tasks or alone, as continued pretraining.

    Phang et al. 2020 mix it in, so that the encoder does not forget other languages; the masks are those of Devlin et
    al. 2019, "BERT". Languages: af ar az bg bn de el en es et eu fa fi fr gu he hi ht hu id it ja jv ka kk ko lt ml mr
    ms my nl pa pl pt qu ro ru sw ta te th tl tr uk ur vi wo yo zh. Licence: of the texts; Wikipedia's is CC BY-SA.
    Metric: the share of hidden words that are guessed (`accuracy`), by which models are chosen; the `loss` in nats a
    hidden word and the `perplexity`, of which less is better. A line is an example, blank ones are skipped, long ones
    cut. `train_languages` are also those it is developed and tested in, where nothing else is said; they are drawn by
    their number of lines to the power of 0.3, as in the training of XLM-R. The hub's copy has whole articles as rows,
    and neither development nor test rows: `splits` takes them off the training rows.
    """

    task: ClassVar[Task] = Task(
        name="mlm",
        kind="mlm",
        fields={"text": "text"},
        languages=tuple(LANGUAGES),
        hub=Hub("wikimedia/wikipedia", "20231101.{language}", splits={"train": "train"}),
        files=(
            TextLines(
                paths={
                    "train": "train-{language}.txt|{language}.txt",
                    "validation": "dev-{language}.txt",
                    "test": "test-{language}.txt",
                }
            ),
        ),
    )
    mix: ClassVar[Sampling] = Sampling(temperature=1 / 0.3)
