"""What a stage would cost, and what it depends on, looked at without building a model; alike stages are read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from transformers import PreTrainedTokenizerFast

from xtransfer.checks import check_stage
from xtransfer.config import Stage
from xtransfer.costs import Counted, batches_and_looks, counted, steps_of, tokens_a_step
from xtransfer.datamodules import TaskDataModule
from xtransfer.datamodules.cache import cache_folder
from xtransfer.datamodules.determinants import lengths, rows_of
from xtransfer.datamodules.flat import FeatureSet
from xtransfer.datamodules.mixture import Place
from xtransfer.datamodules.multitask import MultiTask
from xtransfer.datamodules.portion import Portion
from xtransfer.identity import digest, dumped, scoring_facts, training_facts
from xtransfer.stage_cli import StageCLI, data_of, parse, seed_of_run
from xtransfer.steps import origins_of, wanted_of


class Cost(NamedTuple):
    """What a stage costs, in tokens without padding.

    Attributes:
        training: Tokens trained on.
        looking: Tokens of development rows scored meanwhile.
        scoring: Tokens of all rows that its model is scored on in the end.
        steps: Optimisation steps.
        sampled: Portions of which not all rows were counted.
    """

    training: float
    looking: float
    scoring: float
    steps: int
    sampled: tuple[str, ...]


class Look(NamedTuple):
    """What is known of a stage before anything is built.

    Attributes:
        task: What it trains on, or is scored on.
        trains: Whether it trains.
        encoder: Name of its encoder.
        facts: What its weights depend on, besides those it starts from.
        scoring: What its scores depend on besides.
        processes: How many processes train it.
        cost: What it costs.
    """

    task: str
    trains: bool
    encoder: str
    facts: Mapping[str, Any]
    scoring: Mapping[str, Any]
    processes: int
    cost: Cost


class StageReader:
    """Looks at stages; those with the same settings are parsed once, rows they share are read once."""

    def __init__(self) -> None:
        self._looks: dict[str, Look] = {}
        self._costs: dict[str, Cost] = {}
        self._counted: dict[str, Counted] = {}
        self._tokenizers: dict[str, PreTrainedTokenizerFast] = {}

    def look(self, stage: Stage, folder: Path) -> Look:
        """Return what is known of a stage.

        Args:
            stage: The stage.
            folder: Its folder, where nothing is written.

        Raises:
            ConfigError: A setting is wrong.
            DataError: Rows are missing or broken.
        """
        settings = [stage.config, stage.select, stage.parts, stage.adapters]
        key = json.dumps(settings, sort_keys=True, default=str)
        if key not in self._looks:
            self._looks[key] = self._look(stage, parse(stage, folder))
        return self._looks[key]

    def _look(self, stage: Stage, cli: StageCLI) -> Look:
        data, encoder = data_of(cli), str(cli.config.model.encoder)
        if encoder not in self._tokenizers:
            self._tokenizers[encoder] = data.load_tokenizer()
        data._loaded = self._tokenizers[encoder]
        check_stage(stage, cli, data)
        facts = training_facts(stage, cli, data)
        scoring = scoring_facts(stage, cli, origins_of(data, wanted_of(data)))
        config = dumped(cli)
        unseeded = {name: value for name, value in config.items() if name != "seed_everything"}
        key = digest({"config": unseeded, "select": stage.select})
        if key not in self._costs:
            self._costs[key] = self._cost(cli, data)
        return Look(data.title, data.trains, encoder, facts, scoring, processes_of(cli), self._costs[key])

    def _cost(self, cli: StageCLI, data: TaskDataModule) -> Cost:
        found = {split: self._portions(data, split) for split in wanted_of(data)}
        sampled = [name for own in found.values() for name, counted in own.items() if counted.sampled]
        tokens = {split: sum(counted.tokens for counted in own.values()) for split, own in found.items()}
        scoring = tokens.get("validation", 0.0) + tokens.get("test", 0.0)
        if not data.trains:
            return Cost(0.0, 0.0, scoring, 0, tuple(sampled))
        trainer = dumped(cli)["trainer"]
        epochs = 1 if trainer.get("max_epochs") in (None, -1) else trainer["max_epochs"]
        accumulate = trainer.get("accumulate_grad_batches", 1)
        place = Place(seed_of_run(cli.config.seed_everything), 0, processes_of(cli), accumulate, epochs)
        if isinstance(data, MultiTask) and data.duplicates == "remove":
            data.duplicates = "keep"  # finding them takes all rows; they are counted
            sampled.append("duplicates")
        parts = data.parts()
        order = data.order(parts, place)
        batches, looks = batches_and_looks(trainer, len(order))
        steps = steps_of(batches, len(order), accumulate)
        training = steps * tokens_a_step(order, parts, place)
        return Cost(training, looks * tokens.get("validation", 0.0), scoring, steps, tuple(sampled))

    def _portions(self, data: TaskDataModule, split: str) -> dict[str, Counted]:
        """Count a split's portions, and let them stand in for its features."""
        length, found = lengths(data), {}
        for portion in data.portions(split):
            features = self._count(portion, data, length[portion.task.name])
            found[portion.name] = features
            data.sets[portion.task.name, portion.split, portion.language] = cast(FeatureSet, features)
        return found

    def _count(self, portion: Portion, data: TaskDataModule, length: int) -> Counted:
        tokenizer = data.load_tokenizer()
        about = {"length": length, "train": portion.split == "train", "encoder": data.tokenizer}
        key = digest(rows_of(portion) | about)
        if key not in self._counted:
            self._counted[key] = counted(portion, tokenizer, length, cache_folder(data.cache_dir))
        return self._counted[key]


def processes_of(cli: StageCLI) -> int:
    """Return how many processes a stage would be trained by on this machine."""
    trainer = cli.config.trainer
    devices, on_gpu = trainer.devices, trainer.accelerator in ("auto", "gpu", "cuda")
    if isinstance(devices, int) and devices > 0:
        return int(devices * trainer.num_nodes)
    if isinstance(devices, list):
        return int(len(devices) * trainer.num_nodes)
    return max(1, torch.cuda.device_count() if on_gpu else 1) * int(trainer.num_nodes)
