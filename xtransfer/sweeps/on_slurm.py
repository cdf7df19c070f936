"""Cells as jobs of a SLURM cluster, by submitit; those started together are one array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xtransfer.errors import ConfigError
from xtransfer.sweeps.attempts import Attempt
from xtransfer.sweeps.engines import Job

MANY = 1000
"""Jobs that are in the queue at a time, unless `workers` says otherwise."""


@dataclass(frozen=True)
class Slurm:
    """What a cell asks of SLURM.

    Args:
        partition: The partition; empty: the cluster's own default.
        timeout_min: Minutes after which a cell is stopped, with a snapshot, and put back into the queue.
        requeues: How often that may happen.
        gpus_per_node: GPUs of a cell.
        cpus_per_task: CPU cores of a cell.
        mem_gb: Memory of a cell, in GB; None: the cluster's default.
        tasks_per_node: Processes of a cell; as many as it trains on GPUs.
        setup: Commands before each cell, such as ``module load cuda``.
        more: Further options of sbatch by their names, such as ``{account: NAME, qos: NAME}``.
        cluster: ``slurm``, or ``local`` to try it on this machine.
    """

    partition: str = ""
    timeout_min: int = 24 * 60
    requeues: int = 10
    gpus_per_node: int = 0
    cpus_per_task: int = 2
    mem_gb: float | None = None
    tasks_per_node: int = 1
    setup: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    cluster: str = "slurm"


class SlurmJob:
    """A job in SLURM's hands.

    Args:
        job: submitit's job.
    """

    def __init__(self, job: Any) -> None:
        self.job = job
        self.ended: int | None = None

    def status(self) -> int | None:
        """Return the cell's exit status; 1 if SLURM ended the job without one; None while it waits or runs."""
        if self.ended is None and self.job.done():
            try:
                self.ended = max(self.job.results(), key=abs)
            except Exception as error:  # of many kinds: the job was cancelled, ran out of memory, its node failed
                words = " ".join(str(error).split())[-500:]
                with Path(self.job.paths.stderr).open("a", encoding="utf-8") as stream:
                    stream.write(f"\n{type(error).__name__}: {words}\n")
                self.ended = 1
        return self.ended

    def stop(self, at_once: bool = False) -> None:
        """Cancel the job: its processes get SIGTERM and, after the time that the cluster leaves them, SIGKILL."""
        self.job.cancel(check=False)


class OnSlurm:
    """Submits cells to SLURM.

    Args:
        settings: What a cell asks for.
        workers: How many run at a time; default as many as there is room for.
        folder: Folder of submitit's own files, which all machines see.

    Raises:
        ConfigError: submitit is not installed, there is no SLURM, or it refuses a setting.
    """

    def __init__(self, settings: Slurm, workers: int | None, folder: Path) -> None:
        try:
            import submitit
        except ImportError as error:
            raise ConfigError("the engine 'slurm' needs submitit: pip install 'xtransfer[slurm]'") from error
        self.room = workers or MANY
        on_slurm = settings.cluster == "slurm"
        options: dict[str, Any] = {
            "timeout_min": settings.timeout_min,
            "tasks_per_node": settings.tasks_per_node,
            "cpus_per_task": settings.cpus_per_task,
            "name": "xtransfer",
        }
        if settings.gpus_per_node:
            options["gpus_per_node"] = settings.gpus_per_node
        if settings.mem_gb is not None:
            options["mem_gb"] = settings.mem_gb
        if on_slurm:
            options |= {"slurm_array_parallelism": self.room, "slurm_setup": list(settings.setup)}
            options |= {"slurm_partition": settings.partition} if settings.partition else {}
            options |= {"slurm_additional_parameters": dict(settings.more)} if settings.more else {}
        try:
            again: dict[str, Any] = {"slurm_max_num_timeout": settings.requeues} if on_slurm else {}
            self.executor = submitit.AutoExecutor(folder=folder, cluster=settings.cluster, **again)
            self.executor.update_parameters(**options)
        except Exception as error:
            raise ConfigError(f"the engine 'slurm': {' '.join(str(error).split())}") from error

    def start(self, attempts: Sequence[Attempt]) -> list[Job]:
        """Submit attempts as one array."""
        with self.executor.batch():
            jobs = [self.executor.submit(attempt) for attempt in attempts]
        return [SlurmJob(job) for job in jobs]

    def close(self) -> None:
        """There is nothing to let go of."""
