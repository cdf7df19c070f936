"""The DataModule every task is: a record, and what turns it into batches."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import LightningDataModule
from torch.utils.data import ConcatDataset, DataLoader, Dataset, DistributedSampler
from transformers import PreTrainedTokenizerFast

from xtransfer.datamodules.cache import FeatureSet, cache_folder
from xtransfer.datamodules.features import features_of, loader, longest_first
from xtransfer.datamodules.members import adopt, check_languages, labels_of_training, present
from xtransfer.datamodules.portion import Portion, known_languages, known_splits, parse_rows
from xtransfer.encoder import load_tokenizer
from xtransfer.errors import ConfigError
from xtransfer.kinds import KINDS, Feature
from xtransfer.sources import locate
from xtransfer.task import POOL, SPLITS, Source, Task


class TaskDataModule(LightningDataModule):
    """Rows of a task, tokenised and batched; training in English, evaluation in every language.

    Args:
        data_dir: Folder with the data sets' own files, one sub-folder a task; without it the hub is read.
        tokenizer: Name or folder of the tokenizer; follows the encoder.
        batch_size: Examples (or windows of a passage) in a training batch.
        eval_batch_size: The same for evaluation; default twice the training batch.
        max_length: Tokens of one input; default the kind's.
        languages: Languages to test in; default all of the task.
        dev_languages: Languages of the development scores; default the training language.
        splits: Which rows serve as what, e.g. ``{train: "train[:3000]", validation: "train[3000:]"}``.
        limit: Read at most so many rows of each split and language.
        folder: Sub-folder of `data_dir` to read in place of the task's name.
        source: Another place to read the rows from, with the columns of the task's record.
        options: Settings of the kind laid over the task's, e.g. ``{stride: 64}``.
        evaluate: Further data sets of the same kind, scored with the head trained here; default those of `also`.
        task: Another record in place of the class's own; a task written in YAML alone.
        cache_dir: Where tokenised features are kept; default the user's cache.
        num_workers: Processes that load batches.

    Attributes:
        trains_on: The task whose training rows, and where this one has none development rows, it takes.
        also: Data sets whose development rows are scored too with the head trained here, where they are there.
    """

    task: ClassVar[Task]
    trains_on: ClassVar[type[TaskDataModule] | None] = None
    also: ClassVar[tuple[type[TaskDataModule], ...]] = ()

    def __init__(
        self,
        data_dir: Path | None = None,
        tokenizer: str | None = None,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        max_length: int | None = None,
        languages: list[str] | None = None,
        dev_languages: list[str] | None = None,
        splits: dict[str, str] | None = None,
        limit: int | None = None,
        folder: str | None = None,
        source: Source | None = None,
        options: dict[str, Any] | None = None,
        evaluate: list[TaskDataModule] | None = None,
        task: Task | None = None,
        cache_dir: Path | None = None,
        num_workers: int | None = None,
    ) -> None:
        super().__init__()
        if task is None and not hasattr(type(self), "task"):
            raise ConfigError(f"{type(self).__name__} has no task record: choose a task, e.g. --data MNLI")
        record = task or type(self).task
        self.record = replace(record, options={**record.options, **(options or {})})
        self.data_dir, self.tokenizer, self.max_length = data_dir, tokenizer, max_length
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.limit, self.folder, self.source = limit, folder, source
        self.cache_dir, self.num_workers = cache_dir, num_workers
        KINDS[self.record.kind].check(self.record)
        self.splits = known_splits(self.record, splits or {})
        self.languages = known_languages(self.record, languages or list(self.record.languages))
        default = list(self.record.train_languages) or self.languages
        self.dev_languages = known_languages(self.record, dev_languages or default)
        self.evaluate, self._by_default = evaluate or [], evaluate is None
        if evaluate is None:
            self.evaluate = [cls(splits={"test": "validation"}) for cls in self.also]
        for member in self.evaluate:
            adopt(self, member)
        self.sets: dict[tuple[str, str, str], FeatureSet] = {}
        self._loaded: PreTrainedTokenizerFast | None = None

    # ------------------------------------------------------------------ what there is
    @cached_property
    def members(self) -> list[TaskDataModule]:
        """This task and the further ones it is evaluated on; of those it names by default, the ones that are there."""
        return [self, *(member for member in self.evaluate if not self._by_default or present(member))]

    @property
    def trains(self) -> bool:
        """Whether there is anything to train on (retrieval by nearest neighbour needs no training)."""
        return bool(self.record.train_languages) and self._has("train", self.record.train_languages[0])

    @property
    def calibrates(self) -> bool:
        """Whether a threshold is chosen on development rows, although nothing is trained."""
        return not self.trains and KINDS[self.record.kind].calibrates(self.record.spec())

    def specs(self) -> list[dict[str, Any]]:
        """Return plain records for the module: one a task, with its head, labels and languages.

        Raises:
            DataError: The labels are those of the training rows, and these cannot be read.
        """
        self._name_labels()
        head = self.record.head or self.record.name
        return [
            member.record.spec()
            | {"head": head, "languages": member.languages, "dev_languages": member._dev_languages(self)}
            for member in self.members
        ]

    def portions(self, split: str) -> list[Portion]:
        """Return what is read for a split: training rows of this task, evaluation rows of all members."""
        self._name_labels()
        if split == "train":
            return [self.portion(split, language) for language in self.record.train_languages if self.trains]
        if split == "validation":
            return [self.portion(split, language) for language in self._dev_languages(self)]
        return [portion for member in self.members for portion in member._test_portions()]

    def check(self, position_limit: int | None = None, splits: Sequence[str] = SPLITS) -> dict[str, Counter[str]]:
        """Read and check every row that will be used, before anything is trained.

        Args:
            position_limit: Longest input the encoder takes, in tokens.
            splits: What will be used.

        Returns:
            Counts by portion: rows, rows without label, rows left out.

        Raises:
            ConfigError: A setting is wrong.
            DataError: A file, column or label is; the message names it.
        """
        for member in self.members:
            length = member.length
            if position_limit is not None and length > position_limit:
                raise ConfigError(
                    f"task '{member.record.name}': max_length {length} is more than the {position_limit} tokens the "
                    f"encoder takes; set data.max_length"
                )
            if "test" in splits:
                check_languages(member)
        report = {}
        for portion in [portion for split in splits for portion in self.portions(split)]:
            portion.examples()
            report[portion.name] = portion.counts
        return report

    # ------------------------------------------------------------------ Lightning's part
    def setup(self, stage: str | None = None) -> None:
        """Tokenise what a stage of the trainer needs, or read it from the cache."""
        wanted = {"fit": ("train", "validation"), "validate": ("validation",), "test": ("test",), "predict": ("test",)}
        for split in wanted.get(stage or "", SPLITS):
            for portion in self.portions(split):
                key = (portion.task.name, portion.split, portion.language)
                if key not in self.sets:
                    self.sets[key] = self._features(portion)

    def train_dataloader(self) -> DataLoader[Feature]:
        """Shuffled batches; the order is a pure function of seed, epoch and number of processes."""
        name = self.record.name
        sets: list[Dataset[Feature]] = [self.sets[name, "train", p.language] for p in self.portions("train")]
        data: Dataset[Feature] = ConcatDataset(sets)
        trainer = self.trainer
        sampler: DistributedSampler[Feature] = DistributedSampler(
            data,
            num_replicas=trainer.world_size if trainer else 1,
            rank=trainer.global_rank if trainer else 0,
            shuffle=True,
            seed=int(os.environ.get("PL_GLOBAL_SEED", 0)),
        )
        language = "+".join(self.record.train_languages)
        return loader(data, self.record, language, self.batch_size, sampler, self._pad, self.num_workers or 0)

    def val_dataloader(self) -> dict[str, DataLoader[Feature]] | list[DataLoader[Feature]]:
        """One loader a development language; none where there are no development rows."""
        return self._evaluation("validation") or []

    def test_dataloader(self) -> dict[str, DataLoader[Feature]]:
        """One loader a task and language, named ``xnli/sw``."""
        return self._evaluation("test")

    def predict_dataloader(self) -> dict[str, DataLoader[Feature]]:
        """The same as for testing."""
        return self._evaluation("test")

    # ------------------------------------------------------------------ within
    @property
    def length(self) -> int:
        """Tokens of one input."""
        return self.max_length or self.record.max_length or KINDS[self.record.kind].max_length

    def load_tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer, loaded once."""
        if self._loaded is None:
            self._loaded = load_tokenizer(self.tokenizer or "xlm-roberta-base")
        return self._loaded

    def _name_labels(self) -> None:
        """Take the labels from the training rows, once, where the task has them from there."""
        if self.record.labels_from_train and not self.record.labels:
            labels = labels_of_training(self)
            for member in self.members:
                member.record = replace(member.record, labels=labels)

    @property
    def _pad(self) -> int:
        return int(self.load_tokenizer().pad_token_id)

    def _evaluation(self, split: str) -> dict[str, DataLoader[Feature]]:
        loaders = {}
        for portion in self.portions(split):
            features = self.sets[portion.task.name, portion.split, portion.language]
            task, data = portion.task, longest_first(features)
            pool = f"{POOL}-" * (portion.split == POOL)
            name = f"{task.name}/{pool}{portion.language}"
            size = self.eval_batch_size or 2 * self.batch_size
            loaders[name] = loader(data, task, portion.language, size, None, self._pad, self.num_workers or 0)
        return loaders

    def _features(self, portion: Portion) -> FeatureSet:
        length = next(m.length for m in self.members if m.record.name == portion.task.name)
        return features_of(portion, self.load_tokenizer(), length, cache_folder(self.cache_dir))

    def portion(self, split: str, language: str) -> Portion:
        """Return what is read for a split in one language.

        Raises:
            ConfigError: The task has no such rows.
            DataError: Their files are not there.
        """
        rows = self.splits.get(split) or self._default_rows(split, language)
        wanted = parse_rows(rows, self.record.name)[0]
        provider = self._provider(wanted, language)
        if provider is None:
            raise ConfigError(f"task '{self.record.name}' has no '{wanted}' rows, for '{split}'")
        own = provider is self.record
        folder = None
        if self.data_dir is not None:
            folder = Path(self.data_dir) / ((self.folder if own else None) or provider.name)
        source = self.source if own and self.source else locate(provider, wanted, language, folder)
        # Rows of the task trained on play the roles of its record, under this task's name and settings.
        labels = self.record.labels if provider.labels_from_train else provider.labels
        task = replace(provider, name=self.record.name, options=self.record.options, labels=labels)
        return Portion(task, split, language, source, folder, rows, self.limit)

    def _test_portions(self) -> list[Portion]:
        """Return the pool that all languages share, if there is one, and each language's rows."""
        pool = [self.portion(POOL, language) for language in self.record.pool]
        return pool + [self.portion("test", language) for language in self.languages]

    def _default_rows(self, split: str, language: str) -> str:
        """Return the split of that name; tasks without (labelled) test rows are tested on their development rows."""
        return "validation" if split == "test" and self._provider(split, language) is None else split

    def _provider(self, wanted: str, language: str) -> Task | None:
        """Return the record whose rows serve as a split: this task's, or that of the task it is trained on.

        Training rows are those of the other task, development rows too where this one has none in that language.
        """
        own = self.record if (self.source or self.record).declares(wanted) else None
        if self.trains_on is None or wanted in ("test", POOL):
            return own
        speaks = own is not None and language in self.record.languages
        return own if wanted == "validation" and speaks else self.trains_on.task

    def _has(self, split: str, language: str) -> bool:
        rows = self.splits.get(split, split)
        return self._provider(parse_rows(rows, self.record.name)[0], language) is not None

    def _dev_languages(self, parent: TaskDataModule) -> list[str]:
        if self is not parent or not (self.trains or self.calibrates):
            return []
        return [language for language in self.dev_languages if self._has("validation", language)]
