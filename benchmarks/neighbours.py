"""Peak memory and time of mining translations among random vectors: neighbours both ways, margins, greedy pairs.

    python benchmarks/neighbours.py --rows 100000
    python benchmarks/neighbours.py --rows 10000 --peer 5

With `--peer` the same is done in turn, so many times, with faiss's flat index for the neighbours and a loop over them
for the margins, as in the scripts that the procedure comes from; both must find the same pairs. faiss is no dependency
of the library: it comes with its tests. The vectors themselves take ``2 * rows * width * 4`` bytes; all similarities at
once would take ``rows ** 2 * 4``.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import normalize

from xtransfer.metrics import mine


def main() -> int:
    """Mine, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=100_000, help="vectors on each side")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--block", type=int, default=4096, help="vectors of a side that are compared at a time")
    parser.add_argument("--peer", type=int, default=0, help="compare with faiss and a loop, so many times in turn")
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(1)
    queries, candidates = (torch.randn(options.rows, options.width, generator=generator) for _ in range(2))
    before, began = _peak(), time.monotonic()
    pairs = mine(queries, candidates, block=options.block)
    took, peak = time.monotonic() - began, _peak()
    if options.peer:
        ratios, common = compare(queries, candidates, options.block, options.peer)
        told = f"{statistics.median(ratios):.2f} times as long ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"faiss and a loop take {told}; pairs in common {common:.4%}")
    print(
        f"{options.rows:,} x {options.rows:,} vectors of width {options.width}, block {options.block}, "
        f"{torch.get_num_threads()} threads: {len(pairs):,} pairs in {took:.0f} s; peak memory {peak / 2**30:.2f} GiB, "
        f"before it {before / 2**30:.2f} GiB (all similarities at once: {options.rows**2 * 4 / 2**30:.1f} GiB)"
    )
    return 0


def compare(
    queries: torch.Tensor, candidates: torch.Tensor, block: int, times: int, clock: Callable[[], float] = time.monotonic
) -> tuple[list[float], float]:
    """Mine with faiss and a loop too, in turn with ours.

    Returns:
        Their time / ours, each time, and the share of pairs that both found.
    """
    ratios, common = [], 1.0
    for _ in range(times):
        began = clock()
        own = {(pair.query, pair.candidate) for pair in mine(queries, candidates, block=block)}
        middle = clock()
        peer = by_faiss(normalize(queries, dim=1).numpy(), normalize(candidates, dim=1).numpy())
        ratios.append((clock() - middle) / (middle - began))
        common = min(common, len(own & peer) / max(1, len(own | peer)))
    return ratios, common


def by_faiss(queries: Any, candidates: Any, k: int = 4) -> set[tuple[int, int]]:
    """Mine by the definition of Artetxe and Schwenk 2019, with faiss for the neighbours."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    sides = []
    for own, other in ((queries, candidates), (candidates, queries)):
        index = faiss.IndexFlatIP(own.shape[1])
        index.add(other)
        sides.append(index.search(own, k))
    (forward, there), (backward, back) = sides
    means, proposals = (forward.mean(1), backward.mean(1)), []
    for q, (scores, found) in enumerate(zip(forward, there, strict=True)):
        margins = [s / ((means[0][q] + means[1][c]) / 2) for s, c in zip(scores, found, strict=True)]
        best = max(range(k), key=margins.__getitem__)
        proposals.append((margins[best], q, int(found[best])))
    for c, (scores, found) in enumerate(zip(backward, back, strict=True)):
        margins = [s / ((means[0][q] + means[1][c]) / 2) for s, q in zip(scores, found, strict=True)]
        best = max(range(k), key=margins.__getitem__)
        proposals.append((margins[best], int(found[best]), c))
    used: tuple[set[int], set[int]] = (set(), set())
    pairs = set()
    for margin, q, c in sorted(proposals, reverse=True):
        if margin > 0 and q not in used[0] and c not in used[1]:
            used[0].add(q)
            used[1].add(c)
            pairs.add((q, c))
    return pairs


def _peak() -> int:
    """Return the peak of this process's memory so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
