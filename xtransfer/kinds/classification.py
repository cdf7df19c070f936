"""Classification of one text or a pair: natural language inference, paraphrase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from xtransfer.errors import ConfigError
from xtransfer.heads import ClassificationHead
from xtransfer.kinds.base import Example, Kind, label_id, require_labels, text_of
from xtransfer.kinds.text import Feature, Layout, cut, fit_pair, ids_by_text
from xtransfer.metrics import Accuracy, Piece
from xtransfer.task import Row, Task


class Classification(Kind):
    """One label for one text or a pair of texts; pairs too long are cut longest first, from the end."""

    head = ClassificationHead
    roles = ("text", "label")

    def check(self, task: Task) -> None:
        """Check that labels are named, besides what every kind checks."""
        super().check(task)
        if len(task.labels) < 2:
            raise ConfigError(f"task '{task.name}': a classification task needs `labels`, at least two")

    def example(self, row: Row, task: Task, language: str) -> Example:
        """Read text, pair and label."""
        pair = text_of(task, row, language, "pair") if "pair" in task.fields else None
        label = label_id(task, row, language, task.read(row, "label"), task.labels)
        return {"text": text_of(task, row, language, "text"), "pair": pair, "label": label}

    def encode(
        self,
        examples: Sequence[Example],
        task: Task,
        layout: Layout,
        max_length: int,
        train: bool,
        counts: Counter[str],
    ) -> Iterator[Feature]:
        """One feature an example."""
        ids = ids_by_text(layout, [t for e in examples for t in (e["text"], e["pair"]) if t is not None])
        for example in examples:
            first, pair = ids[example["text"]], example["pair"]
            counts["empty_text"] += not first or (pair is not None and not ids[pair])
            if pair is None:
                kept = cut(first, max_length - layout.single_specials)
                counts["truncated"] += len(kept) < len(first)
                feature = layout.single(kept)
            else:
                a, b = fit_pair(first, ids[pair], max_length - layout.pair_specials)
                counts["truncated"] += len(a) + len(b) < len(first) + len(ids[pair])
                feature = layout.pair(a, b)
            meta = {"gold": example["label"]}
            yield feature | {"labels": example["label"], "index": example["index"], "part": 0, "meta": meta}

    def num_labels(self, spec: Mapping[str, Any]) -> int:
        """One output a label."""
        return len(spec["labels"])

    def metric(self, spec: Mapping[str, Any], language: str = "en") -> Accuracy:
        """Accuracy."""
        return Accuracy()

    def decode(self, logits: Tensor, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Piece]:
        """The label of the highest score."""
        best = logits.argmax(-1).tolist()
        return [Piece(i, part, value) for i, part, value in zip(batch["index"], batch["part"], best, strict=True)]

    def export(self, pieces: Sequence[Piece], metas: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> str:
        """One label a line."""
        return "".join(f"{spec['labels'][piece.value]}\n" for piece in pieces)

    def gold(self, examples: Sequence[Example], task: Task) -> str:
        """One label a line."""
        require_labels(examples, task)
        return "".join(f"{task.labels[example['label']]}\n" for example in examples)
