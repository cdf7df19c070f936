"""Metrics: pure functions that follow the official scripts, and classes that feed them in any number of processes."""

from xtransfer.metrics.accuracy import Accuracy, accuracy
from xtransfer.metrics.base import Piece, RowMetric
from xtransfer.metrics.retrieval import RetrievalAccuracy, retrieve
from xtransfer.metrics.span import SpanScores, choose_answer, exact_match, normalize_answer, token_f1
from xtransfer.metrics.tagging import Span, TagScores, span_f1, spans

__all__ = [
    "Accuracy",
    "Piece",
    "RetrievalAccuracy",
    "RowMetric",
    "Span",
    "SpanScores",
    "TagScores",
    "accuracy",
    "choose_answer",
    "exact_match",
    "normalize_answer",
    "retrieve",
    "span_f1",
    "spans",
    "token_f1",
]
