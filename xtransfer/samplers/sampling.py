"""How often each task is drawn: in proportion to its size, capped, by temperature, by given weights, by a schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from xtransfer.errors import ConfigError, nearest
from xtransfer.samplers.expressions import Curve

LOOKS = 100
"""A schedule is checked at so many places of a run before it begins."""

Weights = Mapping[str, float]
Schedule = Mapping[str, str | float | list[list[float]]]


class Mix(Protocol):
    """Anything that says how often each task is drawn."""

    @property
    def changes(self) -> bool:
        """Whether the shares change over the run."""

    def shares(self, sizes: Mapping[str, int], t: float = 0.0) -> dict[str, float]:
        """Return task -> probability that a step is of it; they sum to 1."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How often each task is drawn.

    A task of n examples has the weight ``min(n, cap) ** (1 / temperature)`` (Raffel et al. 2020, section 3.5.2): in
    proportion to its size as it stands, and the more even, the higher the temperature (``inf``: all alike). Or its
    weight is given, fixed or as a schedule over the run. A task's share is its weight over the sum of all weights.

    Args:
        temperature: 1: in proportion to size; more than 1: small tasks more often; ``inf``: all alike.
        cap: Count at most so many examples of a task.
        weights: Task -> weight, in place of the rule above. 0: never trained, but scored.
        schedule: Task -> a number, a formula or points, as `Curve` takes them, in place of the rule above.
        beside: Task -> its steps for each step of all other tasks together, e.g. ``{mlm: 1.0}``. Such a task stands
            outside the rule above.

    Raises:
        ConfigError: A value is out of range, or two rules are given.
    """

    temperature: float = 1.0
    cap: int | None = None
    weights: Weights | None = None
    schedule: Schedule | None = None
    beside: Weights | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without the tasks."""
        if not self.temperature > 0:
            raise ConfigError(f"sampling.temperature must be above 0, found {self.temperature}")
        if self.cap is not None and self.cap < 1:
            raise ConfigError(f"sampling.cap must be at least 1, found {self.cap}")
        given = [name for name in ("weights", "schedule") if getattr(self, name) is not None]
        rule = [name for name, default in (("temperature", 1.0), ("cap", None)) if getattr(self, name) != default]
        if len(given) + bool(rule) > 1:
            raise ConfigError(f"sampling: {' and '.join([*given, *rule])} exclude one another: give one")
        for which in ("weights", "beside"):
            for task, weight in (getattr(self, which) or {}).items():
                if not 0 <= weight < math.inf:
                    raise ConfigError(f"sampling.{which}: the weight of '{task}' is {weight}; it must be 0 or more")

    @property
    def changes(self) -> bool:
        """Whether the shares change over the run."""
        return self.schedule is not None

    def shares(self, sizes: Mapping[str, int], t: float = 0.0) -> dict[str, float]:
        """Return task -> probability that a step is of it.

        Args:
            sizes: Task -> number of training examples.
            t: The part of the run that is done, from 0 to 1.

        Raises:
            ConfigError: `check` says what.
        """
        beside = self.beside or {}
        weights = {task: self._weight(task, n, t) for task, n in sizes.items() if task not in beside}
        total = math.fsum(weights.values())
        if min(weights.values(), default=0) < 0 or not 0 < total < math.inf:
            where = f" at t = {t:g}" if self.schedule else ""
            told = ", ".join(f"{task} {weight:g}" for task, weight in weights.items())
            raise ConfigError(
                f"sampling: weights must be 0 or more, and one of them above 0; found{where}: {told or 'none'}"
            )
        whole = 1 + math.fsum(beside[task] for task in sizes if task in beside)
        return {task: (beside[task] if task in beside else weights[task] / total) / whole for task in sizes}

    def check(self, tasks: Sequence[str], what: str = "task") -> None:
        """Check the names, and a schedule over the whole run, before anything is read.

        Args:
            tasks: What is drawn from.
            what: What these are, for the message.

        Raises:
            ConfigError: A name is no task of the mix, a task has no weight, or all weights are 0.
        """
        for which in ("weights", "schedule", "beside"):
            for name in getattr(self, which) or {}:
                if name not in tasks:
                    raise ConfigError(f"sampling.{which}: no {what} '{name}' in the mix{nearest(name, tasks)}")
        for which in ("weights", "schedule"):
            given = getattr(self, which)
            missing = [task for task in tasks if given is not None and task not in {**given, **(self.beside or {})}]
            if missing:
                raise ConfigError(
                    f"sampling.{which}: no weight for {', '.join(missing)}; give one, 0 leaves a {what} out of training"
                )
        for look in range(LOOKS + 1 if self.changes else 1):
            self.shares(dict.fromkeys(tasks, 1), look / LOOKS)

    def among(self, tasks: Sequence[str]) -> Sampling:
        """Return the same rule for some of the tasks."""
        weights, schedule, beside = (_among(given, tasks) for given in (self.weights, self.schedule, self.beside))
        return replace(self, weights=weights, schedule=schedule, beside=beside)

    def _weight(self, task: str, n: int, t: float) -> float:
        if self.weights is not None:
            return float(self.weights.get(task, 0.0))
        if self.schedule is not None:
            return Curve(self.schedule.get(task, 0.0)).at(t, n)
        counted = n if self.cap is None else min(n, self.cap)
        return float(counted ** (1 / self.temperature)) if n else 0.0


def _among(given: Mapping[str, Any] | None, tasks: Sequence[str]) -> dict[str, Any] | None:
    return None if given is None else {task: value for task, value in given.items() if task in tasks}


@dataclass(frozen=True)
class Nested:
    """Draws a task first, then one of its parts, such as a language.

    Args:
        parts: Part -> its task, and what `inner` calls it, e.g. ``{"xnli/sw": ("xnli", "sw")}``.
        outer: How often each task is drawn.
        inner: Task -> how often each of its parts is.
    """

    parts: Mapping[str, tuple[str, str]]
    outer: Sampling
    inner: Mapping[str, Sampling]

    @property
    def changes(self) -> bool:
        """Whether the shares change over the run."""
        return any(sampling.changes for sampling in (self.outer, *self.inner.values()))

    def shares(self, sizes: Mapping[str, int], t: float = 0.0) -> dict[str, float]:
        """Return part -> probability that a step is of it."""
        within: dict[str, dict[str, int]] = {}
        for part, n in sizes.items():
            task, name = self.parts[part]
            within.setdefault(task, {})[name] = n
        outer = self.outer.shares({task: sum(own.values()) for task, own in within.items()}, t)
        inner = {task: self.inner[task].shares(own, t) for task, own in within.items()}
        return {part: outer[task] * inner[task][name] for part, (task, name) in self.parts.items() if part in sizes}
