"""The layers of an encoder: their list, and the states after an inner layer, without computing the layers above it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from xtransfer.errors import ConfigError

LAYERS = ("encoder.layer", "layers", "encoder.layers", "transformer.layer")
"""What encoders call their list of layers."""


def stack_of(model: nn.Module, name: str) -> tuple[str, nn.ModuleList]:
    """Return the name of an encoder's list of layers, and the list.

    Raises:
        ConfigError: It has none.
    """
    stacks = {path: m for path, m in model.named_modules() if path in LAYERS and isinstance(m, nn.ModuleList)}
    if not stacks:
        raise ConfigError(f"encoder '{name}': no layers found in {type(model).__name__}; choose another")
    return next(iter(stacks.items()))


@contextmanager
def cut(model: nn.Module, stack: str, layer: int) -> Iterator[list[Tensor]]:
    """Leave out the layers of a model above one of them, and catch what that one gives.

    What a model returns meanwhile means nothing: some put a norm after their last layer.

    Args:
        model: The model.
        stack: Name of its list of layers.
        layer: How many layers are run; 0 catches the embeddings.

    Yields:
        A list, in which the hidden states are once the model has run.
    """
    path, _, name = stack.rpartition(".")
    parent, caught = model.get_submodule(path), list[Tensor]()
    whole = getattr(parent, name)

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.append(args[0] if args else kwargs["hidden_states"])

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        caught.append(output[0] if isinstance(output, tuple) else output)

    read = whole[max(0, layer - 1)]
    hook = read.register_forward_hook(after) if layer else read.register_forward_pre_hook(before, with_kwargs=True)
    setattr(parent, name, whole[: max(1, layer)])
    try:
        yield caught
    finally:
        setattr(parent, name, whole)
        hook.remove()
