"""Files on the disk: whole or not there, and known by their digest."""

from __future__ import annotations

import hashlib
import os
import uuid
from functools import cache
from pathlib import Path

BLOCK = 1 << 20
"""Bytes read at a time."""


def write(path: Path, content: str | bytes) -> None:
    """Replace a file in one step, also where several processes do: after a crash it is the old one or the new one.

    Its folder is made if it does not exist.

    Args:
        path: The file.
        content: All of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Let the names in a folder reach the disk, such as that of a file that was renamed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """Return a file's SHA-256; it is read piece by piece, so that its size does not matter."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def known_digest(path: Path) -> str:
    """Return the same; a file of the same size and time of change is not read again by this process."""
    about = path.stat()
    return _known(path, about.st_size, about.st_mtime_ns)


@cache
def _known(path: Path, size: int, changed: int) -> str:
    return digest(path)
