"""Scores must not depend on the number of processes: two with uneven shares and repeats, or one without any row."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing

from xtransfer.metrics import Accuracy, AccuracyF1, Piece, RetrievalScores, SpanScores, TagScores, TaskMetric

TAGS = ("B-PER", "I-PER", "O")
Items = list[tuple[Piece, Any]]


def retrieval_gold(side: str, name: int, targets: list[str] | None) -> dict[str, Any]:
    return {"side": side, "id": str(name), "text": f"{side} {name}", "targets": targets}


def cases() -> dict[str, tuple[TaskMetric, Items]]:
    """Each metric with 23 examples of random right and wrong answers; spans, tags and retrieval have several pieces."""
    rng, draw = random.Random(5), torch.Generator().manual_seed(5)
    labels: Items = [(Piece(i, 0, rng.randrange(2)), rng.choice([0, 1, 1, None])) for i in range(23)]
    windows: Items = []
    tags: Items = []
    vectors: Items = []
    for i in range(23):
        gold = rng.choice([["w0 w"], ["w1"], []])
        windows += [(Piece(i, p, f"w{p}", rng.gauss(0, 1), rng.gauss(0, 1)), gold) for p in range(2)]
        tags += [(Piece(i, p, rng.choices(range(3), k=3)), rng.choices(range(-1, 3), k=3)) for p in range(i % 3 + 1)]
        vector = torch.randn(4, generator=draw)
        place = (i + 1) % 23
        vectors.append((Piece(i, 0, vector), retrieval_gold("query", i, [str(place)])))
        near = vector + torch.randn(4, generator=draw)
        vectors.append((Piece(place, 1, near), retrieval_gold("candidate", place, None)))
    return {
        "accuracy": (Accuracy(), labels),
        "accuracy_f1": (AccuracyF1("01", "1"), labels),
        "span": (SpanScores(no_answer=True), windows),
        "tagging": (TagScores(TAGS), tags),
        "retrieval": (RetrievalScores(), vectors),
        "mining": (RetrievalScores("mining"), vectors),
    }


def share(items: Items, split: str, rank: int) -> Items:
    """Rank 1 has a third and its own and the other's first pieces again, or nothing, or is alone."""
    if split == "first_empty":
        return items if rank == 1 else []
    if split == "second_empty":
        return items if rank == 0 else []
    own = [item for position, item in enumerate(items) if (position % 3 == 1) == (rank == 1)]
    return own + items[:3] if rank == 1 else own


def score(metric: TaskMetric, items: Items) -> dict[str, float]:
    for start in range(0, len(items), 4):
        metric.update(*zip(*items[start : start + 4], strict=True))
    scores = metric.compute()
    return scores["en"] if isinstance(metric, RetrievalScores) else scores


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    results = {}
    for split in ("uneven", "first_empty", "second_empty"):
        for name, (metric, items) in cases().items():
            own = share(items, split, rank)
            results[f"{split} {name}"] = score(metric, own)
            kept = metric.vectors if isinstance(metric, RetrievalScores) else metric.rows
            assert len(kept) == (len(own) + 3) // 4, "after scoring, a process has its own rows back"
    results["all_empty"] = {"n": Accuracy().compute()["n"]}
    (folder / f"{rank}.json").write_text(json.dumps(results))
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, float]]]:
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(work, (folder,), nprocs=2)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("name", ["accuracy", "span", "tagging", "retrieval", "mining"])
def test_two_processes_score_as_one(name: str, results: list[dict[str, dict[str, float]]]) -> None:
    alone = score(*cases()[name])
    main = next(iter(cases()[name][0].variant))
    assert 20 < alone[main] < 80, "a score at either end would hide a difference"
    assert alone["n"] > 15
    for rank in (0, 1):
        for split in ("uneven", "first_empty", "second_empty"):
            assert results[rank][f"{split} {name}"] == alone, (rank, split)


def test_two_empty_processes_do_not_hang(results: list[dict[str, dict[str, float]]]) -> None:
    assert [rank["all_empty"] for rank in results] == [{"n": 0}, {"n": 0}]
