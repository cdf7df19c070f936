"""One process at a time may write into a run's folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from xtransfer.errors import ConfigError

RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")
"""Where torchrun, SLURM and Lightning put the number of a process, or of its machine."""


def first_process() -> bool:
    """Say whether this is the first of the processes that train together, or the only one."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder; the lock of a process that died is free.

    Of processes that train together only the first takes it.

    Args:
        folder: The folder.

    Raises:
        ConfigError: Another process holds it.
    """
    if not first_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / ".lock.owner"
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = owner.read_text(encoding="utf-8").strip() if owner.is_file() else "another process"
        raise ConfigError(f"{folder} is in use by {who}; wait for it, or give this run another --name") from error
    try:
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
