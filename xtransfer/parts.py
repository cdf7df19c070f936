"""The parts of a model that one stage hands to the next: the encoder and the heads, as folders of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from xtransfer.encoder import Encoder
from xtransfer.errors import ConfigError, nearest
from xtransfer.heads import Head

PARTS = ("encoder", "heads")
MANY_LABELS = 20
"""More labels than these a message counts and does not list."""


def save_parts(encoder: Encoder, heads: nn.ModuleDict, folder: Path) -> None:
    """Write encoder and heads as safetensors and JSON: ``encoder/`` and ``heads/<name>/``."""
    encoder.save(folder / "encoder")
    for name, head in heads.items():
        assert isinstance(head, Head)
        head.save_pretrained(folder / "heads" / name)


def load_parts(encoder: Encoder, heads: nn.ModuleDict, folder: Path, parts: Sequence[str] = ("encoder",)) -> None:
    """Take over parts that `save_parts` wrote.

    Args:
        encoder: The encoder to load into.
        heads: The heads to load into, by name.
        folder: Where the parts were written.
        parts: ``encoder``, ``heads`` for all heads, ``heads/NAME`` for one.

    Raises:
        ConfigError: A part is unknown or missing, or a head has other labels.
    """
    known = (*PARTS, *(f"heads/{name}" for name in heads))
    for part in parts:
        if part not in known:
            raise ConfigError(f"init.parts: unknown part '{part}'{nearest(part, known)}")
    if "encoder" in parts:
        encoder.load_weights(folder / "encoder")
    for name, head in heads.items():
        if "heads" in parts or f"heads/{name}" in parts:
            assert isinstance(head, Head)
            _load_head(name, head, folder / "heads" / name)


def _load_head(name: str, new: Head, folder: Path) -> None:
    if not folder.is_dir():
        there = sorted(path.name for path in folder.parent.glob("*")) or "none"
        raise ConfigError(f"init: no head '{name}' in {folder.parent}; heads there: {there}")
    old = Head.from_pretrained(folder)
    if old.labels != new.labels:
        raise ConfigError(f"init: head '{name}' was trained on labels {_told(old.labels)}, not {_told(new.labels)}")
    if (type(old), old.config()) != (type(new), new.config()):
        raise ConfigError(f"init: head '{name}' is {_head(old)}, not {_head(new)}; give it in model.heads")
    new.load_state_dict(old.state_dict())


def _told(labels: Sequence[str]) -> str:
    few = len(labels) <= MANY_LABELS
    return str(list(labels)) if few else f"({len(labels)}: {', '.join(labels[:5])}, ...)"


def _head(head: Head) -> str:
    return f"{type(head).__name__}({', '.join(f'{key}={value}' for key, value in head.config().items())})"
