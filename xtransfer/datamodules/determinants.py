"""What of a task's data determines the weights of a model that is trained on them: all of it, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.datamodules.mix_checks import plain
from xtransfer.datamodules.multitask import MultiTask
from xtransfer.datamodules.portion import Portion
from xtransfer.kinds import KINDS, Kind
from xtransfer.samplers import Sampling

Spec = Mapping[str, Any]


def of_training(data: TaskDataModule) -> dict[str, Any]:
    """Return what the training batches depend on: rows, their encoding, sizes and order.

    Languages and data sets that are only scored are left out, and so is the task's name where nothing is drawn by it:
    XQuAD and SQuAD are one training.

    Args:
        data: The task, or a mix of tasks.

    Raises:
        ConfigError: Rows are nowhere to be looked for.
        DataError: They are not there.
    """
    if not data.trains:
        return {}
    if not isinstance(data, MultiTask):
        return {"tasks": [_task(data, drawn_by_name=False)]}
    settings = {name: getattr(data, name) for name in ("epochs", "steps", "loss_weights", "duplicates")}
    mix = settings | {"sampling": _rule(data.mixing)}
    return {"tasks": [_task(task, drawn_by_name=True) for task in data.drawn], "mix": mix}


def of_heads(specs: Sequence[Spec]) -> list[dict[str, Any]]:
    """Return what fresh heads depend on, in the order in which they are made."""
    found: dict[str, dict[str, Any]] = {}
    for spec in specs:
        options = _options(spec["kind"], spec["options"])
        found.setdefault(
            spec["head"], {"head": spec["head"], "kind": spec["kind"], "labels": spec["labels"], "options": options}
        )
    return list(found.values())


def of_choice(data: TaskDataModule, specs: Sequence[Spec], watched: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the development scores depend on by which a model is chosen or training is stopped.

    Args:
        data: The task, or a mix of tasks.
        specs: Its plain records.
        watched: Names of the scores, such as ``val/xnli/accuracy/en``; ``val`` is any of them.
    """
    places = _places(specs, watched)
    metrics = {spec["name"]: spec["metric"] for spec in specs}
    return [
        rows_of(portion, scored=True)
        | {"task": alias(portion.task.name, specs), "metric": metrics[portion.task.name], "length": lengths(data)[name]}
        for portion in data.portions("validation")
        if (name := portion.task.name, portion.language) in places
    ]


def lengths(data: TaskDataModule) -> dict[str, int]:
    """Return task -> tokens of one input."""
    return {member.record.name: member.length for member in data.members}


def alias(task: str, specs: Sequence[Spec]) -> str:
    """Return what stands for a task's name where the name itself changes nothing: its place among the tasks."""
    names = [spec["name"] for spec in specs]
    return f"#{names.index(task)}" if task in names else task


def rows_of(portion: Portion, scored: bool = False) -> dict[str, Any]:
    """Return what a portion's features depend on, besides the tokenizer and their length.

    Args:
        portion: The rows.
        scored: Count the options that change scores alone too.
    """
    task, source = portion.task, portion.source
    names = ("kind", "fields", "labels", "aliases", "unlabelled", "drop_unlabelled")
    options = KINDS[task.kind].settings(task.options) if scored else _options(task.kind, task.options)
    # What is no dataclass has no text of its own; its settings stand in the configuration, its code beside it.
    written = repr(source) if is_dataclass(source) else f"{type(source).__module__}.{type(source).__qualname__}"
    return {name: getattr(task, name) for name in names} | {
        "language": portion.language,
        "origin": portion.origin(),
        "source": written,
        "options": options,
    }


def _task(data: TaskDataModule, drawn_by_name: bool) -> dict[str, Any]:
    portions, kind = data.portions("train"), KINDS[data.record.kind]
    several = len(portions) > 1
    changing = type(kind).shown is not Kind.shown
    named = drawn_by_name or several or changing or bool(data.shots)
    return {
        "name": data.record.name if named else None,
        "rows": [rows_of(portion) for portion in portions],
        "length": data.length,
        "batch_size": data.train_batch,
        "sampling": _rule(data.sampling) if several else None,
        "seed": data.run_seed,
    }


def _options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's options, defaults filled in, without those that change scores alone."""
    found = KINDS[kind].settings(options)
    return {name: value for name, value in found.items() if name not in KINDS[kind].scoring_options}


def _rule(sampling: Sampling) -> dict[str, Any]:
    return {name: plain(value) for name, value in vars(sampling).items()}


def _places(specs: Sequence[Spec], watched: Sequence[str]) -> set[tuple[str, str]]:
    """Return the tasks and languages whose development rows are looked at for these scores."""
    spoken = {spec["name"]: list(spec["dev_languages"]) for spec in specs}
    every = {(task, language) for task, languages in spoken.items() for language in languages}
    found: set[tuple[str, str]] = set()
    for score in watched:
        match score.split("/"):
            case ["val", task, _, language] if task in spoken:
                found |= {(task, code) for code in spoken[task] if language in (code, "mean")}
            case ["val", *_]:
                found |= every
    return found
