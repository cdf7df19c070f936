"""Between this library and transformers: task models made of our heads, and heads of ours made of task models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from xtransfer.errors import ConfigError
from xtransfer.heads import Head, MaskedLMHead
from xtransfer.pretrained import load_config, load_with_report
from xtransfer.pretrained_lm import fresh_lm_head
from xtransfer.task_models import (
    DROPOUTS,
    NAMED,
    TASK_MODELS,
    NotHeldError,
    TaskModel,
    compare,
    numbered,
    places_in,
    renamed,
    shortened,
    task_model,
)

__all__ = ["NotHeldError", "PretrainedHead", "load_head", "shortened", "task_model"]


def load_head(name: str, labels: Sequence[str] | None = None) -> Head:
    """Return the head of a task model of transformers as one of ours, with its labels, ready for use (``eval``).

    A head for masked words is tied to that model's word embeddings: tie it to those of your encoder.

    Args:
        name: Folder, or name on the hub.
        labels: The order in which its labels are wanted; default its own. Capitals do not count.

    Raises:
        ConfigError: It cannot be read, has no such head, or one that computes something else; it has other labels.
    """
    config = load_config(name)
    known = {cls.__name__: kind for kind in TASK_MODELS if (cls := kind.classes.get(type(config), None)) is not None}
    found = next((known[cls] for cls in config.architectures or () if cls in known), None)
    if found is None:
        raise ConfigError(
            f"'{name}' holds {', '.join(config.architectures or ['no model'])}, which has no head; "
            f"expected one of {', '.join(known)}"
        )
    if config.problem_type not in (None, "single_label_classification"):
        raise ConfigError(f"'{name}': problem_type {config.problem_type}: our heads choose one class out of several")
    model, missing = load_with_report(found.auto, name, config)
    places = places_in(type(model), config, found)
    if lacking := [key for key in missing if key.startswith(tuple(places.values()))]:
        raise ConfigError(f"'{name}' has no weights for its head: {', '.join(sorted(lacking))} would be random")
    head = _empty(found, model)
    weights = model.state_dict()
    head.load_state_dict(
        {key: weights.get(renamed(key, places), torch.zeros_like(value)) for key, value in head.state_dict().items()}
    )
    try:
        compare(model, model.base_model, head.eval())
    except NotHeldError as error:
        raise ConfigError(f"'{name}': {error}") from error
    told: Any = config.id2label
    names = [str(told[number]) for number in range(len(told))]
    if isinstance(head, NAMED) and names != numbered(len(names)):
        head.labels = tuple(names)
    if labels is not None:
        _reorder(head, labels, name)
    return head


class PretrainedHead:
    """A head taken over from a task model of transformers; in YAML a value of ``model.heads``.

    Args:
        folder: Folder, or name on the hub.
        labels: The order in which its labels are wanted; default its own, which must be the task's.
    """

    def __init__(self, folder: str, labels: list[str] | None = None) -> None:
        self.folder, self.labels = folder, labels

    def __call__(self, hidden_size: int, num_labels: int) -> Head:
        """Return the head.

        Raises:
            ConfigError: It cannot be had, or does not fit the encoder or the task.
        """
        head = load_head(self.folder, self.labels)
        if (head.hidden_size, head.num_labels) != (hidden_size, num_labels):
            raise ConfigError(
                f"the head of '{self.folder}' reads states of width {head.hidden_size} and has {head.num_labels} "
                f"outputs; encoder and task need {hidden_size} and {num_labels}"
            )
        return head


def _empty(kind: TaskModel, model: PreTrainedModel) -> Head:
    """Return a head of ours for the weights of a task model's."""
    config = model.config
    with torch.random.fork_rng(devices=[]):  # what is drawn here is thrown away
        if kind.head is MaskedLMHead:
            words: Any = model.get_input_embeddings()
            return fresh_lm_head(config, words)
        number = (config.num_labels,) if issubclass(kind.head, NAMED) else ()
        head = kind.head(config.hidden_size, *number)
    told = [value for field in DROPOUTS if (value := getattr(config, field, None)) is not None]
    head.dropout.p = told[0] if told else head.dropout.p
    return head


def _reorder(head: Head, labels: Sequence[str], name: str) -> None:
    """Bring a head's outputs into the order in which labels are wanted."""
    own = [label.lower() for label in head.labels]
    wanted = [label.lower() for label in labels]
    if not own or sorted(own) != sorted(wanted):
        raise ConfigError(
            f"'{name}': expected the labels {list(labels)}, found {list(head.labels) or 'none'}; give the names that "
            "stand in its config.json, in the order of the task"
        )
    order = torch.tensor([own.index(label) for label in wanted])
    layer = head.get_submodule("out_proj")
    for parameter in layer.parameters():
        parameter.data = parameter.data[order]
    head.labels = tuple(labels)
