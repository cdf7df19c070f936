"""Retrieval: texts become vectors, and a query's answers are its nearest candidates."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, get_args

from torch import Tensor

from xtransfer.errors import ConfigError, DataError, nearest
from xtransfer.heads import Head, RetrievalHead
from xtransfer.kinds.base import Example, Kind, require_labels, text_of
from xtransfer.kinds.text import Feature, Ids, Layout, cut, ids_by_text
from xtransfer.metrics import Piece, RetrievalScores
from xtransfer.metrics.retrieval import SIDES, Method
from xtransfer.task import Row, Task

QUERY, CANDIDATE = 0, 1


class Retrieval(Kind):
    """Queries, candidates, and which belong together.

    A row is a pair of a query (`text`) and its candidate, or, in a task that names the role `side`, one text of either
    side with its `id` and, of a query, its `targets`: the ids of the right candidates. Candidates of a language are
    its pool; a task's `pool` makes one for all languages. Training is on pairs.

    Options:
        method: ``nearest`` (accuracy of the nearest candidate: Tatoeba), ``ranking`` (mean average precision of the
            first 20: LAReQA, Mewsli-X), or ``mining`` (F1 of pairs found in unpaired texts: BUCC).
        pooling: ``mean`` over the tokens, or the ``first`` token.
        dense: Put a dense layer and tanh after the pooling.
        scale: Factor on cosines in training.
        learn_scale: Train the factor too.
        middle_layer: Read layer 14 of 24 counting the embeddings as 0, scaled to the encoder's depth, as Phang et al.
            2020 do; otherwise the last one.
        query_length: Most tokens of a query; default as many as of a candidate.
        neighbours: Mining: neighbours that make the margin.
        threshold: Mining: margin from which on a pair is kept; default: the best on the development rows.
        drop_repeated: Mining: leave out texts that occur more than once on their side, as the official script does.
        own_side: Which text of a pair of translations is in the row's language, ``candidate`` or ``text``; the other is
            in English. Measures of alignment alone ask for it.
    """

    head = RetrievalHead
    roles = ("text",)
    options: ClassVar[dict[str, Any]] = {
        "method": "nearest",
        "pooling": "mean",
        "dense": False,
        "scale": 20.0,
        "learn_scale": False,
        "middle_layer": True,
        "query_length": None,
        "neighbours": 4,
        "threshold": None,
        "drop_repeated": True,
        "own_side": "candidate",
    }
    scoring_options = ("neighbours", "threshold", "drop_repeated", "own_side")
    max_length = 512
    labels_per = "batch"
    joint = True

    def check(self, task: Task) -> None:
        """Check that rows are pairs or sides, and that the method exists."""
        super().check(task)
        one_sided = {"side", "id", "targets"} <= set(task.fields)
        if not one_sided and "candidate" not in task.fields:
            raise ConfigError(
                f"task '{task.name}': a retrieval task needs the field 'candidate', or 'side', 'id' and 'targets'"
            )
        for option, known in (("method", get_args(Method)), ("own_side", ("candidate", "text"))):
            found = self.settings(task.options)[option]
            if found not in known:
                raise ConfigError(f"task '{task.name}': unknown {option} '{found}'{nearest(found, known)}")

    def example(self, row: Row, task: Task, language: str) -> Example:
        """Read a pair, or one side of many; the label only says whether gold is there."""
        text = text_of(task, row, language, "text")
        if "candidate" in task.fields:
            name = task.read(row, "candidate_id")
            candidate = text_of(task, row, language, "candidate")
            return {"text": text, "candidate": candidate, "id": None if name is None else str(name), "label": 0}
        side, name, targets = (task.read(row, role) for role in ("side", "id", "targets"))
        if side not in SIDES:
            raise DataError(f"{task.where(row, language)}: unknown side '{side}'{nearest(str(side), SIDES)}")
        known = side == "candidate" or targets is not None
        return {"text": text, "side": side, "id": str(name), "targets": targets, "label": 0 if known else None}

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
        options = self.settings(task.options)
        rooms = {"query": min(room, (options["query_length"] or max_length) - layout.single_specials)}
        ids = ids_by_text(layout, [text for e in examples for _, text in _texts(e)])
        for example in examples:
            if options["method"] == "ranking" and example.get("side") == "query" and example["targets"] == []:
                counts["queries_without_target"] += 1
                continue
            sides = [
                (side, text, self._feature(layout, ids[text], rooms.get(side, room), counts))
                for side, text in _texts(example)
            ]
            common = {"index": example["index"], "labels": None}
            if train:
                pair: Feature = {field: [feature[field] for _, _, feature in sides] for field in sides[0][2]}
                yield pair | common | {"labels": 0, "part": 0, "meta": {}}
                continue
            for side, text, feature in sides:
                yield feature | common | {"part": SIDES.index(side), "meta": {"gold": _gold(example, side, text)}}

    def _feature(self, layout: Layout, ids: Ids, room: int, counts: Counter[str]) -> Feature:
        counts["truncated"] += len(ids) > room
        counts["empty_text"] += not ids
        return layout.single(cut(ids, room))

    def num_labels(self, spec: Mapping[str, Any]) -> int:
        """No outputs: the vector itself."""
        return 0

    def new_head(self, spec: Mapping[str, Any], hidden_size: int) -> Head:
        """A head with the task's pooling, dense layer and scale."""
        options = self.settings(spec["options"])
        return RetrievalHead(
            hidden_size,
            pooling=options["pooling"],
            scale=options["scale"],
            learn_scale=options["learn_scale"],
            dense=options["dense"],
        )

    def main_score(self, spec: Mapping[str, Any]) -> str:
        """Accuracy, mean average precision or F1, by the method."""
        return str(spec["metric"] or next(iter(self.metric(spec).variant)))

    def metric(self, spec: Mapping[str, Any], language: str = "en") -> RetrievalScores:
        """The scores of the method, for all languages at once."""
        options = self.settings(spec["options"])
        return RetrievalScores(
            options["method"],
            bool(spec.get("pool")),
            options["neighbours"],
            options["threshold"],
            options["drop_repeated"],
        )

    def decode(self, logits: Tensor, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Piece]:
        """The vectors themselves; neighbours are found when all are there."""
        rows = zip(batch["index"], batch["part"], logits.float().cpu(), strict=True)
        return [Piece(i, part, vector) for i, part, vector in rows]

    def export(self, pieces: Sequence[Piece], metas: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> str:
        """Search among the pieces of one language and write what is found, as `export_found` does."""
        metric = self.metric(spec)
        metric.update(pieces, [meta["gold"] for meta in metas])
        metric.compute()
        return self.export_found(metric.predictions["en"], spec)

    def export_found(self, found: Sequence[tuple[str, Sequence[str]]], spec: Mapping[str, Any]) -> str:
        """Write what was retrieved for each query.

        ``nearest``: one candidate id a line, in the order of the queries. ``mining``: query id, tab, candidate id.
        ``ranking``: a JSON object, query id -> candidate ids, best first.
        """
        method = self.settings(spec["options"])["method"]
        if method == "ranking":
            return json.dumps(dict(found), ensure_ascii=False, indent=1) + "\n"
        rows = [(query, best[0]) if method == "mining" else (best[0],) for query, best in found]
        return "".join("\t".join(row) + "\n" for row in rows)

    def file_type(self, spec: Mapping[str, Any]) -> str:
        """Rankings are JSON, the others tables."""
        return "json" if self.settings(spec["options"])["method"] == "ranking" else "tsv"

    def calibrates(self, spec: Mapping[str, Any]) -> bool:
        """Whether a threshold is chosen on development rows."""
        options = self.settings(spec["options"])
        return options["method"] == "mining" and options["threshold"] is None

    def gold(self, examples: Sequence[Example], task: Task) -> str:
        """The right candidates in the form of `export_found`; in a ranking, queries without any are left out."""
        require_labels(examples, task)
        numbered = [{"index": number} | example for number, example in enumerate(examples)]
        wanted = [_gold(e, side, text) for e in numbered for side, text in _texts(e) if side == "query"]
        found = [(query["id"], [str(target) for target in query["targets"]]) for query in wanted if query["targets"]]
        method = self.settings(task.options)["method"]
        if method == "nearest" and len(found) < len(wanted):
            raise DataError(
                f"task '{task.name}': {len(wanted) - len(found)} of {len(wanted)} queries have no candidate"
            )
        if method == "mining":
            found = [(query, [target]) for query, targets in found for target in targets]
        return self.export_found(found, task.spec())

    def layer(self, depth: int, spec: Mapping[str, Any]) -> int | None:
        """Layer 14 of 24, scaled (7 of 12), unless the task reads the last one."""
        return round(14 / 24 * depth) if self.settings(spec["options"])["middle_layer"] else None


def _texts(example: Example) -> list[tuple[str, str]]:
    """Return the texts of an example with their sides."""
    if "candidate" in example:
        return [("query", example["text"]), ("candidate", example["candidate"])]
    return [(example["side"], example["text"])]


def _gold(example: Example, side: str, text: str) -> dict[str, Any]:
    """Return what scoring and files of predictions need to know of a text.

    The query of a pair is named by its row's number, for several may have one candidate; that by its id or its text.
    """
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    if "candidate" not in example:
        return {"side": side, "id": example["id"], "text": digest, "targets": example["targets"]}
    own = hashlib.blake2b(example["candidate"].encode(), digest_size=8).hexdigest()
    name = own if example["id"] is None else example["id"]
    if side == "query":
        return {"side": side, "id": str(example["index"]), "text": digest, "targets": [name]}
    return {"side": side, "id": name, "text": digest, "targets": None}
