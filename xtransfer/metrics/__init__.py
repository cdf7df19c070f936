"""Metrics: pure functions that follow the official scripts, and classes that feed them in any number of processes."""

from xtransfer.metrics.accuracy import Accuracy, AccuracyF1, accuracy, class_f1
from xtransfer.metrics.base import Piece, RowMetric
from xtransfer.metrics.mining import Pair, best_threshold, mine
from xtransfer.metrics.mlqa import normalize_mlqa
from xtransfer.metrics.perplexity import Perplexity
from xtransfer.metrics.ranking import average_precision, pair_f1
from xtransfer.metrics.retrieval import RetrievalScores, rank, retrieve
from xtransfer.metrics.span import SpanScores, choose_answer, exact_match, normalize_answer, normalizer_of, token_f1
from xtransfer.metrics.tagging import Span, TagScores, span_f1, spans

TaskMetric = RowMetric | RetrievalScores
"""What a kind scores with."""

__all__ = [
    "Accuracy",
    "AccuracyF1",
    "Pair",
    "Perplexity",
    "Piece",
    "RetrievalScores",
    "RowMetric",
    "Span",
    "SpanScores",
    "TagScores",
    "TaskMetric",
    "accuracy",
    "average_precision",
    "best_threshold",
    "choose_answer",
    "class_f1",
    "exact_match",
    "mine",
    "normalize_answer",
    "normalize_mlqa",
    "normalizer_of",
    "pair_f1",
    "rank",
    "retrieve",
    "span_f1",
    "spans",
    "token_f1",
]
