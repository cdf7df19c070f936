"""Measures of translations, on states small enough to see the answer."""

from __future__ import annotations

import numpy as np
import pytest

from xtransfer.alignment import UndefinedError
from xtransfer.alignment.dali import dali, dali_strict
from xtransfer.alignment.parallel import margin, mexa, retrieval_accuracy


def at(*degrees: float) -> np.ndarray:
    """Vectors of the plane in these directions, of different lengths."""
    angles = np.radians(degrees)
    lengths = np.arange(1, angles.size + 1).reshape(angles.shape)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1) * lengths[..., None]


ENGLISH, OTHER = at(0, 40, 90), at(5, 80, 85)
"""The second translation, at 80, is nearest to the third English sentence, at 90; 40 is nearest to 5."""


def test_retrieval_is_the_mean_of_both_directions():
    # English -> other: 0 finds 5, 40 finds 5 (35 off, not 80, 40 off), 90 finds 85: 2 of 3.
    # Other -> English: 5 finds 0, 80 finds 90, 85 finds 90: 2 of 3.
    assert retrieval_accuracy(ENGLISH, OTHER) == pytest.approx(2 / 3)
    assert retrieval_accuracy(ENGLISH, ENGLISH[[1, 0, 2]]) == pytest.approx(1 / 3)
    # English all find theirs; of the others 9 finds 0, not 20, so both directions differ.
    assert retrieval_accuracy(at(0, 20, 40), at(5, 9, 39)) == pytest.approx((1 + 2 / 3) / 2)
    assert retrieval_accuracy(at(5, 9, 39), at(0, 20, 40)) == pytest.approx((2 / 3 + 1) / 2)


def test_mexa_wants_the_pair_above_its_row_and_its_column():
    # 0-5: 5 is nearer to 0 than to any, and 0 to 5: counts. 40-80 fails. 90-85: 5 off, 90-80 10 off, 40-85: counts.
    assert mexa(ENGLISH, OTHER) == pytest.approx(2 / 3)
    # Both English sentences are nearest to their translation, but the first translation is nearer to the second.
    assert mexa(at(0, 12), at(8, 12)) == pytest.approx(1 / 2)


def test_a_tie_is_no_match():
    assert mexa(at(0, 0), at(0, 0)) == 0


def test_margin_is_pairs_less_others():
    english, other = at(0, 90), at(0, 90)
    assert margin(english, other) == pytest.approx(1)
    assert margin(english, other[::-1]) == pytest.approx(-1)


def test_rows_have_to_be_as_many():
    with pytest.raises(UndefinedError, match="2 and 3 rows"):
        mexa(at(0, 1), at(0, 1, 2))


# ------------------------------------------------------------------ options
def test_dali_counts_questions_whose_pairs_are_nearer_than_all_others():
    english = at((0, 60), (0, 60), (0, 60))
    other = at((5, 65), (25, 60), (0, 20))
    # Degrees between pairs, and between others. First: 5, 5; 65, 55. Second: 25, 0; 60, 35: counts. Third: 0, 40; 20,
    # 60: 60 is nearer to its own translation, 20, than to 0; but 0 and 20 are nearer still.
    assert dali(english, other) == pytest.approx(2 / 3)
    assert dali(other, english) == pytest.approx(2 / 3), "the languages are alike"
    assert dali(english, other[:, ::-1]) == 0
    # Of four options, all pairs are compared with all others, also those of further options: 30 off, 29 off.
    assert dali(at((0, 90, 180, 209)), at((30, 90, 180, 209))) == 0
    assert dali(at((0, 90, 180, 211)), at((30, 90, 180, 211))) == 1
    assert dali(at((0, 60), (0, 60)), at((5, 65), (65, 5))) == pytest.approx(1 / 2)
    # One option of two is not enough: 0 finds 5, but 60 is nearer to 5 than to 170.
    assert dali(at((0, 60)), at((5, 170))) == 0


def test_strict_dali_also_wants_pairs_nearer_than_options_of_one_language():
    english = at((0, 60), (0, 60), (40, 60))
    other = at((5, 65), (25, 49), (15, 85))
    # Second: the pairs are 25 and 11 off, the others 49 and 35, but 25 and 49 of the other language 24. Third: 25 and
    # 25 off, the others 45 and 45, but 40 and 60 of English 20. Only the first remains.
    assert dali(english, other) == 1
    assert dali_strict(english, other) == pytest.approx(1 / 3)


def test_one_option_is_no_question():
    with pytest.raises(UndefinedError, match="two options"):
        dali(at((0,), (1,)), at((0,), (1,)))
