"""What is known of a cell from one call to the next, beside its configuration."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from xtransfer.disk import write
from xtransfer.errors import DataError

State = Literal["waiting", "running", "done", "failed", "stopped", "elsewhere"]


@dataclass
class Record:
    """What became of a cell.

    Attributes:
        state: ``waiting``, ``running``, ``done``, ``failed``, ``stopped`` (asked to), or ``elsewhere``: in another
            sweep's hands.
        fingerprint: Digest of its configuration and data.
        attempts: How often it was tried, over all calls.
        reason: Why it failed.
        seconds: How long its last attempt took.
        time: When this was written, ISO 8601, UTC.
        values: Axis -> its value here, as the cell's name says it.
        stages: The folders of its stages, within that of its run.
    """

    state: State = "waiting"
    fingerprint: str = ""
    attempts: int = 0
    reason: str = ""
    seconds: float = 0.0
    time: str = ""
    values: dict[str, str] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a record; a new one if there is none.

        Raises:
            DataError: The file is broken.
        """
        if not path.is_file():
            return cls()
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, TypeError) as error:
            raise DataError(
                f"{path}: not the record of a cell: {error}; remove it, and the cell is run again"
            ) from error

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        self.time = now()
        write(path, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def now() -> str:
    """Return the time, ISO 8601, UTC."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
