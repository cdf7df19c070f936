"""From texts to token ids: a tokenizer's special tokens, cutting pairs that are too long, and padding a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch

from xtransfer.packing import Packing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = list[int]
Feature = dict[str, Any]
"""One row of a batch before padding: input_ids, labels, index, part, meta and, for some encoders, token_type_ids."""


class Vocabulary(NamedTuple):
    """What of a tokenizer a batch is made with, besides the token ids themselves.

    Attributes:
        size: Number of tokens, the special ones included.
        pad: Id of the padding.
        mask: Id of the mask; None if there is none.
        special: Ids of all special tokens, ascending.
    """

    size: int
    pad: int
    mask: int | None
    special: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
        """Read it off a tokenizer."""
        special = tuple(sorted(set(tokenizer.all_special_ids)))
        return cls(len(tokenizer), tokenizer.pad_token_id, tokenizer.mask_token_id, special)


class Layout:
    """Where a tokenizer puts its special tokens, read off the tokenizer itself, so that any family works.

    Texts are tokenised once without special tokens and put together here: windows, options and pieces then need no
    second pass over the text.

    Args:
        tokenizer: A fast tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.uses_types = "token_type_ids" in tokenizer.model_input_names
        pair = tokenizer("a", "a", return_token_type_ids=True)
        sides = pair.sequence_ids(0)
        first, second = [i for i, side in enumerate(sides) if side == 0], [i for i, s in enumerate(sides) if s == 1]
        ids, types = list(pair["input_ids"]), list(pair["token_type_ids"])
        self._parts = [
            (ids[: first[0]], types[: first[0]]),
            (ids[first[-1] + 1 : second[0]], types[first[-1] + 1 : second[0]]),
            (ids[second[-1] + 1 :], types[second[-1] + 1 :]),
        ]
        self._pair_types = (types[first[0]], types[second[0]])
        single = tokenizer("a")
        sides = single.sequence_ids(0)
        inside = [i for i, side in enumerate(sides) if side == 0]
        self._before, self._after = single["input_ids"][: inside[0]], single["input_ids"][inside[-1] + 1 :]
        self.single_specials = len(self._before) + len(self._after)
        self.pair_specials = sum(len(part) for part, _ in self._parts)

    def ids(self, texts: Sequence[str]) -> list[Ids]:
        """Tokenise texts without special tokens."""
        if not texts:
            return []
        backend: Any = self.tokenizer.backend_tokenizer  # directly, as nothing but the ids is wanted of it
        backend.no_truncation()
        backend.no_padding()
        return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def ids_and_offsets(self, texts: Sequence[str]) -> list[tuple[Ids, list[tuple[int, int]]]]:
        """Tokenise texts; give each token's (start, end) in characters, without the white space around it."""
        if not texts:
            return []
        encoded = self._tokenize(texts, return_offsets_mapping=True)
        return [
            (list(ids), [_trim(text, start, end) for start, end in offsets])
            for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
        ]

    def single(self, ids: Ids) -> Feature:
        """Put one text between its special tokens."""
        return self._feature([*self._before, *ids, *self._after], None)

    def pair(self, first: Ids, second: Ids) -> Feature:
        """Put two texts between their special tokens."""
        (a, a_types), (b, b_types), (c, c_types) = self._parts
        types = [*a_types, *[self._pair_types[0]] * len(first), *b_types, *[self._pair_types[1]] * len(second)]
        return self._feature([*a, *first, *b, *second, *c], [*types, *c_types])

    def second_start(self, first: Ids) -> int:
        """Return the position of the second text's first token in `pair`."""
        return len(self._parts[0][0]) + len(first) + len(self._parts[1][0])

    def first_start(self) -> int:
        """Return the position of a single text's first token in `single`."""
        return len(self._before)

    def _feature(self, ids: Ids, types: Ids | None) -> Feature:
        return {"input_ids": ids} | ({"token_type_ids": types or [0] * len(ids)} if self.uses_types else {})

    def _tokenize(self, texts: Sequence[str], return_offsets_mapping: bool = False) -> Any:
        return self.tokenizer(
            list(texts),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=return_offsets_mapping,
            verbose=False,  # no warning about long texts: they are cut or windowed here, and counted
        )


