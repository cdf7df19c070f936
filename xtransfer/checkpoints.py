"""How checkpoints are written and read: whole or not at all, and never a damaged one unnoticed."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins import CheckpointIO
from torch.serialization import MAP_LOCATION

import xtransfer.disk as disk
from xtransfer.background import Copies, Writer
from xtransfer.disk import digest, flush_folder
from xtransfer.errors import ConfigError, DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saving:
    """How one checkpoint is to be written: what is given to `Trainer.save_checkpoint` as ``storage_options``.

    Args:
        at_once: Write it before returning, also where others are written in the background.
        afterwards: Called once it lies there whole.
    """

    at_once: bool = False
    afterwards: Callable[[], None] = lambda: None


class CheckedFiles(CheckpointIO):
    """Writes checkpoints so that a crash at any moment leaves the old file or the new one, and reads only whole ones.

    A file is written beside its place, flushed to the disk and then renamed; its SHA-256 is kept in ``<name>.sha256``.
    Tensors and plain values alone are read back, never other objects.

    In the background, a checkpoint is copied when it is asked for, and written by a thread while training goes on. At
    most one is being written: the next waits, as do reading, removing, and the end of training. Lightning's
    `AsyncCheckpointIO` around this class would not do: its queue has no end and holds a copy for each file in it, the
    copies stay on the GPU, tied weights are written twice, a file may be removed or read before it is written, and a
    failed write is told only when the next is asked for, by one process of several.

    Args:
        stage: Name of the stage, for messages.
        background: Write in the background.

    Attributes:
        fault: What went wrong in a write that could not say so itself: one in the background, or one that other
            processes wait for, which must not fail before they have met. `raise_together` raises it in all of them.
    """

    def __init__(self, stage: str = "", background: bool = False) -> None:
        self.stage, self.background, self.fault = stage, background, ""
        self._copies, self._writer, self._warned = Copies(), Writer(), False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, or copy it and begin to.

        Args:
            checkpoint: Tensors and plain values.
            path: The file.
            storage_options: A `Saving`, or nothing.

        Raises:
            DataError: The file cannot be written; says how much room there is, and how much is needed.
        """
        path, how = Path(path), storage_options or Saving()
        self._writer.wait(f"stage '{self.stage}': {path.name}")
        if self.background and not how.at_once:
            copied = self._copies.take(checkpoint)
            self._writer.start(path.name, lambda: self._try(copied, path, how))
            return
        try:
            self._write(checkpoint, path, how)
        except DataError as error:
            if not _together():
                raise
            self.fault = self.fault or str(error)

    def load_checkpoint(
        self, path: str | Path, map_location: MAP_LOCATION = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint if it is the file that was written.

        Raises:
            ConfigError: The path is an address.
            DataError: The file is missing, empty, cut short or damaged, or holds more than tensors and plain values.
        """
        self.wait()
        if "://" in str(path):
            raise ConfigError(f"{path}: a checkpoint is read from a file of this machine, not from an address")
        check(Path(path))
        try:
            found: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except Exception as error:  # whatever a file that is none can bring about
            raise DataError(
                f"{path}: no checkpoint of tensors and plain values: {str(error).splitlines()[0]}"
            ) from error
        return found

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint and its digest."""
        self.wait()
        remove(Path(path))

    def wait(self) -> None:
        """Wait until nothing is being written in the background."""
        self._writer.wait()

    def teardown(self) -> None:
        """Wait until nothing is being written; Lightning calls this whichever way training ends."""
        self.wait()
        self._copies.clear()

    def raise_together(self, broadcast: Callable[[str], str]) -> None:
        """Wait until nothing is being written, and raise in all processes what went wrong in the one that writes.

        Args:
            broadcast: Sends a text from the first process to all.

        Raises:
            DataError: A write failed.
        """
        self.wait()
        fault, self.fault = broadcast(self.fault), ""
        if fault:
            raise DataError(fault)

    def _write(self, checkpoint: dict[str, Any], path: Path, how: Saving) -> None:
        self._warn(path.parent)
        try:
            write(path, lambda stream: torch.save(checkpoint, stream))
        except DataError as error:
            raise DataError(f"stage '{self.stage}': {error}" if self.stage else str(error)) from error
        how.afterwards()

    def _warn(self, folder: Path) -> None:
        """Say, once, that the disk will soon be full: a new checkpoint lies beside the old ones before they go."""
        with suppress(OSError):
            largest = max((file.stat().st_size for file in folder.glob("*.ckpt")), default=0)
            free = shutil.disk_usage(folder).free if largest else 0
            if free < 2 * largest and not self._warned:
                self._warned = True
                log.warning(
                    "stage '%s': the disk of %s is nearly full: %d bytes are free there, two checkpoints take %d; make "
                    "room while training goes on",
                    *(self.stage, folder, free, 2 * largest),
                )

    def _try(self, checkpoint: dict[str, Any], path: Path, how: Saving) -> None:
        try:
            self._write(checkpoint, path, how)
        except DataError as error:
            self.fault = self.fault or str(error)
        except Exception as error:  # a thread's exceptions reach nobody
            told = f"stage '{self.stage}': {path}: writing the checkpoint failed: {type(error).__name__}: {error}"
            self.fault = self.fault or told


def write(path: Path, fill: Callable[[IO[bytes]], None]) -> None:
    """Replace a file by a new one, in one step, and keep its digest beside it.

    While the file is exchanged, the digests of both are kept, so that at every moment the one that lies there is known;
    after an exchange that was interrupted, those of all that may lie there.

    Args:
        path: The file.
        fill: Writes its content to a stream.

    Raises:
        DataError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            stream = _Hashed(file)
            fill(stream)  # type: ignore[arg-type]
            _to_disk(file)
        _note(path, [*_known(path), f"{stream.digest.hexdigest()} {stream.size}"])
        os.replace(temporary, path)
        flush_folder(path.parent)
        _note(path, [f"{stream.digest.hexdigest()} {stream.size}"])
    except (OSError, RuntimeError) as error:  # torch tells of a failed write by a RuntimeError
        cause = error.__cause__ or error.__context__ or error
        raise DataError(_no_room(path, cause if isinstance(cause, OSError) else error, temporary)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check(path: Path) -> None:
    """Compare a file with its digest.

    Raises:
        DataError: It is missing, empty, cut short, damaged, or has no digest.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint")
    known, size = _known(path), path.stat().st_size
    if not known:
        raise DataError(f"{path}: no digest beside it ({_beside(path).name}): it was not written by this library")
    if f"{digest(path)} {size}" in known:
        return
    whole = int(known[-1].split()[1])
    what = "is empty" if not size else f"is cut short ({size} of {whole} bytes)" if size < whole else "is damaged"
    raise DataError(f"{path}: the checkpoint {what}; take an older one, or train the stage anew")


def remove(path: Path) -> None:
    """Remove a file and its digest."""
    path.unlink(missing_ok=True)
    _beside(path).unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left half written."""
    for leftover in folder.glob(".*.tmp"):
        process = leftover.name.split(".")[-2]
        if process.isdigit() and not _alive(int(process)):
            leftover.unlink(missing_ok=True)


class _Hashed:
    """A stream that adds up the digest of what passes through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.digest, self.size = stream, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self.stream.write(data)

    def flush(self) -> None:
        self.stream.flush()


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _known(path: Path) -> list[str]:
    """Return the digests and sizes a file may have, the newest last."""
    beside = _beside(path)
    return beside.read_text(encoding="ascii").splitlines() if beside.is_file() else []


def _note(path: Path, digests: list[str]) -> None:
    beside = _beside(path)
    disk.write(beside, "".join(f"{told}\n" for told in digests))
    flush_folder(path.parent)


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _no_room(path: Path, error: BaseException, temporary: Path) -> str:
    folder = next(parent for parent in path.parents if parent.is_dir())
    sizes = [file.stat().st_size for file in (path, temporary) if file.is_file()]
    needed = f"at least {max(sizes)} bytes" if sizes else "some"
    free = shutil.disk_usage(folder).free
    return (
        f"{path}: the checkpoint cannot be written ({error}); {free} bytes are free there, {needed} are needed. Mend "
        "that and give the same command again: the stage goes on from its last snapshot"
    )


def _together() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
