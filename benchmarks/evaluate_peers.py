"""What ours is compared with in scoring: transformers in padded batches, with the loops of its example scripts.

The peers have our encoder and our head's weights, and tokens from our rows; batches, padding, order and what follows
the logits are theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize
from transformers import AutoModel

from benchmarks.harness import Run, Stopwatch
from xtransfer.datamodules.base import TaskDataModule
from xtransfer.encoder import resolve_encoder
from xtransfer.hardware import native_bf16
from xtransfer.metrics.span import token_f1
from xtransfer.module import TransferModule

Features = list[dict[str, Any]]
Scored = tuple[Run, float]
"""A measurement, and the score that was found: percent, over languages."""
DYNAMIC, SORTED, ALL_LAYERS, SENTENCES = "dynamic, 8", "sorted, 32", "dynamic, 8, all layers", "sentence-transformers"
LOWER = "dynamic, 8, bfloat16"
"""The same with a setting that transformers leaves off."""


class Peers:
    """Other ways to score a task.

    Args:
        data: The task, set up.
        module: Its module, whose weights are taken.

    Attributes:
        variants: What there is, by name.
        judged: The one that the goal is about.
    """

    def __init__(self, data: TaskDataModule, module: TransferModule) -> None:
        self.spec = data.specs()[0]
        self.pad = int(data.load_tokenizer().pad_token_id)
        self.head = module.head(self.spec["head"]).eval()
        self.layer = module.layer_of(self.spec)
        self.features = {key[2]: [rows[i] for i in range(len(rows))] for key, rows in data.sets.items()}
        where = resolve_encoder(module.encoder.name)
        self.model = AutoModel.from_pretrained(where, add_pooling_layer=False, attn_implementation="sdpa").eval()
        self.judged = DYNAMIC
        self.variants: dict[str, Callable[[], Scored]] = {
            DYNAMIC: lambda: self.score(8, by_length=False),
            SORTED: lambda: self.score(32, by_length=True),
        }
        if native_bf16(torch.device("cpu")):
            self.variants[LOWER] = lambda: self.in_bf16()
        if self.spec["kind"] == "retrieval":
            # The official scripts compute all layers and read the middle one.
            self.model.encoder.layer = self.model.encoder.layer[: self.layer]
            self.whole = AutoModel.from_pretrained(where, add_pooling_layer=False, attn_implementation="sdpa").eval()
            self.variants[ALL_LAYERS] = lambda: self.score(8, by_length=False, whole=True)
            self.judged = ALL_LAYERS
            sentences = sentence_encoder(where, self.layer)
            if sentences is not None:
                texts = {language: self.texts(data, rows) for language, rows in self.features.items()}
                self.variants[SENTENCES] = lambda: self.by_sentences(sentences, texts)

    def in_bf16(self) -> Scored:
        """Score in padded batches of 8 and bfloat16, as who knows the setting would."""
        with torch.autocast("cpu", torch.bfloat16):
            return self.score(8, by_length=False)

    def score(self, size: int, by_length: bool, whole: bool = False) -> Scored:
        """Score all languages in padded batches.

        Args:
            size: Rows in a batch.
            by_length: Sort the rows by length first.
            whole: Compute the layers above the one that is read.
        """
        watch, found = Stopwatch(), []
        watch.begin()
        for features in self.features.values():
            outputs: list[Any] = [None] * len(features)
            for places in batches_of(features, size, by_length):
                batch = self.padded([features[place] for place in places], watch)
                for place, output in zip(places, self.outputs(batch, whole), strict=True):
                    outputs[place] = output
            found.append(FOUND[self.spec["kind"]](features, outputs, self.spec))
        watch.end()
        return watch.run(), 100 * sum(FINISHED[self.spec["kind"]](answers) for answers in found) / len(found)

    @torch.inference_mode()
    def outputs(self, batch: Mapping[str, torch.Tensor], whole: bool) -> Iterable[Any]:
        """Return a batch's logits or vectors, one a row."""
        shape = batch["input_ids"].shape
        flat = {name: values.view(-1, shape[-1]) for name, values in batch.items()}
        if whole:
            hidden = self.whole(**flat, output_hidden_states=True).hidden_states[self.layer]
        else:
            hidden = self.model(**flat).last_hidden_state
        found: Any = self.head(hidden.view(*shape, -1), batch["attention_mask"]).logits.float().numpy()
        return found

    def padded(self, rows: Features, watch: Stopwatch) -> dict[str, torch.Tensor]:
        """Pad rows to the longest of them."""
        nested = isinstance(rows[0]["input_ids"][0], list)
        texts = [ids for row in rows for ids in (row["input_ids"] if nested else [row["input_ids"]])]
        width = max(map(len, texts))
        ids = torch.tensor([[*text, *[self.pad] * (width - len(text))] for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
        watch.count(sum(map(len, texts)), ids.numel())
        shape = (len(rows), -1, width) if nested else (len(rows), width)
        return {"input_ids": ids.view(shape), "attention_mask": mask.view(shape)}

    def texts(self, data: TaskDataModule, rows: Features) -> list[str]:
        """Return the sentences of tokenised rows."""
        return list(data.load_tokenizer().batch_decode([row["input_ids"] for row in rows], skip_special_tokens=True))

    def by_sentences(self, encoder: Any, texts: Mapping[str, Sequence[str]]) -> Scored:
        """Score retrieval with the vectors of sentence-transformers, tokenising included."""
        watch, found = Stopwatch(), []
        watch.begin()
        for language, features in self.features.items():
            vectors = encoder.encode(list(texts[language]), normalize_embeddings=True, show_progress_bar=False)
            found.append(nearest(features, list(vectors), self.spec))
        watch.end()
        return watch.run(), 100 * sum(map(share, found)) / len(found)


def batches_of(features: Features, size: int, by_length: bool) -> Iterator[list[int]]:
    """Yield the places of rows in batches."""
    places = list(range(len(features)))
    if by_length:
        places.sort(key=lambda place: _length(features[place]), reverse=True)
    for start in range(0, len(places), size):
        yield places[start : start + size]


def _length(feature: Mapping[str, Any]) -> int:
    ids = feature["input_ids"]
    return max(map(len, ids)) if isinstance(ids[0], list) else len(ids)


def answers(features: Features, outputs: Sequence[Any], spec: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Read answers off start and end logits as question-answering scripts do: the best of 20 x 20 spans, in a loop."""
    windows = defaultdict(list)
    for feature, logits in zip(features, outputs, strict=True):
        windows[feature["index"]].append((feature, logits))
    found = []
    for of_question in windows.values():
        spans = [span for feature, logits in of_question for span in spans_of(feature, logits)]
        best = max(spans, key=lambda span: span[0], default=(0.0, ""))
        found.append((best[1], of_question[0][0]["meta"]["gold"]))
    return found


def spans_of(feature: Mapping[str, Any], logits: Any, n_best: int = 20, longest: int = 30) -> list[tuple[float, str]]:
    """Return all answers of a window with their scores."""
    meta = feature["meta"]
    first, offsets, own = meta["first"], meta["offsets"], set(meta["own"])
    starts, ends = (np.argsort(logits[:, side])[: -n_best - 1 : -1].tolist() for side in (0, 1))
    found = []
    for start in starts:
        for end in ends:
            if start - first not in own or not first <= end < first + len(offsets):
                continue
            if end < start or end - start + 1 > longest:
                continue
            text = meta["text"][offsets[start - first][0] : offsets[end - first][1]]
            found.append((float(logits[start, 0]) + float(logits[end, 1]), text))
    return found


def choices(features: Features, outputs: Sequence[Any], spec: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the option of the highest score, and the right one."""
    return [(int(np.argmax(o)), f["meta"]["gold"]) for f, o in zip(features, outputs, strict=True)]


def tags(features: Features, outputs: Sequence[Any], spec: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the tag of the highest score at each word's first sub-word, and the right one."""
    found = []
    for feature, logits in zip(features, outputs, strict=True):
        best, meta = logits.argmax(-1), feature["meta"]
        found += [(int(best[place]), gold) for place, gold in zip(meta["first"], meta["gold"], strict=True)]
    return found


def nearest(features: Features, outputs: Sequence[Any], spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Find each query's nearest candidate with faiss; return its id, and the right one."""
    import faiss

    golds = [feature["meta"]["gold"] for feature in features]
    vectors = normalize(torch.from_numpy(np.stack(outputs)), dim=1).numpy()
    sides = {side: [i for i, gold in enumerate(golds) if gold["side"] == side] for side in ("query", "candidate")}
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors[sides["candidate"]])
    faiss.omp_set_num_threads(torch.get_num_threads())
    places = index.search(vectors[sides["query"]], 1)[1][:, 0]
    return [
        (golds[sides["candidate"][place]]["id"], golds[query]["targets"][0])
        for query, place in zip(sides["query"], places.tolist(), strict=True)
    ]


def share(found: Sequence[tuple[Any, Any]]) -> float:
    """Return the share of right answers."""
    return sum(a == b for a, b in found) / len(found)


def mean_f1(found: Sequence[tuple[str, list[str]]]) -> float:
    """Return the mean F1 of answers."""
    return sum(token_f1(answer, golds) for answer, golds in found) / len(found)


FOUND: Mapping[str, Callable[[Features, Sequence[Any], Mapping[str, Any]], Any]] = {
    "span": answers,
    "tagging": tags,
    "multiple_choice": choices,
    "retrieval": nearest,
}
FINISHED: Mapping[str, Callable[[Any], float]] = {
    "span": mean_f1,
    "tagging": share,
    "multiple_choice": share,
    "retrieval": share,
}


def sentence_encoder(folder: str, layer: int) -> Any | None:
    """Return sentence-transformers' encoder with mean pooling, cut at a layer; None if it is not installed."""
    try:
        from sentence_transformers import SentenceTransformer, models
    except ImportError:
        return None
    transformer: Any = models.Transformer(folder, max_seq_length=512)
    transformer.auto_model.encoder.layer = transformer.auto_model.encoder.layer[:layer]
    width = transformer.auto_model.config.hidden_size
    pooling = models.Pooling(width, pooling_mode="mean")
    return SentenceTransformer(modules=[transformer, pooling], device="cpu")
