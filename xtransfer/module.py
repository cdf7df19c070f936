"""The one LightningModule: a shared encoder, heads by name, one training loop for every kind of task."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from xtransfer.encoder import Encoder
from xtransfer.errors import ConfigError, nearest
from xtransfer.heads import Head, HeadOutput
from xtransfer.kinds import KINDS, Retrieval
from xtransfer.metrics import Piece, RetrievalScores, RowMetric, TaskMetric
from xtransfer.optimizer import Schedule, parameter_groups, rate

HeadFactory = Callable[[int, int], Head]
Batch = Mapping[str, Any]
PARTS = ("encoder", "heads")
ALL = "all"
"""In the name of a metric: it takes all languages of its task."""
MANY_LABELS = 20
"""More labels than these a message counts and does not list."""


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
        lr: Peak learning rate.
        head_lr: The same for heads; default `lr`.
        weight_decay: Decay of matrices; biases and norms have none.
        adam_epsilon: Epsilon of AdamW.
        layer_decay: Each layer's learning rate is that of the layer above times this.
        warmup: Steps of linear warm-up: a share of all steps if below 1, else their number.
        schedule: What follows: ``linear`` decay to 0 at the last step, or a ``constant`` rate.
        pretrained: Load the encoder's weights; False when a checkpoint follows.
    """

    def __init__(
        self,
        tasks: list[dict[str, Any]],
        encoder: str = "xlm-roberta-base",
        heads: dict[str, HeadFactory] | None = None,
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
        )
        self.tasks = {spec["name"]: spec for spec in tasks}
        self.layer, self.lr, self.head_lr, self.warmup = layer, lr, head_lr or lr, warmup
        self.schedule = schedule
        self.weight_decay, self.adam_epsilon, self.layer_decay = weight_decay, adam_epsilon, layer_decay
        self.heads = nn.ModuleDict()
        for spec in tasks:
            if spec["head"] not in self.heads:
                self.add_head(spec["head"], self._new_head(spec, (heads or {}).get(spec["head"])))
        self.metrics = nn.ModuleDict()
        for spec in tasks:
            for split, languages in (("val", spec["dev_languages"]), ("test", spec["languages"])):
                joint = isinstance(KINDS[spec["kind"]], Retrieval)  # one metric takes the vectors of all languages
                for language in [ALL] * bool(languages) if joint else languages:
                    metric = KINDS[spec["kind"]].metric(spec, language)
                    self.metrics[f"{split}/{spec['name']}/{language}"] = metric
        self.scores: dict[str, dict[str, float]] = {}
        """Scores of the last evaluation, by ``split/task/language``; a language without gold labels has none."""

    # ------------------------------------------------------------------ the model
    def forward(self, batch: Batch) -> HeadOutput:
        """Encode a batch of one task and score it with that task's head."""
        spec = self.tasks[batch["task"]]
        hidden = self.encoder(
            batch["input_ids"], batch["attention_mask"], batch.get("token_type_ids"), self.layer_of(spec)
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
        name = f"{split}/{task}/{language}"
        metric = self.metrics[name if name in self.metrics else f"{split}/{task}/{ALL}"]
        assert isinstance(metric, RowMetric | RetrievalScores)
        return metric

    def monitor(self, task: str | None = None) -> str:
        """Return the name of the score by which models are chosen: a task's main score in its training language.

        Raises:
            ConfigError: The task has no development language.
        """
        spec = self.tasks[task] if task else next(iter(self.tasks.values()))
        if not spec["dev_languages"]:
            raise ConfigError(f"task '{spec['name']}' has no development rows to choose a model by")
        return f"val/{spec['name']}/{KINDS[spec['kind']].main_score(spec)}/{spec['dev_languages'][0]}"

    # ------------------------------------------------------------------ the steps
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        loss: Tensor | None = self(batch).loss
        if loss is None:
            raise ConfigError(f"task '{batch['task']}': a training batch without labels")
        self.log(f"train/{batch['task']}/loss", loss, prog_bar=True, batch_size=len(batch["index"]))
        return loss

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout from (seed, epoch, batch, process) alone, so that a resumed run draws the same masks."""
        place = (int(os.environ.get("PL_GLOBAL_SEED", 0)), self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(hash(place) & 0x7FFFFFFF)

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
        self._reset("val")

    def on_validation_epoch_end(self) -> None:
        """Log the scores of each task and language, and their mean over languages."""
        self._log_scores("val")

    def on_test_epoch_start(self) -> None:
        """Forget the scores of the last evaluation."""
        self._reset("test")

    def on_test_epoch_end(self) -> None:
        """Log the scores of each task and language, and their mean over languages."""
        self._log_scores("test")

    def on_predict_epoch_start(self) -> None:
        """Forget what was predicted before."""
        self._reset("test")

    def on_predict_epoch_end(self) -> None:
        """Search the neighbours of all queries."""
        for metric in self.metrics.values():
            if isinstance(metric, RetrievalScores) and metric.items:
                metric.compute()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW without decay of biases and norms; linear warm-up, then linear decay to 0 or a constant rate."""
        groups = self.encoder.parameter_groups(self.lr, self.weight_decay, self.layer_decay)
        groups += parameter_groups(self.heads, self.head_lr, self.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=self.lr, eps=self.adam_epsilon)
        share = rate(max(1, int(self.trainer.estimated_stepping_batches)), self.warmup, self.schedule)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # ------------------------------------------------------------------ hand-over
    def save_parts(self, folder: Path) -> None:
        """Write encoder and heads as safetensors and JSON: ``encoder/`` and ``heads/<name>/``."""
        self.encoder.save(folder / "encoder")
        for name in self.heads:
            self.head(name).save_pretrained(folder / "heads" / name)

    def load_parts(self, folder: Path, parts: Sequence[str] = ("encoder",)) -> None:
        """Take over parts that `save_parts` wrote.

        Raises:
            ConfigError: A part is unknown or missing, or a head has other labels.
        """
        for part in parts:
            if part not in PARTS:
                raise ConfigError(f"init.parts: unknown part '{part}'{nearest(part, PARTS)}")
        if "encoder" in parts:
            self.encoder.load_weights(folder / "encoder")
        if "heads" in parts:
            for name in self.heads:
                self._load_head(name, folder / "heads" / name)

    # ------------------------------------------------------------------ within
    def _hand_over_thresholds(self, task: str, metric: RetrievalScores) -> None:
        """Test pairs by the thresholds that were best on the development rows."""
        test = self.metrics[f"test/{task}/{ALL}"]
        assert isinstance(test, RetrievalScores)
        test.chosen = {language: threshold for language, (threshold, _) in metric.thresholds.items()}

    def _new_head(self, spec: Mapping[str, Any], factory: HeadFactory | None) -> Head:
        kind = KINDS[spec["kind"]]
        width = self.encoder.hidden_size
        head = factory(width, kind.num_labels(spec)) if factory else kind.new_head(spec, width)
        head.labels = tuple(spec["labels"])
        return head

    def _load_head(self, name: str, folder: Path) -> None:
        if not folder.is_dir():
            there = sorted(path.name for path in folder.parent.glob("*")) or "none"
            raise ConfigError(f"init: no head '{name}' in {folder.parent}; heads there: {there}")
        old, new = Head.from_pretrained(folder), self.head(name)
        if old.labels != new.labels:
            raise ConfigError(f"init: head '{name}' was trained on labels {_told(old.labels)}, not {_told(new.labels)}")
        if (type(old), old.config()) != (type(new), new.config()):
            raise ConfigError(f"init: head '{name}' is {_head(old)}, not {_head(new)}; give it in model.heads")
        new.load_state_dict(old.state_dict())

    def _evaluate(self, batch: Batch, split: str) -> list[Piece]:
        spec, language = self.tasks[batch["task"]], batch["language"]
        pieces = KINDS[spec["kind"]].decode(self(batch).logits, batch, spec)
        metric = self.metric_of(split, spec["name"], language)
        golds = [meta["gold"] for meta in batch["meta"]]
        if isinstance(metric, RetrievalScores):
            metric.update(pieces, golds, language)
        else:
            metric.update(pieces, golds)
        return pieces

    def _reset(self, split: str) -> None:
        for name, metric in self.metrics.items():
            if name.startswith(split):
                assert isinstance(metric, RowMetric | RetrievalScores)
                metric.reset()

    def _log_scores(self, split: str) -> None:
        self.scores = {}
        for name, metric in self.metrics.items():
            if name.startswith(f"{split}/"):
                prefix, language = name.rsplit("/", 1)
                computed = metric.compute()  # type: ignore[operator]
                for code, scores in (computed if language == ALL else {language: computed}).items():
                    if scores["n"]:
                        self.scores[f"{prefix}/{code}"] = {score: float(value) for score, value in scores.items()}
                if split == "val" and isinstance(metric, RetrievalScores):
                    self._hand_over_thresholds(prefix.removeprefix("val/"), metric)
        by_score: dict[str, list[float]] = {}
        for name, scores in self.scores.items():
            prefix, language = name.rsplit("/", 1)
            for score, value in scores.items():
                if score not in ("n", "unlabelled"):
                    self.log(f"{prefix}/{score}/{language}", value, add_dataloader_idx=False)
                    by_score.setdefault(f"{prefix}/{score}/mean", []).append(value)
        for name, values in by_score.items():
            self.log(name, sum(values) / len(values), add_dataloader_idx=False)


def _told(labels: Sequence[str]) -> str:
    few = len(labels) <= MANY_LABELS
    return str(list(labels)) if few else f"({len(labels)}: {', '.join(labels[:5])}, ...)"


def _head(head: Head) -> str:
    return f"{type(head).__name__}({', '.join(f'{key}={value}' for key, value in head.config().items())})"
