"""The cells of a sweep: an ordinary run for each combination of the axes' values."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from xtransfer.config import NAME, Plan, Stage, expand
from xtransfer.config_files import composed, find, merge
from xtransfer.errors import ConfigError, nearest

Axes = Mapping[str, Sequence[Any]]
"""Dotted name of a setting -> its values, e.g. ``{"stages.mnli": ["MNLI", None], "seed_everything": [1, 2]}``."""

Pairs = list[tuple[str, Any]]
NONE = "none"
LONGEST = 57
"""Characters of a cell's name, which is that of a folder; a digest of seven more may follow."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        name: Its name, made of the axes' values; also that of the run.
        values: Axis -> its value here, as the name says it.
        plan: The run.
        stages: Stage -> digest of all that the configuration says of its training, what it starts from included.
    """

    name: str
    values: Mapping[str, str]
    plan: Plan
    stages: Mapping[str, str]

    @property
    def folders(self) -> dict[str, Path]:
        """The folders of its stages."""
        return {stage.name: self.plan.folder / f"{stage.number}-{stage.name}" for stage in self.plan.stages}

    def document(self) -> str:
        """Return the run's configuration as YAML, complete: `expand` makes the same plan of it."""
        head: dict[str, Any] = {"name": self.plan.name, "out_dir": str(self.plan.out_dir)}
        if self.plan.store is not None:
            head["store"] = str(self.plan.store)
        told = ", ".join(f"{axis}: {value}" for axis, value in self.values.items())
        whole = head | {"stages": {stage.name: _block(stage) for stage in self.plan.stages}}
        return f"# A cell of a sweep; {told}.\n" + yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)


def cells_of(
    config: Mapping[str, Any], axes: Axes, folder: Path, overrides: Sequence[tuple[str, Any]] = ()
) -> list[Cell]:
    """Return the cells of a sweep, the last axis changing fastest.

    A stage's value is the name of a task, which becomes its data, settings that are laid over its own, a configuration
    file of one stage, which takes its place, or nothing, which leaves it out. Any other value is a setting; a mapping
    is laid over the one that is there.

    Args:
        config: What the cells have in common.
        axes: What differs.
        folder: The sweep's folder.
        overrides: Settings laid over the configuration, but not over the axes.

    Raises:
        ConfigError: An axis names no stage, has no values, or has one twice; or a cell is no run.
    """
    given = {key for key, _ in overrides}
    for axis, values in axes.items():
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise ConfigError(f"axes.{axis}: expected a list of values, e.g. [1, 2, 3], found {values!r:.60}")
        if axis in given:
            raise ConfigError(f"--{axis} is given, but it is an axis: its values are {values!r:.60}")
        if axis in ("name", "out_dir", "store"):
            raise ConfigError(f"axes.{axis}: where a cell is kept follows from the sweep's folder")
    if not axes:
        raise ConfigError("a sweep needs axes: --axes.seed_everything '[1, 2, 3]', or `axes` in its configuration")
    named = [list(zip(_names(axis, values), values, strict=True)) for axis, values in axes.items()]
    cells, combinations = [], list(itertools.product(*named))
    joined = ["-".join(short for short, _ in combination) for combination in combinations]
    names = _distinct([_fitting(name) for name in joined], [_text(combination) for combination in combinations])
    for name, combination in zip(names, combinations, strict=True):
        chosen = dict(zip(axes, combination, strict=True))
        told = {axis: short for axis, (short, _) in chosen.items()}
        try:
            plan = _plan(config, {axis: value for axis, (_, value) in chosen.items()}, folder, overrides, name)
        except ConfigError as error:
            raise ConfigError(f"cell '{name}': {error}") from error
        cells.append(Cell(name, told, plan, _digests(plan)))
    return cells


def _plan(
    config: Mapping[str, Any], values: Mapping[str, Any], folder: Path, overrides: Sequence[tuple[str, Any]], name: str
) -> Plan:
    """Return the run of a cell."""
    whole = copy.deepcopy(dict(config))
    pairs = [*overrides]
    for axis, value in values.items():
        head, _, rest = axis.partition(".")
        if head == "stages" and rest and "." not in rest:
            whole["stages"] = _with_stage(whole.get("stages"), rest, value)
        else:
            pairs += _flat(axis, value)
    pairs += [("name", name), ("out_dir", str(folder / "runs"))]
    if "store" not in whole and "store" not in dict(overrides):
        pairs.append(("store", str(folder / "store")))
    return expand(whole, pairs)


