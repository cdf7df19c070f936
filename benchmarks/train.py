"""Training: batches of pairs as long as MNLI's, at the size of XLM-R base, beside transformers' Trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.examples import Pool, pairs_in, random_encoder, synthetic_pairs, word_tokenizer
from benchmarks.harness import Goal, Row, Run, Table, Variant, compared, in_turn
from benchmarks.orders import (
    Batches,
    grouped,
    in_batches,
    share,
    share_over_permutations,
    shuffled,
    typical,
)
from benchmarks.ours import Setting, lengths_of, train
from benchmarks.peers import Examples, by_loop, by_trainer, encoded

WORDS = 32_000
"""Words that training is said to touch: those measured on have fewer, but MNLI has forty times as many rows."""
VOCABULARY = 250_002


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        shape: Size of the encoder.
        batches: Batches of 16 in a round.
        small: Batches of 4 in a round.
        rounds: Rounds.
        max_length: Tokens of a pair.
        vocabulary: Words of the encoder.
    """

    shape: str = "base"
    batches: int = 6
    small: int = 16
    rounds: int = 3
    max_length: int = 128
    vocabulary: int = VOCABULARY


QUICK = Scale(batches=1, small=2, rounds=1)


def setting_of(data_dir: Path | None, folder: Path, scale: Scale) -> Setting:
    """Return what is measured with: real pairs where there are any, else invented ones."""
    from xtransfer.encoder import load_tokenizer

    pool: Pool | None = pairs_in(data_dir) if scale.vocabulary == VOCABULARY else None
    if pool is None:
        tokenizer = word_tokenizer(scale.vocabulary)
        pool = synthetic_pairs(4000, WORDS, scale.vocabulary)
    else:
        tokenizer = load_tokenizer("offline-small")
    encoder = random_encoder(folder / scale.shape, scale.shape, tokenizer)
    return Setting(encoder, pool, folder / "cache", max_length=scale.max_length, words=WORDS)


def measure(data_dir: Path | None, folder: Path, scale: Scale) -> Table:
    """Measure training, with all controls.

    Args:
        data_dir: Folder with ``mnli/*.jsonl``; without it pairs are invented.
        folder: Where encoder and tokenised rows are kept meanwhile.
        scale: How much.
    """
    setting = setting_of(data_dir, folder, scale)
    lengths = lengths_of(setting)
    examples = encoded(setting)
    if [len(example["input_ids"]) for example in examples] != lengths:
        raise AssertionError("the library and transformers tokenise these pairs differently")
    sixteen, four = Drawn(lengths, 16, scale.batches), Drawn(lengths, 4, scale.small)
    runs = in_turn(variants_of_16(setting, examples, sixteen), scale.rounds)
    small = in_turn(variants_of_4(setting, examples, four), scale.rounds)
    table = Table(f"Training, {scale.shape} size")
    table.rows = rows_of_16(runs) + rows_of_4(small)
    if scale.rounds > 1:
        table.rows += by_wall(setting, examples, sixteen)
    table.notes = [
        f"{setting.pool.told}; random weights, {scale.vocabulary:,} words, of which {setting.words:,} are said to "
        f"occur in the training rows (those measured on have fewer). One thread, CPU time, rounds in turn: "
        f"{scale.rounds}, each of {scale.batches} batches of 16 or {scale.small} of 4, after one that is not timed. In "
        "a round all variants see the same examples; each round draws others, and other random batches.",
        f"Share of real tokens in all of the pairs: padded to {scale.max_length} "
        f"{100 * sum(lengths) / (len(lengths) * scale.max_length):.1f} %, random batches of 16 padded to their longest "
        f"{100 * share_over_permutations(lengths, 16):.1f} % (10 permutations), grouped by length "
        f"{100 * share(grouped(lengths, 16), lengths):.1f} % in batches of 16 and "
        f"{100 * share(grouped(lengths, 4), lengths):.1f} % in batches of 4; packed 100 %.",
    ]
    return table


