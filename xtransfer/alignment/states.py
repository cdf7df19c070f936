"""States of a sample: what an encoder makes of its rows, layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from xtransfer.alignment.arrays import Array, Labels
from xtransfer.alignment.samples import Sample, texts_of
from xtransfer.encoder import Encoder
from xtransfer.kinds import KINDS, Feature, Layout, collate
from xtransfer.kinds.text import cut

BATCH = 32
LABELLED = ("classification", "tagging", "multiple_choice")
"""Kinds whose rows have classes: of a row, of a word, and of an option (right or wrong)."""


@dataclass(frozen=True)
class States:
    """States of a sample at one layer; a row's is the mean over its tokens, special ones included.

    Attributes:
        rows: A state a row ``(N, H)``: the mean over its windows or options where it has several.
        inputs: The states of all inputs by row, ``(C, H)`` each: the options of a choice, the windows of a passage.
        labelled: States and classes for measures of labels: rows, words (their first subword), or options; None for
            kinds without classes, or where no row has a label.
    """

    rows: Array
    inputs: Sequence[Array]
    labelled: tuple[Array, Labels] | None


def encode(
    encoder: Encoder, sample: Sample, layout: Layout, layers: Sequence[int], max_length: int, counts: Counter[str]
) -> dict[int, States]:
    """Return the states of a sample at some layers, from one pass over its rows.

    Args:
        encoder: The encoder, ready for inference.
        sample: The rows.
        layout: Of the encoder's tokenizer.
        layers: Which layers, the embeddings being 0.
        max_length: Tokens of one input.
        counts: What is cut, split or empty is added here.
    """
    features = _features(sample, layout, max_length, counts)
    inputs: list[tuple[int, list[int], Feature]] = []  # row, places of words that have classes, input
    classes: list[int] = []
    for feature in features:
        nested = isinstance(feature["input_ids"][0], list)
        for number, ids in enumerate(feature["input_ids"] if nested else [feature["input_ids"]]):
            places, own = _classes(feature, sample.task.kind, number)
            classes += own
            inputs.append((feature["index"], places, _flat(feature, ids, number, nested)))
    means, words = _run(encoder, inputs, int(layout.tokenizer.pad_token_id), layers)
    labels = np.array(classes, dtype=np.int64)
    return {layer: _states(inputs, means[layer], words[layer], labels, sample.task.kind) for layer in layers}


def _features(sample: Sample, layout: Layout, max_length: int, counts: Counter[str]) -> list[Feature]:
    """Tokenise rows as the task's kind does for evaluation; texts that are retrieved one by one."""
    kind = KINDS[sample.task.kind]
    if sample.task.kind not in ("retrieval", "mlm"):
        return list(kind.encode(sample.examples, sample.task, layout, max_length, False, counts))
    texts = [texts_of(example, sample.task)[0] for example in sample.examples]
    return [
        layout.single(cut(ids, max_length - layout.single_specials)) | {"index": number}
        for number, ids in enumerate(layout.ids(texts))
    ]


def _classes(feature: Feature, kind: str, number: int) -> tuple[list[int], list[int]]:
    """Return where an input's words with classes stand, and the classes of its words, or of itself."""
    label = feature.get("labels")
    if label is None or kind not in LABELLED:
        return [], []
    if kind == "tagging":
        places = [place for place, tag in enumerate(label) if tag >= 0]
        return places, [label[place] for place in places]
    return [], [int(label == number)] if kind == "multiple_choice" else [label]


def _flat(feature: Feature, ids: Sequence[int], number: int, nested: bool) -> Feature:
    """Return one input as a feature for `collate`."""
    types = feature.get("token_type_ids")
    told: dict[str, Any] = {} if types is None else {"token_type_ids": types[number] if nested else types}
    return told | {"input_ids": list(ids), "index": feature["index"], "part": 0, "meta": {}}


def _run(
    encoder: Encoder, inputs: Sequence[tuple[int, list[int], Feature]], pad: int, layers: Sequence[int]
) -> tuple[dict[int, Array], dict[int, Array]]:
    """Return the means of all inputs ``(I, H)`` and the states of all words that were asked for, by layer."""
    device = next(encoder.parameters()).device
    order = sorted(range(len(inputs)), key=lambda i: len(inputs[i][2]["input_ids"]), reverse=True)
    means: Mapping[int, dict[int, Array]] = {layer: {} for layer in layers}
    words: Mapping[int, dict[int, Array]] = {layer: {} for layer in layers}
    for start in range(0, len(order), BATCH):
        at = order[start : start + BATCH]
        batch = collate([inputs[i][2] for i in at], pad)
        given = {name: batch[name].to(device) for name in ("input_ids", "attention_mask")}
        types = batch.get("token_type_ids")
        with torch.inference_mode():
            found = encoder.layers(**given, token_type_ids=None if types is None else types.to(device))
            for layer, hidden in enumerate(found):
                if layer not in means:
                    continue
                mask = given["attention_mask"][..., None].to(torch.float32)
                states = hidden.float()
                pooled = ((states * mask).sum(1) / mask.sum(1)).double().cpu().numpy()
                for row, i in enumerate(at):
                    means[layer][i] = pooled[row]
                    words[layer][i] = states[row, inputs[i][1]].double().cpu().numpy()
    places = range(len(inputs))
    return (
        {layer: np.stack([means[layer][i] for i in places]) for layer in layers},
        {layer: np.concatenate([words[layer][i] for i in places]) for layer in layers},
    )


def _states(
    inputs: Sequence[tuple[int, list[int], Feature]], means: Array, words: Array, labels: Labels, kind: str
) -> States:
    rows: dict[int, list[int]] = {}
    for number, (row, _, _) in enumerate(inputs):
        rows.setdefault(row, []).append(number)
    grouped = [means[numbers] for _, numbers in sorted(rows.items())]
    labelled = (words if kind == "tagging" else means, labels) if len(labels) else None
    if labelled is not None and len(labelled[0]) != len(labels):
        labelled = None  # some rows have no label: none is made up
    return States(np.stack([one.mean(0) for one in grouped]), grouped, labelled)
