"""Snapshots of a stage in training, from which it goes on exactly as if it had not been interrupted."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from xtransfer.checkpoints import CheckedFiles, Saving, remove
from xtransfer.errors import DataError
from xtransfer.stopping import ASK_EVERY, StopSignals

log = logging.getLogger(__name__)
PATTERN = "step-*.ckpt"
LATE = 32
"""So many losses are looked at together where the device has to be waited for."""
BEFORE_STEP, BEFORE_VALIDATION = "before a step", "before validation"


class Snapshots(Callback):
    """Writes a snapshot every so many optimisation steps, and when the run is asked to stop; watches the loss.

    A snapshot is written before a step begins. Only there everything that belongs to the steps before is done: the
    validation after the last of them, the choice of the best model, early stopping. Lightning's own checkpoints are
    written after a batch; going on from one of those, it leaves out the validation that was due.

    Losses are looked at some batches late, so that a GPU need not be waited for each time, but always before a snapshot
    is written.

    Args:
        folder: Where they go.
        every_steps: Optimisation steps between two of them.
        keep: How many are kept, the newest.
        signals: Tells when to stop.
        facts: What is kept with them; plain values.
    """

    def __init__(
        self, folder: Path, every_steps: int, keep: int, signals: StopSignals, facts: Mapping[str, Any]
    ) -> None:
        self.folder, self.every_steps, self.keep, self.signals, self.facts = folder, every_steps, keep, signals, facts
        self._last: int | None = None
        self._writing = ""
        self._losses: list[tuple[torch.Tensor, str]] = []

    # ------------------------------------------------------------------ when
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning."""
        self._last = trainer.global_step
        self.signals.patient = True
        self.signals.install()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Write a snapshot if one is due, and stop if that is wanted."""
        if len(self._losses) >= (1 if pl_module.device.type == "cpu" else LATE):
            self._look_at_losses(trainer)
        if batch_idx % trainer.accumulate_grad_batches:
            return
        step = trainer.global_step
        self._ask_writer(trainer, step)
        stop = self.signals.asked(trainer, step)
        if stop or (step % self.every_steps == 0 and step != self._last):
            self._look_at_losses(trainer)
            self._write(trainer, pl_module, BEFORE_STEP, at_once=stop)
        if stop:
            self.signals.stop(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remember the loss, and of which examples it is."""
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        examples = ", ".join(map(str, batch["index"]))
        where = f"task '{batch['task']}' ({batch['language']}), step {trainer.global_step}, examples {examples}"
        self._losses.append((loss.detach().float(), where))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the last losses before a model is chosen, and take the signals over from Lightning."""
        self._look_at_losses(trainer)
        self.signals.install()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning."""
        self.signals.install()

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop if a signal came."""
        self.signals.stop_if_asked()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop if a signal came and the stage is trained."""
        self.signals.stop_if_asked()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop in the middle of a validation, which will be done again from its start."""
        if not (self.signals.patient and self.signals.asked(trainer, batch_idx)):
            return
        loop = trainer.fit_loop.epoch_loop
        # Between accumulated batches, and once Lightning counts training as over, an older snapshot has to do.
        if not loop._should_accumulate() and not 0 <= loop.max_steps <= trainer.global_step:
            self._write(trainer, pl_module, BEFORE_VALIDATION, at_once=True)
        self.signals.stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the last losses."""
        self._look_at_losses(trainer)
        self.signals.patient = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """There is no step any more to stop at, or to tell of a write that failed."""
        self.signals.patient = False
        files = files_of(trainer)
        files.wait()
        if files.fault:
            log.warning("%s", files.fault)

    # ------------------------------------------------------------------ what
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let the best model be found though the run's folder was moved: Lightning would forget its score.

        After a change of configuration the best model is chosen anew: the file may be of the course that was given up.
        """
        changed = checkpoint["xtransfer"]["identity"] != self.facts["identity"]
        for callback in trainer.checkpoint_callbacks:
            state = checkpoint["callbacks"].get(callback.state_key)
            if isinstance(callback, ModelCheckpoint) and state and str(callback.dirpath) == str(self.folder.resolve()):
                before, now = str(state["dirpath"]), str(callback.dirpath)
                for key in ("dirpath", "best_model_path", "kth_best_model_path", "last_model_path"):
                    state[key] = state[key].replace(before, now)
                state["best_k_models"] = {k.replace(before, now): v for k, v in state["best_k_models"].items()}
                if changed:
                    del checkpoint["callbacks"][callback.state_key]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Make the loops' state say what it means: all batches before are done, and whether a validation is due."""
        if not self._writing:
            return
        checkpoint["xtransfer"] = dict(self.facts)
        loop = checkpoint["loops"]["fit_loop"]
        progress, steps = loop["epoch_loop.batch_progress"], loop["epoch_loop.state_dict"]
        for counts in (progress["total"], progress["current"]):
            done = counts["processed"]
            counts.update(ready=done, started=done, completed=done)
        if self._writing == BEFORE_STEP:
            # Lightning tells by `started` where a checkpoint was written; this is no place it knows of. It then takes
            # the validation after the last batch for done, and adds 1 to the steps its loggers count.
            progress["is_last_batch"], progress["total"]["started"] = False, progress["total"]["started"] - 1
            steps["_batches_that_stepped"] -= 1
        else:  # what it takes for a validation that was begun; its batches are counted from 0
            validation = loop["epoch_loop.val_loop.batch_progress"]
            validation["total"].update(ready=1, started=1, processed=0, completed=0)
            validation["current"].update(ready=0, started=0, processed=0, completed=0)

    def _write(self, trainer: Trainer, module: LightningModule, when: str, at_once: bool) -> None:
        files = files_of(trainer)
        name = not_finite(module)
        if name:
            files.wait()
            raise DataError(
                f"step {trainer.global_step}: the weights {name} are not finite; no snapshot is written of them. "
                f"The last good one is {newest(self.folder)}; lower the learning rate or clip gradients"
            )
        self._writing = when
        try:
            path = self.folder / f"step-{trainer.global_step:08d}.ckpt"
            trainer.save_checkpoint(path, storage_options=Saving(at_once, self._remove_older))
        finally:
            self._writing = ""
        if at_once or not files.background:
            files.raise_together(trainer.strategy.broadcast)
        self._last = trainer.global_step

    def _remove_older(self) -> None:
        for older in snapshots(self.folder)[: -self.keep]:
            remove(older)

    def _ask_writer(self, trainer: Trainer, step: int) -> None:
        """Stop if a write in the background failed; several processes agree on it."""
        files = files_of(trainer)
        if not files.background:
            return
        failed = bool(files.fault)
        if trainer.world_size > 1:
            failed = step % ASK_EVERY == 0 and trainer.strategy.reduce_boolean_decision(failed, all=False)
        if failed:
            files.raise_together(trainer.strategy.broadcast)

    def _look_at_losses(self, trainer: Trainer) -> None:
        losses, self._losses = self._losses, []
        values = torch.stack([loss for loss, _ in losses]).tolist() if losses else []
        for value, (_, where) in zip(values, losses, strict=True):
            if not math.isfinite(value):
                files_of(trainer).wait()
                raise DataError(
                    f"{where}: the loss is {value}. The last good snapshot is {newest(self.folder)}. "
                    "Lower the learning rate, clip gradients, or look at these examples"
                )


def files_of(trainer: Trainer) -> CheckedFiles:
    """Return what writes and reads a trainer's checkpoints."""
    files = trainer.strategy.checkpoint_io
    assert isinstance(files, CheckedFiles)
    return files


def not_finite(module: torch.nn.Module) -> str:
    """Return the name of the first parameter in which a number is none or infinite; empty if there is none.

    Least and greatest numbers tell it, as both are NaN where any is; they are found in one pass, and read together.
    """
    named = {name: weights.detach() for name, weights in module.named_parameters() if weights.numel()}
    extremes = [torch.stack(torch.aminmax(weights)).float() for weights in named.values()]
    good = torch.stack(extremes).isfinite().all(1).tolist() if extremes else []
    return next((name for name, is_good in zip(named, good, strict=True) if not is_good), "")


def snapshots(folder: Path) -> list[Path]:
    """Return the snapshots in a folder, the newest last."""
    return sorted(folder.glob(PATTERN))


def newest(folder: Path) -> str:
    """Name the newest snapshot for a message."""
    found = snapshots(folder)
    return str(found[-1]) if found else "none; the stage would begin anew"
