"""Stopping in good order: a signal is noted, and acted on where a run can be taken up again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from lightning.pytorch import Trainer

from xtransfer.errors import ConfigError, DataError

log = logging.getLogger(__name__)
ASK_EVERY = 10
"""Several processes ask each other for signals once in so many optimisation steps."""

OnPreempt = Literal["exit", "requeue"]


class Stopped(SystemExit):
    """The run was asked to stop, and did so in good order; the exit status is 128 and the signal's number.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


class StopSignals:
    """Notes SIGTERM, SIGINT (Ctrl-C) and, under SLURM, SIGUSR1.

    While a stage trains, the run stops at the next optimisation step, with a snapshot; at other times, and at a second
    Ctrl-C, at once. An exception that a handler raises may be lost, so that scoring asks at every batch as well.

    Args:
        on_preempt: ``requeue``: under SLURM, put the job back into the queue after SIGTERM or SIGUSR1.
    """

    def __init__(self, on_preempt: OnPreempt = "exit") -> None:
        self.on_preempt = on_preempt
        self.number, self._process = 0, os.getpid()
        self.patient = False
        """Whether there will be an optimisation step to stop at."""

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Heed the signals, and afterwards leave everything as it was.

        A signal may interrupt anything; whatever breaks by it, the run ends as one that was asked to stop.

        Raises:
            KeyboardInterrupt: After Ctrl-C, so that a notebook lives on.
            Stopped: After another signal.
        """
        before = {number: signal.getsignal(number) for number in _heeded()}
        self.install()
        try:
            yield
        except (ConfigError, DataError):
            raise
        except BaseException as error:
            if not self.number:
                raise
            if not isinstance(error, KeyboardInterrupt | SystemExit):
                log.warning("while stopping: %s: %s", type(error).__name__, error)
            raise (KeyboardInterrupt if self.number == signal.SIGINT else Stopped(self.number)) from error
        finally:
            for number, handler in before.items():
                _set(number, handler)

    def install(self) -> None:
        """Put the handlers in; Lightning, which puts in its own, is outdone by calling this again."""
        for number in _heeded():
            _set(number, self._note)

    def asked(self, trainer: Trainer, step: int) -> bool:
        """Say whether to stop now; several processes agree on it."""
        if trainer.world_size == 1:
            return bool(self.number)
        if step % ASK_EVERY:
            return False
        agreed = trainer.strategy.reduce_boolean_decision(bool(self.number), all=False)
        self.number = self.number or (signal.SIGTERM if agreed else 0)
        return agreed

    def stop_if_asked(self) -> None:
        """Stop at once if a signal came, where there is no optimisation step to wait for.

        Raises:
            Stopped: One came.
        """
        if self.number and not self.patient:
            raise Stopped(self.number)

    def stop(self, trainer: Trainer) -> None:
        """Stop, and put the job back into SLURM's queue if that is wanted.

        Raises:
            Stopped: Always.
        """
        job = os.environ.get("SLURM_JOB_ID")
        if self.on_preempt == "requeue" and job and self.number != signal.SIGINT and trainer.is_global_zero:
            array = os.environ.get("SLURM_ARRAY_JOB_ID")
            job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else job
            done = subprocess.run(["scontrol", "requeue", job], check=False, capture_output=True, text=True)
            told = f"scontrol says: {done.stderr.strip()}" if done.returncode else "it will go on from here"
            log.warning("SLURM job %s put back into the queue; %s", job, told)
        raise Stopped(self.number)

    def _note(self, number: int, frame: Any) -> None:
        if os.getpid() != self._process:  # a worker that was forked inherits the handler
            return
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
        if not self.patient:
            raise Stopped(number)
        log.warning("%s: stopping at the next optimisation step", signal.Signals(number).name)


def _heeded() -> list[int]:
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGUSR1] if "SLURM_JOB_ID" in os.environ else [])]


def _set(number: int, handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
        signal.signal(number, handler)
