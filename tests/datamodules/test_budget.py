"""Evaluation batches: their size in tokens as they are computed, their order, and each process's share."""

from __future__ import annotations

import json

import pytest

from xtransfer.datamodules import budget
from xtransfer.datamodules.budget import Budget, shared_batches
from xtransfer.datamodules.flat import FeatureSet, Flattened


@pytest.fixture
def made(tmp_path):
    def made(*ids) -> FeatureSet:
        features = [{"input_ids": row, "index": n, "part": 0, "meta": {}} for n, row in enumerate(ids)]
        Flattened(features).save(tmp_path / "features.safetensors", json.dumps({"counts": {}}))
        return FeatureSet(tmp_path / "features.safetensors")

    return made


def test_longest_first_as_many_as_fit(made):
    features = made([1, 2], [1, 2, 3, 4], [1, 3], [5], [1, 2, 3, 4, 5])
    assert shared_batches(features, Budget(9)) == [[4, 1], [0, 2, 3]]  # 5 + 4; 2 + 2 + 1
    assert shared_batches(features, Budget(8)) == [[4], [1, 0, 2], [3]]  # 5; 4 + 2 + 2; 1
    assert shared_batches(features, Budget(1)) == [[4], [1], [0], [2], [3]]  # one always fits
    assert shared_batches(features, Budget(99)) == [[4, 1, 0, 2, 3]]


def test_examples_limit_a_batch_too(made):
    features = made([1, 2], [3, 4], [5, 6])
    assert shared_batches(features, Budget(4, examples=9)) == [[0, 1], [2]]
    assert shared_batches(features, Budget(99, examples=1)) == [[0], [1], [2]]


def test_equal_texts_come_together_and_count_once(made):
    a, b = [1, 2, 3], [1, 2, 4]
    features = made(a, b, a, b, a)
    assert shared_batches(features, Budget(6)) == [[0, 2, 4, 1, 3]]
    assert shared_batches(features, Budget(3)) == [[0, 2, 4], [1, 3]]


def test_equal_options_count_once(made):
    features = made([[1, 2], [3, 4]], [[1, 2], [5, 6]], [[1, 2], [1, 2]])
    assert shared_batches(features, Budget(6)) == [[2, 0, 1]]  # 2; then 2 more each
    assert shared_batches(features, Budget(4)) == [[2, 0], [1]]


def test_repeated_texts_do_not_make_a_batch_too_large_for_the_heads(made):
    features = made(*[[7, 8]] * 20)
    assert budget.WIDE == 4
    assert [len(batch) for batch in shared_batches(features, Budget(2 * 3))] == [12, 8]  # 12 x 2 is 4 times 6


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_processes_share_all_features_and_have_as_many_batches(made, world_size):
    features = made(*[[n + 5] * (n % 5 + 1) for n in range(23)])
    alone = shared_batches(features, Budget(8))
    shares = [shared_batches(features, Budget(8), rank, world_size) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    together = [batch for turn in zip(*shares, strict=True) for batch in turn]
    assert together[: len(alone)] == alone
    assert all(batch in alone for batch in together[len(alone) :])


def test_few_features_are_shared_too(made):
    features = made(*[[n, n, n] for n in range(8)])
    assert shared_batches(features, Budget(4096)) == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert [shared_batches(features, Budget(4096), rank, 4) for rank in range(4)] == [
        [[0, 1]],
        [[2, 3]],
        [[4, 5]],
        [[6, 7]],
    ]
