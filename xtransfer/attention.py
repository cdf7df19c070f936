"""Attention within the sequences of a packed batch, as a function of transformers' own registry."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from xtransfer.hardware import AMPERE
from xtransfer.packing import Packing
from xtransfer.pretrained import OFFSET_TYPES

log = logging.getLogger(__name__)
NAME = "xtransfer_packed"
"""Its name in the registry."""
TRIED = 7
"""Tokens of the longest row by which an encoder is tried, if it sees all of a text."""


class Settings(NamedTuple):
    """What attention is computed with, besides queries, keys and values.

    Attributes:
        dropout: Probability of zeroing a weight.
        scale: Factor on the products; None is 1 / sqrt(d).
        window: How far a token sees to each side; None is everywhere.
    """

    dropout: float = 0.0
    scale: float | None = None
    window: int | None = None


class Held:
    """A packing as a model's layers hand it on: closed, so that compiled code does not depend on how many texts it has.

    Args:
        packing: The packing.
    """

    def __init__(self, packing: Packing) -> None:
        self.packing = packing


Backend = Callable[[Tensor, Tensor, Tensor, Packing, Settings], Tensor]
"""Attends within sequences: three of ``(N, heads, d)`` -> ``(N, heads, d)``."""


def register() -> None:
    """Make it known to transformers; without a packing it is transformers' own scaled dot-product attention."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, packed_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)


def can_pack(model: PreTrainedModel, name: str) -> bool:
    """Say whether an encoder gives the same states packed as padded; if so, make it ready.

    It is tried on three short rows, because what goes wrong here goes wrong in silence: an encoder that does not hand
    the sequences on to its attention lets texts see one another, and one that counts positions its own way gets others.

    Args:
        model: The encoder.
        name: Its name, for the log.
    """
    if not getattr(model, "_supports_attention_backend", True):
        log.info("encoder '%s': batches are padded, for its attention cannot be replaced", name)
        return False
    register()
    before, training = model.config._attn_implementation, model.training
    window = getattr(model.config, "local_attention", None) or getattr(model.config, "sliding_window", None) or 0
    lengths = torch.tensor([[TRIED + window, 3, 5]]).T  # the first is longer than what a token of it can see
    ids = torch.arange(5, 5 + 3 * (TRIED + window)).view(3, -1) % model.config.vocab_size
    mask = torch.arange(TRIED + window) < lengths
    ids, mask = ids.to(model.device), mask.to(model.device)
    model.train(False)
    try:
        with torch.no_grad():
            padding = model.config.pad_token_id or 0
            expected = model(ids.where(mask, padding), attention_mask=mask.long()).last_hidden_state[mask]
            model.set_attn_implementation(NAME)
            found = run_packed(model, ids, Packing.of_mask(mask), None, False).last_hidden_state[0]
        reason = "" if torch.allclose(found, expected, rtol=1e-3, atol=1e-4) else "it gives other states then"
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:  # of a model we do not know
        reason = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
    model.train(training)
    if reason:
        model.set_attn_implementation(before)
        log.info("encoder '%s': batches are padded, for it cannot be packed (%s)", name, reason)
    return not reason


def run_packed(model: PreTrainedModel, ids: Tensor, packing: Packing, types: Tensor | None, every_layer: bool) -> Any:
    """Run an encoder on the real tokens of a batch.

    Args:
        model: An encoder for which `can_pack` holds.
        ids: ``(R, T)``.
        packing: Where they are.
        types: ``(R, T)``, for encoders with several.
        every_layer: Keep the states of every layer.

    Returns:
        What the model returns, its states ``(1, N, H)``.
    """
    config = model.config
    first = config.pad_token_id + 1 if config.model_type in OFFSET_TYPES else 0
    given = {} if types is None else {"token_type_ids": types.flatten()[packing.tokens][None]}
    return model(
        ids.flatten()[packing.tokens][None],
        # Of four dimensions it is handed on as it is; None would be replaced by one, and attention reads it not at all.
        attention_mask=ids.new_ones(1, 1, 1, 1, dtype=torch.bool),
        position_ids=(packing.positions + first)[None],
        output_hidden_states=every_layer,
        packing=Held(packing),
        **given,
    )


