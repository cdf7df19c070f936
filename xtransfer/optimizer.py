"""The optimiser, what it needs besides the encoder's own groups: groups of the heads, and the rate over a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import nn

from xtransfer.errors import ConfigError

Schedule = Literal["linear", "constant"]
FUSED = ("cpu", "cuda")
"""Devices on which AdamW moves all parameters in one pass."""


def parameter_groups(heads: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Group the trainable parameters of heads; biases and norms (1-D) are never decayed.

    Args:
        heads: The heads.
        lr: Their learning rate.
        weight_decay: Decay of matrices.
    """
    trained = [p for p in heads.parameters() if p.requires_grad]
    groups = []
    for decay, matrices in ((weight_decay, True), (0.0, False)):
        group = [p for p in trained if (p.ndim > 1) == matrices]
        groups += [{"params": group, "lr": lr, "weight_decay": decay, "name": "heads"}] if group else []
    return groups


def check_layer_decay(decay: float) -> None:
    """Check the factor from each layer's rate to that of the one below.

    Raises:
        ConfigError: It is out of range.
    """
    if not 0 < decay <= 1:
        raise ConfigError(f"layer_decay is {decay}; it must be above 0 and at most 1")


def adamw(groups: list[dict[str, Any]], lr: float, epsilon: float) -> torch.optim.Optimizer:
    """Return AdamW over groups of parameters, fused where their devices can."""
    fused = all(parameter.device.type in FUSED for group in groups for parameter in group["params"])
    optimizer: Any = torch.optim.AdamW(groups, lr=lr, eps=epsilon, fused=fused)
    # A fused kernel can undo the scaling of gradients itself, and Lightning then clips none: let it be done before.
    optimizer._step_supports_amp_scaling = False
    return cast(torch.optim.Optimizer, optimizer)


def rate(total: int, warmup: float, schedule: Schedule) -> Callable[[int], float]:
    """Return the share of the peak learning rate at a step: linear warm-up, then linear decay to 0 or 1 throughout.

    Args:
        total: Steps of the run.
        warmup: Steps of warm-up: a share of all steps if below 1, else their number.
        schedule: What follows.
    """
    warm = int(warmup if warmup >= 1 else warmup * total)

    def share(step: int) -> float:
        if step < warm:
            return step / warm
        return 1.0 if schedule == "constant" else max(0.0, (total - step) / max(1, total - warm))

    return share
