"""From a portion's examples to features, by way of the cache, and from features to batches for evaluation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from xtransfer.active import Words
from xtransfer.datamodules.budget import Budget, shared_batches
from xtransfer.datamodules.cache import cached
from xtransfer.datamodules.flat import FeatureSet
from xtransfer.datamodules.loading import Aside, Loading
from xtransfer.datamodules.portion import Portion
from xtransfer.kinds import KINDS, Feature, LabelLayout, Layout, collate
from xtransfer.task import POOL

CHUNK = 500
"""Examples tokenised at a time: enough to be quick, few enough to keep memory flat."""


def features_of(portion: Portion, tokenizer: PreTrainedTokenizerFast, max_length: int, folder: Path) -> FeatureSet:
    """Tokenise a portion, or read it from the cache.

    Args:
        portion: The rows.
        tokenizer: A fast tokenizer.
        max_length: Tokens of one input.
        folder: The cache.

    Raises:
        DataError: A row is broken, or too many could not be used.
    """
    kind, train = KINDS[portion.task.kind], portion.split == "train"

    def build(counts: Counter[str]) -> Iterator[Feature]:
        layout, examples = Layout(tokenizer), portion.examples()
        counts.update(portion.counts)
        for start in range(0, len(examples), CHUNK):
            for feature in kind.encode(
                examples[start : start + CHUNK], portion.task, layout, max_length, train, counts
            ):
                yield feature | {"meta": {}} if train else feature  # decoding alone needs the text side

    identity = {
        "data": portion.origin(),
        "task": repr(portion.task),
        "language": portion.language,
        "tokenizer": fingerprint(tokenizer),
        "max_length": max_length,
        "train": train,
    }
    return cached(identity, build, folder)


def fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a digest of a tokenizer: its vocabulary, rules and special tokens."""
    backend: Any = tokenizer.backend_tokenizer
    backend.no_truncation()  # what a call before left behind is no part of it
    backend.no_padding()
    text = backend.to_str() + repr(tokenizer.special_tokens_map)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def words_of(sets: Mapping[tuple[str, str, str], FeatureSet], padding: int | None = None) -> Words:
    """Return the words that occur in training rows, and those that occur in evaluation rows alone.

    Args:
        sets: Tokenised rows by task, split and language.
        padding: The token that batches are padded with.
    """

    def occurring(train: bool) -> Tensor:
        found = [
            np.unique(features.token_ids()) for (_, split, _), features in sets.items() if (split == "train") is train
        ]
        found += [np.array([padding])] * (train and padding is not None)
        return torch.from_numpy(np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)).long()

    trained, scored = occurring(True), occurring(False)
    return Words(trained, scored[~torch.isin(scored, trained)])


def batch_of(
    features: Sequence[Feature], pad_id: int, labels_per: LabelLayout, task: str, language: str, distinct: bool = False
) -> dict[str, Any]:
    """Pad features to a batch and say whose they are; with `distinct` equal texts are encoded once."""
    batch = collate(features, pad_id, labels_per, distinct)
    if distinct and labels_per == "batch":  # what becomes a vector is made once in all languages, see `Once`
        batch["texts"] = Aside([np.asarray(feature["input_ids"], np.int32).tobytes() for feature in features])
    return batch | {"meta": Aside(batch["meta"]), "task": task, "language": language}


class BatchesOf(NamedTuple):
    """How evaluation batches are made.

    Attributes:
        budget: How large they may be.
        pad_id: Id of the padding.
        loading: How they are loaded.
    """

    budget: Budget
    pad_id: int
    loading: Loading


class Batched(Dataset[list[Feature]]):
    """Features by batches that are settled beforehand; Lightning would replace a sampler of them when it predicts.

    Args:
        features: The features.
        batches: Positions of those of each batch.
    """

    def __init__(self, features: FeatureSet, batches: Sequence[Sequence[int]]) -> None:
        self._features, self._batches = features, batches

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._batches)

    def __getitem__(self, number: int) -> list[Feature]:
        """Return the features of a batch."""
        return [self._features[position] for position in self._batches[number]]


def evaluation_loaders(
    portions: Sequence[tuple[Portion, FeatureSet]], batches: BatchesOf, rank: int, world_size: int
) -> dict[str, DataLoader[list[Feature]]]:
    """Return a process's batches of each portion, longest first, by ``task/language``.

    Processes that load are kept for the next pass if there is one portion alone: there may be as many as languages.
    """
    loaders = {}
    for portion, features in portions:
        task, pool = portion.task, f"{POOL}-" * (portion.split == POOL)
        collate_fn = partial(
            batch_of,
            pad_id=batches.pad_id,
            labels_per=KINDS[task.kind].labels_per,
            task=task.name,
            language=portion.language,
            distinct=True,
        )
        places = shared_batches(features, batches.budget, rank, world_size)
        loaders[f"{task.name}/{pool}{portion.language}"] = DataLoader(
            Batched(features, places),
            batch_size=None,
            collate_fn=collate_fn,
            **batches.loading.of_batches(places).settings(persistent=len(portions) == 1),
        )
    return loaders
