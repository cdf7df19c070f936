"""Scoring: XQuAD, UDPOS, XCOPA and Tatoeba from features to scores, beside what transformers' users write for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from benchmarks.evaluate_peers import LOWER, SENTENCES, Peers
from benchmarks.examples import SHAPES, drawn, random_encoder
from benchmarks.harness import SILENT, Goal, MeasurementError, Row, Run, Stopwatch, Table, Variant, compared, in_turn
from xtransfer.datamodules import UDPOS, XCOPA, Tatoeba, XQuAD
from xtransfer.datamodules.base import TaskDataModule
from xtransfer.encoder import load_tokenizer
from xtransfer.errors import DataError
from xtransfer.hardware import native_bf16
from xtransfer.module import TransferModule

OFFLINE, SINGLE = "offline-small", "ours, single precision"
TASKS: Mapping[str, tuple[type[TaskDataModule], tuple[str, ...], Goal | None]] = {
    "XQuAD": (XQuAD, ("ar", "de", "el", "en", "es", "ro", "tr", "vi", "zh"), Goal(1.7, 2.5)),
    "UDPOS": (UDPOS, ("ar", "de", "el", "en", "es", "fr", "id", "ko", "ru", "ta", "th", "vi", "zh"), None),
    "XCOPA": (XCOPA, ("et", "ht", "id", "it", "qu", "ta", "th", "tr", "vi"), Goal(1.4, 2.0)),
    "Tatoeba": (
        Tatoeba,
        ("ar", "bn", "de", "es", "fr", "hi", "ko", "ru", "sw", "ta", "th", "tr", "vi", "zh"),
        Goal(1.9, 3.0),
    ),
}
"""What is scored, in which languages, and how much faster it should be than in padded batches of 8."""


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        rows: Rows of each language, by task.
        rounds: Rounds.
        encoder: ``offline-small``, or one of `SHAPES` with random weights.
        tasks: Which tasks.
    """

    rows: Mapping[str, int]
    rounds: int = 3
    encoder: str = OFFLINE
    tasks: Sequence[str] = tuple(TASKS)


FULL = (
    Scale({"XQuAD": 16, "UDPOS": 60, "XCOPA": 60, "Tatoeba": 80}),
    Scale({"XCOPA": 12, "Tatoeba": 20}, encoder="base", tasks=("XCOPA", "Tatoeba")),
)
QUICK = (Scale({"XQuAD": 3, "UDPOS": 16, "XCOPA": 16, "Tatoeba": 20}, rounds=1),)


class Timing(Callback):
    """Times the scoring of all languages, and counts what is computed.

    Args:
        watch: The stopwatch.
    """

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def on_test_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start."""
        self.watch.begin()

    def on_test_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, *_: Any) -> None:
        """Count a batch."""
        packed = pl_module.encoder.packs
        computed = len(batch["packing"].tokens) if packed else batch["input_ids"].numel()
        self.watch.count(int(batch["attention_mask"].sum()), computed)

    def on_test_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Stop."""
        self.watch.end()


def measure(data_dir: Path | None, folder: Path, scales: Sequence[Scale]) -> Table:
    """Measure scoring.

    Args:
        data_dir: Folder with the tasks' files; what is not there is not measured.
        folder: Where encoders and tokenised rows are kept meanwhile.
        scales: How much, with which encoders.
    """
    table = Table("Scoring")
    table.notes = [
        "From tokenised rows to scores (peers: to answers, tags, choices, neighbours), each with its own batches. "
        "One thread, CPU time, rounds in turn; rows drawn at random from the test sets' files. Peers' batches are "
        "padded to their longest row. Of equal texts in one of our batches one is computed: shares of more than 100 % "
        "are possible. Peers compute in single precision, as they do by default; ours in bfloat16 where the processor "
        "computes in it natively, which is the default too, and in single precision beside. In single precision all "
        "variants came to the same score, sentence-transformers aside, which tokenises the texts anew.",
    ]
    for scale in scales:
        for name in scale.tasks:
            try:
                table.rows += measure_task(name, data_dir, folder, scale)
            except DataError as error:
                table.absent.append(f"{name}: {error}")
    return table


