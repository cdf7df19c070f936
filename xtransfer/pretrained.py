"""What belongs to an encoder's name: configuration, weights and tokenizer, and why one cannot be had."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING, MODEL_MAPPING

from xtransfer.errors import ConfigError, nearest

log = logging.getLogger(__name__)

PLAIN: Mapping[str, Any] = {"dtype": torch.float32, "trust_remote_code": False}
"""How every model is loaded: as float32, without code from the hub."""

CompileMode = Literal["reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
"""Modes of `torch.compile`; the first two record CUDA graphs."""
OFFLINE = "offline-small"
WELL_KNOWN = (
    OFFLINE,
    "xlm-roberta-base",
    "xlm-roberta-large",
    "FacebookAI/xlm-roberta-base",
    "FacebookAI/xlm-roberta-large",
    "google-bert/bert-base-multilingual-cased",
    "jhu-clsp/mmBERT-base",
    "jhu-clsp/mmBERT-small",
    "microsoft/Multilingual-MiniLM-L12-H384",
    "microsoft/mdeberta-v3-base",
)
DROPOUTS = (
    "hidden_dropout_prob",  # BERT and its like
    "attention_probs_dropout_prob",
    "embedding_dropout",  # ModernBERT
    "mlp_dropout",
    "attention_dropout",
    "dropout",  # DistilBERT
)
OFFSET_TYPES = frozenset(
    {"camembert", "data2vec-text", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm"}
    | {"xlm-roberta", "xlm-roberta-xl", "xmod"}
)
"""Families that, like RoBERTa, number the first token's position after that of the padding."""


def resolve_encoder(name: str) -> str:
    """Return what transformers can load: the folder of ``offline-small`` (built the first time), else the name."""
    if name == OFFLINE:
        from xtransfer.offline import offline_small  # needs a package that is an extra

        return str(offline_small())
    return str(Path(name).expanduser()) if name.startswith("~") else name


def load_config(name: str) -> PretrainedConfig:
    """Return the configuration of an encoder, or say why it cannot be one.

    Raises:
        ConfigError: There is no such encoder; transformers does not know its type; it needs code of its own, which is
            never run; it is something else.
    """
    where = resolve_encoder(name)
    try:
        content, _ = PretrainedConfig.get_config_dict(where)
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        if Path(where).is_dir():
            raise ConfigError(f"the folder of encoder '{name}' cannot be read: {reason}") from error
        raise ConfigError(
            f"encoder '{name}' was not found: it is not '{OFFLINE}', there is no folder {Path(where).absolute()}, and "
            "as a name on the hub (owner/name, e.g. FacebookAI/xlm-roberta-base; without a network only what was "
            f"downloaded before) it gave: {reason}{'' if name in WELL_KNOWN else nearest(name, WELL_KNOWN)}"
        ) from error
    kind = content.get("model_type")
    if kind is None:
        raise ConfigError(f"encoder '{name}' has no config.json with a model_type")
    if kind not in CONFIG_MAPPING:
        if "auto_map" in content:
            raise ConfigError(f"encoder '{name}' needs code of its own (auto_map), which is never run: choose another")
        raise ConfigError(f"encoder '{name}' is of an unknown model_type '{kind}'{nearest(kind, CONFIG_MAPPING)}")
    config: PretrainedConfig = AutoConfig.from_pretrained(where, trust_remote_code=False)
    # What can guess a masked word is a text encoder that sees both sides; BART can too, and is none.
    guesses = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not config.is_encoder_decoder
    if not guesses or not isinstance(MODEL_MAPPING.get(type(config), None), type):
        raise ConfigError(f"'{name}' ({kind}) is no text encoder of the kind that BERT and XLM-R are: choose another")
    return config


def load_model(name: str, config: PretrainedConfig, pretrained: bool = True) -> PreTrainedModel:
    """Return the model of a configuration in float32, without a pooler, with its weights or with random ones.

    Raises:
        ConfigError: The weights cannot be loaded, or some are missing.
    """
    options = dict(PLAIN)
    model_class: Any = MODEL_MAPPING[type(config)]
    if "add_pooling_layer" in inspect.signature(model_class).parameters:
        options["add_pooling_layer"] = False  # no head here reads it; unused, it would stop distributed training
    if not pretrained:
        fresh: PreTrainedModel = AutoModel.from_config(config, **options)  # type: ignore[no-untyped-call]
        return fresh
    model, missing = load_with_report(AutoModel, name, config, options)
    if missing:
        shown = ", ".join(missing[:5])
        raise ConfigError(f"encoder '{name}' lacks {len(missing)} of its weights, which would stay random: {shown}")
    return model


