"""Examples that stand in the training rows of two tasks, told by their texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from xtransfer.kinds import Example

TEXTS = ("text", "pair", "choices", "tokens", "question", "context", "candidate")
"""What of an example a model reads."""


def content_key(example: Example) -> bytes:
    """Return a short digest of what a model reads of an example; case and white space count."""
    texts = {role: example[role] for role in TEXTS if role in example}
    return hashlib.sha256(json.dumps(texts, sort_keys=True, ensure_ascii=False).encode()).digest()[:10]


def repeated(keys: Mapping[str, Sequence[bytes]]) -> dict[str, dict[str, list[int]]]:
    """Return which examples of a task stand in a task before it: task -> earlier task -> positions.

    Args:
        keys: Task -> the digests of its examples, in their order. Only tasks of one kind have equal digests.
    """
    first: dict[bytes, str] = {}
    found: dict[str, dict[str, list[int]]] = {}
    for task, own in keys.items():
        for position, key in enumerate(own):
            other = first.setdefault(key, task)
            if other != task:
                found.setdefault(task, {}).setdefault(other, []).append(position)
    return found


def told(found: Mapping[str, Mapping[str, Sequence[int]]], sizes: Mapping[str, int]) -> Iterable[str]:
    """Yield a line for each pair of tasks with common examples."""
    for task, others in found.items():
        for other, positions in others.items():
            yield f"{len(positions)} of the {sizes[task]} training examples of {task} stand in {other} too"
