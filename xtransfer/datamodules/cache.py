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
from pathlib import Path
from typing import Any

from xtransfer.datamodules.flat import FeatureSet, Flattened
from xtransfer.disk import digest
from xtransfer.kinds import Feature

log = logging.getLogger(__name__)


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
    for path in sorted(folder.glob(f"{key}-*.safetensors")):
        if path == _named(folder, key, path):
            return FeatureSet(path)
        log.warning("cached features %s are damaged, their checksum differs: they are made again", path)
        path.unlink(missing_ok=True)
    counts: Counter[str] = Counter()
    features = Flattened(build(counts))
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
    os.close(handle)
    try:
        features.save(temporary, json.dumps({"counts": counts, "identity": text}))
        path = _named(folder, key, Path(temporary))
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return FeatureSet(path)


def _named(folder: Path, key: str, file: Path) -> Path:
    """Return the path of a file: the checksum in its name covers all of it, what is about the arrays too."""
    return folder / f"{key}-{digest(file)[:16]}.safetensors"


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return a digest of the code that turns rows into features."""
    package = Path(__file__).parent.parent
    files = sorted([*(package / "kinds").glob("*.py"), *(package / "sources").glob("*.py"), package / "task.py"])
    files += [package / "datamodules" / name for name in ("portion.py", "features.py", "flat.py")]
    found = hashlib.sha256()
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()[:16]
