"""How a stage gets its weights from the store, or gives them to it; of several processes that want one, one trains."""

from __future__ import annotations

import datetime
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer

from xtransfer.config import Plan
from xtransfer.errors import DataError
from xtransfer.stage_cli import StageCLI
from xtransfer.steps import Step
from xtransfer.store import StageStore
from xtransfer.versions import versions

log = logging.getLogger(__name__)
ASK_EVERY = 10.0
"""Seconds between two looks at whether another process has done."""


class Share:
    """A stage's access to the store; without a store, or for a stage that none can share, it does nothing.

    Args:
        plan: The run.
        step: The stage, parsed and checked.
        cli: The stage, built.
    """

    def __init__(self, plan: Plan, step: Step, cli: StageCLI) -> None:
        self.step, self.run, self.trainer, self.encoder = step, plan.name, cli.trainer, str(cli.config.model.encoder)
        self.store = StageStore(plan.store) if plan.store and cli.datamodule.trains else None
        self.key = key_of(step.training, cli.trainer.world_size)
        if self.store is not None and isinstance(cli.config.seed_everything, bool):
            log.warning("%s: seed_everything is no number, so that no other training equals it: not shared", self.name)
            self.store = None

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.step.stage.name

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other process trains this very stage, and keep others waiting meanwhile."""
        if self.store is None:
            yield
            return
        lock = self.store.lock(self.key)
        owner = Path(lock.lock_file).with_suffix(".owner")
        together, told = _connected(self.trainer), False
        try:
            while True:
                got = True
                if self.trainer.is_global_zero:
                    got = _taken(lock, 0.0 if not told else ASK_EVERY)
                if together:
                    got = self.trainer.strategy.broadcast(got)
                if got:
                    break
                if not told:
                    who = owner.read_text(encoding="utf-8").strip() if owner.is_file() else "another process"
                    log.info("%s: the very same stage is being trained by %s; waiting for it", self.name, who)
                    told = True
            if lock.is_locked:
                where = f"process {os.getpid()} on {socket.gethostname()}"
                owner.write_text(f"run '{self.run}', {where}\n", encoding="utf-8")
            yield
        finally:
            if lock.is_locked:
                owner.unlink(missing_ok=True)
                lock.release()

    def take(self) -> dict[str, Any] | None:
        """Put the stage's parts into its folder, if they are stored; return what was noted when they were trained."""
        if self.store is None:
            return None
        together, record = _connected(self.trainer), None
        if self.trainer.is_global_zero:
            record = self.store.take(self.key, self.step.folder)
        if together:
            record = self.trainer.strategy.broadcast(record)
        if record is None:
            return None
        by = f"{record['run']}/{record['stage']}"
        log.info("%s: taken from the store, trained by the stage '%s'; it is only scored", self.name, by)
        present = {"device": device_of(self.trainer), **versions()}
        before = {"device": record["device"], **record["versions"]}
        changed = [f"{key}: {before.get(key)} -> {now}" for key, now in present.items() if before.get(key) != now]
        if changed:
            log.warning("%s: not promised to the bit, for there are differences: %s", self.name, ", ".join(changed))
        return {**record["noted"], "identity": self.step.training, "reused_from": by}

    def give(self, noted: Mapping[str, Any], afresh: bool = False) -> None:
        """Put the stage into the store when it was trained, unless it is there, or came about in another way.

        Args:
            noted: What was noted when its training ended.
            afresh: It takes the place of one that is there.
        """
        if self.store is None or not self.trainer.is_global_zero or noted.get("reused_from"):
            return
        if not noted.get("as_begun"):
            log.warning("%s: not put into the store, for something has changed while it was trained", self.name)
            return
        if afresh:
            self.store.drop(self.key)
        known = {
            "run": self.run,
            "stage": self.name,
            "tasks": self.step.trained,
            "encoder": self.encoder,
            "noted": dict(noted),
            "device": device_of(self.trainer),
            "processes": self.trainer.world_size,
            "versions": versions(),
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "determined_by": self.step.everything,
        }
        try:
            if self.store.put(self.key, self.step.folder, known):
                log.info("%s: put into the store, %s", self.name, self.store.entry(self.key))
        except DataError as error:  # the run has its weights, and goes on
            log.warning("%s: %s", self.name, error)


def key_of(training: str, processes: int) -> str:
    """Return a stage's name in the store: by how many processes it is trained changes what a step is."""
    return training if processes == 1 else f"{training}-{processes}p"


def device_of(trainer: Trainer) -> str:
    """Return the name of the device a process trains on."""
    return device_name(trainer.strategy.root_device)


def device_name(device: torch.device) -> str:
    """Return what a device is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _taken(lock: Any, timeout: float) -> bool:
    try:
        lock.acquire(timeout=timeout, poll_interval=0.2)
    except Timeout:
        return False
    return True


def _connected(trainer: Trainer) -> bool:
    """Say whether the processes that train together can agree on something; those started together are connected now.

    Processes that Lightning starts itself come later, and see what the first has done.
    """
    if trainer.world_size == 1:
        return False
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if not torch.distributed.is_initialized() and environment and not isinstance(environment, LightningEnvironment):
        trainer.strategy.setup_environment()
    return torch.distributed.is_available() and torch.distributed.is_initialized()
