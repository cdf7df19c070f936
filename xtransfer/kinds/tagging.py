"""Tagging: one label a word, read off its first sub-word; long sentences are split and written back whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from xtransfer.errors import ConfigError, DataError, nearest
from xtransfer.heads import TaggingHead
from xtransfer.kinds.base import Example, Kind, label_id, require_labels
from xtransfer.kinds.text import Feature, Ids, Layout, ids_by_text
from xtransfer.metrics import Piece, TagScores
from xtransfer.task import Row, Task

IGNORE = -100
NO_GOLD = -1


class Tagging(Kind):
    """One label a word, as XTREME's tagging scripts do it.

    Each word is tokenised alone and its first sub-word carries the label. A word without sub-words, or with more than
    fit, becomes the unknown token (counted). Long sentences are split where the next word would not fit, predicted in
    pieces and written back as one sentence: every word gets exactly one prediction. Where the labels are those of the
    training rows, another tag has the id after the last label: it is not learned from, cannot be predicted, is counted,
    and scored as wrong.

    Options:
        specials: Room kept for special tokens; 3 as the official scripts count them for XLM-R.
        empty_tag: Tag that is predicted for a word without a character; default the model's own.
    """

    head = TaggingHead
    roles = ("tokens", "tags")
    options: ClassVar[dict[str, Any]] = {"specials": 3, "empty_tag": ""}
    scoring_options = ("empty_tag",)
    main = "f1"
    labels_per = "token"

    def check(self, task: Task) -> None:
        """Check that labels are named, besides what every kind checks."""
        super().check(task)
        if not task.labels and not task.labels_from_train:
            raise ConfigError(f"task '{task.name}': a tagging task needs `labels`")
        tag = self.settings(task.options)["empty_tag"]
        if tag and task.labels and tag not in task.labels:
            raise ConfigError(f"task '{task.name}': empty_tag '{tag}' is none of its labels{nearest(tag, task.labels)}")

    def example(self, row: Row, task: Task, language: str) -> Example:
        """Read words and tags."""
        tokens, tags = task.read(row, "tokens"), task.read(row, "tags")
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens) or not tokens:
            raise DataError(f"{task.where(row, language)}: expected a list of words, found {tokens!r:.80}")
        if tags is None:
            return {"tokens": tokens, "label": None}
        if len(tags) != len(tokens):
            raise DataError(f"{task.where(row, language)}: {len(tokens)} words but {len(tags)} tags")
        if task.labels_from_train:
            return {"tokens": tokens, "label": _open_ids(task, row, language, tokens, tags)}
        ids = [label_id(task, row, language, tag, task.labels) for tag in tags]
        return {"tokens": tokens, "label": [NO_GOLD if i is None else i for i in ids]}

    def labels_in(self, rows: Iterable[Row], task: Task) -> set[str]:
        """Return the names of the tags in rows."""
        names = {task.label_name(tag) for row in rows for tag in task.read(row, "tags") or ()}
        return {name for name in names if name is not None}

    def encode(
        self,
        examples: Sequence[Example],
        task: Task,
        layout: Layout,
        max_length: int,
        train: bool,
        counts: Counter[str],
    ) -> Iterator[Feature]:
        """One feature a piece of a sentence."""
        room = max_length - max(self.settings(task.options)["specials"], layout.single_specials)
        unknown = layout.tokenizer.unk_token_id
        # A leading space makes every tokenizer see a word in mid-sentence as such; most ignore it.
        ids = ids_by_text(layout, [text for e in examples for text in _texts(e["tokens"])])
        for example in examples:
            words: list[Ids] = []
            for text in _texts(example["tokens"]):
                fits = 0 < len(ids[text]) <= room
                counts["words_unknown"] += not fits
                words.append(ids[text] if fits else [unknown])
            starts = _split(words, room)
            counts["sentences_split"] += len(starts) > 1
            for part, (start, stop) in enumerate(zip(starts, [*starts[1:], len(words)], strict=True)):
                gold = None if example["label"] is None else example["label"][start:stop]
                counts["tags_unseen"] += sum(tag >= len(task.labels) for tag in gold or ())
                feature = self._piece(words[start:stop], gold, range(len(task.labels)), layout)
                empty = [place for place, word in enumerate(example["tokens"][start:stop]) if not word]
                feature["meta"] |= {"empty": empty} if empty else {}
                yield feature | {"index": example["index"], "part": part}

    def _piece(self, words: Sequence[Ids], gold: list[int] | None, known: range, layout: Layout) -> Feature:
        ids: Ids = []
        first: list[int] = []
        for word in words:
            first.append(layout.first_start() + len(ids))
            ids.extend(word)
        feature = layout.single(ids)
        labels = None
        if gold is not None:
            labels = [IGNORE] * len(feature["input_ids"])
            for position, tag in zip(first, gold, strict=True):
                labels[position] = tag if tag in known else IGNORE
        return feature | {"labels": labels, "meta": {"gold": gold, "first": first}}

    def num_labels(self, spec: Mapping[str, Any]) -> int:
        """One output a tag."""
        return len(spec["labels"])

    def metric(self, spec: Mapping[str, Any], language: str = "en") -> TagScores:
        """Span F1 as seqeval computes it (both versions), and accuracy over words."""
        return TagScores(spec["labels"], unseen=spec.get("labels_from_train", False))

    def decode(self, logits: Tensor, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Piece]:
        """The tag of the highest score at each word's first sub-word; of an empty word, that of the options."""
        tag, best = self.settings(spec["options"])["empty_tag"], logits.argmax(-1).tolist()
        pieces = []
        for index, part, meta, tags in zip(batch["index"], batch["part"], batch["meta"], best, strict=True):
            found = [tags[position] for position in meta["first"]]
            for place in meta.get("empty", ()) if tag in spec["labels"] else ():
                found[place] = spec["labels"].index(tag)
            pieces.append(Piece(index, part, found))
        return pieces

    def export(self, pieces: Sequence[Piece], metas: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> str:
        """One tag a line, a blank line between sentences."""
        sentences: dict[int, list[str]] = {}
        for piece in pieces:
            sentences.setdefault(piece.index, []).extend(spec["labels"][tag] for tag in piece.value)
        return _sentences(sentences.values())

    def gold(self, examples: Sequence[Example], task: Task) -> str:
        """One tag a line, a blank line between sentences; every word must have one."""
        require_labels(examples, task)
        for number, example in enumerate(examples, 1):
            pairs = zip(example["tokens"], example["label"], strict=True)
            bare = [word for word, tag in pairs if tag == NO_GOLD or tag >= len(task.labels)]
            if bare:
                raise DataError(f"task '{task.name}': the word '{bare[0]}' of row {number} has no gold tag")
        return _sentences([[task.labels[tag] for tag in example["label"]] for example in examples])


def _sentences(tags: Iterable[Sequence[str]]) -> str:
    return "\n".join("".join(f"{tag}\n" for tag in sentence) for sentence in tags)


def _open_ids(task: Task, row: Row, language: str, tokens: Sequence[str], tags: Sequence[object]) -> list[int]:
    """Return the ids of tags that may be others than the labels; these have the id after the last label."""
    ids = {name: number for number, name in enumerate(task.labels)}
    names = [task.label_name(tag) for tag in tags]
    if None in names:
        where, number = task.where(row, language), names.index(None)
        found = f"found none for word {number + 1} ({tokens[number]!r})"
        raise DataError(f"{where}: expected a tag for every word, {found}")
    return [ids.get(str(name), len(ids)) for name in names]


def _texts(tokens: Sequence[str]) -> list[str]:
    return [token if position == 0 else " " + token for position, token in enumerate(tokens)]


def _split(words: Sequence[Ids], room: int) -> list[int]:
    """Return the first word of each piece: a new one starts where the next word would not fit."""
    starts, used = [0], 0
    for position, word in enumerate(words):
        if used + len(word) > room:
            starts.append(position)
            used = 0
        used += len(word)
    return starts
