"""Retrieval: texts become vectors, and each query's answer is its nearest candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from xtransfer.heads import RetrievalHead
from xtransfer.kinds.base import Example, Kind, text_of
from xtransfer.kinds.text import Feature, Layout, cut, ids_by_text
from xtransfer.metrics import Piece, RetrievalAccuracy, retrieve
from xtransfer.task import Row, Task

QUERY, CANDIDATE = 0, 1


class Retrieval(Kind):
    """Each row is a pair: a query and its candidate; all candidates of a language are the pool.

    The default layer is the middle one of Phang et al. 2020, 14 of 24 counting the embeddings as 0, scaled to the
    encoder's depth.
    """

    head = RetrievalHead
    roles = ("text", "candidate")
    max_length = 512
    labels_per = "batch"

    def example(self, row: Row, task: Task, language: str) -> Example:
        """Read query and candidate; the candidate's own id, if it has one, is what predictions name."""
        texts = {role: text_of(task, row, language, role) for role in self.roles}
        return texts | {"candidate_id": task.read(row, "candidate_id"), "label": 0}

    def encode(
        self,
        examples: Sequence[Example],
        task: Task,
        layout: Layout,
        max_length: int,
        train: bool,
        counts: Counter[str],
    ) -> Iterator[Feature]:
        """One feature a pair for training, one a text for evaluation."""
        room = max_length - layout.single_specials
        ids = ids_by_text(layout, [e[role] for e in examples for role in self.roles])
        for example in examples:
            sides = [ids[example[role]] for role in self.roles]
            counts["truncated"] += sum(len(side) > room for side in sides)
            counts["empty_text"] += sum(not side for side in sides)
            features = [layout.single(cut(side, room)) for side in sides]
            name = example["candidate_id"]
            common = {"index": example["index"], "labels": None}
            if train:
                pair: Feature = {field: [f[field] for f in features] for field in features[0]}
                yield pair | common | {"labels": 0, "part": 0, "meta": {}}
                continue
            for part, feature in zip((QUERY, CANDIDATE), features, strict=True):
                side = {"side": ("query", "candidate")[part], "gold": example["index"]}
                meta = {"gold": side, "id": example["index"] if name is None else name}
                yield feature | common | {"part": part, "meta": meta}

    def num_labels(self, spec: Mapping[str, Any]) -> int:
        """No outputs: the vector itself."""
        return 0

    def metric(self, spec: Mapping[str, Any], language: str = "en") -> RetrievalAccuracy:
        """Share of queries whose nearest candidate is the right one."""
        return RetrievalAccuracy()

    def decode(self, logits: Tensor, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Piece]:
        """The vectors themselves; the nearest neighbour is found when all are there."""
        rows = zip(batch["index"], batch["part"], logits.float().cpu(), strict=True)
        return [Piece(i, part, vector) for i, part, vector in rows]

    def export(self, pieces: Sequence[Piece], metas: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> str:
        """One candidate id a line, one line a query, in the order of the queries."""
        queries = torch.stack([piece.value for piece in pieces if piece.part == QUERY])
        names = [meta["id"] for piece, meta in zip(pieces, metas, strict=True) if piece.part == CANDIDATE]
        candidates = torch.stack([piece.value for piece in pieces if piece.part == CANDIDATE])
        return "".join(f"{names[best]}\n" for best in retrieve(queries, candidates))

    def layer(self, depth: int, spec: Mapping[str, Any]) -> int | None:
        """Layer 14 of 24, scaled: 7 of 12."""
        return round(14 / 24 * depth)
