"""The texts that are measured on: real ones where there are files, else words in pairs as long as real ones."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.task import Row, Source, Task

LENGTHS = Path(__file__).with_name("mnli_lengths.json")
PAIRS = Task(
    name="pairs",
    kind="classification",
    fields={"text": "premise", "pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
)
COLUMNS = (("premise", "hypothesis"), ("sentence1", "sentence2"))
LEAST = 3200
"""Rows from which batches of 16 are grouped by length as in a whole data set: 200 times the batch."""


@dataclass(frozen=True)
class Chosen(Source):
    """Rows that are in memory already.

    Args:
        split: The split they are.
        by_language: Language -> rows.
    """

    split: str
    by_language: Mapping[str, Sequence[Row]]

    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        """Yield them."""
        yield from map(dict, self.by_language[language])

    def declares(self, split: str) -> bool:
        """Say whether it is this split."""
        return split == self.split

    def has(self, split: str, language: str, folder: Path | None) -> bool:
        """Say whether there are rows in a language."""
        return split == self.split and language in self.by_language

    def origin(self, split: str, language: str, folder: Path | None) -> str:
        """Name them by a digest."""
        content = json.dumps(self.by_language[language], ensure_ascii=False, default=str)
        return f"chosen {hashlib.sha256(content.encode()).hexdigest()}"


@dataclass(frozen=True)
class Pool:
    """Pairs that training batches are drawn from.

    Attributes:
        rows: The pairs.
        told: What they are.
        real: Whether they are texts that somebody wrote.
    """

    rows: list[Row]
    told: str
    real: bool


def pairs_in(data_dir: Path | None) -> Pool | None:
    """Return the pairs of MNLI's files below a folder, or None where there are not enough to group by length."""
    files = sorted((data_dir / "mnli").rglob("*.jsonl*")) if data_dir else []
    for path in files:
        rows = [row for row in map(_pair, _lines(path)) if row is not None]
        if len(rows) >= LEAST:
            return Pool(rows, f"{len(rows):,} pairs of {path.name}", real=True)
    return None


def synthetic_pairs(number: int, words: int, vocabulary: int, seed: int = 1) -> Pool:
    """Return pairs of invented words, as long as MNLI's and with words as unequally frequent as those of a language.

    Args:
        number: How many.
        words: Different words that may occur.
        vocabulary: Size of the tokenizer's vocabulary, among which they are spread.
        seed: By which they are drawn.
    """
    counted = json.loads(LENGTHS.read_text(encoding="utf-8"))
    chance = random.Random(seed)
    sizes = [int(size) for size in counted["lengths"]]
    lengths = chance.choices(sizes, weights=list(counted["lengths"].values()), k=number)
    known = chance.sample(range(5, vocabulary - 1), min(words, vocabulary - 6))
    weights = [1 / rank for rank in range(1, len(known) + 1)]  # Zipf's law
    drawn = iter(chance.choices(known, weights=weights, k=sum(lengths)))
    rows: list[Row] = []
    for length in lengths:
        text = [f"w{next(drawn)}" for _ in range(max(2, length - SPECIALS))]
        cut = max(1, round(len(text) * counted["share_of_premise"]))
        pair = {"premise": " ".join(text[:cut]), "hypothesis": " ".join(text[cut:])}
        rows.append(pair | {"label": PAIRS.labels[len(rows) % len(PAIRS.labels)]})
    return Pool(rows, f"{number:,} pairs of invented words, as long as MNLI's", real=False)


SPECIALS = 4
"""Special tokens of a pair in XLM-R."""


def drawn(data: TaskDataModule, number: int, seed: int = 1) -> TaskDataModule:
    """Return a task with so many of its test rows in each language, drawn at random, in the order of its files.

    Raises:
        DataError: Its files are not there.
    """
    chosen = {}
    for language in data.languages:
        portion = data.portion("test", language)
        rows = list(portion.source.rows("test", language, portion.folder))
        places = sorted(random.Random(seed).sample(range(len(rows)), min(number, len(rows))))
        chosen[language] = [rows[place] for place in places]
    return type(data)(
        tokenizer=data.tokenizer,
        languages=data.languages,
        source=Chosen("test", chosen),
        cache_dir=data.cache_dir,
        eval_batch_size=data.eval_batch_size,
        evaluate=[],
    )


def word_tokenizer(size: int) -> Any:
    """Return a tokenizer that takes each word for one token (``w17`` has the id 17), with XLM-R's special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
    vocabulary = {word: i for i, word in enumerate(("<s>", "<pad>", "</s>", "<unk>"))}
    vocabulary |= {f"w{i}": i for i in range(4, size - 1)} | {"<mask>": size - 1}
    vocabulary["a"] = vocabulary.pop("w4")  # a word that the library looks up to see where special tokens go
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{role}_token": text for role, text in names.items()},
    )


SHAPES = {"tiny": (32, 2, 4, 64), "base": (768, 12, 12, 3072), "large": (1024, 24, 16, 4096)}
"""Width, layers, heads and inner width of XLM-R's sizes, and of one for tests."""


def random_encoder(folder: Path, shape: str, tokenizer: Any) -> Path:
    """Write an XLM-R with random weights and a tokenizer; both load by the Auto classes."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    width, layers, heads, inner = SHAPES[shape]
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=514,
        type_vocab_size=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _lines(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _pair(row: Mapping[str, Any]) -> Row | None:
    for first, second in COLUMNS:
        if first in row and second in row:
            label = row.get("label", row.get("gold_label"))
            known = {"premise": row[first], "hypothesis": row[second], "label": label}
            return known if label in PAIRS.labels else None
    return None