def fit_pair(first: Ids, second: Ids, room: int, side: Literal["left", "right"] = "right") -> tuple[Ids, Ids]:
    """Cut two texts to `room` tokens together, always from the longer one ("longest first", as fast tokenizers do).

    Args:
        first: Token ids of the first text.
        second: Token ids of the second text.
        room: How many tokens both may have together.
        side: The end that loses tokens; "left" keeps a question at the end of a prompt.
    """
    short, long = sorted((len(first), len(second)))
    if short + long > room:
        long = max(short, room - short)
        if short + long > room:
            short, long = room // 2, room - room // 2
    keep_first, keep_second = (short, long) if len(first) <= len(second) else (long, short)
    return cut(first, keep_first, side), cut(second, keep_second, side)


def cut(ids: Ids, keep: int, side: Literal["left", "right"] = "right") -> Ids:
    """Keep `keep` tokens, dropping from the end ("right") or the start ("left")."""
    if len(ids) <= keep:
        return ids
    return ids[:keep] if side == "right" else ids[len(ids) - keep :]


IGNORED = -100
"""A label that no loss counts."""

LabelLayout = Literal["example", "token", "batch"]
"""What labels are: a value an example, a value a token, or the position of each example in its batch."""


def collate(
    features: Sequence[Feature], pad_id: int, labels_per: LabelLayout = "example", distinct: bool = False
) -> dict[str, Any]:
    """Pad features to one batch, on the right, to the longest of them, and note where their tokens are (`Packing`).

    With `distinct` equal texts are noted too, to be encoded once: for evaluation, as in training dropout tells them
    apart. Nested ids (options of a choice, the two sides of a pair) make ``(B, C, T)``, else ``(B, T)``. Labels a token
    are padded with -100, which no loss counts. Where any feature lacks its labels, the batch has none.
    """
    nested = isinstance(features[0]["input_ids"][0], list)
    texts = _rows(features, "input_ids", nested)
    sizes = [len(ids) for ids in texts]
    width, shape = max(sizes), (len(features), -1) if nested else (len(features),)
    batch: dict[str, Any] = {"input_ids": _padded(texts, width, pad_id).view(*shape, width)}
    if "token_type_ids" in features[0]:
        batch["token_type_ids"] = _padded(_rows(features, "token_type_ids", nested), width, 0).view(*shape, width)
    real = torch.arange(width) < torch.from_numpy(np.array(sizes))[:, None]
    batch["attention_mask"] = real.long().view(*shape, width)
    batch["packing"] = Packing.of(sizes, width, _first_equal(texts) if distinct else None)
    labels = [feature.get("labels") for feature in features]
    if all(label is not None for label in labels):
        batch["labels"] = {
            "example": lambda: torch.from_numpy(np.array(labels, np.int64)),
            "token": lambda: _padded(labels, width, IGNORED),
            "batch": lambda: torch.arange(len(features)),
        }[labels_per]()
    batch["index"] = [feature["index"] for feature in features]
    batch["part"] = [feature["part"] for feature in features]
    batch["meta"] = [feature["meta"] for feature in features]
    return batch


def _rows(features: Sequence[Feature], name: str, nested: bool) -> list[Ids]:
    """Return all sequences of a batch, one after the other; each feature must have as many."""
    if not nested:
        return [feature[name] for feature in features]
    numbers = sorted({len(feature[name]) for feature in features})
    if len(numbers) > 1:
        raise ValueError(f"expected as many sequences in every feature of a batch, found {numbers}")
    return [ids for feature in features for ids in feature[name]]


def _padded(rows: Sequence[Any], width: int, pad: int) -> torch.Tensor:
    """Return rows ``(R, T)`` filled up to one width; by way of NumPy, as torch takes long to read lists."""
    padded = np.full((len(rows), width), pad, np.int64)
    for line, values in zip(padded, rows, strict=True):
        line[: len(values)] = values
    return torch.from_numpy(padded)


def _first_equal(texts: Sequence[Ids]) -> list[int]:
    """Return for each text the place of the first that is equal."""
    seen: dict[tuple[int, ...], int] = {}
    return [seen.setdefault(tuple(ids), place) for place, ids in enumerate(texts)]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave white space out of a token's span: some tokenizers count it to the next word."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def ids_by_text(layout: Layout, texts: Sequence[str]) -> Mapping[str, Ids]:
    """Tokenise each different text once."""
    distinct = list(dict.fromkeys(texts))
    return dict(zip(distinct, layout.ids(distinct), strict=True))
