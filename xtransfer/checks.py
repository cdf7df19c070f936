"""What is checked of a stage before anything is trained, beyond its keys and types."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from transformers import PretrainedConfig

from xtransfer.adapters import check_adapters
from xtransfer.config import Stage
from xtransfer.datamodules import TaskDataModule
from xtransfer.encoder import check_tokenizer, load_config, position_limit
from xtransfer.errors import ConfigError, nearest
from xtransfer.kinds import KINDS
from xtransfer.optimizer import check_layer_decay
from xtransfer.parts import PARTS
from xtransfer.results import LESS_IS_BETTER
from xtransfer.stage_cli import StageCLI

LEAST: Mapping[str, float] = {
    **{f"model.{name}": 0.0 for name in ("lr", "head_lr", "weight_decay", "warmup", "adam_epsilon")},
    "trainer.gradient_clip_val": 0.0,
    "trainer.accumulate_grad_batches": 1,
}
"""The least that settings may be."""
TRIED = (
    *("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "overfit_batches", "val_check_interval"),
    *("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches"),
    *("check_val_every_n_epoch", "num_sanity_val_steps", "log_every_n_steps", "accumulate_grad_batches"),
    *("gradient_clip_val", "gradient_clip_algorithm", "reload_dataloaders_every_n_epochs"),
)
"""Settings that a trainer refuses whatever it runs on."""


def check_stage(stage: Stage, cli: StageCLI, data: TaskDataModule) -> int:
    """Check a stage's settings against its encoder and data.

    Args:
        stage: The stage.
        cli: Its parsed configuration.
        data: Its DataModule, not set up.

    Returns:
        The longest input the encoder takes, in tokens.

    Raises:
        ConfigError: A layer, head, score or part does not exist, a size is no size, a language cannot be scored, or
            the tokenizer does not fit, or adapters do not.
    """
    if stage.start and not stage.parts:
        raise ConfigError("init.parts is empty: name what is taken over from the stage before, or set init: null")
    _check_numbers(cli.config)
    model = cli.config.model
    config = load_config(model.encoder)
    check_tokenizer(data.load_tokenizer(), config.vocab_size, model.encoder, config)
    for name in ("layer", "freeze_layers"):
        _check_depth(name, model[name], config)
    if model.adapters is not None:
        check_adapters(model.adapters, model.encoder, config)
    for member in data.members:
        _check_sizes(member)
    specs = data.specs()
    for spec in specs:
        _check_main(spec)
        for language in (*spec["dev_languages"], *spec["languages"]):
            KINDS[spec["kind"]].metric(spec, language)  # refuses what it could not score
    _check_names("model.heads: no head", model.heads or {}, {spec["head"] for spec in specs})
    parts = (*PARTS, *(f"heads/{spec['head']}" for spec in specs))
    _check_names("init.parts: unknown part", stage.parts, parts)
    if stage.select not in ("best", "last"):
        scores = [
            f"val/{spec['name']}/{score}/{language}"
            for spec in specs
            for score in KINDS[spec["kind"]].metric(spec).variant
            if score not in LESS_IS_BETTER
            for language in (*spec["dev_languages"], "mean")
            if spec["dev_languages"]
        ]
        _check_names("select: no score", [stage.select], scores)
    return position_limit(config)


def _check_main(spec: Mapping[str, Any]) -> None:
    """Refuse a main score that the task does not have, or by which the worst model would be taken for the best."""
    kind = KINDS[spec["kind"]]
    named, where = kind.main_score(spec), f"task '{spec['name']}': metric: no score"
    _check_names(where, [named], [score for score in kind.metric(spec).variant if score not in LESS_IS_BETTER])


def _check_depth(name: str, value: int | None, config: PretrainedConfig) -> None:
    depth = config.num_hidden_layers
    if value is not None and not 0 <= value <= depth:
        raise ConfigError(f"model.{name}: the encoder has layers 0 (embeddings) to {depth}, found {value}")


def _check_sizes(data: TaskDataModule) -> None:
    for name in ("batch_size", "eval_batch_size", "eval_tokens", "max_length", "limit", "shots"):
        value = getattr(data, name, None)
        if value is not None and value < 1:
            raise ConfigError(f"task '{data.record.name}': {name} must be at least 1, found {value}")
    if data.num_workers is not None and data.num_workers < 0:
        raise ConfigError(f"task '{data.record.name}': num_workers must not be negative, found {data.num_workers}")


def _check_numbers(config: Any) -> None:
    """Refuse what would train in vain or fail once it does; the trainer's own settings are tried on a trainer.

    Raises:
        ConfigError: A number is out of range, or the trainer refuses it.
    """
    for name, least in LEAST.items():
        value = config.get(name)
        if value is not None and not value >= least:  # a NaN is neither
            raise ConfigError(f"{name} must be at least {least:g}, found {value}")
    check_layer_decay(config.model.layer_decay)
    trainer = config.trainer
    for name in ("limit_train_batches", "val_check_interval"):
        value = trainer.get(name)
        if isinstance(value, int | float) and not value > 0:
            raise ConfigError(f"trainer.{name} must be above 0, found {value}")
    if isinstance(trainer.get("devices"), int) and (trainer.devices == 0 or trainer.devices < -1):
        raise ConfigError(f"trainer.devices must be a number of devices, or -1 for all, found {trainer.devices}")
    # On the CPU, by itself: the machine that plans or submits a run need not be the one that trains.
    tried: dict[str, Any] = {key: trainer.get(key) for key in TRIED if not isinstance(trainer.get(key), Namespace)}
    tried |= {"accelerator": "cpu", "devices": 1, "plugins": [LightningEnvironment()], "logger": False}
    try:
        with _quietly():
            Trainer(**tried, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    except (MisconfigurationException, ValueError, TypeError, ZeroDivisionError) as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Let a trainer that is only tried tell nothing."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def check_heads_left(stage: Stage, own: set[str], left: Sequence[Mapping[str, Any]]) -> None:
    """Check that the stage a stage starts from has the heads that are taken over.

    Args:
        stage: The stage.
        own: Names of its heads.
        left: Tasks of the stage it starts from.

    Raises:
        ConfigError: It has not.
    """
    there = {spec["head"] for spec in left}
    wanted = own if "heads" in stage.parts else {part.partition("/")[2] for part in stage.parts if "/" in part}
    if missing := sorted(wanted - there):
        told = ", ".join(f"'{name}'" for name in missing)
        raise ConfigError(f"init.parts: stage '{stage.start}' has no head {told}; it has {', '.join(sorted(there))}")


def _check_names(what: str, names: Sequence[str] | dict[str, object], known: Sequence[str] | set[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{what} '{name}'{nearest(name, known)}")
