"""Tokenised features on disk: made once, named by all that changes them and by their checksum."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from torch.utils.data import Dataset

from xtransfer.kinds import Feature

log = logging.getLogger(__name__)
CHUNK = 1000


class FeatureSet(Dataset[Feature]):
    """Features of one portion, in memory as an Arrow table.

    Args:
        table: One row a feature; `meta` is JSON, `length` the number of tokens.
        counts: What was read, cut, split, repaired and dropped on the way.
    """

    def __init__(self, table: pa.Table, counts: Counter[str]) -> None:
        self.table, self.counts = table, counts
        self.lengths: list[int] = table.column("length").to_pylist()

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.lengths)

    def token_ids(self) -> npt.NDArray[np.int64]:
        """Return the token ids of all features, one after the other."""
        ids: Any = self.table.column("input_ids").combine_chunks()
        while pa.types.is_list(ids.type):
            ids = ids.flatten()
        found: npt.NDArray[np.int64] = ids.to_numpy(zero_copy_only=False)
        return found

    def __getitem__(self, position: int) -> Feature:
        """Return a feature as `collate` takes it."""
        feature: Feature = self.table.slice(position, 1).to_pylist()[0]
        feature["meta"] = json.loads(feature["meta"])
        return feature


def cache_folder(chosen: Path | None = None) -> Path:
    """Return the folder of the cache: the chosen one, ``$XTRANSFER_CACHE``, or the user's."""
    if chosen is not None:
        return Path(chosen)
    home = os.environ.get("XTRANSFER_CACHE")
    base = Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "xtransfer"
    return base / "features"


def cached(identity: Mapping[str, Any], build: Callable[[Counter[str]], Iterator[Feature]], folder: Path) -> FeatureSet:
    """Return the features that `identity` names: from the cache, or built, stored and returned.

    A file that fails its checksum is reported and built again. Two processes may build the same file: each writes
    its own and renames it, and the results are equal.

    Args:
        identity: All that changes the features; the version of the code is added here.
        build: Makes the features, adding to the counter it is given.
        folder: The cache.
    """
    text = json.dumps({**identity, "code": code_version()}, sort_keys=True, default=str, ensure_ascii=False)
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    for path in sorted(folder.glob(f"{key}-*.parquet")):
        content = path.read_bytes()
        if path == _named(folder, key, content):
            table = pq.read_table(pa.BufferReader(content))
            return FeatureSet(table, Counter(json.loads(table.schema.metadata[b"counts"])))
        log.warning("cached features %s are damaged, their checksum differs: they are made again", path)
        path.unlink(missing_ok=True)
    counts: Counter[str] = Counter()
    table = _table(build(counts))
    table = table.replace_schema_metadata({"counts": json.dumps(counts), "identity": text})
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
    os.close(handle)
    try:
        pq.write_table(table, temporary, compression="zstd")
        os.replace(temporary, _named(folder, key, Path(temporary).read_bytes()))
    finally:
        Path(temporary).unlink(missing_ok=True)
    return FeatureSet(table, counts)


def _named(folder: Path, key: str, content: bytes) -> Path:
    """Return the path of a file: the checksum in its name covers all of it, unlike those within the format."""
    return folder / f"{key}-{hashlib.sha256(content).hexdigest()[:16]}.parquet"


def _table(features: Iterator[Feature]) -> pa.Table:
    chunks = []
    while rows := [_flat(feature) for feature in islice(features, CHUNK)]:
        chunks.append(pa.Table.from_pylist(rows))
    # A chunk in which all labels are missing has a column of nulls; joining gives it the type of the others.
    return pa.concat_tables(chunks, promote_options="permissive")


def _flat(feature: Feature) -> Feature:
    ids = feature["input_ids"]
    length = max(map(len, ids)) if isinstance(ids[0], list) else len(ids)
    return feature | {"meta": json.dumps(feature["meta"], ensure_ascii=False), "length": length}


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return a digest of the code that turns rows into features."""
    package = Path(__file__).parent.parent
    files = sorted([*(package / "kinds").glob("*.py"), *(package / "sources").glob("*.py"), package / "task.py"])
    files += [package / "datamodules" / name for name in ("portion.py", "features.py")]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
