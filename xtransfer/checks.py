"""What is checked of a stage before anything is trained, beyond its keys and types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PretrainedConfig

from xtransfer.adapters import check_adapters
from xtransfer.config import Stage
from xtransfer.datamodules import TaskDataModule
from xtransfer.encoder import check_tokenizer, load_config, position_limit
from xtransfer.errors import ConfigError, nearest
from xtransfer.kinds import KINDS
from xtransfer.parts import PARTS
from xtransfer.results import LESS_IS_BETTER
from xtransfer.stage_cli import StageCLI


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
    for name in ("batch_size", "eval_batch_size", "eval_tokens", "max_length", "limit"):
        value = getattr(data, name)
        if value is not None and value < 1:
            raise ConfigError(f"task '{data.record.name}': {name} must be at least 1, found {value}")


def _check_names(what: str, names: Sequence[str] | dict[str, object], known: Sequence[str] | set[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{what} '{name}'{nearest(name, known)}")
