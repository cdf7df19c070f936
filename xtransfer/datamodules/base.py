"""The DataModule every task is: a record, and what turns it into batches."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from xtransfer.datamodules.budget import TOKENS, Budget
from xtransfer.datamodules.cache import cache_folder
from xtransfer.datamodules.features import BatchesOf, evaluation_loaders, features_of
from xtransfer.datamodules.flat import FeatureSet
from xtransfer.datamodules.loading import loading_of
from xtransfer.datamodules.lookup import developed_in, has, portion_of, test_portions, tested_in
from xtransfer.datamodules.members import adopt, check_languages, name_labels, present
from xtransfer.datamodules.mixture import Part, Place, described, order_of, place_of, progress_of, training_loader
from xtransfer.datamodules.portion import Portion, known_languages, known_splits, refuse_empty, trained_in
from xtransfer.encoder import load_tokenizer
from xtransfer.errors import ConfigError
from xtransfer.kinds import KINDS, Feature, Vocabulary
from xtransfer.samplers import EpochBatches, Nested, Sampling
from xtransfer.task import SPLITS, Source, Task


class TaskDataModule(LightningDataModule):
    """Rows of a task, tokenised and batched; training in English, evaluation in every language.

    Args:
        data_dir: Folder with the data sets' own files, one sub-folder a task; without it the hub is read.
        tokenizer: Name or folder of the tokenizer; follows the encoder.
        batch_size: Examples (or windows of a passage) in a training batch; default 32.
        eval_batch_size: Most of them in an evaluation batch; default as many as `eval_tokens` allows.
        max_length: Tokens of one input; default the kind's.
        languages: Languages to test in; default all of the task that are there, for `MLM` those it is trained in.
        dev_languages: Languages of the development scores; default the training language.
        splits: Which rows serve as what, e.g. ``{train: "train[:3000]", validation: "train[3000:]"}``.
        limit: Read at most so many rows of each split and language.
        folder: Sub-folder of `data_dir` to read in place of the task's own.
        source: Another place to read the rows from, with the columns of the task's record.
        train_languages: Languages to train in; default English. In others rows are its own, or `translations`.
        translations: Where training rows in other languages lie, with the columns of the training task's record.
        sampling: How often each training language is drawn, by its code; default in proportion to size.
        shots: Train on so many examples a language, drawn by `seed`, of each label as many.
        options: Settings of the kind laid over the task's, e.g. ``{stride: 64}``.
        evaluate: Further data sets of the same kind, scored with the head trained here; default those of `also`.
        task: Another record in place of the class's own; a task written in YAML alone.
        cache_dir: Where tokenised features are kept; default the user's cache.
        num_workers: Processes that load batches; default none on a CPU, up to 4 for each GPU.
        seed: The run's seed; the command line fills this in.
        eval_tokens: Most tokens in an evaluation batch, padding and repeated texts not counted; default 4096.

    Attributes:
        mix: How often each training language is drawn where nothing else is said.
        trains_on: The task whose training rows, and where this one has none development rows, it takes.
        also: Data sets whose development rows are scored too with the head trained here, where they are there.
    """

    task: ClassVar[Task]
    trains_on: ClassVar[type[TaskDataModule] | None] = None
    also: ClassVar[tuple[type[TaskDataModule], ...]] = ()
    mix: ClassVar[Sampling] = Sampling()

    def __init__(
        self,
        data_dir: Path | None = None,
        tokenizer: str | None = None,
        batch_size: int | None = None,
        eval_batch_size: int | None = None,
        max_length: int | None = None,
        languages: list[str] | None = None,
        dev_languages: list[str] | None = None,
        splits: dict[str, str] | None = None,
        limit: int | None = None,
        folder: str | None = None,
        source: Source | None = None,
        train_languages: list[str] | None = None,
        translations: Source | None = None,
        sampling: Sampling | None = None,
        shots: int | None = None,
        options: dict[str, Any] | None = None,
        evaluate: list[TaskDataModule] | None = None,
        task: Task | None = None,
        cache_dir: Path | None = None,
        num_workers: int | None = None,
        seed: int | None = None,
        eval_tokens: int | None = None,
    ) -> None:
        super().__init__()
        if task is None and not hasattr(type(self), "task"):
            raise ConfigError(f"{type(self).__name__} has no task record: choose a task, e.g. --data MNLI")
        refuse_empty(languages=languages, dev_languages=dev_languages, train_languages=train_languages)
        self.original = record = task or type(self).task
        record = trained_in(record, train_languages, bool(translations or source), sampling)
        self.record = replace(record, options={**record.options, **(options or {})})
        self.data_dir, self.tokenizer, self.max_length = data_dir, tokenizer, max_length
        self.batch_size, self.eval_batch_size, self.eval_tokens = batch_size, eval_batch_size, eval_tokens
        self.limit, self.folder, self.source, self.translations = limit, folder, source, translations
        self.sampling, self.shots = sampling or self.mix, shots
        self.cache_dir, self.num_workers, self.seed = cache_dir, num_workers, seed
        KINDS[self.record.kind].check(self.record)
        self.splits = known_splits(self.record, splits or {})
        self.named = known_languages(self.record, languages or [])
        self.dev_languages = known_languages(self.record, dev_languages or developed_in(self))
        self._by_default = evaluate is None
        self.evaluate = [cls(splits={"test": "validation"}) for cls in self.also] if evaluate is None else evaluate
        for member in self.evaluate:
            adopt(self, member)
        self.sets: dict[tuple[str, str, str], FeatureSet] = {}
        self.training: Mapping[str, Any] = {}
        self.entered = progress_of(None)
        self._loaded: PreTrainedTokenizerFast | None = None

    # ------------------------------------------------------------------ what there is
    @cached_property
    def members(self) -> list[TaskDataModule]:
        """This task and the further ones it is evaluated on; of those it names by default, the ones that are there."""
        return [self, *(member for member in self.evaluate if not self._by_default or present(member))]

    @property
    def languages(self) -> list[str]:
        """Languages to test in: those that were named, or all of the task's that its rows on the hub are in."""
        return self.named or tested_in(self)

    @property
    def title(self) -> str:
        """Its name in results and tables."""
        return self.record.name

    @property
    def retrieves(self) -> bool:
        """Whether it is a retrieval task."""
        return self.record.kind == "retrieval"

    @property
    def trains(self) -> bool:
        """Whether there is anything to train on (retrieval by nearest neighbour needs no training)."""
        return bool(self.record.train_languages) and has(self, "train", self.record.train_languages[0])

    @property
    def calibrates(self) -> bool:
        """Whether a threshold is chosen on development rows, although nothing is trained."""
        return not self.trains and KINDS[self.record.kind].calibrates(self.record.spec())

    def specs(self) -> list[dict[str, Any]]:
        """Return plain records for the module: one a task, with its head, labels and languages.

        Raises:
            DataError: The labels are those of the training rows, and these cannot be read.
        """
        name_labels(self)
        head = self.record.head or self.record.name
        return [
            member.record.spec()
            | {"head": head, "languages": member.languages, "dev_languages": member._dev_languages(self)}
            for member in self.members
        ]

    def portions(self, split: str) -> list[Portion]:
        """Return what is read for a split: training rows of this task, evaluation rows of all members."""
        name_labels(self)
        if split == "train":
            return [self.portion(split, language) for language in self.record.train_languages if self.trains]
        if split == "validation":
            return [self.portion(split, language) for language in self._dev_languages(self)]
        return [portion for member in self.members for portion in test_portions(member)]

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
        length, folder = {m.record.name: m.length for m in self.members}, cache_folder(self.cache_dir)
        for split in wanted.get(stage or "", SPLITS):
            for portion in self.portions(split):
                key = (portion.task.name, portion.split, portion.language)
                if key not in self.sets:
                    self.sets[key] = features_of(portion, self.load_tokenizer(), length[key[0]], folder)

    def train_dataloader(self) -> DataLoader[tuple[Part, Feature]]:
        """Shuffled batches of one language each; their order is a pure function of seed, epoch and processes."""
        place, parts = place_of(self.trainer, self.run_seed, self.entered), self.parts()
        order = self.order(parts, place)
        self.training = self.facts(order, parts, place)
        loading = loading_of(self.trainer, self.num_workers)
        return training_loader(parts, order, place, Vocabulary.of(self.load_tokenizer()), loading)

    def val_dataloader(self) -> dict[str, DataLoader[list[Feature]]] | list[DataLoader[list[Feature]]]:
        """One loader a development language; none where there are no development rows."""
        return self._evaluation("validation") or []

    def test_dataloader(self) -> dict[str, DataLoader[list[Feature]]]:
        """One loader a task and language, named ``xnli/sw``."""
        return self._evaluation("test")

    predict_dataloader = test_dataloader

    def state_dict(self) -> dict[str, Any]:
        """Return how far the run has come, for its checkpoints."""
        return progress_of(self.trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let training batches begin where a checkpoint was written."""
        self.entered = state_dict

    # ------------------------------------------------------------------ within
    @property
    def length(self) -> int:
        """Tokens of one input."""
        return self.max_length or self.record.max_length or KINDS[self.record.kind].max_length

    @property
    def train_batch(self) -> int:
        """Features in a training batch."""
        return 32 if self.batch_size is None else self.batch_size

    def load_tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer, loaded once."""
        if self._loaded is None:
            self._loaded = load_tokenizer(self.tokenizer or "xlm-roberta-base")
        return self._loaded

    def parts(self) -> list[Part]:
        """Return the training rows by language, once they are set up."""
        name = self.record.name
        languages = [portion.language for portion in self.portions("train")]
        return [Part(self.record, code, self.sets[name, "train", code], self.train_batch) for code in languages]

    def order(self, parts: Sequence[Part], place: Place) -> EpochBatches:
        """Return the order of training batches."""
        mix = Nested({part.name: part.place for part in parts}, Sampling(), {self.record.name: self.sampling})
        return order_of(parts, mix, place)

    def facts(self, order: EpochBatches, parts: Sequence[Part], place: Place) -> dict[str, Any]:
        """Return what results tell of the training data, besides the task's name."""
        languages = {"languages": [part.language for part in parts], "parts": described(order, parts, place)}
        shots = {"shots": self.shots, "shots_seed": self.run_seed} if self.shots else {}
        return shots | (languages if self.record.train_languages != self.original.train_languages else {})

    @property
    def run_seed(self) -> int:
        """The run's seed."""
        return int(os.environ.get("PL_GLOBAL_SEED", 0)) if self.seed is None else self.seed

    def _evaluation(self, split: str) -> dict[str, DataLoader[list[Feature]]]:
        place = place_of(self.trainer, self.run_seed, self.entered)
        budget = Budget(self.eval_tokens or TOKENS, self.eval_batch_size)
        batches = BatchesOf(budget, self.load_tokenizer().pad_token_id, loading_of(self.trainer, self.num_workers))
        found = [(p, self.sets[p.task.name, p.split, p.language]) for p in self.portions(split)]
        return evaluation_loaders(found, batches, place.rank, place.world_size)

    def portion(self, split: str, language: str) -> Portion:
        """Return what is read for a split in one language.

        Raises:
            ConfigError: The task has no such rows.
            DataError: Their files are not there.
        """
        return portion_of(self, split, language)

    def _dev_languages(self, parent: TaskDataModule) -> list[str]:
        if self is not parent or not (self.trains or self.calibrates):
            return []
        return [language for language in self.dev_languages if has(self, "validation", language)]
