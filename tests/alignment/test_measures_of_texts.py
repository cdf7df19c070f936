"""Measures of texts, against values computed by hand."""

from __future__ import annotations

from math import log, log2

import pytest

from xtransfer.alignment import Texts, UndefinedError
from xtransfer.alignment.jensen_shannon import jensen_shannon
from xtransfer.alignment.profile import length_ratio, type_token_difference
from xtransfer.alignment.vocabulary import token_coverage, vocabulary_overlap


def texts(*tokens: list[int]) -> Texts:
    return Texts([str(one) for one in tokens], tokens)


def test_jensen_shannon_by_hand():
    # p = (1/2, 1/2, 0), q = (0, 1/2, 1/2), m = (1/4, 1/2, 1/4): each divergence is 1/2 log2 2 + 1/2 log2 1
    assert jensen_shannon(texts([1, 2]), texts([2], [3])) == pytest.approx(0.5)
    # p = (3/4, 1/4), q = (1/4, 3/4), m = (1/2, 1/2): one bit less the entropy of (3/4, 1/4)
    entropy = -(0.75 * log2(0.75) + 0.25 * log2(0.25))
    assert jensen_shannon(texts([1, 1, 1, 2]), texts([1, 2, 2, 2])) == pytest.approx(1 - entropy)


def test_jensen_shannon_is_0_of_equal_shares_and_1_of_disjoint_ones():
    assert jensen_shannon(texts([1, 2]), texts([1, 2], [2, 1])) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(texts([1, 2]), texts([3])) == pytest.approx(1)


def test_overlap_counts_kinds_and_coverage_counts_tokens():
    a, b = texts([1, 2, 2]), texts([2, 2, 2, 3], [4])
    assert vocabulary_overlap(a, b) == pytest.approx(1 / 4)  # 2 of 1 2 3 4
    assert token_coverage(a, b) == pytest.approx(3 / 5)  # 2 2 2 of 2 2 2 3 4
    assert token_coverage(b, a) == pytest.approx(2 / 3)


def test_lengths_are_compared_by_the_log_ratio_of_medians():
    assert length_ratio(texts([1], [1, 1], [1] * 9), texts([1] * 8)) == pytest.approx(log(4))
    assert length_ratio(texts([1] * 8), texts([1], [1, 1], [1] * 9)) == pytest.approx(log(4))


def test_type_token_ratio_is_over_whole_windows_of_a_thousand():
    # windows of 1,000: all equal (0.001), all distinct (1); the incomplete third is left out
    a = texts([7] * 1000, list(range(1000)), [7] * 999)
    b = texts(list(range(500)) * 2)  # 0.5
    assert type_token_difference(a, b) == pytest.approx((0.001 + 1) / 2 - 0.5)


@pytest.mark.parametrize("measure", [jensen_shannon, vocabulary_overlap, token_coverage, length_ratio])
def test_texts_without_subwords_are_undefined(measure):
    with pytest.raises(UndefinedError):
        measure(texts([1, 2]), texts([]))


def test_short_texts_have_no_type_token_ratio():
    with pytest.raises(UndefinedError, match="999 subwords; at least 1000"):
        type_token_difference(texts([1] * 999), texts([1] * 1000))
