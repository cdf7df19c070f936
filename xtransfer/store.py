"""Trained stages in a folder that runs share: what one has trained, the others take over."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from xtransfer.disk import digest, flush_folder, write
from xtransfer.errors import DataError
from xtransfer.resuming import TRAINED

log = logging.getLogger(__name__)
PARTS = ("encoder", "heads", "adapter", "training.json")
"""What a stage hands on: linked, for it is large and never written to again."""
LOGS = ("csv", "tensorboard")
"""What loggers go on writing to: copied."""
RECORD = "stage.json"
FORMAT = 1


class StageStore:
    """A folder of trained stages, ``<first 2>/<identity>/``, each with a ``stage.json`` that says what it is.

    A stage is put there in one step, and taken from there only if every file is the one that was put there. Its files
    share their place on the disk with those of the runs where the file system allows it (hard links), and cannot be
    written to, so that no run changes those of another.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder).expanduser()

    def entry(self, key: str) -> Path:
        """Return the folder of a stage."""
        return self.folder / key[:2] / key

    def lock(self, key: str) -> FileLock:
        """Return the lock that who trains a stage holds; that of a process that died is free."""
        entry = self.entry(key)
        entry.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(entry.with_name(f"{key}.lock"))

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield what is known of every stage; a damaged record is passed over, and told when the stage is wanted."""
        for file in sorted(self.folder.glob(f"??/*/{RECORD}")):
            with suppress(DataError):
                yield _read(file)

    def find(self, key: str) -> dict[str, Any] | None:
        """Return what is known of a stage, if it is there with all its files; their content is not looked at."""
        entry = self.entry(key)
        try:
            record = _read(entry / RECORD)
        except DataError:
            return None
        return record if all((entry / name).is_file() for name in record["files"]) else None

    def take(self, key: str, folder: Path) -> dict[str, Any] | None:
        """Put a stage's files into a run's folder, and return what is known of it; None if it is not there.

        A damaged one is set aside, so that it is trained again.

        Args:
            key: Its identity.
            folder: The stage's folder within the run.
        """
        entry = self.entry(key)
        if not entry.is_dir():
            return None
        try:
            record = _read(entry / RECORD)
            for name, known in record["files"].items():
                _check(entry / name, known)
        except DataError as error:
            aside = next(path for n in range(1, 1000) if not (path := entry.with_name(f"{key}.damaged-{n}")).exists())
            entry.replace(aside)
            told = "the stored stage %s is damaged: %s; it is set aside as %s and trained again"
            log.warning(told, key, error, aside)
            return None
        clear(folder, (*PARTS, *LOGS))
        for name in record["files"]:
            _place(entry, folder, name)
        return record

    def put(self, key: str, folder: Path, known: Mapping[str, Any]) -> bool:
        """Put a trained stage in, in one step; one that is there already is left as it is.

        Args:
            key: Its identity.
            folder: The stage's folder within the run that has trained it.
            known: What is to be known of it; plain values.

        Returns:
            Whether it was put in.

        Raises:
            DataError: It cannot be written.
        """
        entry = self.entry(key)
        temporary = entry.with_name(f".{key}.{os.getpid()}.tmp")
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            files = {name: _put(folder, temporary, name) for name in _files(folder)}
            _write(temporary / RECORD, {"format": FORMAT, "identity": key, **known, "files": files})
            for inner in sorted({path.parent for path in temporary.rglob("*")}, reverse=True):
                flush_folder(inner)
            if entry.exists():
                return False
            temporary.rename(entry)
            flush_folder(entry.parent)
        except OSError as error:
            if entry.is_dir():  # another process was quicker
                return False
            raise DataError(f"{entry}: the trained stage cannot be put into the store: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return True

    def drop(self, key: str) -> None:
        """Remove a stage; the runs that have taken it over keep theirs."""
        shutil.rmtree(self.entry(key), ignore_errors=True)


def clear(folder: Path, names: Sequence[str] = PARTS) -> None:
    """Remove parts from a run's folder before others are written: the store may have linked the very same files.

    First the mark that they are those of a training: who is killed now must not find it beside others.
    """
    for name in (TRAINED, *names):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[str]:
    """Return the files of a stage that go into the store, by their place below its folder."""
    found = [path for name in (*PARTS, *LOGS) for path in [folder / name, *(folder / name).rglob("*")]]
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())


def _put(folder: Path, entry: Path, name: str) -> dict[str, Any]:
    """Put one file into the store, flushed to the disk, and return its digest and size."""
    target = entry / name
    _place(folder, entry, name)
    target.chmod(0o444)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())
    return {"sha256": digest(target), "bytes": target.stat().st_size}


def _place(source: Path, target: Path, name: str) -> None:
    """Make a file of one folder be in another too: linked if it stays as it is and the disk allows it, or copied."""
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    (target / name).unlink(missing_ok=True)
    if name.split("/")[0] not in LOGS:
        try:
            os.link(source / name, target / name)
        except OSError:  # another disk, or one without links
            pass
        else:
            return
    shutil.copyfile(source / name, target / name)


def _check(file: Path, known: Mapping[str, Any]) -> None:
    """Compare a file with what it was when it was put in.

    Raises:
        DataError: It is missing or another.
    """
    if not file.is_file():
        raise DataError(f"{file.name} is missing")
    if (size := file.stat().st_size) != known["bytes"]:
        raise DataError(f"{file.name} has {size} bytes, expected {known['bytes']}")
    if digest(file) != known["sha256"]:
        raise DataError(f"{file.name} is not the file that was put in: its digest differs")


def _read(file: Path) -> dict[str, Any]:
    """Return a stage's record.

    Raises:
        DataError: It is missing, damaged, or of a later version.
    """
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        told = record.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{file}: no record of a stage ({type(error).__name__})") from error
    if told != _digest(record):
        raise DataError(f"{file.name} is not the file that was put in: its digest differs")
    if record["format"] != FORMAT:
        raise DataError(f"{file.name} is of format {record['format']}, expected {FORMAT}")
    return record


def _write(file: Path, record: Mapping[str, Any]) -> None:
    plain = json.loads(json.dumps(record, default=str))
    write(file, json.dumps({**plain, "sha256": _digest(plain)}, ensure_ascii=False, indent=1))


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
