"""The one LightningModule: a shared encoder, heads by name, one training loop for every kind of task."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from xtransfer.active import Activation, keep_apart
from xtransfer.encoder import Encoder
from xtransfer.errors import ConfigError
from xtransfer.heads import Head, HeadOutput
from xtransfer.hf import PretrainedHead
from xtransfer.kinds import KINDS, HeadFactory
from xtransfer.metrics import Piece, TaskMetric
from xtransfer.optimizer import Schedule, adamw, parameter_groups, rate
from xtransfer.parts import load_parts, save_parts
from xtransfer.pretrained import CompileMode
from xtransfer.samplers import seed_of
from xtransfer.task_metrics import MEAN, TaskMetrics, judged, means, monitor, precision

log = logging.getLogger(__name__)
Batch = Mapping[str, Any]


class TransferModule(LightningModule):
    """A shared encoder and its heads.

    Args:
        tasks: Plain records of the tasks, as `TaskDataModule.specs` gives them; the command line fills this in.
        encoder: Hub name, folder, or ``offline-small``.
        heads: Head by name, in place of the kind's own: anything called with (hidden_size, num_labels).
        layer: Encoder layer whose output the heads read, the embeddings counting as 0; default the last, and for
            retrieval the middle layer of Phang et al. 2020 (14 of 24, scaled).
        dropout: Dropout inside the encoder; default its own.
        freeze_embeddings: Leave the word embeddings as they are.
        freeze_layers: Leave the embeddings and so many of the lowest layers as they are.
        gradient_checkpointing: Trade time for memory by computing activations twice.
        packing: Compute real tokens only, where the encoder can; False computes padding too.
        compiled: Compile the encoder's layers, or name a mode of `torch.compile` to do it in; the first steps then take
            long. Packed batches are filled up to one of few numbers of tokens.
        eval_bf16: Score in bfloat16 what is trained in single precision; default where that is native to the device.
        active_vocabulary: Train and keep in memory only the words that occur in a stage. Words that do not are as
            training all would have left them; False trains all.
        lr: Peak learning rate.
        head_lr: The same for heads; default `lr`.
        weight_decay: Decay of matrices; biases and norms have none.
        adam_epsilon: Epsilon of AdamW.
        layer_decay: Each layer's learning rate is that of the layer above times this.
        warmup: Steps of linear warm-up: a share of all steps if below 1, else their number.
        schedule: What follows: ``linear`` decay to 0 at the last step, or a ``constant`` rate.
        pretrained: Load the encoder's weights; False when a checkpoint follows.
        adapters: Train adapters in place of the encoder's weights: ``peft_type`` and the settings of that PEFT method.
    """

    def __init__(
        self,
        tasks: list[dict[str, Any]],
        encoder: str = "xlm-roberta-base",
        heads: dict[str, HeadFactory | PretrainedHead] | None = None,
        layer: int | None = None,
        dropout: float | None = None,
        freeze_embeddings: bool = False,
        freeze_layers: int = 0,
        gradient_checkpointing: bool = False,
        lr: float = 2e-5,
        head_lr: float | None = None,
        weight_decay: float = 0.01,
        adam_epsilon: float = 1e-8,
        layer_decay: float = 1.0,
        warmup: float = 0.1,
        schedule: Schedule = "linear",
        pretrained: bool = True,
        adapters: dict[str, Any] | None = None,
        packing: bool = True,
        compiled: bool | CompileMode = False,
        eval_bf16: bool | None = None,
        active_vocabulary: bool = True,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["heads"])  # factories are no plain data; stages keep heads as files
        self.encoder = Encoder(
            encoder,
            dropout=dropout,
            freeze_embeddings=freeze_embeddings,
            freeze_layers=freeze_layers,
            gradient_checkpointing=gradient_checkpointing,
            pretrained=pretrained,
            packing=packing,
            compiled=compiled,
        )
        self.tasks, self._trained = {spec["name"]: dict(spec) for spec in tasks}, dict[str, Any]()
        self.layer, self.lr, self.head_lr, self.warmup = layer, lr, head_lr or lr, warmup
        self.schedule, self.adapters, self.active_vocabulary = schedule, adapters, active_vocabulary
        self.eval_bf16 = eval_bf16
        self.start_adapters: Path | None = None  # the folder of those that training goes on with
        self.activation: Activation | None = None  # the words of a stage, which the stage tells
        self.weight_decay, self.adam_epsilon, self.layer_decay = weight_decay, adam_epsilon, layer_decay
        self.heads = nn.ModuleDict()
        for spec in tasks:
            if spec["head"] not in self.heads:
                self.add_head(spec["head"], self._new_head(spec, (heads or {}).get(spec["head"])))
        self.metrics = TaskMetrics(tasks)
        self.scores: dict[str, dict[str, float]] = {}
        """Scores of the last evaluation, by ``split/task/language``; a language without gold labels has none."""

    # ------------------------------------------------------------------ the model
    def forward(self, batch: Batch) -> HeadOutput:
        """Encode a batch of one task and score it with that task's head."""
        spec = self.tasks[batch["task"]]
        hidden = self.encoder(
            batch["input_ids"],
            batch["attention_mask"],
            batch.get("token_type_ids"),
            self.layer_of(spec),
            batch.get("packing"),
        )
        output: HeadOutput = self.head(spec["head"])(hidden, batch["attention_mask"], batch.get("labels"))
        return output

    def layer_of(self, spec: Mapping[str, Any]) -> int:
        """Return the encoder layer a task's head reads, the embeddings counting as 0."""
        chosen = self.layer if self.layer is not None else KINDS[spec["kind"]].layer(self.encoder.depth, spec)
        return self.encoder.depth if chosen is None else chosen

    def head(self, name: str) -> Head:
        """Return a head."""
        head = self.heads[name]
        assert isinstance(head, Head)
        return head

    def add_head(self, name: str, head: Head) -> None:
        """Put a head in, in place of the one of that name if there is one."""
        self.heads[name] = head

    def metric_of(self, split: str, task: str, language: str) -> TaskMetric:
        """Return what scores a task in a language: ``split`` is ``val`` or ``test``."""
        return self.metrics.of(split, task, language)

    def monitor(self) -> str:
        """Return the name of the score by which models are chosen: a task's main score, or the mean of several tasks'.

        Raises:
            ConfigError: No task has a development language.
        """
        return monitor(self.tasks.values())

    # ------------------------------------------------------------------ the steps
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, weighted if its task is."""
        loss: Tensor | None = self(batch).loss
        spec = self.tasks[batch["task"]]
        if loss is None:
            raise ConfigError(f"task '{spec['name']}': a training batch without labels")
        self.log(f"train/{spec['name']}/loss", loss, prog_bar=True, batch_size=len(batch["index"]))
        self._trained = spec
        loss = loss * spec.get("loss_weight", 1.0)
        if self.trainer.world_size > 1:  # processes that train together want a gradient of each parameter
            loss = loss + torch.stack([p.sum() for p in self._untouched()] or [loss.new_zeros(())]).sum() * 0.0
        return loss

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout from the place of the batch in the run, so that a resumed run draws the same masks.

        Batches are counted over all processes: W processes draw what one draws that accumulates W times as many.
        """
        number = batch_idx * self.trainer.world_size + self.global_rank
        torch.manual_seed(seed_of(int(os.environ.get("PL_GLOBAL_SEED", 0)), "dropout", self.current_epoch, number))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave what has no part in this step as it is: it neither decays nor drifts on."""
        for parameter in self._untouched():
            parameter.grad = None

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score a development batch."""
        self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, list[Piece]]:
        """Score a test batch; what was predicted is returned for the files of predictions."""
        return {"pieces": self._evaluate(batch, "test")}

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, list[Piece]]:
        """Predict a batch."""
        return {"pieces": self._evaluate(batch, "test")}

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last evaluation."""
        self.metrics.forget("val")

    def on_validation_epoch_end(self) -> None:
        """Log the scores of each task and language, and their mean over languages."""
        self._log_scores("val")

    def on_test_epoch_start(self) -> None:
        """Forget the scores of the last evaluation."""
        self.metrics.forget("test")

    def on_test_epoch_end(self) -> None:
        """Log the scores of each task and language, and their mean over languages."""
        self._log_scores("test")

    def on_predict_epoch_start(self) -> None:
        """Forget what was predicted before."""
        self.metrics.forget("test")

    def on_predict_epoch_end(self) -> None:
        """Search the neighbours of all queries."""
        self.metrics.search()

    def configure_model(self) -> None:
        """Make the encoder ready for training: its start weights are there, a checkpoint's are not yet read."""
        with torch.device("cpu"):  # where it still is; Lightning has new tensors made on the GPU meanwhile
            self._make_ready()

    def _make_ready(self) -> None:
        fitting = self._trainer is None or self.trainer.state.fn == "fit"
        if fitting and self.adapters and not self.encoder.adapters:
            self.encoder.adapt(self.adapters, self.start_adapters)
        if fitting and self.activation and not self.encoder.active and not self._needs_all_words():
            self.encoder.activate(self.activation)
        if self.encoder.active:
            keep_apart(self, self.encoder.active)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW without decay of biases and norms; linear warm-up, then linear decay to 0 or a constant rate."""
        groups = self.encoder.parameter_groups(self.lr, self.weight_decay, self.layer_decay)
        groups += parameter_groups(self.heads, self.head_lr, self.weight_decay)
        optimizer = adamw(groups, self.lr, self.adam_epsilon)
        if self.encoder.active is not None:
            self.encoder.active.follow(optimizer)
        share = rate(max(1, int(self.trainer.estimated_stepping_batches)), self.warmup, self.schedule)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # ------------------------------------------------------------------ hand-over
    def save_parts(self, folder: Path) -> None:
        """Write encoder and heads as safetensors and JSON: ``encoder/`` and ``heads/<name>/``."""
        save_parts(self.encoder, self.heads, folder)

    def load_parts(self, folder: Path, parts: Sequence[str] = ("encoder",)) -> None:
        """Take over parts that `save_parts` wrote: ``encoder``, ``heads`` for all heads, ``heads/NAME`` for one.

        Raises:
            ConfigError: A part is unknown or missing, or a head has other labels.
        """
        load_parts(self.encoder, self.heads, folder, parts)

    # ------------------------------------------------------------------ within
    def _untouched(self) -> list[nn.Parameter]:
        """Return what has no part in this step: other tasks' heads, and layers above the one that its head reads."""
        heads = [head for name, head in self.heads.items() if name != self._trained["head"]]
        above = self.encoder.above(self.layer_of(self._trained))
        return [parameter for head in heads for parameter in head.parameters()] + above

    def _needs_all_words(self) -> bool:
        """Say whether all word embeddings take part in training, and log why if that is not what was asked for."""
        if not self.active_vocabulary or self.adapters:
            return True
        whole = [name for name, spec in self.tasks.items() if KINDS[spec["kind"]].whole_vocabulary]
        plain = isinstance(self.trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        if whole:
            log.info("all words are trained, for task '%s' guesses among all of them", whole[0])
        elif not plain:
            log.info("all words are trained, for %s divides them itself", type(self.trainer.strategy).__name__)
        return bool(whole) or not plain

    def _new_head(self, spec: Mapping[str, Any], factory: HeadFactory | None) -> Head:
        head = KINDS[spec["kind"]].head_on(self.encoder, spec, factory, self.hparams["pretrained"])
        head.labels = tuple(spec["labels"])
        return head

    def _evaluate(self, batch: Batch, split: str) -> list[Piece]:
        spec, language = self.tasks[batch["task"]], batch["language"]
        with precision(self, self.eval_bf16):
            single = "texts" in batch
            logits = self.metrics.once.vectors(batch, lambda b: self(b).logits) if single else self(batch).logits
        pieces = KINDS[spec["kind"]].decode(logits, batch, spec)
        self.metrics.add(split, spec["name"], language, pieces, [meta["gold"] for meta in batch["meta"]])
        return pieces

    def _log_scores(self, split: str) -> None:
        self.scores = self.metrics.scores(split)
        if split == "val":
            self.metrics.hand_over_thresholds()
        told = means(self.scores)
        main = [told[name] for name in judged(self.tasks.values()).values() if name in told]
        if split == "val" and main:
            told[MEAN] = sum(main) / len(main)
        for name, value in told.items():
            self.log(name, value, add_dataloader_idx=False)
