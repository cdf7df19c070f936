"""What is checked of all cells before the first one trains; a stage that many of them have is checked once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from xtransfer.config import Plan, Stage
from xtransfer.errors import ConfigError, DataError
from xtransfer.steps import prepare
from xtransfer.sweeps.cells import Cell, looks_alike

log = logging.getLogger(__name__)
SHOWN = 20
"""So many faults a message lists."""


def checked(cells: Sequence[Cell]) -> dict[str, str]:
    """Parse every different stage of some cells and read its data; return cell -> digest of all its scores depend on.

    Stages that differ in their seed or in what is trained before them are checked once.

    Raises:
        ConfigError: Anything is wrong; all faults are told, each with the cells that have it.
    """
    identities: dict[str, str] = {}
    faults: dict[str, str] = {}
    users: dict[str, list[str]] = {}
    for cell in cells:
        for stage in cell.plan.stages:
            key = looks_alike(stage)
            users.setdefault(key, []).append(cell.name)
            if key not in identities:
                try:
                    identities[key] = prepare(_alone(cell.plan, stage))[-1].identity
                except (ConfigError, DataError) as error:
                    identities[key], faults[key] = "", str(error)
    if faults:
        told = [f"{_list(users[key])}: {fault}" for key, fault in faults.items()]
        more = [f"and {len(told) - SHOWN} more faults"] * (len(told) > SHOWN)
        raise ConfigError("\n  ".join([f"nothing was trained, for {len(told)} stages are wrong", *told[:SHOWN], *more]))
    return {cell.name: _fingerprint(cell, identities) for cell in cells}


def _alone(plan: Plan, stage: Stage) -> Plan:
    """Return a plan of one stage with a fixed seed, with those before it only where they matter for what is checked."""
    stages = plan.stages[: stage.number] if stage.adapters != "merge" else (replace(stage, start=None),)
    return replace(plan, stages=tuple(replace(one, config={**one.config, "seed_everything": 1}) for one in stages))


def _fingerprint(cell: Cell, identities: Mapping[str, str]) -> str:
    """Return a digest of configuration, data, encoder and library, where its folder lies left out."""
    text = json.dumps([list(cell.stages.items()), [identities[looks_alike(stage)] for stage in cell.plan.stages]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _list(names: Sequence[str], most: int = 3) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"cell{'s' * (len(names) > 1)} {', '.join(names[:most])}{more}"
