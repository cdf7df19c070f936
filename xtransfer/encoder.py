"""The pre-trained encoder, whatever its family, behind one small interface: token ids in, hidden states out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PretrainedConfig

from xtransfer.active import Activation, ActiveEmbedding, activate, settle
from xtransfer.adapters import Adapters
from xtransfer.attention import can_pack, run_packed
from xtransfer.errors import ConfigError
from xtransfer.inner import cut, stack_of
from xtransfer.optimizer import check_layer_decay
from xtransfer.packing import Packing, as_given
from xtransfer.pretrained import (
    CompileMode,
    check_tokenizer,
    load_config,
    load_model,
    load_tokenizer,
    position_limit,
    resolve_encoder,
    set_dropout,
)

__all__ = ["Encoder", "check_tokenizer", "load_config", "load_tokenizer", "position_limit", "resolve_encoder"]

log = logging.getLogger(__name__)


class Encoder(nn.Module):
    """A pre-trained encoder: token ids in, hidden states out.

    Args:
        name: Name on the hub, a folder, or ``offline-small``.
        dropout: Probability of zeroing a hidden unit or an attention weight in training; default the encoder's own.
        freeze_embeddings: Keep the word embeddings as they are.
        freeze_layers: Keep all embeddings and this many layers, counted from the input, as they are; 0 freezes none.
        gradient_checkpointing: Compute activations again in the backward pass: less memory, about a third more time.
        pretrained: Load the weights; False gives random ones, for a checkpoint to be loaded afterwards.
        packing: Compute real tokens only, where the encoder can; False computes padding too.
        compiled: Compile the layers, or name a mode of `torch.compile` to do it in; the first steps then take long.
            Packed batches are filled up to one of few numbers of tokens (`Packing.filled`).

    Attributes:
        config: Its configuration, as transformers has it.
        hidden_size: Width H of the hidden states.
        depth: Number of layers.
        vocab_size: Rows of the table of word embeddings.
        max_length: Longest input in tokens.
        adapters: Those that lie on it, if any.
        packs: Whether real tokens only are computed. An encoder can if it gives the same states either way, which is
            tried once, on a few tokens.

    Raises:
        ConfigError: The encoder cannot be found or loaded, or a setting does not fit it.
    """

    def __init__(
        self,
        name: str = "xlm-roberta-base",
        *,
        dropout: float | None = None,
        freeze_embeddings: bool = False,
        freeze_layers: int = 0,
        gradient_checkpointing: bool = False,
        pretrained: bool = True,
        packing: bool = True,
        compiled: bool | CompileMode = False,
    ) -> None:
        super().__init__()
        self.name = name
        config = load_config(name)
        if dropout is not None:
            set_dropout(config, dropout, name)
        self.model = load_model(name, config, pretrained)
        self.model.train()  # transformers loads for inference, without dropout
        self.config: PretrainedConfig = self.model.config
        self._layers, stack = stack_of(self.model, name)
        words: Any = self.model.get_input_embeddings()
        self.hidden_size: int = self.config.hidden_size
        self.depth = len(stack)
        self.vocab_size: int = words.num_embeddings
        self.max_length = position_limit(self.config)
        self.adapters: Adapters | None = None
        self._frozen = freeze_embeddings, freeze_layers
        self._freeze(*self._frozen)
        if gradient_checkpointing:
            if not self.model.supports_gradient_checkpointing:
                raise ConfigError(f"encoder '{name}' has no gradient checkpointing; set gradient_checkpointing: false")
            # The second is its name in older transformers 5 and warns in newer; both take the settings first.
            enable = getattr(self.model, "activation_checkpointing_enable", self.model.gradient_checkpointing_enable)
            enable({"use_reentrant": False})
            # Switched on with it, this would send gradients through frozen layers.
            self.model.disable_input_require_grads()  # type: ignore[no-untyped-call]
        self._checkpointing = gradient_checkpointing
        self.packs = packing and can_pack(self.model, self.name)
        self._compiled = compiled
        for layer in stack if self._compiled else []:
            layer.compile(dynamic=True, mode=None if compiled is True else compiled)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        layer: int | None = None,
        packing: Packing | None = None,
    ) -> Tensor:
        """Encode token ids ``(..., T)`` as hidden states ``(..., T, H)``.

        Args:
            input_ids: Token ids ``(..., T)``.
            attention_mask: 1 for tokens, 0 for padding, ``(..., T)``; a row of zeros gives finite, meaningless states.
            token_type_ids: Which of two texts a token belongs to, ``(..., T)``; ignored by encoders with one type.
            layer: After which layer, the embeddings being 0; default the last.
            packing: Where the real tokens are, if that is known; on a GPU finding out takes a moment.

        Returns:
            Hidden states; at padding they mean nothing.

        Raises:
            ConfigError: There is no such layer, or the input is longer than `max_length`.
        """
        if layer is not None and not 0 <= layer <= self.depth:
            raise ConfigError(f"encoder '{self.name}' has no layer {layer}: 0 is the embeddings, {self.depth} the last")
        if layer is None or layer == self.depth:
            output, packed = self._run(input_ids, attention_mask, token_type_ids, False, packing)
            return as_given(output.last_hidden_state, packed, input_ids.shape)
        with cut(self.model, self._layers, layer) as caught:
            _, packed = self._run(input_ids, attention_mask, token_type_ids, False, packing)
        return as_given(caught[0], packed, input_ids.shape)

    def layers(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield the hidden states ``(..., T, H)`` after every layer, from the embeddings (0) to the last, in one pass.

        Raises:
            ConfigError: The input is longer than `max_length`.
        """
        output, packed = self._run(input_ids, attention_mask, token_type_ids, True, None)
        for hidden in (*output.hidden_states[: self.depth], output.last_hidden_state):
            yield as_given(hidden, packed, input_ids.shape)

    def _run(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None,
        every_layer: bool,
        packing: Packing | None,
    ) -> tuple[Any, Packing | None]:
        length = input_ids.shape[-1]
        if length > self.max_length:
            raise ConfigError(f"{length} tokens are too many for encoder '{self.name}': it takes {self.max_length}")
        ids, mask = input_ids.reshape(-1, length), attention_mask.expand_as(input_ids).reshape(-1, length)
        types = None if token_type_ids is None else token_type_ids.expand_as(input_ids).reshape(-1, length)
        types = types if getattr(self.config, "type_vocab_size", 0) > 1 else None
        if self.packs:
            packed = Packing.of_mask(mask) if packing is None else packing
            if self._compiled in ("reduce-overhead", "max-autotune"):  # no layer may reuse what another gave
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            computed = packed.filled() if self._compiled else packed
            return run_packed(self.model, ids, computed, types, every_layer), packed
        mask = mask.clone()
        mask[:, 0] += mask.sum(-1) == 0  # a softmax over no token at all would not be finite
        given = {} if types is None else {"token_type_ids": types}
        return self.model(ids, attention_mask=mask, output_hidden_states=every_layer, **given), None

    def parameter_groups(self, lr: float, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
        """Group the trainable parameters for an optimiser; biases and norms (1-D) are never decayed.

        Args:
            lr: Learning rate of what follows the last layer, i.e. of a head.
            weight_decay: Weight decay of all other parameters.
            layer_decay: Each layer learns at this times the rate of the next (Howard and Ruder, 2018); the embeddings,
                lowest, at ``lr * layer_decay ** (depth + 1)``. 1 means one rate, and two groups.
        """
        check_layer_decay(layer_decay)
        groups: dict[str, dict[str, Any]] = {}
        places = ["encoder.embeddings", *(f"encoder.layer.{i}" for i in range(self.depth)), "encoder.top"]
        for parameter_name, parameter in self.model.named_parameters():
            if not parameter.requires_grad:
                continue
            place = self._place(parameter_name)
            decays = parameter.ndim > 1
            name = ("encoder" if layer_decay == 1 else places[place]) + ("" if decays else ".no_decay")
            rate = lr * layer_decay ** (self.depth + 1 - place)
            new = {"params": [], "lr": rate, "weight_decay": weight_decay if decays else 0.0, "name": name}
            groups.setdefault(name, new)["params"].append(parameter)
        return list(groups.values())

    def adapt(self, settings: Mapping[str, Any], start: Path | None = None) -> None:
        """Lay adapters on the encoder as it is now: they alone are trained, and none in layers that are frozen.

        Args:
            settings: ``peft_type`` and the settings of PEFT's method of that name.
            start: Folder of adapters to go on with; default new ones.

        Raises:
            ConfigError: PEFT is not installed or refuses the settings, or the adapters in the folder are others.
        """
        self.adapters = Adapters(self.model, settings, start)
        if self._checkpointing:  # PEFT has switched it on again
            self.model.disable_input_require_grads()  # type: ignore[no-untyped-call]
        self._freeze(*self._frozen)
        sizes = {p: p.numel() for p in self.model.parameters()}
        trained = sum(size for parameter, size in sizes.items() if parameter.requires_grad)
        log.info("adapters: %s trains %d of %d weights", settings["peft_type"], trained, sum(sizes.values()))

    def merge_adapters(self) -> None:
        """Work the adapters, if there are any, into the encoder's own parameters, which can be trained again."""
        if self.adapters is not None:
            self.adapters.merge()
            self.adapters = None
            self.model.requires_grad_(True)
            self._freeze(*self._frozen)

    def activate(self, activation: Activation) -> None:
        """Train only the words of a stage, until `settle`."""
        activate(self.model, activation, self.name)

    def settle(self) -> None:
        """Give the encoder all its words again, those that were not trained as training them would have left them."""
        settle(self.model)

    @property
    def active(self) -> ActiveEmbedding | None:
        """Its word embeddings, where they are but those of a stage."""
        words: Any = self.model.get_input_embeddings()
        return words if isinstance(words, ActiveEmbedding) else None

    def save(self, folder: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``, which ``AutoModel`` and `load_weights` read.

        Raises:
            ConfigError: Adapters lie on the encoder, or it has not all its words: it is not that of the files.
        """
        if self.adapters is not None:
            raise ConfigError(f"encoder '{self.name}' has adapters: write them and call merge_adapters() first")
        if self.active is not None:
            raise ConfigError(f"encoder '{self.name}' has but the words of its stage: call settle() first")
        self.model.save_pretrained(folder, max_shard_size="1TB")  # one file

    def load_weights(self, folder: Path) -> None:
        """Load what `save` wrote, exactly.

        Raises:
            ConfigError: The file is missing or broken, or its tensors are not those of this encoder.
        """
        path = Path(folder) / "model.safetensors"
        try:
            found = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"the weights of encoder '{self.name}' cannot be read from {path}: {error}") from error
        own = self.model.state_dict()
        faults = [f"{key} is missing" for key in own.keys() - found.keys()]
        faults += [f"{key} is not this encoder's" for key in found.keys() - own.keys()]
        for key in own.keys() & found.keys():
            if own[key].shape != found[key].shape:
                faults.append(f"{key} is {tuple(found[key].shape)}, expected {tuple(own[key].shape)}")
        if faults:
            shown = "; ".join(sorted(faults)[:5])
            raise ConfigError(f"{path} does not fit encoder '{self.name}': {len(faults)} tensors differ: {shown}")
        self.model.load_state_dict(found)
        self.model.name_or_path = str(folder)  # what adapters, laid on it now, name as their base

    def above(self, layer: int) -> list[nn.Parameter]:
        """Return the trained parameters above a layer, which have no part in its states; none of the last one."""
        if layer == self.depth:
            return []
        named = self.model.named_parameters()
        return [parameter for name, parameter in named if parameter.requires_grad and self._place(name) > layer]

    def _place(self, parameter: str) -> int:
        """Return how deep a parameter sits: 0 in the embeddings, i + 1 in layer i, depth + 1 after the last."""
        if parameter.startswith(f"{self._layers}."):
            return int(parameter.removeprefix(f"{self._layers}.").partition(".")[0]) + 1
        # DeBERTa's relative positions and their norm feed every layer: embeddings, wherever they are kept.
        relative = self.config.model_type == "deberta-v2" and parameter.startswith("encoder.LayerNorm.")
        return 0 if relative or "embeddings" in parameter else self.depth + 1

    def _freeze(self, embeddings: bool, layers: int) -> None:
        if not 0 <= layers <= self.depth:
            raise ConfigError(f"freeze_layers is {layers}, and encoder '{self.name}' has {self.depth} layers")
        if embeddings:
            self.model.get_input_embeddings().requires_grad_(False)
        for name, parameter in self.model.named_parameters():
            if layers and self._place(name) <= layers:
                parameter.requires_grad_(False)
