"""How much better two samples compress together than apart."""

from __future__ import annotations

import lzma

from xtransfer.alignment.arrays import Texts, UndefinedError


def compression_distance(a: Texts, b: Texts) -> float:
    """Return the normalised compression distance of two samples: about 0 if equal, about 1 if they share nothing.

    ``(C(ab) - min(C(a), C(b))) / max(C(a), C(b))`` (Cilibrasi and Vitanyi 2005, "Clustering by Compression"), C being
    the bytes that LZMA needs for the texts, one a line; its window of 64 MiB holds both, that of gzip would not. The
    larger sample is cut, at a line, to the size of the smaller one; the order matters little, and the mean of both is
    taken. It sees characters, so it needs no tokenizer, and languages in different scripts are always far apart. Cost:
    some seconds a megabyte.

    Raises:
        UndefinedError: A sample has no text.
    """
    contents = ["\n".join(sample.texts).encode() for sample in (a, b)]
    size = min(map(len, contents))
    if not size:
        raise UndefinedError("the texts are empty")
    first, second = (content if len(content) <= size else _whole_lines(content, size) for content in contents)
    alone = [_size(first), _size(second)]
    together = (_size(first + b"\n" + second) + _size(second + b"\n" + first)) / 2
    return (together - min(alone)) / max(alone)


def _size(content: bytes) -> int:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 26}]
    return len(lzma.compress(content, format=lzma.FORMAT_RAW, filters=filters))


def _whole_lines(content: bytes, size: int) -> bytes:
    """Cut a content at the end of the last line that fits; in the middle of a line where none does."""
    return content[: content.rfind(b"\n", 0, size + 1)] if b"\n" in content[: size + 1] else content[:size]
