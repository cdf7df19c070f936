"""Scores of retrieval: the nearest candidate, a ranking of candidates, or pairs mined from two texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, distributed
from torch.nn.functional import normalize
from torchmetrics import Metric

from xtransfer.errors import DataError, nearest
from xtransfer.heads import nearest_neighbours
from xtransfer.metrics.base import Piece, groups
from xtransfer.metrics.mining import best_threshold, mine
from xtransfer.metrics.ranking import average_precision, pair_f1

Method = Literal["nearest", "ranking", "mining"]
SIDES = ("query", "candidate")
DEPTH = 20
"""Candidates that are kept of a ranking."""


class Item(NamedTuple):
    """One text whose vector was seen.

    Attributes:
        language: Its language, or that of the data it came with.
        index: Its example.
        side: ``query`` or ``candidate``.
        id: Its name.
        text: What is equal for equal texts.
        targets: Names of the right candidates of a query; None if they are not known.
    """

    language: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    side: str
    id: str
    text: str
    targets: tuple[str, ...] | None


class Texts(NamedTuple):
    """Distinct texts of one side: their items, each text's first one first, and vectors ``(N, D)``."""

    items: list[list[Item]]
    vectors: Tensor


def retrieve(queries: Tensor, candidates: Tensor) -> list[int]:
    """Return the position of each query's nearest candidate by cosine, the lowest of equally near ones.

    Args:
        queries: Vectors ``(Q, D)`` of any length.
        candidates: Vectors ``(N, D)``, on the same device.

    Raises:
        DataError: There are no candidates, or a vector holds NaN or infinity.
    """
    return [ranked[0] for ranked in rank(queries, candidates, 1)]


def rank(queries: Tensor, candidates: Tensor, k: int = DEPTH) -> list[list[int]]:
    """Return the positions of each query's `k` nearest candidates by cosine, nearest first, lower ones before equal.

    Args:
        queries: Vectors ``(Q, D)`` of any length.
        candidates: Vectors ``(N, D)``, on the same device.
        k: How many.

    Raises:
        DataError: There are no candidates, or a vector holds NaN or infinity.
    """
    if not len(candidates):
        raise DataError(f"no candidates to search for {len(queries)} queries")
    queries, candidates = queries.float(), candidates.float()
    _, found = nearest_neighbours(normalize(queries, dim=-1), normalize(candidates, dim=-1), k)
    if k > 1:
        return [list(map(int, row)) for row in found.tolist()]
    # Products with copies of one vector can differ in the last digit: every copy stands for the first of them.
    first, group = groups(candidates.cpu())
    return [[int(position)] for position in first[group[found[:, 0].cpu()]]]


