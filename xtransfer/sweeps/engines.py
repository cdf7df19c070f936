"""Who runs the cells of a sweep: processes on this machine, or a cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from xtransfer.errors import ConfigError
from xtransfer.sweeps.attempts import Attempt, tell


class Job(Protocol):
    """An attempt that was started."""

    def status(self) -> int | None:
        """Return its exit status; None while it runs or waits for its turn."""

    def stop(self, at_once: bool = False) -> None:
        """Tell it to stop, with a snapshot unless it is to be at once; `status` says when it has."""


class Engine(Protocol):
    """Starts attempts.

    Attributes:
        room: How many it takes at a time.
    """

    room: int

    def start(self, attempts: Sequence[Attempt]) -> list[Job]:
        """Start attempts, and return a job for each."""

    def close(self) -> None:
        """Let go of what was taken for the jobs, which have all ended."""


class LocalJob:
    """A process on this machine.

    Args:
        process: The process.
        slot: Its place among those that run at a time.
    """

    def __init__(self, process: subprocess.Popen[bytes], slot: int) -> None:
        self.process, self.slot = process, slot

    def status(self) -> int | None:
        """Return the exit status; None while it runs."""
        return self.process.poll()

    def stop(self, at_once: bool = False) -> None:
        """Tell it to stop."""
        tell(self.process, at_once)


class Local:
    """Processes on this machine. With several, those GPUs that are visible are dealt out to them, one each.

    Args:
        workers: How many run at a time.
    """

    def __init__(self, workers: int = 1) -> None:
        self.room = workers
        self.devices = visible_devices() if workers > 1 else []
        self.jobs: list[LocalJob] = []

    def start(self, attempts: Sequence[Attempt]) -> list[Job]:
        """Start a process for each attempt."""
        started: list[Job] = []
        for attempt in attempts:
            taken = {job.slot for job in self.jobs if job.status() is None}
            slot = next(number for number in range(len(taken) + 1) if number not in taken)
            if len(self.devices) > 1:
                device = self.devices[slot % len(self.devices)]
                attempt = replace(attempt, environment={**attempt.environment, "CUDA_VISIBLE_DEVICES": device})
            job = LocalJob(attempt.start(), slot)
            self.jobs = [other for other in self.jobs if other.status() is None] + [job]
            started.append(job)
        return started

    def close(self) -> None:
        """There is nothing to let go of."""


def visible_devices() -> list[str]:
    """Return the GPUs this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def engine_of(name: str, workers: int | None, settings: object, folder: Path) -> Engine:
    """Return the engine of a name.

    Args:
        name: ``local``, ``slurm`` or ``ray``.
        workers: How many cells run at a time; default 1 on this machine, and elsewhere as many as there is room for.
        settings: Settings of the engine, a `Slurm` or a `Ray`; None: its defaults.
        folder: The sweep's folder.

    Raises:
        ConfigError: There is no such engine, its package is not installed, or the settings are not for it.
    """
    from xtransfer.sweeps.on_ray import OnRay, Ray
    from xtransfer.sweeps.on_slurm import OnSlurm, Slurm

    if workers is not None and workers < 1:
        raise ConfigError(f"{workers} workers: at least one is needed")
    own = {"local": type(None), "slurm": Slurm, "ray": Ray}
    if name not in own:
        raise ConfigError(f"no engine '{name}'; there are: {', '.join(own)}")
    if settings is not None and not isinstance(settings, own[name]):
        raise ConfigError(f"the settings {settings!r} are not for the engine '{name}'")
    if name == "slurm":
        return OnSlurm(settings if isinstance(settings, Slurm) else Slurm(), workers, folder / "slurm")
    if name == "ray":
        return OnRay(settings if isinstance(settings, Ray) else Ray(), workers)
    return Local(workers or 1)
