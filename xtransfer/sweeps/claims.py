"""A cell is run by one process at a time, on whatever machine: it holds a lock as long as it lives.

As a program, ``python -m xtransfer.sweeps.claims LOCK COMMAND ...`` takes the lock and becomes the command. The lock is
that of a file, so it is free as soon as the process is gone, however it ended.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from xtransfer.lock import first_process

BUSY = 75
"""Exit status where another process holds the lock; the number is the system's EX_TEMPFAIL."""


def claim(path: Path) -> int | None:
    """Take a lock and return its file descriptor, which a program in this one's place inherits; None: it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    os.set_inheritable(descriptor, True)
    return descriptor


def holder(path: Path) -> str:
    """Return who holds a lock, or nothing if it is free."""
    if not path.is_file():
        return ""
    with path.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().decode().strip() or "another process"
    return ""


def main(words: Sequence[str]) -> int:
    """Become a command that holds a lock, or return `BUSY`; of processes that train together the first takes it."""
    lock, *command = words
    if first_process() and claim(Path(lock)) is None:
        return BUSY
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
