"""Tokenising the rows of a data set into a file, beside the `map` of the package datasets."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.examples import PAIRS, Chosen, Pool, pairs_in, synthetic_pairs, word_tokenizer
from benchmarks.harness import Goal, MeasurementError, Run, Table, compared, in_turn
from xtransfer.datamodules.features import features_of
from xtransfer.datamodules.portion import Portion
from xtransfer.encoder import load_tokenizer

MAX_LENGTH = 128


@dataclass(frozen=True)
class Known(Chosen):
    """Rows in memory whose digest is known, as that of a file is."""

    def origin(self, split: str, language: str, folder: Path | None) -> str:
        """Name them."""
        return "known"


def measure(data_dir: Path | None, folder: Path, rounds: int = 5) -> Table:
    """Measure from rows in memory to token ids in a file.

    Args:
        data_dir: Folder with ``mnli/*.jsonl``; without it pairs are invented.
        folder: Where the files are written.
        rounds: Rounds.

    Raises:
        MeasurementError: The two came to different numbers of tokens.
    """
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    pool: Pool = pairs_in(data_dir) or synthetic_pairs(4000, 32_000, 250_002)
    tokenizer = load_tokenizer("offline-small") if pool.real else word_tokenizer(250_002)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    source = Known("train", {"en": pool.rows})
    rows = Dataset.from_list([dict(row) for row in pool.rows])

    def ours(number: int) -> Run:
        where = folder / f"ours-{number}"
        began = time.process_time(), time.perf_counter()
        features = features_of(Portion(PAIRS, "train", "en", source, None, "train"), tokenizer, MAX_LENGTH, where)
        run = Run(time.process_time() - began[0], time.perf_counter() - began[1], *[int(features.tokens.sum())] * 2)
        shutil.rmtree(where)
        return run

    def mapped(number: int) -> Run:
        def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
            found: dict[str, list[list[int]]] = tokenizer(
                batch["premise"], batch["hypothesis"], truncation="longest_first", max_length=MAX_LENGTH
            ).data
            return found

        file = folder / f"map-{number}.arrow"
        began = time.process_time(), time.perf_counter()
        made = rows.map(encode, batched=True, cache_file_name=str(file), load_from_cache_file=False)
        cpu, wall = time.process_time() - began[0], time.perf_counter() - began[1]
        tokens = sum(map(len, made["input_ids"]))
        file.unlink()
        return Run(cpu, wall, tokens, tokens)

    runs = in_turn({"ours": ours, "map": mapped}, rounds)
    if {run.real for found in runs.values() for run in found} != {runs["ours"][0].real}:
        raise MeasurementError("ours and datasets' map come to different numbers of tokens")
    table = Table("Tokenising")
    table.notes = [f"{pool.told}; CPU time, without threads of the tokenizer, rounds in turn, each into a new file."]
    table.rows = [compared(runs, "ours", "map", "tokenise into a file", Goal(1.4, 1.6), "datasets' map, in batches")]
    return table