def measure_task(
    name: str, data_dir: Path | None, folder: Path, scale: Scale, languages: Sequence[str] | None = None
) -> list[Row]:
    """Measure the scoring of a task, and check that all find the same answers.

    Raises:
        DataError: Its files are not there.
        MeasurementError: The variants do not find the same.
    """
    kind, all_languages, goal = TASKS[name]
    languages = languages or all_languages
    if data_dir is None:
        raise DataError("no folder of data sets was named")
    encoder = encoder_of(scale.encoder, folder)
    whole = kind(data_dir=data_dir, tokenizer=encoder, languages=list(languages), cache_dir=folder / "cache")
    data = drawn(whole, scale.rows[name])
    data.setup("test")
    torch.manual_seed(1)
    module = TransferModule(tasks=data.specs(), encoder=encoder).eval()
    peers = Peers(data, module)
    scores: dict[str, float] = {}

    def ours(number: int, bf16: bool | None = None) -> Run:
        watch, module.eval_bf16 = Stopwatch(), bf16
        trainer_of([Timing(watch)], folder).test(module, datamodule=data, verbose=False)
        scores["ours" if bf16 is None else SINGLE] = mean_score(module, data)
        return watch.run()

    def checked(variant: str) -> Variant:
        def run(number: int) -> Run:
            measured, scores[variant] = peers.variants[variant]()
            return measured

        return run

    lower = native_bf16(torch.device("cpu"))
    single: dict[str, Variant] = {SINGLE: partial(ours, bf16=False)} if lower else {}
    variants = {"ours": ours} | single | {variant: checked(variant) for variant in peers.variants}
    runs = in_turn(variants, scale.rounds)
    alike = {variant: score for variant, score in scores.items() if variant != "ours" or not lower}
    for variant in (SENTENCES, LOWER):  # the first tokenises the texts anew
        alike.pop(variant, None)
    check_scores(name, alike)
    what = f"{name}, {'12 layers, 384 wide' if scale.encoder == OFFLINE else scale.encoder + ' size'}"
    told = f"{len(languages)} languages x {scale.rows[name]} rows"
    if lower:
        told += f"; ours in bfloat16: score {scores['ours']:.1f}, in single precision {scores[SINGLE]:.1f}"
    return rows_of(runs, peers.judged, what, goal, told)


def rows_of(runs: Mapping[str, Sequence[Run]], judged: str, what: str, goal: Goal, told: str) -> list[Row]:
    """Return the judged comparison, and those with all peers in single precision."""
    rows = [compared(runs, "ours", judged, what, goal, told)]
    for variant in runs:
        if variant in ("ours", SINGLE):
            continue
        if variant == LOWER:
            rows.append(compared(runs, "ours", variant, what, None, "both in bfloat16"))
        elif SINGLE in runs:
            rows.append(compared(runs, SINGLE, variant, f"{what}, single precision"))
        elif variant != judged:
            rows.append(compared(runs, "ours", variant, what, None, told))
    return rows


def check_scores(name: str, scores: Mapping[str, float]) -> None:
    """Check that all variants come to the same score, half a point apart at most: some logits are nearly equal.

    Raises:
        MeasurementError: They do not.
    """
    if max(scores.values()) - min(scores.values()) > 0.5:
        raise MeasurementError(f"{name}: the scores differ, {scores}: not the same work was done")


def mean_score(module: TransferModule, data: TaskDataModule) -> float:
    """Return a task's main score, over its languages."""
    names = {"xquad": "f1", "udpos": "accuracy", "xcopa": "accuracy", "tatoeba": "accuracy"}
    found = [scores[names[data.record.name]] for scores in module.scores.values()]
    return sum(found) / len(found)


def encoder_of(name: str, folder: Path) -> str:
    """Return the name of an encoder, or the folder of a random one, made the first time."""
    if name not in SHAPES:
        return name
    made = folder / f"{name}-for-scoring"
    return str(made if made.is_dir() else random_encoder(made, name, load_tokenizer(OFFLINE)))


def trainer_of(callbacks: list[Callback], folder: Path) -> Trainer:
    """Return a trainer that writes nothing."""
    return Trainer(accelerator="cpu", devices=1, default_root_dir=folder, callbacks=callbacks, **SILENT)
