"""What follows the encoder: neighbours with their margins beside faiss and a loop, answers beside a loop."""

from __future__ import annotations

import time

import torch

from benchmarks.evaluate_peers import spans_of
from benchmarks.harness import Goal, MeasurementError, Row, Run, Table, compared, in_turn, threads_of
from benchmarks.neighbours import compare
from xtransfer.kinds import KINDS

SAME = 0.999
"""Share of pairs that both must find: products differ in their last digits."""


def measure(rows: int = 10_000, windows: int = 400, rounds: int = 5) -> Table:
    """Measure both.

    Args:
        rows: Vectors on each side.
        windows: Windows of passages.
        rounds: Rounds.
    """
    table = Table("After the encoder")
    table.notes = ["One thread, CPU time, rounds in turn, on random vectors and logits."]
    try:
        table.rows.append(neighbours(rows, rounds))
    except ImportError as error:
        table.absent.append(f"neighbours beside faiss: {error}")
    table.rows.append(answers(windows, rounds))
    return table


def neighbours(rows: int, rounds: int, width: int = 768) -> Row:
    """Measure the search for pairs of translations, from vectors to pairs.

    Raises:
        MeasurementError: faiss finds other pairs.
    """
    generator = torch.Generator().manual_seed(1)
    queries, candidates = (torch.randn(rows, width, generator=generator) for _ in range(2))
    with threads_of(1):
        ratios, common = compare(queries, candidates, 4096, rounds, clock=time.process_time)
    if common < SAME:
        raise MeasurementError(f"faiss and ours have {common:.2%} of their pairs in common")
    what = f"neighbours and margins, {rows:,} x {rows:,}, {width} wide"
    return Row(what, "faiss flat and a loop", ratios, Goal(1.2, 2.0), note=f"{common:.2%} of the pairs in common")


def answers(windows: int, rounds: int, length: int = 384) -> Row:
    """Measure how answers are read off logits.

    Raises:
        MeasurementError: The loop finds others.
    """
    torch.manual_seed(1)
    first, text = 20, "x" * (4 * length)
    offsets = [(4 * place, 4 * place + 3) for place in range(length - first - 1)]
    meta = {"first": first, "offsets": offsets, "own": list(range(len(offsets))), "text": text}
    batch = {"index": list(range(windows)), "part": [0] * windows, "meta": [meta] * windows}
    logits = torch.randn(windows, length, 2)
    spec = {"options": {}}
    scores: dict[str, list[float]] = {}

    def ours(number: int) -> Run:
        began = time.process_time(), time.perf_counter()
        scores["ours"] = [piece.score for piece in KINDS["span"].decode(logits, batch, spec)]
        return Run(time.process_time() - began[0], time.perf_counter() - began[1])

    def loop(number: int) -> Run:
        began = time.process_time(), time.perf_counter()
        found = [spans_of({"meta": meta}, window) for window in logits.numpy()]
        scores["loop"] = [max(spans)[0] if spans else float("-inf") for spans in found]
        return Run(time.process_time() - began[0], time.perf_counter() - began[1])

    runs = in_turn({"ours": ours, "loop": loop}, rounds)
    if not torch.allclose(torch.tensor(scores["ours"]), torch.tensor(scores["loop"])):
        raise MeasurementError("the loop finds other answers")
    return compared(
        runs, "ours", "loop", f"answers of {windows} windows", note="best of 20 x 20, as the official script"
    )
