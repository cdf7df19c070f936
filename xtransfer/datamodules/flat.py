"""Features in flat arrays: a file of safetensors, mapped into memory, of which only what is asked for is read."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file
from torch.utils.data import Dataset

from xtransfer.kinds import Feature

NONE, NUMBER, LIST = range(3)
"""Forms of labels: there are none, a number an example, several of them."""

FIELDS = {"input_ids", "token_type_ids", "labels", "index", "part", "meta"}


class Flattened:
    """Features laid one after the other, to be written.

    The arrays are ``ids`` and, for some encoders, ``types``, a value a token; ``starts``, where each sequence begins;
    ``rows``, the first sequence of each feature; ``labels`` and ``label_starts``, and their ``forms``; ``index``,
    ``part``; ``meta`` and ``meta_starts``, JSON in bytes. Each of the starts has the end as its last value.

    Args:
        features: The features.

    Raises:
        ValueError: Features differ in form, or have a field that this format has no place for.
    """

    def __init__(self, features: Iterable[Feature]) -> None:
        self.ids, self.types, self.labels, self.part = array("i"), array("b"), array("i"), array("i")
        self.starts, self.rows, self.label_starts, self.meta_starts = (array("q", [0]) for _ in range(4))
        self.index, self.forms, self.meta, self.nested = array("q"), array("b"), bytearray(), False
        for feature in features:
            self._add(feature)

    def save(self, path: Path | str, about: str) -> None:
        """Write the arrays, and a text about them; equal features and texts make equal files."""
        arrays = {name: np.asarray(value) for name, value in vars(self).items() if isinstance(value, array)}
        arrays["meta"] = np.frombuffer(self.meta, np.uint8) if self.meta else np.zeros(0, np.uint8)
        if not self.types:
            del arrays["types"]
        save_file(arrays, path, {"about": about, "nested": ""} if self.nested else {"about": about})

    def _add(self, feature: Feature) -> None:
        if unknown := feature.keys() - FIELDS:
            raise ValueError(f"expected a feature of {sorted(FIELDS)}, found also {sorted(unknown)}")
        ids, types = feature["input_ids"], feature.get("token_type_ids")
        nested = isinstance(ids[0], list)
        if self.index and nested != self.nested:
            raise ValueError("expected features all of one sequence or all of several, found both")
        self.nested = nested
        for row in ids if nested else (ids,):
            self.ids.extend(row)
            self.starts.append(len(self.ids))
        for row in () if types is None else types if nested else (types,):
            self.types.extend(row)
        if self.types and len(self.types) != len(self.ids):
            raise ValueError(f"expected as many token types as tokens, found {len(self.types)} and {len(self.ids)}")
        self.rows.append(len(self.starts) - 1)
        labels = feature.get("labels")
        self.forms.append(NONE if labels is None else LIST if isinstance(labels, Sequence) else NUMBER)
        self.labels.extend(() if labels is None else labels if isinstance(labels, Sequence) else (labels,))
        self.label_starts.append(len(self.labels))
        self.index.append(feature["index"])
        self.part.append(feature["part"])
        self.meta += json.dumps(feature["meta"], ensure_ascii=False).encode() if feature["meta"] else b""
        self.meta_starts.append(len(self.meta))


class FeatureSet(Dataset[Feature]):
    """Features of one portion, in a file that is mapped into memory, read only; pickled, it is the file's path.

    Args:
        path: What `Flattened.save` wrote. Its text is JSON, with `counts`.

    Attributes:
        counts: What was read, cut, split, repaired and dropped on the way.
        index: Number of the example each feature is of, ``(F,)``.
        lengths: Tokens of each feature's longest sequence, ``(F,)``.
        tokens: Tokens of all sequences of each feature, ``(F,)``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with safe_open(path, "pt") as file:  # as torch tensors arrays stay in the file, as NumPy's they would be copied
            about = file.metadata()
            arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118
        for values in arrays.values():
            values.flags.writeable = False
        self.counts: Counter[str] = Counter(json.loads(about["about"])["counts"])
        self._arrays, self._nested = arrays, "nested" in about
        self.index: npt.NDArray[np.int64] = arrays["index"]
        sizes, rows = np.diff(arrays["starts"]), arrays["rows"][:-1]
        self.lengths: npt.NDArray[np.int64] = np.maximum.reduceat(sizes, rows) if len(rows) else sizes
        self.tokens: npt.NDArray[np.int64] = np.diff(arrays["starts"][arrays["rows"]])

    def __reduce__(self) -> tuple[Any, ...]:
        """Let worker processes map the file themselves."""
        return FeatureSet, (self.path,)

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.index)

    def __getitem__(self, position: int) -> Feature:
        """Return a feature as `collate` takes it."""
        if not 0 <= position < len(self):
            raise IndexError(f"{self.path} has {len(self)} features, there is no number {position}")
        arrays, bounds = self._arrays, self._bounds(position)
        form, labels = arrays["forms"][position], self._slice("labels", "label_starts", position).tolist()
        meta = self._slice("meta", "meta_starts", position).tobytes()
        feature: Feature = {
            "input_ids": self._values("ids", bounds),
            "labels": None if form == NONE else labels[0] if form == NUMBER else labels,
            "index": int(self.index[position]),
            "part": int(arrays["part"][position]),
            "meta": json.loads(meta) if meta else {},
        }
        if "types" in arrays:
            feature["token_type_ids"] = self._values("types", bounds)
        return feature

    def sequences(self, position: int) -> list[bytes]:
        """Return the sequences of a feature, as bytes, which are equal if the token ids are: four bytes an id."""
        ids = self._arrays["ids"]
        return [ids[start:end].tobytes() for start, end in pairwise(self._bounds(position))]

    def token_ids(self) -> npt.NDArray[np.int32]:
        """Return the token ids of all features, one after the other."""
        found: npt.NDArray[np.int32] = self._arrays["ids"]
        return found

    def _bounds(self, position: int) -> list[int]:
        """Return where each sequence of a feature begins, and the end of the last."""
        arrays = self._arrays
        first, end = arrays["rows"][position : position + 2].tolist() if self._nested else (position, position + 1)
        found: list[int] = arrays["starts"][first : end + 1].tolist()
        return found

    def _values(self, name: str, bounds: Sequence[int]) -> list[Any]:
        """Return a value a token of a feature: in a list, or in one for each of its sequences."""
        values = self._arrays[name]
        found = [values[start:end].tolist() for start, end in pairwise(bounds)]
        return found if self._nested else found[0]

    def _slice(self, name: str, starts: str, position: int) -> npt.NDArray[Any]:
        first, end = self._arrays[starts][position : position + 2].tolist()
        found: npt.NDArray[Any] = self._arrays[name][first:end]
        return found