def load_with_report(
    auto: Any, name: str, config: PretrainedConfig, options: Mapping[str, Any] = PLAIN
) -> tuple[PreTrainedModel, list[str]]:
    """Return a model with its weights in float32, and the names of those that its checkpoint lacks.

    Args:
        auto: The Auto class of transformers that loads it.
        name: Hub name, folder, or ``offline-small``.
        config: Its configuration.
        options: More arguments of ``from_pretrained``.

    Raises:
        ConfigError: The weights cannot be loaded.
    """
    load = partial(auto.from_pretrained, resolve_encoder(name), config=config, output_loading_info=True, **options)
    try:
        try:
            model, report = load(use_safetensors=True)
        except OSError:
            model, report = load(use_safetensors=False)
            log.warning("encoder '%s' has no safetensors: its pickled weights were read, tensors only", name)
    except (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise ConfigError(f"the weights of encoder '{name}' cannot be loaded: {error}") from error
    return model, sorted(report["missing_keys"])


def position_limit(config: PretrainedConfig) -> int:
    """Return how many tokens, special ones included, an encoder has positions for; `sys.maxsize` if without limit."""
    limit = getattr(config, "max_position_embeddings", None)
    if limit is None or limit <= 0:
        return sys.maxsize
    offset = config.pad_token_id + 1 if config.model_type in OFFSET_TYPES else 0
    return int(limit) - offset


def load_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """Return the fast tokenizer of an encoder.

    Raises:
        ConfigError: There is none, or only a slow one, or one that needs code of its own.
    """
    load_config(name)  # its errors say more
    try:
        tokenizer = AutoTokenizer.from_pretrained(resolve_encoder(name), trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"no tokenizer could be loaded for encoder '{name}': {error}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ConfigError(
            f"encoder '{name}' has only a slow tokenizer ({type(tokenizer).__name__}); a fast one is required, since "
            "spans and tags need character offsets: choose an encoder with a tokenizer.json"
        )
    if tokenizer.vocab_size <= len(tokenizer.added_tokens_decoder):  # what transformers gives if it finds no file
        raise ConfigError(f"encoder '{name}' comes without a tokenizer (e.g. tokenizer.json): copy it into its folder")
    return tokenizer


def check_tokenizer(
    tokenizer: PreTrainedTokenizerFast, vocab_size: int, name: str, config: PretrainedConfig | None = None
) -> None:
    """Check that a tokenizer fits an encoder: a wrong id fails deep inside the model, or worse, does not.

    Args:
        tokenizer: The tokenizer.
        vocab_size: Rows of the encoder's table of word embeddings.
        name: The encoder's name, for the message.
        config: The encoder's configuration; with it, the id of the padding is compared where positions depend on it.

    Raises:
        ConfigError: Ids do not fit, or special tokens are missing.
    """
    highest = max([len(tokenizer) - 1, *tokenizer.added_tokens_decoder])
    if highest >= vocab_size:
        raise ConfigError(
            f"tokenizer and encoder '{name}' do not belong together: the tokenizer's ids go up to {highest}, the "
            f"encoder has embeddings for {vocab_size} (0 to {vocab_size - 1}); take the encoder's own tokenizer"
        )
    ids = {
        "pad": tokenizer.pad_token_id,
        "cls (or bos)": tokenizer.bos_token_id if tokenizer.cls_token_id is None else tokenizer.cls_token_id,
        "sep (or eos)": tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id,
    }
    if missing := [role for role, value in ids.items() if value is None]:
        raise ConfigError(f"the tokenizer of encoder '{name}' lacks the special token(s) {', '.join(missing)}")
    if config is not None and config.model_type in OFFSET_TYPES and config.pad_token_id != ids["pad"]:
        raise ConfigError(
            f"the tokenizer of encoder '{name}' pads with id {ids['pad']}, its config.json says "
            f"{config.pad_token_id}: every position would be wrong; correct pad_token_id"
        )


def set_dropout(config: PretrainedConfig, dropout: float, name: str) -> None:
    """Set the probability of zeroing a unit wherever an encoder has one.

    Raises:
        ConfigError: It is none, or the encoder has no dropout.
    """
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout is {dropout}; it must be at least 0 and below 1")
    fields = [field for field in DROPOUTS if field in config.to_dict()]
    if not fields:
        raise ConfigError(f"encoder '{name}' ({config.model_type}) has no dropout that could be set; leave it out")
    for field in fields:
        setattr(config, field, dropout)
