"""Where a stage begins: at its start, at a snapshot, or with its scoring; and what must not have changed meanwhile."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from xtransfer.checkpoints import check, remove, sweep
from xtransfer.curves import forget
from xtransfer.disk import write
from xtransfer.errors import ConfigError, DataError
from xtransfer.snapshots import snapshots
from xtransfer.steps import Step
from xtransfer.versions import versions

log = logging.getLogger(__name__)
Resume = Literal["auto", "must", "never"]
TRAINED = "TRAINED"
"""File of a stage's folder that says by which facts the weights there were trained."""
SHOWN = 20
"""So many differences of two configurations a message lists."""


def checkpoints_of(step: Step) -> Path:
    """Return the folder of a stage's checkpoints."""
    return step.folder / "checkpoints"


def unfinished(step: Step) -> bool:
    """Say whether there is anything of a stage that was begun."""
    return bool(snapshots(checkpoints_of(step))) or (step.folder / TRAINED).is_file()


def trained(folder: Path, training: str) -> dict[str, Any] | None:
    """Return what was noted when a stage's training ended, if its weights are there and only scoring is missing.

    Args:
        folder: The stage's folder.
        training: Digest of what its weights depend on.
    """
    mark = folder / TRAINED
    if not mark.is_file() or not (folder / "encoder").is_dir():
        return None
    noted: dict[str, Any] = json.loads(mark.read_text(encoding="utf-8"))
    return noted if noted["identity"] == training else None


def changed(folder: Path, config: str) -> list[str]:
    """Return what differs in a stage's configuration from the one it was trained with, if that lies in its folder.

    Args:
        folder: The stage's folder.
        config: The configuration now, as YAML.
    """
    file = folder / "config.yaml"
    if not file.is_file():
        return []
    return list(_differences(yaml.safe_load(file.read_text(encoding="utf-8")), yaml.safe_load(config)))


def begin(step: Step, facts: Mapping[str, Any], resume: Resume, allow_change: bool, writes: bool = True) -> Path | None:
    """Return the snapshot a stage goes on from, or None if it begins anew, and note what it is made with.

    Args:
        step: The stage.
        facts: What the snapshots are made with.
        resume: ``auto``: go on if there is something to go on from; ``must``: the same, but a damaged snapshot is an
            error; ``never``: begin anew.
        allow_change: Go on though the configuration or the number of processes has changed.
        writes: Whether this process is the one that writes; the others only look.

    Raises:
        ConfigError: They have changed.
        DataError: All snapshots are damaged, or one is and `resume` is ``must``.
    """
    folder = checkpoints_of(step)
    found, noted, chosen, changed = snapshots(folder), folder / "begun.json", None, False
    if resume != "never" and found and noted.is_file():
        before = json.loads(noted.read_text(encoding="utf-8"))
        changed = _compare(step, facts, before, allow_change) or before.get("changed", False)
        chosen = _whole(found, resume)
        log.info("%s: going on from %s", step.stage.name, chosen)
    if writes:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        for snapshot in found if chosen is None else []:
            remove(snapshot)
        if chosen is None:
            forget(step.folder)
        content = {"facts": dict(facts), "everything": step.everything, "changed": changed}
        write(noted, json.dumps(content, indent=1, default=str))
    return chosen


def as_begun(step: Step) -> bool:
    """Say whether a stage trains as it was begun, with the same configuration and versions."""
    noted = checkpoints_of(step) / "begun.json"
    return noted.is_file() and not json.loads(noted.read_text(encoding="utf-8")).get("changed", False)


def facts_of(step: Step, world_size: int) -> dict[str, Any]:
    """Return what a stage's snapshots are made with: they fit nothing else."""
    task = step.trained[-1] if step.trained else ""
    return {"identity": step.training, "task": task, "world_size": world_size, "versions": versions()}


def finish(step: Step) -> None:
    """Remove a finished stage's checkpoints: its parts are written."""
    for snapshot in [*snapshots(checkpoints_of(step)), checkpoints_of(step) / "best.ckpt"]:
        remove(snapshot)
    for words in checkpoints_of(step).glob("words-*.safetensors"):  # of a training that was killed
        words.unlink()
    (checkpoints_of(step) / "begun.json").unlink(missing_ok=True)


def _whole(found: list[Path], resume: Resume) -> Path:
    """Return the newest snapshot that is whole."""
    for snapshot in reversed(found):
        try:
            check(snapshot)
        except DataError as error:
            if resume == "must":
                raise
            log.warning("%s; trying the one before", error)
        else:
            return snapshot
    raise DataError(f"all snapshots are damaged: {', '.join(map(str, found))}; begin anew with --resume never")


def _compare(step: Step, facts: Mapping[str, Any], before: Mapping[str, Any], allow_change: bool) -> bool:
    """Say whether anything has changed that the outcome may depend on; what must not have is refused."""
    old, new = before["facts"], facts
    newer = bool(old["versions"] != new["versions"])
    if newer:
        changed = ", ".join(_differences(old["versions"], new["versions"]))
        log.warning("%s: not promised to the bit, for versions differ: %s", step.stage.name, changed)
    differences = list(_differences(before["everything"], json.loads(json.dumps(step.everything, default=str))))
    if old.get("task", new["task"]) != new["task"]:  # the scores by which a model is chosen bear its name
        differences.append(f"task: {old['task']} -> {new['task']}")
    if old["world_size"] != new["world_size"]:
        differences.append(f"processes: {old['world_size']} -> {new['world_size']}")
    if not differences:
        return newer
    shown = "\n  ".join(differences[:SHOWN])
    more = f"\n  and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    told = f"stage '{step.stage.name}' was begun with another configuration (before -> now):\n  {shown}{more}"
    if not allow_change:
        raise ConfigError(
            f"{told}\nundo the change; or begin this stage anew with --resume never; or go on as it is now with "
            "--allow_config_change"
        )
    log.warning("%s\ngoing on as it is now", told)
    return True


def _differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield every setting that differs, by its dotted name."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
    elif old != new:
        yield f"{where}: {old!r} -> {new!r}"
