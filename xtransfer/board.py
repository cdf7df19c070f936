"""What TensorBoard shows of a stage besides losses and scores: gradient norms, shares of a mix, final scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from xtransfer.results import Results


class Board(Callback):
    """Logs the norm of the gradients by task, before they are clipped, and what share of the steps each part gets.

    Names: ``gradients/<task>/norm``, ``mix/<task>/<language>/share``.
    """

    def __init__(self) -> None:
        self._task = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the shares, once."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        parts: Mapping[str, Mapping[str, float]] = data.training.get("parts", {})
        for logger in trainer.loggers if len(parts) > 1 else []:
            logger.log_metrics({f"mix/{name}/share": told["share"] for name, told in parts.items()}, 0)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Remember whose batch it is."""
        self._task = batch["task"]

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Log the norm in those steps in which anything is logged."""
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if trainer.loggers and (trainer.global_step + 1) % every == 0:
            found = [p.grad for p in pl_module.parameters() if p.grad is not None]
            norm = {f"gradients/{self._task}/norm": float(torch.nn.utils.get_total_norm(found))}
            for logger in trainer.loggers:  # `log` would tell the norms of other tasks' last steps again
                logger.log_metrics(norm, trainer.global_step)


def log_settings(trainer: Trainer, settings: Mapping[str, Any], results: Results) -> None:
    """Give TensorBoard the settings of a stage with the scores it ended with, to compare runs by.

    Args:
        trainer: Its loggers are written to.
        settings: The settings.
        results: The stage's scores.
    """
    main = [row for row in results if row.main and row.split == "test"]
    means = {}
    for name in dict.fromkeys(f"{row.task}/{row.metric}" for row in main):
        values = [row.value for row in main if f"{row.task}/{row.metric}" == name]
        means[f"final/{name}"] = sum(values) / len(values)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger) and means:
            logger.log_hyperparams(dict(settings), means)
            logger.save()
