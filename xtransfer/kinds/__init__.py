"""The six kinds of task, the library's one map from a name to an object."""

from xtransfer.kinds.base import Example, HeadFactory, Kind
from xtransfer.kinds.classification import Classification
from xtransfer.kinds.mlm import MaskedLM
from xtransfer.kinds.multiple_choice import MultipleChoice
from xtransfer.kinds.retrieval import Retrieval
from xtransfer.kinds.span import Span
from xtransfer.kinds.tagging import Tagging
from xtransfer.kinds.text import Feature, LabelLayout, Layout, Vocabulary, collate

KINDS: dict[str, Kind] = {
    "classification": Classification(),
    "span": Span(),
    "tagging": Tagging(),
    "multiple_choice": MultipleChoice(),
    "retrieval": Retrieval(),
    "mlm": MaskedLM(),
}

__all__ = [
    "KINDS",
    "Example",
    "Feature",
    "HeadFactory",
    "Kind",
    "LabelLayout",
    "Layout",
    "Retrieval",
    "Vocabulary",
    "collate",
]
