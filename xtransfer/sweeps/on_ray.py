"""Cells as tasks of a ray cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xtransfer.errors import ConfigError
from xtransfer.sweeps.attempts import Attempt
from xtransfer.sweeps.engines import Job

MANY = 1000
"""Tasks that wait for their turn at a time, unless `workers` says otherwise."""


@dataclass(frozen=True)
class Ray:
    """What a cell asks of ray.

    Args:
        address: The cluster: ``auto`` for the one this machine belongs to, ``ray://HOST:PORT``, or ``local`` for this
            machine alone.
        num_cpus: CPU cores of a cell.
        num_gpus: GPUs of a cell.
    """

    address: str = "auto"
    num_cpus: float = 1
    num_gpus: float = 0


class RayJob:
    """A task in ray's hands.

    Args:
        ray: The package.
        task: ray's reference to the task's result.
    """

    def __init__(self, ray: Any, task: Any) -> None:
        self.ray, self.task = ray, task
        self.ended: int | None = None

    def status(self) -> int | None:
        """Return the cell's exit status; 1 if ray ended the task without one; None while it waits or runs."""
        if self.ended is None and self.ray.wait([self.task], timeout=0)[0]:
            try:
                self.ended = int(self.ray.get(self.task))
            except self.ray.exceptions.RayError:
                self.ended = 1
        return self.ended

    def stop(self, at_once: bool = False) -> None:
        """Cancel the task: the cell is told to stop, or ended with ray's process if it is to be at once."""
        self.ray.cancel(self.task, force=at_once)


class OnRay:
    """Sends cells to a ray cluster, all of whose machines see the sweep's folder.

    Args:
        settings: What a cell asks for.
        workers: How many are sent at a time; default as many as there are.

    Raises:
        ConfigError: ray is not installed, or there is no cluster.
    """

    def __init__(self, settings: Ray, workers: int | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError("the engine 'ray' needs ray: pip install 'xtransfer[ray]'") from error
        self.ray: Any = ray
        self.room = workers or MANY
        self.mine = not ray.is_initialized()
        if self.mine:
            quiet: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False}
            quiet = quiet if settings.address == "local" else {"log_to_driver": False}
            paths = {"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}}
            try:
                ray.init(address=settings.address, runtime_env=paths, **quiet)
            except (ConnectionError, ValueError) as error:
                raise ConfigError(f"the engine 'ray': {' '.join(str(error).split())}") from error
        # A cell that fails is tried again by the sweep, which counts; and it is a process of its own, whose loss is
        # no reason for ray to run the task anew.
        self.run: Any = ray.remote(num_cpus=settings.num_cpus, num_gpus=settings.num_gpus, max_retries=0)(_run)

    def start(self, attempts: Sequence[Attempt]) -> list[Job]:
        """Send attempts, a task each."""
        return [RayJob(self.ray, self.run.remote(attempt)) for attempt in attempts]

    def close(self) -> None:
        """Leave the cluster, unless somebody else has joined it in this process."""
        if self.mine:
            self.ray.shutdown()


def _run(attempt: Attempt) -> int:
    return attempt()
