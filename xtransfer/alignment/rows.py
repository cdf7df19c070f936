"""Rows of alignment: one JSON object a line, with all that says how a number came about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import xtransfer.disk as disk
from xtransfer.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """One number: a measure of an intermediate, a target and a language, at a layer.

    Attributes:
        measure: Name of the measure, or ``language:COLUMN`` for a column of the table of languages.
        scope: What the measure was given.
        value: The number; None where it is not defined.
        why: Why it is not.
        better: Which end means nearer: ``high``, ``low`` or ``neither``.
        intermediate: The intermediate task; empty where none takes part. With `trained` it is whose encoder it was.
        target: The target task; empty where it does not matter, as between languages.
        language: Code of the language; for measures of labels that of the training rows.
        layer: After which layer, the embeddings being 0; None for texts.
        n: Rows of each sample.
        seed: By which the rows were drawn.
        encoder: Name of the encoder.
        trained: Whether the encoder was the one the intermediate left, rather than the pretrained one.
        origin: Where each sample comes from: data source and revision, or file digests.
        versions: Versions of the packages.
    """

    measure: str
    scope: str
    value: float | None
    better: str
    why: str = ""
    intermediate: str = ""
    target: str = ""
    language: str = ""
    layer: int | None = None
    n: tuple[int, ...] = ()
    seed: int = 0
    encoder: str = ""
    trained: bool = False
    origin: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int | None]:
        """Measure and layer: what values are compared within."""
        return self.measure, self.layer


def write(rows: Iterable[Alignment], path: str | Path) -> None:
    """Write rows, one JSON object a line; the file is whole or not there."""
    disk.write(Path(path), "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows))


def read(path: str | Path) -> list[Alignment]:
    """Read rows.

    Raises:
        DataError: There is no such file, or a line is broken; names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no file {path}: expected rows of alignment, which `xtransfer align` writes")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line:
            continue
        try:
            found = json.loads(line)
            rows.append(Alignment(**(found | {"n": tuple(found["n"]), "origin": tuple(found["origin"])})))
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise DataError(f"{path}:{number}: expected a row of alignment: {error}") from error
    return rows
