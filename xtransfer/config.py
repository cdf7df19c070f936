"""From YAML files and command-line settings to stages. Pure: no model, no data, no heavy import."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from xtransfer.config_files import composed, find, merge
from xtransfer.errors import ConfigError, nearest

RUN_KEYS = ("stages", "name", "out_dir", "store")
STAGE_KEYS = ("init", "select", "protocol", "checkpoint")
CHECKPOINT = {"every_steps": 1000, "keep": 2, "background": True}
"""How often a snapshot of training is written, in optimisation steps, how many are kept, and whether training goes on
while it is written."""
ADAPTERS = ("merge", "keep", "drop")
NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")


@dataclass(frozen=True)
class Stage:
    """One step of a run: an ordinary Lightning configuration, and where its weights come from.

    Args:
        name: Its name in the file.
        number: Its place in the run, from 1.
        config: seed_everything, model, data, trainer.
        start: The stage whose weights it starts from; None: the pretrained encoder.
        parts: What it takes over from there.
        select: By which model it ends: ``best``, ``last``, or the name of a score such as ``val/tydiqa/f1/mean``.
        protocol: Name of the published recipe it follows; kept with its results.
        checkpoint: How often snapshots are written, how many are kept, and whether in the background.
        adapters: What becomes of the adapters that were trained in the stage it starts from: they are in the encoder
            (``merge``), are trained on (``keep``), or are left out (``drop``).
    """

    name: str
    number: int
    config: dict[str, Any]
    start: str | None
    parts: tuple[str, ...] = ("encoder",)
    select: str = "best"
    protocol: str = ""
    checkpoint: Mapping[str, int] = field(default_factory=lambda: dict(CHECKPOINT))
    adapters: str = "merge"

    @property
    def how_often(self) -> tuple[int, int]:
        """Optimisation steps between two snapshots, and how many are kept."""
        return self.checkpoint["every_steps"], self.checkpoint["keep"]


@dataclass(frozen=True)
class Plan:
    """A whole run.

    Args:
        name: Its name: that of the file unless the file says otherwise.
        out_dir: Folder that holds the run's folder.
        stages: The stages in order.
        files: The files it was read from.
        store: Folder of trained stages that runs share; None: each run trains its own.
    """

    name: str
    out_dir: Path
    stages: tuple[Stage, ...]
    files: tuple[str, ...] = field(default=())
    store: Path | None = None

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.out_dir / self.name


def assign(config: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a value by its dotted name; below a class, ``init_args`` may be left out.

    Raises:
        ConfigError: A part of the name is no mapping.
    """
    *parents, last = dotted.split(".")
    node: Any = config
    for key in parents:
        if isinstance(node, dict) and "class_path" in node and key not in ("init_args", "class_path"):
            node = node.setdefault("init_args", {})
        if not isinstance(node, dict):
            raise ConfigError(f"--{dotted}: '{key}' is inside a value, not a mapping")
        if node.get(key) is None:
            node[key] = {}
        node = node[key]
    if isinstance(node, dict) and "class_path" in node and last not in ("init_args", "class_path"):
        node = node.setdefault("init_args", {})
    if not isinstance(node, dict):
        raise ConfigError(f"--{dotted}: '{last}' is inside a value, not a mapping")
    node[last] = _class_block(last, value)


def parse_overrides(arguments: Sequence[str]) -> list[tuple[str, Any]]:
    """Read ``--a.b value`` and ``--a.b=value`` into pairs; values are YAML.

    Raises:
        ConfigError: A word is no option, or an option has no value.
    """
    pairs: list[tuple[str, Any]] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise ConfigError(f"'{word}' is no option; settings are written --trainer.max_epochs 1")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not words or words[0].startswith("--"):
                raise ConfigError(f"--{key} has no value")
            value = words.pop(0)
        try:
            pairs.append((key, yaml.safe_load(value)))
        except yaml.YAMLError as error:
            fault = " ".join(str(error).split())
            raise ConfigError(f"--{key}: '{value}' is not readable as YAML: {fault}") from error
    return pairs


def expand(config: Mapping[str, Any], overrides: Sequence[tuple[str, Any]] = (), name: str = "run") -> Plan:
    """Turn a configuration into its stages: each is laid over the shared part; a file without stages is one.

    Args:
        config: The file's content.
        overrides: Dotted name and value; ``stages.NAME.…`` changes one stage, anything else all of them.
        name: Name of the run if the configuration gives none.

    Raises:
        ConfigError: A stage is badly named, starts from one that is not before it, or does not exist.
    """
    whole = copy.deepcopy(dict(config))
    if "axes" in whole:
        raise ConfigError("it has `axes`, so it is not one run but many: xtransfer sweep CONFIG")
    for key, value in overrides:
        if key in ("name", "out_dir", "store"):
            whole[key] = value
    shared = {key: _class_block(key, value) for key, value in whole.items() if key not in RUN_KEYS}
    blocks = whole.get("stages")
    run_name = str(whole.get("name", name))
    if blocks is None:
        blocks = {_stage_name(shared, overrides): {}}
    if not isinstance(blocks, Mapping) or not blocks:
        raise ConfigError("stages: expected a mapping from stage names to their settings, in order")
    blocks = {key: _stage_block(key, block) for key, block in blocks.items()}
    _override_stages(blocks, [pair for pair in overrides if pair[0].split(".")[0] == "stages"])
    common = [pair for pair in overrides if pair[0].split(".")[0] not in RUN_KEYS]
    stages: list[Stage] = []
    for stage_name, block in blocks.items():
        _check_name(str(stage_name))
        if block is None:
            continue  # `null` drops a stage
        block = {key: _class_block(key, value) for key, value in block.items()}
        merged = merge(shared, block)
        for key, value in common:
            assign(merged, key, value)
        for key, value in overrides:
            prefix = f"stages.{stage_name}."
            if key.startswith(prefix):
                assign(merged, key.removeprefix(prefix), value)
        stages.append(_stage(str(stage_name), merged, [stage.name for stage in stages]))
    if not stages:
        raise ConfigError("stages: every stage is null; nothing is left to run")
    _check_name(run_name)
    store = whole.get("store")
    out_dir = Path(str(whole.get("out_dir", "runs")))
    return Plan(run_name, out_dir, tuple(stages), store=None if store is None else Path(str(store)).expanduser())