class RetrievalScores(Metric):
    """Scores of the vectors of all languages of a task, by language.

    A piece's value is its vector. Its gold is ``{"side": "query" or "candidate", "id": its name, "text": what is equal
    for equal texts, "targets": names of the right candidates, or None}``. Vectors stay in main memory, in single
    precision, each once however often a distributed sampler repeats it; the search runs where the module is.

    Args:
        method: ``nearest``: accuracy of the nearest candidate. ``ranking``: mean average precision of the first 20.
            ``mining``: F1 of the pairs above a threshold.
        shared_pool: Whether the candidates of all languages are one pool.
        neighbours: Mining: neighbours that make the margin.
        threshold: Mining: the margin from which on a pair is kept; default: the best on these very rows, for another
            metric to take over.
        drop_repeated: Mining: leave out pairs of a text that its side holds more than once, as the official script
            does; otherwise each of its ids makes a pair.

    Attributes:
        thresholds: By language, the threshold pairs were kept by and how it was found.
        predictions: By language, what was retrieved for each query: its id and candidates' ids, best first.
    """

    full_state_update = False

    def __init__(
        self,
        method: Method = "nearest",
        shared_pool: bool = False,
        neighbours: int = 4,
        threshold: float | None = None,
        drop_repeated: bool = True,
    ) -> None:
        super().__init__(sync_on_compute=False)
        self.method, self.shared_pool = method, shared_pool
        self.neighbours, self.drop_repeated = neighbours, drop_repeated
        self.given = threshold
        self.chosen: dict[str, float] | None = None
        self.items: list[Item] = []
        self.vectors: list[Tensor] = []
        self.thresholds: dict[str, tuple[float, str]] = {}
        self.predictions: dict[str, list[tuple[str, list[str]]]] = {}

    @property
    def variant(self) -> Mapping[str, str]:
        """Name of each score -> which definition of it this is."""
        if self.method == "nearest":
            return {"accuracy": "nearest candidate by cosine, ties to the lowest index"}
        if self.method == "ranking":
            return {"map20": f"mean average precision of the first {DEPTH} by cosine"}
        how = f"ratio margin over {self.neighbours} neighbours, greedy pairs"
        return dict.fromkeys(("f1", "precision", "recall"), how)

    def update(self, pieces: Sequence[Piece], golds: Sequence[Mapping[str, Any]], language: str = "en") -> None:
        """Add vectors and what they are.

        Raises:
            DataError: There are more pieces than golds or fewer, or a vector is broken.
        """
        if len(pieces) != len(golds):
            raise DataError(f"{len(pieces)} predictions for {len(golds)} gold answers: give one answer a prediction")
        for piece, gold in zip(pieces, golds, strict=True):
            if gold["side"] not in SIDES:
                raise DataError(f"example {piece.index}: unknown side '{gold['side']}'{nearest(gold['side'], SIDES)}")
            if not piece.value.isfinite().all():
                raise DataError(
                    f"example {piece.index} ({gold['side']}): its embedding holds values that are not numbers; "
                    "the encoder has probably diverged: check its weights and the precision"
                )
            targets = None if gold["targets"] is None else tuple(gold["targets"])
            self.items.append(Item(language, piece.index, gold["side"], gold["id"], gold["text"], targets))
        if pieces:
            self.vectors.append(torch.stack([piece.value.detach().float().cpu() for piece in pieces]))

    def compute(self) -> dict[str, dict[str, float]]:
        """Search and score; every process must call this, even one without vectors.

        Returns:
            By language: every score of `variant` in percent, ``n`` (queries scored; for mining the right pairs) and
            ``unlabelled``. A language without gold has ``n`` 0 and no score that counts.

        Raises:
            DataError: There are no candidates, or two of them have one name.
        """
        items, vectors = self._all()
        languages = list(dict.fromkeys(item.language for item in items if item.side == "query"))
        candidates = {language: self._side(items, vectors, "candidate", language) for language in languages[:1]}
        found = {}
        for language in languages:
            if not self.shared_pool and language not in candidates:
                candidates = {language: self._side(items, vectors, "candidate", language)}
            pool = next(iter(candidates.values()))
            found[language] = self._score(self._side(items, vectors, "query", language), pool, language)
        return found

    def reset(self) -> None:
        """Forget all vectors."""
        super().reset()
        self.items, self.vectors, self.predictions, self.thresholds = [], [], {}, {}

    # ------------------------------------------------------------------ within
    def _all(self) -> tuple[list[Item], Tensor]:
        """Return the items and vectors of all processes, each (language, example, side) once."""
        own = (self.items, torch.cat(self.vectors) if self.vectors else torch.empty(0, 1))
        parts: list[tuple[list[Item], Tensor]] = [own]
        if distributed.is_available() and distributed.is_initialized():
            gathered: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(gathered, own)
            parts = gathered
        items = [item for part in parts for item in part[0]]
        tables = [vectors for part_items, vectors in parts if part_items]
        places: dict[tuple[str, int, str], int] = {}
        for place, item in enumerate(items):
            places.setdefault((item.language, item.index, item.side), place)
        order = [places[key] for key in sorted(places)]
        return [items[place] for place in order], torch.cat(tables)[order] if tables else torch.empty(0, 1)

    def _side(self, items: list[Item], vectors: Tensor, side: str, language: str) -> Texts:
        """Return the texts of one side: of a language's queries, or of its pool; mining looks at equal texts once."""
        everywhere = side == "candidate" and self.shared_pool
        kept: dict[str, list[Item]] = {}
        first: dict[str, int] = {}
        for place, item in enumerate(items):
            if item.side == side and (everywhere or item.language == language):
                key = item.text if self.method == "mining" else item.id if side == "candidate" else f"{place}"
                first.setdefault(key, place)
                kept.setdefault(key, []).append(item)
        return Texts(list(kept.values()), vectors[list(first.values())].to(self.device))

    def _score(self, queries: Texts, pool: Texts, language: str) -> dict[str, float]:
        if self.method == "mining":
            return self._mined(queries, pool, language)
        names = [group[0].id for group in pool.items]
        ranked = rank(queries.vectors, pool.vectors, 1 if self.method == "nearest" else DEPTH)
        answers = [(group[0], [names[i] for i in row]) for group, row in zip(queries.items, ranked, strict=True)]
        self.predictions[language] = [(item.id, row) for item, row in answers]
        scored = [(item.targets, row) for item, row in answers if item.targets is not None]
        values = [
            float(row[0] in targets) if self.method == "nearest" else average_precision(row, targets, DEPTH)
            for targets, row in scored
        ]
        mean = 100 * sum(values) / len(values) if values else float("nan")
        return {**dict.fromkeys(self.variant, mean), "n": len(values), "unlabelled": len(answers) - len(values)}

    def _mined(self, queries: Texts, pool: Texts, language: str) -> dict[str, float]:
        scores: list[float] = []
        pairs: list[tuple[str, str]] = []
        for score, query, candidate in mine(queries.vectors, pool.vectors, self.neighbours):
            sides = queries.items[query], pool.items[candidate]
            if self.drop_repeated and max(map(len, sides)) > 1:
                continue
            both = [(a.id, b.id) for a in sides[0] for b in sides[1]]
            scores += [score] * len(both)
            pairs += both
        every = [item for group in queries.items for item in group]
        gold = {(item.id, target) for item in every for target in item.targets or ()}
        labelled = any(item.targets is not None for item in every)
        threshold, how = self._threshold(scores, pairs, gold, language)
        kept = [pair for score, pair in zip(scores, pairs, strict=True) if score >= threshold]
        self.thresholds[language] = threshold, how
        self.predictions[language] = [(query, [candidate]) for query, candidate in kept]
        told = {"n": len(gold) if labelled else 0, "unlabelled": 0 if labelled else len(every)}
        right = len(gold.intersection(kept))
        precision, recall = right / max(1, len(kept)), right / max(1, len(gold))
        values = {"f1": pair_f1(set(kept), gold), "precision": precision, "recall": recall}
        return {name: 100 * value for name, value in values.items()} | told

    def _threshold(
        self, scores: Sequence[float], pairs: Sequence[tuple[str, str]], gold: set[tuple[str, str]], language: str
    ) -> tuple[float, str]:
        """Return the threshold and where it comes from: given, chosen on development rows, or best on these rows."""
        if self.given is not None:
            return self.given, "given"
        if self.chosen is None:
            return best_threshold(scores, pairs, gold), "best on these rows"
        if language not in self.chosen:
            raise DataError(
                f"language '{language}': no threshold, for there are no development rows to choose it on; "
                "give data.options.threshold or the development files"
            )
        return self.chosen[language], "chosen on the validation rows"
