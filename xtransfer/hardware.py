"""What a run computes on: the processor, the GPU, and whether bfloat16 is native to it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

AMPERE = (8, 0)
"""Compute capability of the first NVIDIA GPUs with bfloat16 units."""
NATIVE = ("amx_bf16", "avx512_bf16")
"""Instructions of processors that multiply matrices in bfloat16, as torch names them."""


def native_bf16(device: torch.device) -> bool:
    """Say whether a device computes in bfloat16 natively; elsewhere it is imitated, and may be slower than float32.

    Args:
        device: A GPU, with its number or the present one, or the CPU. Of any other device it is not known: False.
    """
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= AMPERE
    if device.type == "cpu":
        query: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)  # older ones cannot tell
        capabilities = query()
        return any(capabilities.get(name, False) for name in NATIVE)
    return False


def cores() -> int:
    """Return the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """Return what a measurement was made on.

    ``cpu`` (its model), ``cores`` that may be used, ``threads`` of torch, ``gpu`` (name of the first one) or None,
    ``gpus``, and ``torch`` (its version).
    """
    gpus = torch.cuda.device_count()
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(0) if gpus else None,
        "gpus": gpus,
        "torch": torch.__version__,
    }


def _cpu_model(listing: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name: as Linux lists it, or what Python knows of it."""
    if listing.exists():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
