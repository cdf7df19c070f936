"""Classification of one text or a pair: natural language inference, paraphrase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from xtransfer.errors import ConfigError, nearest
from xtransfer.heads import ClassificationHead
from xtransfer.kinds.base import Example, Kind, label_id, require_labels, text_of
from xtransfer.kinds.text import Feature, Layout, cut, fit_pair, ids_by_text
from xtransfer.metrics import Accuracy, AccuracyF1, Piece
from xtransfer.task import Row, Task


class Classification(Kind):
    """One label for one text or a pair of texts; pairs too long are cut longest first, from the end.

    Options:
        positive: The label that is looked for; its F1, and the mean of that and accuracy, are scored besides accuracy.
        placeholder: What stands where a text is missing; such examples are counted, and kept.
    """

    head = ClassificationHead
    roles = ("text", "label")
    options: ClassVar[dict[str, Any]] = {"positive": None, "placeholder": None}
    scoring_options = ("positive",)

    def check(self, task: Task) -> None:
        """Check the labels, besides what every kind checks."""
        super().check(task)
        if len(task.labels) < 2:
            raise ConfigError(f"task '{task.name}': a classification task needs `labels`, at least two")
        positive = self.settings(task.options)["positive"]
        if positive is not None and positive not in task.labels:
            hint = nearest(str(positive), task.labels)
            raise ConfigError(f"task '{task.name}': option positive: no label {positive!r}{hint}")

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
        placeholder = self.settings(task.options)["placeholder"]
        ids = ids_by_text(layout, [t for e in examples for t in (e["text"], e["pair"]) if t is not None])
        for example in examples:
            first, pair = ids[example["text"]], example["pair"]
            counts["empty_text"] += not first or (pair is not None and not ids[pair])
            counts["placeholder"] += placeholder is not None and placeholder in (example["text"], pair)
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

    def metric(self, spec: Mapping[str, Any], language: str = "en") -> Accuracy | AccuracyF1:
        """Accuracy, and the F1 of one class if the option `positive` names it."""
        positive = self.settings(spec["options"])["positive"]
        return Accuracy() if positive is None else AccuracyF1(spec["labels"], positive)

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
