"""The head for masked words that an encoder's checkpoint brings along: its shape, and its weights where they are."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import AutoModelForMaskedLM, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from xtransfer.errors import ConfigError
from xtransfer.heads import MaskedLMHead
from xtransfer.pretrained import load_config, load_with_report

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where one family of encoders keeps its head for masked words.

    Attributes:
        dense: Module of the linear layer.
        norm: Module of the layer norm.
        bias: Parameter with a bias a word.
        activation: Setting that names the activation; empty where the family's code has GELU.
    """

    dense: str
    norm: str
    bias: str
    activation: str = ""


PLACES = (
    Place("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),  # RoBERTa, XLM-R
    Place(  # BERT, DeBERTa as transformers saves it
        "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias", "hidden_act"
    ),
    Place(  # DeBERTa as it was published
        "lm_predictions.lm_head.dense",
        "lm_predictions.lm_head.LayerNorm",
        "lm_predictions.lm_head.bias",
        "hidden_act",
    ),
    Place("vocab_transform", "vocab_layer_norm", "vocab_projector.bias", "activation"),  # DistilBERT
    Place("head.dense", "head.norm", "decoder.bias", "classifier_activation"),  # ModernBERT
    Place("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"),  # ELECTRA
)
"""What transformers' models for masked words call the parts of their heads."""

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
"""transformers' name of an activation -> the head's."""


def fresh_lm_head(config: PretrainedConfig, words: nn.Embedding) -> MaskedLMHead:
    """Return a head of the shape an encoder's own has, with random weights, tied to its word embeddings.

    Args:
        config: The encoder's configuration.
        words: Its word embeddings.

    Raises:
        ConfigError: Its own head has an activation that ours has not.
    """
    with torch.device("meta"):
        model: nn.Module = AutoModelForMaskedLM.from_config(config)  # type: ignore[no-untyped-call]
    place = place_of(model)
    options: dict[str, Any] = {"embedding_size": words.embedding_dim}
    if place is not None:
        name = getattr(config, place.activation) if place.activation else "gelu"
        if name not in ACTIVATIONS:
            raise ConfigError(
                f"the masked-word head of a {config.model_type} with the activation '{name}' cannot be rebuilt, only "
                f"with {', '.join(ACTIVATIONS)}: choose another encoder, or give a head in model.heads"
            )
        options |= {"activation": ACTIVATIONS[name], "eps": model.get_submodule(place.norm).eps}
    head = MaskedLMHead(config.hidden_size, words.num_embeddings, **options)
    head.tie(words)
    return head


def load_lm_head(head: MaskedLMHead, name: str) -> bool:
    """Fill a head with the weights that an encoder's checkpoint has for it; a log line says so, or why there are none.

    What a family's head lacks, such as biases, is 0.

    Args:
        head: The head.
        name: The encoder's hub name or folder.

    Returns:
        Whether there were any.

    Raises:
        ConfigError: The checkpoint cannot be read.
    """
    found = _own_head(name)
    if isinstance(found, str):
        log.warning("encoder '%s': the head for masked words starts with random weights: %s", name, found)
        return False
    own = head.state_dict()
    different = [key for key, tensor in found.items() if tensor.shape != own[key].shape]
    if different:
        log.warning(
            "encoder '%s': the head for masked words starts with random weights: that of the checkpoint is of "
            "another shape (%s)",
            name,
            ", ".join(different),
        )
        return False
    head.load_state_dict({key: found.get(key, torch.zeros_like(tensor)) for key, tensor in own.items()})
    log.info("encoder '%s': the head for masked words is the checkpoint's own", name)
    return True


def place_of(model: nn.Module) -> Place | None:
    """Return where a model for masked words keeps its head, or None if it is none of `PLACES`."""
    there = {name for name, _ in model.named_modules()}
    return next((place for place in PLACES if {place.dense, place.norm} <= there), None)


def _own_head(name: str) -> dict[str, torch.Tensor] | str:
    """Return the weights of a checkpoint's own head by their names in ours, or why there are none."""
    config = load_config(name)
    if not getattr(config, "tie_word_embeddings", True):
        return "that of the checkpoint has an output matrix of its own, not the word embeddings"
    reason = "the checkpoint has none"
    # DeBERTa's published checkpoints have other names than those transformers gives the same head when it saves one.
    for legacy in (True, False) if hasattr(config, "legacy") else (None,):
        if legacy is not None:
            config.legacy = legacy
        with torch.random.fork_rng(devices=[]), _quiet():  # what is missing is drawn, and thrown away
            model, missing = load_with_report(AutoModelForMaskedLM, name, config)
        place = place_of(model)
        if place is None:
            return f"that of a {config.model_type} is not of BERT's or XLM-R's form"
        if not any(key.startswith((f"{place.dense}.", f"{place.norm}.")) for key in missing):
            return _renamed(model, place)
    return reason


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from calling a checkpoint without such a head corrupted: what is missing is said here."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def _renamed(model: PreTrainedModel, place: Place) -> dict[str, torch.Tensor]:
    names = {f"{place.dense}.{part}": f"dense.{part}" for part in ("weight", "bias")}
    names |= {f"{place.norm}.{part}": f"norm.{part}" for part in ("weight", "bias")} | {place.bias: "bias"}
    return {names[key]: tensor for key, tensor in model.state_dict().items() if key in names}