def _with_stage(blocks: Any, name: str, value: Any) -> dict[Any, Any]:
    """Return the stages with a value of an axis in place of, or over, one of them."""
    if not isinstance(blocks, Mapping) or name not in blocks:
        known = map(str, blocks) if isinstance(blocks, Mapping) else ()
        raise ConfigError(f"axes.stages.{name}: no stage '{name}'{nearest(name, known)}")
    own = _settings(blocks[name])
    if isinstance(value, str) and value.endswith((".yaml", ".yml")):
        block: Any = _only_stage(value)
    elif isinstance(value, str):
        block = {**own, "data": {"class_path": value}}
    elif value is None or isinstance(value, Mapping):
        block = None if value is None else merge(own, _settings(value))
    else:
        raise ConfigError(f"axes.stages.{name}: expected a task, settings, a file or null, found {value!r:.60}")
    return {key: block if key == name else other for key, other in blocks.items()}


def _settings(block: Any) -> dict[str, Any]:
    """Return a stage's settings, its data written out as a block."""
    block = {"data": block} if isinstance(block, str) else dict(block or {})
    return {k: {"class_path": v} if k == "data" and isinstance(v, str) else v for k, v in block.items()}


def _only_stage(file: str) -> dict[str, Any]:
    """Return the settings of the stage that a configuration file has, what it shares between stages left out.

    Raises:
        ConfigError: It has none, or several.
    """
    stages = composed(find(file)[0]).get("stages")
    if not isinstance(stages, Mapping) or len(stages) != 1:
        raise ConfigError(f"{file}: a value of a stage's axis is a file of one stage, found {list(stages or ())}")
    return _settings(next(iter(stages.values())))


def _flat(axis: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield settings one by one, so that a mapping is laid over what is there; a class is set as a whole."""
    if isinstance(value, Mapping) and "class_path" not in value:
        for key, inner in value.items():
            yield from _flat(f"{axis}.{key}", inner)
    else:
        yield axis, value


def _names(axis: str, values: Sequence[Any]) -> list[str]:
    """Return the names of an axis' values; those of one name get a digest besides.

    Raises:
        ConfigError: A value is there twice.
    """
    if twice := [text for text, times in Counter(map(_text, values)).items() if times > 1]:
        raise ConfigError(f"axes.{axis}: {twice[0]:.60} is there twice")
    return _distinct([_name(axis, value) for value in values], [_text(value) for value in values])


def _distinct(names: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return names that name different folders also where case does not count: a digest is added to equal ones."""
    often = {name for name, times in Counter(name.lower() for name in names).items() if times > 1}
    return [f"{n}-{_digest(text, 6)}" if n.lower() in often else n for n, text in zip(names, texts, strict=True)]


def _name(axis: str, value: Any) -> str:
    head, _, key = axis.rpartition(".")
    if head == "stages":
        data = value.get("data") if isinstance(value, Mapping) else value
        data = data.get("class_path") if isinstance(data, Mapping) else data
        if isinstance(data, str):
            return _plain(Path(data).stem if data.endswith((".yaml", ".yml")) else data.rpartition(".")[2])
        if value is None:
            return NONE
    if isinstance(value, Mapping) and "class_path" in value:
        return _plain(str(value["class_path"]).rpartition(".")[2])
    if isinstance(value, Mapping):
        return _plain("-".join(f"{k.rpartition('.')[2]}{v}" for k, v in _flat("", value)))
    if isinstance(value, str):
        return _plain(Path(value).stem if key == "encoder" else value)
    return _plain(f"{key.removesuffix('_everything')}{NONE if value is None else value}")


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.") or "value"


def _fitting(name: str) -> str:
    """Return a name that can be a folder's: cut, with a digest, where it is too long."""
    name = name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{_digest(name, 8)}"
    assert NAME.match(name), name
    return name


def _block(stage: Stage) -> dict[str, Any]:
    """Return a stage's settings, all of them its own."""
    block = copy.deepcopy(stage.config)
    block["init"] = None
    if stage.start is not None or stage.parts:
        block["init"] = {"from": stage.start, "parts": list(stage.parts), "adapters": stage.adapters}
    block["select"] = stage.select
    return block | {"checkpoint": dict(stage.checkpoint)} | ({"protocol": stage.protocol} if stage.protocol else {})


def _digests(plan: Plan) -> dict[str, str]:
    """Return stage -> digest of what the configuration says of it and of the stages before."""
    digests: dict[str, str] = {}
    for stage in plan.stages:
        block = _block(stage) | {"init": [digests.get(stage.start or ""), stage.parts, stage.adapters]}
        digests[stage.name] = _digest(_text(block), 16)
    return digests


def looks_alike(stage: Stage) -> str:
    """Return a digest that stages have in common whose settings need to be checked only once: all but the seed."""
    block = _block(replace(stage, config={k: v for k, v in stage.config.items() if k != "seed_everything"}))
    return _digest(_text(block if stage.adapters != "merge" else block | {"init": list(stage.parts)}), 16)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
