"""What is read of a portion: slices and limits, pools that stay whole, and what to do when a data set is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from xtransfer.datamodules.portion import Portion
from xtransfer.errors import DataError, UnavailableError
from xtransfer.sources import Tsv
from xtransfer.task import WHERE, Row, Source, Task

SIDES = {"side": "side", "text": "text", "id": "id", "targets": "targets"}
POOLED = Task(name="pooled", kind="retrieval", fields=SIDES)


@dataclass(frozen=True)
class Fixed(Source):
    """Four queries and two candidates, or nothing but an error."""

    gone: bool = False

    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        if self.gone:
            raise UnavailableError("acme/pooled cannot be loaded")
        for i in range(4):
            yield {"side": "query", "text": f"q{i}", "id": f"q{i}", "targets": ["c0"], WHERE: f"row {i}"}
        for i in range(2):
            yield {"side": "candidate", "text": f"c{i}", "id": f"c{i}", "targets": None, WHERE: f"row {4 + i}"}

    def declares(self, split: str) -> bool:
        return True

    def has(self, split: str, language: str, folder: Path | None) -> bool:
        return True

    def origin(self, split: str, language: str, folder: Path | None) -> str:
        return "fixed"


@pytest.mark.parametrize(
    ("rows", "limit", "kept"),
    [
        ("test", None, "q0 q1 q2 q3 c0 c1"),
        ("test[:2]", None, "q0 q1 c0 c1"),
        ("test[50%:]", None, "q2 q3 c0 c1"),
        ("test", 1, "q0 c0 c1"),
    ],
)
def test_queries_are_cut_but_never_the_pool(rows: str, limit: int | None, kept: str) -> None:
    portion = Portion(POOLED, "test", "de", Fixed(), None, rows, limit)
    assert " ".join(example["id"] for example in portion.examples()) == kept
    assert portion.counts["rows_in_source"] == 6


def test_where_a_data_set_is_gone_its_own_files_are_named() -> None:
    files = (Tsv(paths={"test": "{language}.test.tsv"}), Tsv(paths={"test": "{language}/test.tsv"}))
    task = Task(name="pooled", kind="retrieval", fields=SIDES, files=files)
    with pytest.raises(DataError, match=r"data_dir/pooled: 'de.test.tsv' or 'de/test.tsv'"):
        Portion(task, "test", "de", Fixed(gone=True), None, "test").examples()