@torch.compiler.disable  # type: ignore[untyped-decorator]  # its kernels are made already, and how long each text is must not be compiled in
def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packing: Held | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend within each sequence of a packed batch.

    Args:
        module: The layer's attention.
        query: ``(1, heads, N, d)``.
        key: The same.
        value: The same.
        attention_mask: Not read where there is a packing, which says who sees whom.
        dropout: Probability of zeroing an attention weight.
        scaling: Factor on the products.
        packing: The sequences; without it the batch is a padded one.
        sliding_window: One more than a token sees to each side, as transformers counts it.
        **kwargs: Arguments of other implementations, which transformers hands to all.

    Returns:
        ``(1, N, heads, d)``, and no weights.
    """
    if packing is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    settings = Settings(dropout, scaling, None if sliding_window is None else sliding_window - 1)
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    return choose(query, settings)(q, k, v, packing.packing, settings)[None], None


def choose(query: Tensor, settings: Settings) -> Backend:
    """Return the best backend for a device, a precision and what is asked for."""
    if query.device.type == "cpu":
        return one_by_one if settings.window is None else padded
    half = query.dtype in (torch.float16, torch.bfloat16)
    if query.device.type == "cuda" and half and torch.cuda.get_device_capability(query.device) >= AMPERE:
        if flash_available():
            return flash
        if torch.version.cuda and query.shape[-1] % 8 == 0:
            return varlen
    return padded


@cache
def flash_available() -> bool:
    """Say whether the package flash-attn is installed."""
    return importlib.util.find_spec("flash_attn") is not None


def one_by_one(query: Tensor, key: Tensor, value: Tensor, packing: Packing, settings: Settings) -> Tensor:
    """Attend sequence by sequence: nothing is computed in vain, which is what counts on a CPU."""
    states = [part.transpose(0, 1)[None].split_with_sizes(packing.lengths, dim=2) for part in (query, key, value)]
    seen = [
        F.scaled_dot_product_attention(q, k, v, dropout_p=settings.dropout, scale=settings.scale)
        for q, k, v in zip(*states, strict=True)
    ]
    return torch.cat(seen, dim=2)[0].transpose(0, 1)


def padded(query: Tensor, key: Tensor, value: Tensor, packing: Packing, settings: Settings) -> Tensor:
    """Attend in padded rows, made for the attention alone: runs everywhere, windows included."""
    longest, sequences = max(packing.lengths), len(packing.lengths)
    lengths = packing.bounds.diff()[:, None]
    places = torch.repeat_interleave(
        torch.arange(sequences, device=query.device), lengths[:, 0], output_size=query.shape[0]
    )
    places = places * longest + packing.positions

    def rows(part: Tensor) -> Tensor:
        room = part.new_zeros(sequences * longest, *part.shape[1:]).index_copy(0, places, part)
        return room.view(sequences, longest, *part.shape[1:]).transpose(1, 2)

    columns = torch.arange(longest, device=query.device)
    mask = (columns < lengths)[:, None, None, :]
    if settings.window is not None:
        # The diagonal stays: a row of padding must see something, or its softmax would not be finite.
        mask = (mask & ((columns[:, None] - columns).abs() <= settings.window)) | torch.eye(
            longest, dtype=torch.bool, device=query.device
        )
    seen = F.scaled_dot_product_attention(
        rows(query), rows(key), rows(value), attn_mask=mask, dropout_p=settings.dropout, scale=settings.scale
    )
    return seen.transpose(1, 2).reshape(sequences * longest, *query.shape[1:]).index_select(0, places)


def flash(query: Tensor, key: Tensor, value: Tensor, packing: Packing, settings: Settings) -> Tensor:
    """Attend by the kernels of the package flash-attn."""
    from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found,unused-ignore]

    longest, side = max(packing.lengths), -1 if settings.window is None else settings.window
    seen: Tensor = flash_attn_varlen_func(
        query,
        key,
        value,
        packing.bounds,
        packing.bounds,
        longest,
        longest,
        dropout_p=settings.dropout,
        softmax_scale=settings.scale,
        window_size=(side, side),
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )
    return seen


def varlen(query: Tensor, key: Tensor, value: Tensor, packing: Packing, settings: Settings) -> Tensor:
    """Attend by the kernel that PyTorch carries, which its public functions reach without dropout only."""
    longest, side = max(packing.lengths), settings.window
    seen: Tensor = torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        packing.bounds,
        packing.bounds,
        longest,
        longest,
        settings.dropout,
        False,  # causal
        False,  # return the mask of the dropout
        scale=settings.scale,
        window_size_left=side,
        window_size_right=side,
    )[0]
    return seen
