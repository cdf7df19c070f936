"""What ours is compared with in training: transformers' Trainer, and a plain loop, on the same batches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader, SequentialSampler
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    get_linear_schedule_with_warmup,
)

from benchmarks.examples import PAIRS
from benchmarks.harness import Run, Stopwatch
from benchmarks.orders import Batches
from benchmarks.ours import CLIP, DECAY, LR, WARMUP, Setting, check_gradients

Examples = list[dict[str, Any]]
Collator = Callable[[Examples], dict[str, Any]]


def encoded(setting: Setting) -> Examples:
    """Tokenise the pairs of a pool as transformers' own scripts do."""
    rows = setting.pool.rows
    sides = [[row[column] for row in rows] for column in ("premise", "hypothesis")]
    tokenizer = AutoTokenizer.from_pretrained(setting.encoder)
    ids = tokenizer(*sides, truncation=True, max_length=setting.max_length)["input_ids"]
    labels = [PAIRS.labels.index(row["label"]) for row in rows]
    return [
        {"input_ids": list(tokens), "attention_mask": [1] * len(tokens), "labels": label}
        for tokens, label in zip(ids, labels, strict=True)
    ]


def collator(setting: Setting, whole: bool = False) -> Collator:
    """Return transformers' collator.

    Args:
        setting: What is measured.
        whole: Pad to the maximum length, as jiant and the scripts of XTREME do, in place of the longest of a batch.
    """
    tokenizer = AutoTokenizer.from_pretrained(setting.encoder)
    multiple = 8 if setting.bf16 else None
    if whole:
        return DataCollatorWithPadding(tokenizer, padding="max_length", max_length=setting.max_length)
    return DataCollatorWithPadding(tokenizer, pad_to_multiple_of=multiple)


class InOrder(Trainer):
    """transformers' Trainer on examples that are in their order already."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)


class Watched(TrainerCallback):
    """Starts a stopwatch after the first steps, and stops it after the last."""

    def __init__(self, watch: Stopwatch, warm: int) -> None:
        self.watch, self.warm = watch, warm

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Refuse to time an optimiser that has nothing to do."""
        check_gradients(model, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start after the first."""
        if state.global_step == self.warm:
            self.watch.begin()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop."""
        self.watch.end()


def model_of(setting: Setting, attention: str = "sdpa") -> Any:
    """Return transformers' model of a setting's encoder, with a new head."""
    torch.manual_seed(1)
    return AutoModelForSequenceClassification.from_pretrained(
        setting.encoder, num_labels=len(PAIRS.labels), attn_implementation=attention
    )


def by_trainer(
    setting: Setting, examples: Examples, batches: Batches, whole: bool = False, attention: str = "sdpa"
) -> Run:
    """Train with transformers' Trainer, its optimiser and settings as they come, clipping and decay as ours.

    Args:
        setting: With what.
        examples: All of the pool.
        batches: Numbers of them; the first are not timed.
        whole: Pad to the maximum length.
        attention: What it computes attention with.
    """
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=len(batches[0]),
            num_train_epochs=1,
            learning_rate=LR,
            weight_decay=DECAY,
            warmup_steps=WARMUP,
            max_grad_norm=CLIP,
            bf16=setting.bf16,
            torch_compile=bool(setting.compiled),
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=setting.device == "cpu",
        )
        trainer = InOrder(
            model_of(setting, attention),
            arguments,
            data_collator=collator(setting, whole),
            train_dataset=[examples[i] for batch in batches for i in batch],  # type: ignore[arg-type]
            callbacks=[Watched(watch, setting.warm)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return counted(watch.run(), setting, examples, batches, whole)


def by_loop(setting: Setting, examples: Examples, batches: Batches) -> Run:
    """Train the same model on the same batches with a loop of a few lines: what the Trainer itself costs."""
    watch, model = Stopwatch(), model_of(setting).train()
    plain = [p for p in model.parameters() if p.ndim < 2]
    matrices = [p for p in model.parameters() if p.ndim > 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, int(WARMUP * len(batches)), len(batches))
    ordered: Any = [examples[i] for batch in batches for i in batch]
    loader: Any = DataLoader(ordered, batch_size=len(batches[0]), collate_fn=collator(setting))
    for number, batch in enumerate(loader):
        if number == setting.warm:
            watch.begin()
        model(**batch).loss.backward()
        check_gradients(model, number)
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    watch.end()
    return counted(watch.run(), setting, examples, batches, whole=False)


def counted(run: Run, setting: Setting, examples: Examples, batches: Batches, whole: bool) -> Run:
    """Return a measurement with the tokens of its batches, those that were not timed left out."""
    sizes = [[len(examples[i]["input_ids"]) for i in batch] for batch in batches[setting.warm :]]
    multiple = 8 if setting.bf16 else 1
    widths = [setting.max_length if whole else -(-max(batch) // multiple) * multiple for batch in sizes]
    computed = sum(width * len(batch) for width, batch in zip(widths, sizes, strict=True))
    return run._replace(real=sum(map(sum, sizes)), computed=computed)
