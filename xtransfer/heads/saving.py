"""How a head is written to a folder and read back: JSON for what it is, safetensors for what it has learned."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from xtransfer.disk import write
from xtransfer.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from xtransfer.heads.base import Head

H = TypeVar("H", bound="Head")

FORMAT = 1
"""Version of the layout below; raised when an older library could no longer read it."""

CONFIG_FILE, WEIGHTS_FILE = "head.json", "head.safetensors"

_KEYS: dict[str, type] = {"format": int, "class": str, "arguments": dict, "labels": list, "sha256": str}
"""What ``head.json`` holds; ``sha256`` is that of the file of weights."""


def save(head: Head, folder: Path) -> None:
    """Write a head; see `Head.save_pretrained`."""
    from safetensors.torch import save as to_bytes

    # Cloned, because safetensors refuses tensors that share memory or are not contiguous.
    state = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in head.state_dict().items()
    }
    weights = to_bytes(state)
    record = {
        "format": FORMAT,
        "class": type(head).__name__,
        "arguments": _arguments(head),
        "labels": list(head.labels),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    try:
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{type(head).__name__}: config() and labels must be plain JSON values: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / WEIGHTS_FILE, weights)
    write(folder / CONFIG_FILE, f"{text}\n")


def load(expected: type[H], folder: Path) -> H:
    """Read a head that is an `expected` or derived from it; see `Head.from_pretrained`."""
    path = folder / CONFIG_FILE
    record = _read_record(path)
    found = _find_class(expected, record["class"], path)
    weights = _read_weights(folder / WEIGHTS_FILE, record["sha256"])
    try:
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are thrown away: leave the run's seed alone
            head = found(**record["arguments"])
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{path}: a {found.__name__} cannot be built from these arguments: {error}") from error
    precisions = {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()}
    if len(precisions) == 1:
        head.to(precisions.pop())
    try:
        head.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{folder / WEIGHTS_FILE}: the weights do not fit {path}: {error}") from error
    head.labels = tuple(record["labels"])
    return head.eval()


def _arguments(head: Head) -> dict[str, Any]:
    """Return ``head.config()`` once it is known to rebuild the head: an argument left out would silently be lost."""
    name, arguments = type(head).__name__, head.config()
    signature = inspect.signature(type(head))
    try:
        named = signature.bind(**arguments).arguments
    except TypeError as error:
        raise ConfigError(f"{name}.config() does not fit the constructor: {error}; override config()") from error
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [key for key, kind in signature.parameters.items() if key not in named and kind.kind not in variadic]
    if missing:
        raise ConfigError(f"{name}.config() leaves out {', '.join(missing)}; override it to add every argument")
    return arguments


def _find_class(expected: type[H], name: str, path: Path) -> type[H]:
    """Return the class of that name among `expected` and the classes derived from it."""
    if expected.__name__ == name:
        return expected
    family = _derived(expected)
    # A class that is defined again, as by a notebook's cell that is run again, takes the place of the one before.
    matches = list({(h.__module__, h.__qualname__): h for h in family if h.__name__ == name}.values())
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(f"{path}: there are {len(matches)} heads named {name}; call from_pretrained of the right one")
    hint = nearest(name, [head.__name__ for head in family])
    raise ConfigError(
        f"{path}: holds a {name}, expected a {expected.__name__}{hint} "
        f"(Head.from_pretrained loads every known head; import the module of your own first)"
    )


def _derived(head: type[H]) -> list[type[H]]:
    return [found for child in head.__subclasses__() for found in (child, *_derived(child))]


def _read_record(path: Path) -> dict[str, Any]:
    """Read and check ``head.json``."""
    data = _read(path)
    try:
        record = json.loads(data.decode())
    except ValueError as error:
        raise DataError(f"{path}: not complete JSON, truncated or damaged: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(record).__name__}")
    for key in record.keys() - _KEYS.keys():
        raise ConfigError(f"{path}: unknown key '{key}'{nearest(key, _KEYS)}")
    for key, kind in _KEYS.items():
        if key not in record:
            raise ConfigError(f"{path}: the key '{key}' is missing")
        if not isinstance(record[key], kind):
            raise ConfigError(f"{path}: '{key}' must be {kind.__name__}, found {record[key]!r}")
    if record["format"] != FORMAT:
        raise ConfigError(f"{path}: format {record['format']}, this version reads {FORMAT}; update the library")
    if not all(isinstance(label, str) for label in record["labels"]):
        raise ConfigError(f"{path}: 'labels' must be a list of strings, found {record['labels']!r}")
    return record


def _read_weights(path: Path, digest: str) -> dict[str, Tensor]:
    """Read the weights if they are the ones that were saved together with ``head.json``."""
    from safetensors.torch import load as from_bytes

    data = _read(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise DataError(
            f"{path}: not the file that was saved with {CONFIG_FILE} ({len(data)} bytes, another sha256): "
            "truncated, damaged or of another save; copy the folder or save the head again"
        )
    return from_bytes(data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"{path}: no such file; a saved head is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        raise ConfigError(message) from error