class Drawn:
    """The batches of each round: some of those that transformers groups, and their examples in random batches.

    The first of them, the shortest examples of all, is for the step that is not timed.

    Args:
        lengths: Tokens of each example.
        size: Examples in a batch.
        number: Batches of a round.
    """

    def __init__(self, lengths: Sequence[int], size: int, number: int) -> None:
        self.lengths, self.number = lengths, number
        self.all = grouped(lengths, size)
        self.first = in_batches(sorted(range(len(lengths)), key=lengths.__getitem__)[:size], size)

    def grouped(self, number: int) -> Batches:
        """Return a round's batches as transformers groups them."""
        return self.first + typical(self.all, self.lengths, self.number, seed=number)

    def mixed(self, number: int) -> Batches:
        """Return the same examples in random batches."""
        return self.first + shuffled(self.grouped(number)[1:], number)


def variants_of_16(setting: Setting, examples: Examples, drawn: Drawn) -> dict[str, Variant]:
    """Return all ways to train on the same batches of 16."""
    padded, whole = setting.but(packing=False), setting.but(active=False)
    return {
        "pad to maximum": lambda n: by_trainer(setting, examples, drawn.mixed(n), whole=True),
        "dynamic": lambda n: by_trainer(setting, examples, drawn.mixed(n)),
        "grouped": lambda n: by_trainer(setting, examples, drawn.grouped(n)),
        "loop, grouped": lambda n: by_loop(setting, examples, drawn.grouped(n)),
        "ours": lambda n: train(setting, drawn.mixed(n))[0],
        "ours, padded": lambda n: train(padded, drawn.mixed(n))[0],
        "ours, all words": lambda n: train(whole, drawn.mixed(n))[0],
        "ours, grouped, padded, all words": lambda n: train(padded.but(active=False), drawn.grouped(n))[0],
    }


def variants_of_4(setting: Setting, examples: Examples, drawn: Drawn) -> dict[str, Variant]:
    """Return the ways to train on the same batches of 4."""
    whole = setting.but(active=False)
    return {
        "grouped": lambda n: by_trainer(setting, examples, drawn.grouped(n)),
        "ours": lambda n: train(setting, drawn.mixed(n))[0],
        "ours, all words": lambda n: train(whole, drawn.mixed(n))[0],
    }


def rows_of_16(runs: Mapping[str, Sequence[Run]]) -> list[Row]:
    """Return the rows of batches of 16."""
    trainer = "HF Trainer"
    return [
        compared(runs, "ours", "pad to maximum", "train, 16", Goal(2.3, 3.5), "as jiant and XTREME's scripts"),
        compared(runs, "ours", "dynamic", "train, 16", Goal(1.4, 2.0), f"{trainer}'s default"),
        compared(runs, "ours", "grouped", "train, 16", Goal(1.05, 1.3), f"{trainer}'s best; our batches are random"),
        compared(runs, "ours, all words", "grouped", "train, 16, all words", Goal(0.97, 1.0), "packing alone"),
        compared(runs, "loop, grouped", "grouped", "control: plain loop", note="the same batches"),
        compared(
            runs,
            "ours, grouped, padded, all words",
            "grouped",
            "control: our loop",
            note="the same batches, padded, all words",
        ),
        compared(runs, "ours", "ours, padded", "control: packed", note="the same batches"),
        compared(runs, "ours", "ours, all words", "control: active words", note="the same batches"),
    ]


def rows_of_4(runs: Mapping[str, Sequence[Run]]) -> list[Row]:
    """Return the rows of batches of 4."""
    return [
        compared(runs, "ours", "grouped", "train, 4", Goal(1.2, 1.5), "HF Trainer's best; our batches are random"),
        compared(runs, "ours, all words", "grouped", "train, 4, all words", Goal(0.97, 1.0), "packing alone"),
        compared(runs, "ours", "ours, all words", "control: active words, 4", note="the same batches"),
    ]


def by_wall(setting: Setting, examples: Examples, drawn: Drawn) -> list[Row]:
    """Return rows by the clock, with two threads, one round."""
    variants = variants_of_16(setting, examples, drawn)
    names = ("pad to maximum", "dynamic", "grouped", "ours")
    runs = in_turn({name: variants[name] for name in names}, 1, threads=2)
    walls = {name: [run._replace(cpu=run.wall) for run in of] for name, of in runs.items()}
    rows = [compared(walls, "ours", name, "train, 16, two threads", note="wall time") for name in names[:-1]]
    return rows
