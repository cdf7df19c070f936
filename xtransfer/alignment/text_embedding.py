"""Similarity of two samples' mean states: the text embedding of a task."""

from __future__ import annotations

from xtransfer.alignment.arrays import Array, cosine, enough


def text_embedding(a: Array, b: Array) -> float:
    """Return the cosine of two samples' mean states, -1 to 1: TextEmb of Vu et al. 2020.

    A task's embedding is the mean, over its rows, of the mean of a row's token states in the pretrained encoder; tasks
    whose embeddings are near are tried first ("Exploring and Predicting Transferability across NLP Tasks"). The states
    of most encoders share a large common part, so the values lie close together: read the order, not the size. Cost:
    nothing beyond the states.

    Args:
        a: States ``(N, H)``.
        b: States ``(M, H)``.

    Raises:
        UndefinedError: A sample is empty, or its mean is zero.
    """
    enough(1, a, b)
    return cosine(a.mean(0), b.mean(0))
