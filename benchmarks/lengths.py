"""Counts how long MNLI's pairs are, for measurements where their texts are not there.

    python -m benchmarks.lengths --data-dir DIR

Written are counts alone: of pairs by their number of tokens, the share of premises in these, and of different words.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from benchmarks.examples import LENGTHS, SPECIALS, pairs_in


def main() -> int:
    """Count, and write the file that lies beside this one."""
    from xtransfer.encoder import load_tokenizer

    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with mnli/*.jsonl")
    parser.add_argument("--tokenizer", default="offline-small", help="an encoder with XLM-R's vocabulary")
    parser.add_argument("--max-length", type=int, default=128)
    options = parser.parse_args()
    pool = pairs_in(options.data_dir)
    if pool is None:
        parser.error(f"{options.data_dir}/mnli holds no JSON lines with enough pairs")
    sides = [[str(row[column]) for row in pool.rows] for column in ("premise", "hypothesis")]
    tokenizer = load_tokenizer(options.tokenizer)
    first, second = (tokenizer(side, add_special_tokens=False)["input_ids"] for side in sides)
    whole = [len(a) + len(b) + SPECIALS for a, b in zip(first, second, strict=True)]
    lengths = Counter(min(length, options.max_length) for length in whole)
    content = {
        "of": f"{pool.told}, XLM-R's vocabulary, cut at {options.max_length} tokens",
        "words": len({word for side in (first, second) for ids in side for word in ids}),
        "share_of_premise": round(sum(map(len, first)) / sum(len(ids) for side in (first, second) for ids in side), 3),
        "lengths": {str(length): lengths[length] for length in sorted(lengths)},
    }
    LENGTHS.write_text(json.dumps(content, indent=None, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{LENGTHS}: {len(whole):,} pairs, mean {sum(whole) / len(whole):.1f} tokens")
    return 0


if __name__ == "__main__":
    sys.exit(main())
