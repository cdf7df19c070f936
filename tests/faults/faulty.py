"""A callback that fails in a validation."""

from typing import Any

from lightning.pytorch import Callback, Trainer


class Faulty(Callback):
    """Fails when a batch has been validated."""

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Fail."""
        if not trainer.sanity_checking:
            raise RuntimeError("out of memory, say")
