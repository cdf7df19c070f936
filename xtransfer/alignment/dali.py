"""Are the options of a question told apart across languages?"""

from __future__ import annotations

import numpy as np

from xtransfer.alignment.arrays import Array, UndefinedError, enough, unit_rows


def dali(english: Array, other: Array) -> float:
    """Return the share of questions whose options are all told apart across languages: DALI, 0 to 1.

    Ravisankar et al. 2025, "Can you map it to English?" (arXiv 2504.09378), as the authors' published code computes it:
    a question counts if the cosine of premise and option with their translation is higher, for each option, than that
    of any two options that are no translations, whichever of the two is the English one. There the states are a
    decoder's; here an encoder's mean over tokens. Cost: C x C products a question.

    Args:
        english: States ``(N, C, H)`` of each premise read with each of its options.
        other: Those of the translations.

    Raises:
        UndefinedError: The shapes differ, or there are fewer than two options, or a state is zero.
    """
    across, own = _across(english, other)
    return float((own.min(-1) > _others(across).max((-2, -1))).mean())


def dali_strict(english: Array, other: Array) -> float:
    """Return the same share where a pair must also be nearer than two options of one language are: strict DALI.

    As `dali`, and the cosines of the pairs are higher than those of any two options in one language, too; after a
    published summary of the paper. (A script of the authors by that name looks at the right answer alone.) In a space
    where all states are alike, `dali` can be met by accident; this less so. Cost: as `dali`, three times.

    Args:
        english: States ``(N, C, H)``.
        other: Those of the translations.

    Raises:
        UndefinedError: The shapes differ, or there are fewer than two options, or a state is zero.
    """
    across, own = _across(english, other)
    within = [_others(np.einsum("nih,njh->nij", unit, unit)) for unit in (unit_rows(english), unit_rows(other))]
    highest = np.maximum.reduce([one.max((-2, -1)) for one in (_others(across), *within)])
    return float((own.min(-1) > highest).mean())


def _across(english: Array, other: Array) -> tuple[Array, Array]:
    """Return the cosines ``(N, C, C)`` of options across both languages, and those of the pairs ``(N, C)``."""
    if english.shape != other.shape or english.ndim != 3 or english.shape[1] < 2:
        shapes = f"{english.shape} and {other.shape}"
        raise UndefinedError(f"states of shapes {shapes}; expected both as (N, C, H), with two options or more")
    enough(1, english, other)
    across = np.einsum("nih,njh->nij", unit_rows(english), unit_rows(other))
    return across, np.einsum("nii->ni", across).copy()


def _others(similar: Array) -> Array:
    """Return the cosines without those of an option with itself."""
    same = np.eye(similar.shape[-1], dtype=bool)
    return np.where(same, -np.inf, similar)
