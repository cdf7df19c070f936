"""Multiple choice: one score an option, any number of options."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from xtransfer.errors import DataError
from xtransfer.heads import MultipleChoiceHead
from xtransfer.kinds.base import Example, Kind, require_labels, text_of
from xtransfer.kinds.text import Feature, Layout, fit_pair, ids_by_text
from xtransfer.metrics import Accuracy, Piece
from xtransfer.task import Row, Task


class MultipleChoice(Kind):
    """One of several options. Texts too long lose tokens at the start, which keeps the question at the prompt's end.

    Options:
        truncation_side: "left" as the paper's code base does, or "right" as the official scripts do.
    """

    head = MultipleChoiceHead
    roles = ("text", "choices", "label")
    options: ClassVar[dict[str, Any]] = {"truncation_side": "left"}
    suffix = "jsonl"

    def example(self, row: Row, task: Task, language: str) -> Example:
        """Read prompt, options and the number of the right one."""
        choices = task.read(row, "choices")
        if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, str) for c in choices):
            raise DataError(
                f"{task.where(row, language)}: expected a list of two or more options, found {choices!r:.80}"
            )
        value = task.read(row, "label")
        name, numbers = task.label_name(value), [str(number) for number in range(len(choices))]
        legal = [spelling for spelling in task.aliases or numbers if task.label_name(spelling) in numbers]
        if name is not None and str(value).strip() not in legal:
            raise DataError(
                f"{task.where(row, language)}: label '{value}' is not one of {', '.join(legal)}; there are "
                f"{len(choices)} options"
            )
        label = None if name is None else int(name)
        text = text_of(task, row, language, "text")
        return {"text": text, "choices": choices, "label": label, "where": task.where(row, language)}

    def check_together(self, examples: Sequence[Example], train: bool) -> None:
        """Refuse questions of more or fewer options than the first has: they go into one batch."""
        wanted = len(examples[0]["choices"])
        for example in examples:
            if (found := len(example["choices"])) != wanted:
                raise DataError(
                    f"{example['where']}: found {found} options, expected {wanted} as in the first row "
                    f"({examples[0]['where']}); all questions of a task need as many"
                )

    def encode(
        self,
        examples: Sequence[Example],
        task: Task,
        layout: Layout,
        max_length: int,
        train: bool,
        counts: Counter[str],
    ) -> Iterator[Feature]:
        """One feature an example, with one row of tokens an option."""
        side = self.settings(task.options)["truncation_side"]
        room = max_length - layout.pair_specials
        ids = ids_by_text(layout, [text for e in examples for text in (e["text"], *e["choices"])])
        for example in examples:
            prompt, rows = ids[example["text"]], []
            for choice in example["choices"]:
                a, b = fit_pair(prompt, ids[choice], room, side)
                counts["truncated"] += len(a) + len(b) < len(prompt) + len(ids[choice])
                counts["empty_text"] += not prompt or not ids[choice]
                rows.append(layout.pair(a, b))
            nested: Feature = {name: [row[name] for row in rows] for name in rows[0]}
            meta = {"gold": example["label"]}
            yield nested | {"labels": example["label"], "index": example["index"], "part": 0, "meta": meta}

    def num_labels(self, spec: Mapping[str, Any]) -> int:
        """One score an option, whatever their number."""
        return 1

    def metric(self, spec: Mapping[str, Any], language: str = "en") -> Accuracy:
        """Accuracy."""
        return Accuracy()

    def decode(self, logits: Tensor, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Piece]:
        """The option of the highest score."""
        best = logits.argmax(-1).tolist()
        return [Piece(i, part, value) for i, part, value in zip(batch["index"], batch["part"], best, strict=True)]

    def export(self, pieces: Sequence[Piece], metas: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> str:
        """One JSON object a line: ``{"label": 0}``."""
        return _choices([piece.value for piece in pieces])

    def gold(self, examples: Sequence[Example], task: Task) -> str:
        """One JSON object a line: ``{"label": 0}``."""
        require_labels(examples, task)
        return _choices([example["label"] for example in examples])


def _choices(labels: Sequence[int]) -> str:
    return "".join(json.dumps({"label": label}) + "\n" for label in labels)
