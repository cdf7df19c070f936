"""Peak memory and time of mining translations among random vectors: neighbours both ways, margins, greedy pairs.

    python benchmarks/neighbours_memory.py --rows 100000

The vectors themselves take ``2 * rows * width * 4`` bytes; all similarities at once would take ``rows ** 2 * 4``.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import torch

from xtransfer.metrics import mine


def main() -> int:
    """Mine, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=100_000, help="vectors on each side")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--block", type=int, default=4096, help="vectors of a side that are compared at a time")
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(1)
    queries, candidates = (torch.randn(options.rows, options.width, generator=generator) for _ in range(2))
    before, began = _peak(), time.monotonic()
    pairs = mine(queries, candidates, block=options.block)
    took, peak = time.monotonic() - began, _peak()
    print(
        f"{options.rows:,} x {options.rows:,} vectors of width {options.width}, block {options.block}, "
        f"{torch.get_num_threads()} threads: {len(pairs):,} pairs in {took:.0f} s; peak memory {peak / 2**30:.2f} GiB, "
        f"before it {before / 2**30:.2f} GiB (all similarities at once: {options.rows**2 * 4 / 2**30:.1f} GiB)"
    )
    return 0


def _peak() -> int:
    """Return the peak of this process's memory so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