def read(files: Sequence[str | Path], overrides: Sequence[tuple[str, Any]] = ()) -> Plan:
    """Read configuration files, the later laid over the earlier, and expand them.

    The last file names the run, unless it holds nothing but trainer settings.
    """
    config, name = laid_over(files)
    plan = expand(config, overrides, name or "run")
    return replace(plan, files=tuple(str(file) for file in files))


def laid_over(files: Sequence[str | Path]) -> tuple[dict[str, Any], str]:
    """Return the configuration of some files, the later laid over the earlier, and the name of the last.

    A file of nothing but trainer settings gives no name; it is empty where all are such.

    Raises:
        ConfigError: A file does not exist or is broken.
    """
    config: dict[str, Any] = {}
    name = ""
    for file in files:
        path = find(file)[0]
        own = composed(path)
        config, name = merge(config, own), name if set(own) == {"trainer"} else path.stem
    return config, name


def _stage(name: str, merged: dict[str, Any], before: list[str]) -> Stage:
    init = merged.pop("init", {}) if "init" in merged else {}
    select = str(merged.pop("select", "best"))
    protocol = str(merged.pop("protocol", ""))
    checkpoint = _checkpoint(name, merged.pop("checkpoint", {}))
    if init is None:
        return Stage(name, len(before) + 1, merged, None, (), select, protocol, checkpoint)
    if not isinstance(init, Mapping) or set(init) - {"from", "parts", "adapters"}:
        raise ConfigError(
            f"stage '{name}': init is null or has the keys 'from', 'parts', 'adapters', found {init!r:.80}"
        )
    start = init.get("from", before[-1] if before else None)
    if start is not None and start not in before:
        raise ConfigError(
            f"stage '{name}': init.from names '{start}', which is no stage before it{nearest(start, before)}"
        )
    parts = init.get("parts", ("encoder",))
    if not isinstance(parts, (list, tuple)):
        raise ConfigError(f"stage '{name}': init.parts: expected a list such as [encoder, heads], found {parts!r:.60}")
    adapters = str(init.get("adapters", "merge"))
    if adapters not in ADAPTERS:
        raise ConfigError(f"stage '{name}': init.adapters: found '{adapters}'{nearest(adapters, ADAPTERS)}")
    if adapters != "merge" and start is None:
        raise ConfigError(
            f"stage '{name}': init.adapters: {adapters}: it starts from no stage that could have left any"
        )
    return Stage(name, len(before) + 1, merged, start, tuple(map(str, parts)), select, protocol, checkpoint, adapters)


def _checkpoint(stage: str, settings: Any) -> dict[str, int]:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"stage '{stage}': checkpoint has the keys {', '.join(CHECKPOINT)}, found {settings!r:.60}")
    for key, value in settings.items():
        if key not in CHECKPOINT:
            raise ConfigError(f"stage '{stage}': unknown key 'checkpoint.{key}'{nearest(str(key), CHECKPOINT)}")
        if key == "background" and not isinstance(value, bool):
            raise ConfigError(f"stage '{stage}': checkpoint.background: expected true or false, found {value!r}")
        if key != "background" and (type(value) is not int or value < 1):
            raise ConfigError(f"stage '{stage}': checkpoint.{key}: expected a whole number from 1, found {value!r}")
    return {**CHECKPOINT, **settings}


def _override_stages(blocks: dict[Any, Any], overrides: Sequence[tuple[str, Any]]) -> None:
    for key, value in overrides:
        parts = key.split(".")
        if len(parts) < 2 or parts[1] not in blocks:
            raise ConfigError(
                f"--{key}: no stage '{'.'.join(parts[1:2])}'{nearest(''.join(parts[1:2]), map(str, blocks))}"
            )
        if len(parts) == 2:
            blocks[parts[1]] = _stage_block(parts[1], value)


def _stage_name(shared: Mapping[str, Any], overrides: Sequence[tuple[str, Any]]) -> str:
    data = dict(overrides).get("data", shared.get("data"))
    path = data.get("class_path", "run") if isinstance(data, Mapping) else data
    return str(path or "run").rsplit(".", 1)[-1].lower()


def _class_block(key: str, value: Any) -> Any:
    """Write ``data: MNLI`` out as a block, so that settings can be laid over it."""
    return {"class_path": value} if key == "data" and isinstance(value, str) else value


def _stage_block(name: Any, block: Any) -> dict[str, Any] | None:
    """Return a stage's settings; the name of a task alone is its data, nothing at all leaves the stage out."""
    if block is None or isinstance(block, Mapping):
        return None if block is None else dict(block)
    if isinstance(block, str):
        return {"data": block}
    raise ConfigError(f"stage '{name}': expected settings, the name of a task or null, found {block!r:.60}")


def _check_name(name: str) -> None:
    if not NAME.match(name):
        raise ConfigError(f"'{name}' cannot name a folder: letters, digits, '_', '.', '-', at most 64, no leading dot")
