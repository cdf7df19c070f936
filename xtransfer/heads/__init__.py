"""Heads: plain modules that turn hidden states into scores. They need torch alone and run without the rest."""

from xtransfer.heads.base import Head, HeadOutput
from xtransfer.heads.classification import ClassificationHead
from xtransfer.heads.mlm import MaskedLMHead
from xtransfer.heads.multiple_choice import MultipleChoiceHead
from xtransfer.heads.neighbours import mutual_neighbours, nearest_neighbours
from xtransfer.heads.retrieval import RetrievalHead
from xtransfer.heads.span import SpanHead, best_span, best_spans
from xtransfer.heads.tagging import TaggingHead

__all__ = [
    "ClassificationHead",
    "Head",
    "HeadOutput",
    "MaskedLMHead",
    "MultipleChoiceHead",
    "RetrievalHead",
    "SpanHead",
    "TaggingHead",
    "best_span",
    "best_spans",
    "mutual_neighbours",
    "nearest_neighbours",
]
