"""How much of the target's vocabulary the intermediate task's texts hold."""

from __future__ import annotations

from xtransfer.alignment.arrays import Texts


def vocabulary_overlap(a: Texts, b: Texts) -> float:
    """Return the Jaccard index of two sets of subwords: 0 if disjoint, 1 if equal.

    Shared subwords over all subwords, as Gururangan et al. 2020, "Don't Stop Pretraining", compare domains by words
    (theirs: the 10,000 most frequent). It rises with the size of the samples. Cost: one pass over the tokens.

    Raises:
        UndefinedError: A sample has no subword.
    """
    first, second = a.counts().keys(), b.counts().keys()
    return len(first & second) / len(first | second)


def token_coverage(a: Texts, b: Texts) -> float:
    """Return the share of the second sample's tokens whose subword occurs in the first: what training will have seen.

    Cost: one pass over the tokens.

    Raises:
        UndefinedError: A sample has no subword.
    """
    known, wanted = a.counts().keys(), b.counts()
    return sum(number for word, number in wanted.items() if word in known) / wanted.total()
