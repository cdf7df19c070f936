"""Adapters on an encoder, by PEFT: a few weights are trained in place of all, then worked into the encoder's own."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from xtransfer.errors import ConfigError, nearest
from xtransfer.pretrained import load_model

if TYPE_CHECKING:
    from peft import PeftConfig

METHODS = ("FOURIERFT", "HRA", "IA3", "LN_TUNING", "LOHA", "LOKR", "LORA", "MISS", "OFT")
"""PEFT's methods that can be used: they need no data and no calls of their own in training, and can be merged."""
BOOKKEEPING = {
    *("task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"),
    *("inference_mode", "runtime_config"),
}
"""Fields of PEFT's configurations that are not settings."""
STARTS = (True, False, "gaussian", "orthogonal")
"""Values of ``init_lora_weights`` that leave the weights under the adapters as they are."""
WEIGHTS = "adapter_model.safetensors"


class Adapters:
    """Adapters that lie on a model, whose own weights are frozen; the model is changed in place and keeps its class.

    Args:
        model: The model.
        settings: ``peft_type`` and what PEFT's configuration class of that type takes.
        start: Folder of adapters of the same settings to go on with; default new ones.

    Raises:
        ConfigError: PEFT is not installed or refuses the settings; the adapters in the folder cannot be read or differ.
    """

    def __init__(self, model: PreTrainedModel, settings: Mapping[str, Any], start: Path | None = None) -> None:
        config = peft_config(settings)
        from peft import PeftModel  # an extra

        # Not `peft.inject_adapter_in_model`: this object, which is no part of the model, knows how to write and merge.
        self._peft: Any = PeftModel(model, config)
        if start is not None:
            self._load(Path(start))

    def save(self, folder: Path) -> None:
        """Write ``adapter_config.json`` and ``adapter_model.safetensors``, for ``PeftModel.from_pretrained``."""
        # Embeddings are never written along: they are the base model's. To find that out, PEFT would ask the hub.
        self._peft.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # a model card that says nothing yet

    def merge(self) -> None:
        """Work the adapters into the model's weights: it has the parameters again that it had before."""
        self._peft.merge_and_unload()

    def _load(self, folder: Path) -> None:
        from peft import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

        if not (folder / WEIGHTS).is_file():
            raise ConfigError(f"no adapters in {folder}: expected {WEIGHTS}; train that stage again")
        try:
            found = load_peft_weights(str(folder), device="cpu")
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"the adapters in {folder} cannot be read: {error}") from error
        own = get_peft_model_state_dict(self._peft, save_embedding_layers=False)
        wrong = {key for key in own.keys() & found.keys() if own[key].shape != found[key].shape}
        if faults := sorted(wrong | (own.keys() ^ found.keys())):
            shown = ", ".join(faults[:5])
            raise ConfigError(f"the adapters in {folder} are others: {len(faults)} tensors differ: {shown}")
        set_peft_model_state_dict(self._peft, found)


def peft_config(settings: Mapping[str, Any]) -> PeftConfig:
    """Return PEFT's own configuration of adapters.

    Raises:
        ConfigError: PEFT is not installed, or a setting is unknown or refused.
    """
    try:
        from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftType
    except ImportError as error:
        raise ConfigError("model.adapters needs the package peft: pip install xtransfer[peft]") from error
    method = settings.get("peft_type")
    if method not in METHODS:
        raise ConfigError(f"model.adapters: peft_type '{method}' cannot be used here{nearest(str(method), METHODS)}")
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(method)]
    known = inspect.signature(config_class).parameters.keys() - BOOKKEEPING
    for key in settings:
        if key not in known:
            raise ConfigError(f"model.adapters: {method} has no setting '{key}'{nearest(str(key), known)}")
    start = settings.get("init_lora_weights", True)
    if start not in STARTS:
        raise ConfigError(
            f"model.adapters: init_lora_weights '{start}' changes the encoder's weights or needs data; "
            f"expected one of {', '.join(map(str, STARTS))}"
        )
    try:
        return config_class(**{key: value for key, value in settings.items() if key != "peft_type"})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"model.adapters: {error}") from error


def check_adapters(settings: Mapping[str, Any], name: str, config: PretrainedConfig) -> None:
    """Check settings on a model without weights: adapters are laid on it and merged.

    Args:
        settings: As for `Adapters`.
        name: The encoder's name.
        config: Its configuration.

    Raises:
        ConfigError: A setting is unknown or refused, a module does not exist, or these adapters cannot be merged.
    """
    peft_config(settings)
    with torch.device("meta"):
        model = load_model(name, config, pretrained=False)
    before = model.state_dict().keys()
    modules = dict(model.named_modules())
    there = {
        path.rpartition(".")[2] for path, module in modules.items() if isinstance(module, nn.Linear | nn.LayerNorm)
    }
    for key in ("target_modules", "feedforward_modules", "modules_to_save"):
        wanted = settings.get(key)
        wanted = wanted if isinstance(wanted, list | tuple) else ()  # else a pattern, or left to PEFT
        for module in wanted:  # PEFT passes over those that it does not find
            if not any(f".{path}".endswith(f".{module}") for path in modules):
                raise ConfigError(
                    f"model.adapters.{key}: encoder '{name}' has no module '{module}'{nearest(str(module), there)}"
                )
    try:
        Adapters(model, settings).merge()
    except ConfigError:
        raise
    except Exception as error:  # whatever a value of the wrong type or size brings about in PEFT
        found = " ".join(str(error).split())
        raise ConfigError(
            f"model.adapters: PEFT refuses these settings for encoder '{name}': {found}; its modules for "
            f"target_modules are {', '.join(sorted(there))}"
        ) from error
    if model.state_dict().keys() != before:
        raise ConfigError(f"model.adapters: with these settings encoder '{name}' would not keep its own parameters")


def described(folder: Path, encoder: nn.Module) -> str:
    """Return what a result says of adapters: ``LORA, 1024 weights beside the encoder's 88000``.

    Args:
        folder: Where they were written; if they were not, nothing is said.
        encoder: The encoder, with them merged.
    """
    if not (folder / WEIGHTS).is_file():
        return ""
    from peft import PeftConfig

    config: Any = PeftConfig.from_pretrained(str(folder))
    with safe_open(folder / WEIGHTS, "pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 - it is no mapping
    total = sum(parameter.numel() for parameter in encoder.parameters())
    return f"{config.peft_type.value}, {sum(map(math.prod, shapes))} weights beside the encoder's {total}"
