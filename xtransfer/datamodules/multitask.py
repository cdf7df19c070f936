"""Several tasks in one run: the encoder is shared, each task has its head, every step is of one task."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.datamodules.lookup import test_portions
from xtransfer.datamodules.members import inherit
from xtransfer.datamodules.mix_checks import check_heads, check_names, plain, share_labels, with_auxiliary
from xtransfer.datamodules.mixture import Part, Place, described, order_of, progress_of
from xtransfer.datamodules.overlaps import content_key, repeated, told
from xtransfer.datamodules.portion import Portion, known_splits
from xtransfer.errors import ConfigError, DataError
from xtransfer.kinds import Feature
from xtransfer.samplers import EpochBatches, Nested, Sampling
from xtransfer.task import SPLITS

log = logging.getLogger(__name__)
RULES = {"proportional": Sampling(), "uniform": Sampling(temperature=float("inf"))}


class MultiTask(TaskDataModule):
    """Several tasks trained at once, as Phang et al. 2020 train their best encoder.

    Every optimisation step is of one task, drawn by `sampling`, with the batch size of that task. The run is one epoch
    of the trainer; its length is the sum over the tasks of their epochs times their steps in one pass, and how many
    passes each task really gets follows from `sampling`: ``xtransfer tasks --mix CONFIG`` tells beforehand. Masked
    language modelling is a task like the others, but stands beside them: one step for each of theirs unless
    ``sampling.beside`` says otherwise, no model is chosen by it, and its size does not count.

    Args:
        tasks: The tasks, each with settings of its own.
        name: Name of the whole in results and tables.
        sampling: How often each task is drawn: ``proportional`` to its size, ``uniform``, or settings of `Sampling`.
        epochs: Passes over each task by which the length of the run is reckoned, for all tasks or by task.
        steps: Optimisation steps of the run, in place of `epochs`.
        loss_weights: Task -> factor of its loss; default 1.
        missing: What is done if a task's training rows are not there: ``refuse`` to run, or ``leave_out`` the task.
        duplicates: ``keep`` or ``remove`` training examples that stand in a task before it too; they are counted.
        data_dir: As for a single task; what follows too. Each task may have settings of its own instead.
        tokenizer: Name or folder of the tokenizer; follows the encoder.
        batch_size: Examples in a training batch.
        eval_batch_size: Most examples in an evaluation batch.
        eval_tokens: Most tokens in an evaluation batch.
        max_length: Tokens of one input; default the task's.
        limit: Read at most so many rows of each split and language.
        splits: Which rows serve as what in every task, e.g. ``{validation: "validation[:500]"}``.
        cache_dir: Where tokenised features are kept.
        num_workers: Processes that load batches.
        seed: The run's seed; the command line fills this in.

    Raises:
        ConfigError: Two tasks have one name, a name is unknown, or tasks of one head have different labels.
    """

    def __init__(
        self,
        tasks: list[TaskDataModule],
        name: str = "multitask",
        sampling: Literal["proportional", "uniform"] | Sampling = "proportional",
        epochs: float | dict[str, float] = 1.0,
        steps: int | None = None,
        loss_weights: dict[str, float] | None = None,
        missing: Literal["refuse", "leave_out"] = "refuse",
        duplicates: Literal["keep", "remove"] = "keep",
        data_dir: Path | None = None,
        tokenizer: str | None = None,
        batch_size: int | None = None,
        eval_batch_size: int | None = None,
        max_length: int | None = None,
        limit: int | None = None,
        splits: dict[str, str] | None = None,
        cache_dir: Path | None = None,
        num_workers: int | None = None,
        seed: int | None = None,
        eval_tokens: int | None = None,
    ) -> None:
        LightningDataModule.__init__(self)  # what a single task sets up does not apply
        self.given, self._name, self.epochs, self.steps = tasks, name, epochs, steps
        self.loss_weights, self.missing, self.duplicates = loss_weights or {}, missing, duplicates
        self.data_dir, self.tokenizer = data_dir, tokenizer
        self.batch_size, self.eval_batch_size, self.eval_tokens = batch_size, eval_batch_size, eval_tokens
        self.max_length, self.limit, self.cache_dir = max_length, limit, cache_dir
        self.num_workers, self.seed = num_workers, seed
        self._loaded, self.sets, self.training, self.entered = None, {}, {}, progress_of(None)
        self.absent: dict[str, str] = {}
        names = [task.record.name for task in tasks]
        check_names(names, {"epochs": epochs, "loss_weights": loss_weights})
        if steps is not None and steps < 1:
            raise ConfigError(f"steps must be at least 1, found {steps}")
        for task in tasks:
            inherit(self, task)
            task.splits = known_splits(task.record, splits or {}) | task.splits
            task.evaluate = [member for member in task.evaluate if member.record.name not in names]
            task.sets = self.sets
        share_labels(tasks)
        rule = sampling if isinstance(sampling, Sampling) else RULES[sampling]
        self.mixing = with_auxiliary(rule, tasks)
        self.mixing.check(names)

    # ------------------------------------------------------------------ what there is
    @cached_property
    def tasks(self) -> list[TaskDataModule]:
        """The tasks whose training rows are there; what is left out is logged, and kept in `absent`.

        Raises:
            ConfigError: Rows are nowhere to be looked for, and the task must not be left out; or no task is left.
            DataError: Rows are not there, and the task must not be left out.
        """
        found = []
        for task in self.given:
            try:
                if self._drawn(task):
                    if not task.trains:
                        raise ConfigError(f"task '{task.record.name}' has no training data: leave it out of the mix")
                    for portion in task.portions("train"):
                        portion.origin()
            except (ConfigError, DataError) as error:
                if self.missing == "refuse":
                    raise
                self.absent[task.record.name] = str(error)
                log.warning("%s is left out of the mix, its training rows are not there: %s", task.record.name, error)
            else:
                found.append(task)
        if not any(self._drawn(task) for task in found):
            raise ConfigError(f"'{self.title}': no task is left to train: {'; '.join(self.absent.values())}")
        if self.absent:
            there = ", ".join(task.record.name for task in found)
            log.warning("%s: %d of %d tasks: %s", self.title, len(found), len(self.given), there)
        return found

    @property
    def drawn(self) -> list[TaskDataModule]:
        """The tasks that are trained, without those that are only scored."""
        return [task for task in self.tasks if self._drawn(task)]

    @cached_property
    def members(self) -> list[TaskDataModule]:
        """All data sets that are scored."""
        return [member for task in self.tasks for member in task.members]

    @property
    def title(self) -> str:
        """Its name in results and tables."""
        return self._name

    @property
    def retrieves(self) -> bool:
        """Several tasks are not one retrieval task, even if all of them are."""
        return False

    @property
    def trains(self) -> bool:
        """There is always something to train on."""
        return True

    def specs(self) -> list[dict[str, Any]]:
        """Return plain records for the module: one a task, with its head, labels, languages and weight of its loss."""
        specs = [
            spec | {"loss_weight": self.loss_weights.get(task.record.name, 1.0)}
            for task in self.tasks
            for spec in task.specs()
        ]
        check_heads(specs)
        return specs

    def portions(self, split: str) -> list[Portion]:
        """Return what is read for a split, of all tasks; training rows of those that are drawn."""
        if split == "train":
            return [portion for task in self.drawn for portion in task.portions(split)]
        if split == "test":
            return [portion for member in self.members for portion in test_portions(member)]
        return [portion for task in self.tasks for portion in task.portions(split)]

    def check(self, position_limit: int | None = None, splits: Sequence[str] = SPLITS) -> dict[str, Counter[str]]:
        """Read and check every row that will be used, and name the training examples that two tasks have in common."""
        report: dict[str, Counter[str]] = {}
        for task in self.tasks:
            report |= task.check(position_limit, [split for split in splits if split != "train"])
        if "train" in splits:
            keys: dict[str, list[bytes]] = {}
            for portion in self.portions("train"):
                keys.setdefault(portion.task.name, []).extend(map(content_key, portion.examples()))
                report[portion.name] = portion.counts
            for line in told(repeated(keys), {task: len(own) for task, own in keys.items()}):
                log.warning("%s (%s)", line, {"keep": "they are kept", "remove": "removed there"}[self.duplicates])
        return report

    # ------------------------------------------------------------------ Lightning's part
    def setup(self, stage: str | None = None) -> None:
        """Tokenise what a stage of the trainer needs, task by task."""
        for task in self.tasks:
            task._loaded = self.load_tokenizer()
            task.setup("validate" if stage == "fit" and not self._drawn(task) else stage)

    def parts(self) -> list[Part]:
        """Return the training rows by task and language, once they are set up, without what is to be removed."""
        parts = [part for task in self.drawn for part in task.parts()]
        return self._without_duplicates(parts) if self.duplicates == "remove" else parts

    def order(self, parts: Sequence[Part], place: Place) -> EpochBatches:
        """Return the order of training batches."""
        names = list(dict.fromkeys(part.task.name for part in parts))
        tasks = {task.record.name: task for task in self.tasks}
        outer = self.mixing.among(names)
        mix = Nested({part.name: part.place for part in parts}, outer, {n: tasks[n].sampling for n in names})
        beside = {name: share for name, share in (outer.beside or {}).items() if name in names}
        proper = [part for part in parts if part.task.name not in beside]
        passes = sum(part.steps(place, self._epochs(part)) for part in proper)
        steps = self.steps or ceil(passes * (1 + sum(beside.values())))
        return order_of(parts, mix, place, steps)

    def facts(self, order: EpochBatches, parts: Sequence[Part], place: Place) -> dict[str, Any]:
        """Return what results tell of the training data."""
        return {
            "tasks": len({part.task.name for part in parts}),
            "missing": sorted(self.absent),
            "duplicates": self.duplicates,
            "removed": sum(len(part.features) - len(part) for part in parts),
            "sampling": {key: plain(value) for key, value in vars(self.mixing).items() if value is not None},
            "parts": described(order, parts, place),
        }

    # ------------------------------------------------------------------ within
    def _drawn(self, task: TaskDataModule) -> bool:
        """Say whether a task is trained at all: one of weight 0 is only scored."""
        given = {**(self.mixing.weights or {}), **(self.mixing.beside or {})}
        return given.get(task.record.name, 1.0) > 0

    def _epochs(self, part: Part) -> float:
        return self.epochs.get(part.task.name, 1.0) if isinstance(self.epochs, dict) else self.epochs

    def _evaluation(self, split: str) -> dict[str, DataLoader[list[Feature]]]:
        loaders: dict[str, DataLoader[list[Feature]]] = {}
        for task in self.tasks:
            task.trainer, task._loaded = self.trainer, self.load_tokenizer()
            loaders |= task._evaluation(split)
        return loaders

    def _without_duplicates(self, parts: Sequence[Part]) -> list[Part]:
        """Leave out the features of examples that stand in a task before."""
        portions = self._training()
        keys = {name: [content_key(e) for e in portion.examples()] for name, portion in portions.items()}
        task = {name: portion.task.name for name, portion in portions.items()}  # of which languages may share examples
        gone = {
            name: {i for other, own in others.items() if task[other] != task[name] for i in own}
            for name, others in repeated(keys).items()
        }
        kept = []
        for part in parts:
            out = gone.get(part.name, set())
            indices = part.features.index.tolist()
            own = [position for position, index in enumerate(indices) if index not in out]
            if not own:
                raise DataError(f"{part.name}: all its training examples stand in tasks before it: leave the task out")
            kept.append(replace(part, kept=own) if out else part)
        return kept

    def _training(self) -> dict[str, Portion]:
        return {f"{portion.task.name}/{portion.language}": portion for portion in self.portions("train")}
