"""What lets a checkpoint be written while training goes on: a copy of its state, and one thread that writes."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)
WORTH_TELLING = 0.1
"""Seconds; shorter waits are not logged."""

Place = tuple[Any, ...]


class Copies:
    """Copies of a checkpoint in the CPU's memory, which the next training step does not touch.

    The memory is kept and used again, so that only the first copy has to ask for it: asking costs more than copying,
    above all for the page-locked memory that a GPU is copied to. There is one copy, so the one before is lost.
    """

    def __init__(self) -> None:
        self._buffers: dict[Place, Tensor] = {}

    def take(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Return a copy in which nothing is shared with the original; tensors that share memory share it there too.

        Args:
            checkpoint: Tensors and plain values in mappings and lists.
        """
        done: dict[Place, Tensor] = {}
        known: dict[int, Any] = {}
        devices = set()
        for place, tensor in tensors(checkpoint):
            same = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
            if same not in done or not tensor.numel():
                done[same] = self._buffer(place, tensor)
                done[same].copy_(tensor.detach(), non_blocking=tensor.is_cuda)
                devices |= {tensor.device} if tensor.is_cuda else set()
            known[id(tensor)] = done[same]
        for device in devices:
            torch.cuda.synchronize(device)
        return copy.deepcopy(checkpoint, known)  # which takes what is known in place of copying it

    def clear(self) -> None:
        """Give the memory back."""
        self._buffers.clear()

    def _buffer(self, place: Place, tensor: Tensor) -> Tensor:
        kept = self._buffers.get(place)
        if kept is None or (kept.shape, kept.dtype) != (tensor.shape, tensor.dtype):
            kept = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=tensor.is_cuda)
            self._buffers[place] = kept
        return kept


class Writer:
    """Does one thing at a time in a thread of its own; who asks for the next waits until the one before is done.

    At the interpreter's end it is waited for, like every thread.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self, name: str, act: Callable[[], None]) -> None:
        """Begin something, when what was begun before is done.

        Args:
            name: What it is, for the log.
            act: Does it; what it raises is lost.
        """
        self.wait()
        self._thread = threading.Thread(target=act, name=name)
        self._thread.start()

    def wait(self, why: str = "") -> None:
        """Wait until what was begun is done.

        Args:
            why: What waits, for the log; empty: nobody is held up by it.
        """
        thread = self._thread
        if thread is None:
            return
        began = time.monotonic()
        thread.join()
        self._thread = None
        waited = time.monotonic() - began
        if why and waited >= WORTH_TELLING:
            log.info("%s waited %.1f s until %s was written", why, waited, thread.name)


def tensors(value: Any, place: Place = ()) -> Iterator[tuple[Place, Tensor]]:
    """Yield every tensor within mappings, lists and tuples, with the keys that lead to it."""
    if isinstance(value, Tensor):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from tensors(inner, (*place, key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from tensors(inner, (*place, number))
