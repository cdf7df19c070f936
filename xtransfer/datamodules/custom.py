"""A task that exists only in a YAML file."""

from __future__ import annotations

from xtransfer.datamodules.base import TaskDataModule


class CustomTask(TaskDataModule):
    """A task written in YAML alone: its whole record is given as `task`."""
