"""Span extraction: the answer to a question is a part of a passage, with or without 'no answer'."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import inf
from typing import Any, ClassVar

import torch
from torch import Tensor

from xtransfer.errors import ConfigError, DataError
from xtransfer.heads import SpanHead, best_span, best_spans
from xtransfer.kinds.base import Example, Kind, require_labels, text_of
from xtransfer.kinds.text import Feature, Ids, Layout
from xtransfer.metrics import Piece, SpanScores, choose_answer
from xtransfer.task import Row, Task

Offsets = list[tuple[int, int]]
MISSING_ANSWERS = 0.01
"""Share of training answers that may be missing from their passages before the data are refused."""


class Span(Kind):
    """A span of the passage, by the rules of SQuAD's official script.

    Passages are read in windows that start `stride` tokens apart. A window that does not hold the whole answer is
    trained on position 0; answers are read off all windows of a question, starts only in the window where a token has
    most context.

    Options:
        question_length: Tokens of the question that are kept.
        stride: Tokens between the starts of two windows (the official "doc_stride", not the overlap).
        n_best: Starts and ends looked at in each window.
        max_answer_length: Longest answer, in tokens.
        no_answer: Whether a question may have none (SQuAD 2.0).
        null_threshold: 'No answer' is predicted when its score exceeds the best span's by more than this.
        normalizer: What makes answers comparable: "squad", English rules in every language, or "mlqa", each its own.
    """

    head = SpanHead
    roles = ("id", "question", "context", "answers")
    options: ClassVar[dict[str, Any]] = {
        "question_length": 64,
        "stride": 128,
        "n_best": 20,
        "max_answer_length": 30,
        "no_answer": False,
        "null_threshold": 0.0,
        "normalizer": "squad",
    }
    scoring_options = ("n_best", "max_answer_length", "null_threshold", "normalizer")
    max_length = 384
    main = "f1"
    suffix = "json"

    def example(self, row: Row, task: Task, language: str) -> Example:
        """Read question, passage and answers; answers are None without gold, [] where there is none."""
        example: Example = {role: text_of(task, row, language, role) for role in ("id", "question", "context")}
        answers = task.read(row, "answers")
        if answers is None:
            return example | {"label": None, "where": task.where(row, language)}
        texts, starts = list(answers["text"]), list(answers["answer_start"])
        if len(texts) != len(starts):
            raise DataError(f"{task.where(row, language)}: {len(texts)} answers but {len(starts)} offsets")
        if not texts and not self.settings(task.options)["no_answer"]:
            raise DataError(
                f"{task.where(row, language)}: question '{example['id']}' has no answer; for data with unanswerable "
                f"questions set the task's option no_answer: true"
            )
        label = list(zip(texts, starts, strict=True))
        return example | {"label": label, "where": task.where(row, language)}

    def check_together(self, examples: Sequence[Example], train: bool) -> None:
        """Refuse a question id that is scored twice, by which predictions are written; or too many missing answers."""
        if train:
            _check_answers(examples)
            return
        places: dict[str, str] = {}
        for example in examples:
            if example["id"] in places:
                raise DataError(
                    f"{example['where']}: the question id '{example['id']}' is there twice, first at "
                    f"{places[example['id']]}; predictions are written by id: give each question its own"
                )
            places[example["id"]] = example["where"]

    def encode(
        self,
        examples: Sequence[Example],
        task: Task,
        layout: Layout,
        max_length: int,
        train: bool,
        counts: Counter[str],
    ) -> Iterator[Feature]:
        """One feature a window."""
        options = self.settings(task.options)
        questions = layout.ids([example["question"] for example in examples])
        distinct = list(dict.fromkeys(example["context"] for example in examples))
        contexts = dict(zip(distinct, layout.ids_and_offsets(distinct), strict=True))
        for example, question in zip(examples, questions, strict=True):
            counts["empty_text"] += not question or not contexts[example["context"]][0]
            counts["question_truncated"] += len(question) > options["question_length"]
            question = question[: options["question_length"]]
            room = max_length - layout.pair_specials - len(question)
            if room < 1:
                raise ConfigError(f"task '{task.name}': max_length {max_length} leaves no room for the passage")
            answer = _locate(example, counts) if train else None
            if train and answer is None and example["label"]:
                continue  # counted as answer_missing
            ids, offsets = contexts[example["context"]]
            windows = _windows(len(ids), room, options["stride"])
            owners = [_most_context(position, windows) for position in range(len(ids))]
            for part, (start, stop) in enumerate(windows):
                feature = layout.pair(question, ids[start:stop])
                first = layout.second_start(question)
                own = [position - start for position in range(start, stop) if owners[position] == part]
                meta = _meta(example, offsets[start:stop], first) | {"own": own}
                labels = _labels(answer, offsets[start:stop], first) if train else None
                yield feature | {"labels": labels, "index": example["index"], "part": part, "meta": meta}

    def num_labels(self, spec: Mapping[str, Any]) -> int:
        """Start and end."""
        return 2

    def metric(self, spec: Mapping[str, Any], language: str = "en") -> SpanScores:
        """F1 and exact match, as the official scripts of SQuAD 1.1, SQuAD 2.0 and MLQA."""
        options = self.settings(spec["options"])
        return SpanScores(options["no_answer"], options["null_threshold"], options["normalizer"], language)

    def decode(self, logits: Tensor, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Piece]:
        """The best answer of each window, with its score and that of 'no answer'."""
        options = self.settings(spec["options"])
        scores, metas = logits.float().cpu(), batch["meta"]
        inside = torch.zeros(scores.shape[:2], dtype=torch.bool)
        starts = torch.zeros_like(inside)
        for row, meta in enumerate(metas):
            inside[row, meta["first"] : meta["first"] + len(meta["offsets"])] = True
            starts[row, [meta["first"] + position for position in meta["own"]]] = True
        limits = options["n_best"], options["max_answer_length"]
        found = best_span(scores[..., 0], scores[..., 1], inside, starts, *limits)
        nothing = scores[:, 0].sum(-1)
        numbers = (batch["index"], batch["part"], metas, *(values.tolist() for values in (*found, nothing)))
        pieces = []
        for row, (index, part, meta, first, last, best, none) in enumerate(zip(*numbers, strict=True)):
            text = "" if best == -inf else _between(meta, first, last)
            if best != -inf and not text.strip():  # a token of white space: the next best is asked for
                spans = best_spans(scores[row, :, 0], scores[row, :, 1], inside[row], starts[row], *limits)
                told = ((_between(meta, first, last), score) for first, last, score in spans)
                text, best = next(((t, score) for t, score in told if t.strip()), (text, best))
            pieces.append(Piece(index, part, text, best, none))
        return pieces

    def export(self, pieces: Sequence[Piece], metas: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> str:
        """One JSON object: question id -> answer."""
        options = self.settings(spec["options"])
        names = {piece.index: meta["id"] for piece, meta in zip(pieces, metas, strict=True)}
        answers = {
            names[index]: choose_answer(list(group), options["no_answer"], options["null_threshold"])
            for index, group in groupby(pieces, key=lambda piece: piece.index)
        }
        return json.dumps(answers, ensure_ascii=False, indent=1) + "\n"

    def gold(self, examples: Sequence[Example], task: Task) -> str:
        """SQuAD's JSON with all right answers; neighbouring questions about one passage share its paragraph."""
        require_labels(examples, task)
        paragraphs = [
            {"context": context, "qas": [_question(example) for example in group]}
            for context, group in groupby(examples, key=lambda example: example["context"])
        ]
        root = {"version": "1.1", "data": [{"title": task.name, "paragraphs": paragraphs}]}
        return json.dumps(root, ensure_ascii=False, indent=1) + "\n"


def _between(meta: Mapping[str, Any], start: int, end: int) -> str:
    """Return the text from one token of a window to another."""
    offsets, first = meta["offsets"], meta["first"]
    text: str = meta["text"][offsets[start - first][0] : offsets[end - first][1]]
    return text


def _question(example: Example) -> dict[str, Any]:
    """Return a question as SQuAD's JSON has it."""
    answers = [{"text": text, "answer_start": start} for text, start in example["label"]]
    question = {"id": example["id"], "question": example["question"], "answers": answers}
    return question if answers else question | {"is_impossible": True}


def _windows(length: int, room: int, stride: int) -> list[tuple[int, int]]:
    """Return (start, stop) of each window; the last one ends with the passage."""
    windows, start = [], 0
    while True:
        stop = min(start + room, length)
        windows.append((start, stop))
        if stop == length:
            return windows
        start += min(stop - start, stride)


def _most_context(position: int, windows: Sequence[tuple[int, int]]) -> int:
    """Return the window in which a token has most context on its poorer side (the official tie rule included)."""
    best, chosen = float("-inf"), 0
    for number, (start, stop) in enumerate(windows):
        if start <= position < stop:
            score = min(position - start, stop - 1 - position) + 0.01 * (stop - start)
            if score > best:
                best, chosen = score, number
    return chosen


def _meta(example: Example, offsets: Offsets, first: int) -> dict[str, Any]:
    """Keep what decoding needs of a window: its text and each token's place in it."""
    base = offsets[0][0] if offsets else 0
    end = max((e for _, e in offsets), default=0)
    return {
        "id": example["id"],
        "gold": None if example["label"] is None else [text for text, _ in example["label"]],
        "first": first,
        "text": example["context"][base:end],
        "offsets": [(s - base, e - base) for s, e in offsets],
    }


def _locate(example: Example, counts: Counter[str]) -> tuple[int, int] | None:
    """Return the first answer's characters; an offset that does not fit is mended to the nearest match, and counted."""
    if not example["label"]:
        return None
    text, start = example["label"][0]
    context = example["context"]
    if text and start >= 0 and context.startswith(text, start):
        return start, start + len(text)
    places = [i for i in range(len(context) - len(text) + 1) if context.startswith(text, i)] if text else []
    if not places:
        counts["answer_missing"] += 1
        return None
    counts["answer_moved"] += 1
    start = min(places, key=lambda place: abs(place - start))
    return start, start + len(text)


def _check_answers(examples: Sequence[Example]) -> None:
    """Refuse training rows of which too many have an answer that is not in their passage."""
    missing = [example for example in examples if example["label"] and _locate(example, Counter()) is None]
    if len(missing) > MISSING_ANSWERS * len(examples):
        raise DataError(
            f"{missing[0]['where']}: the answer to question '{missing[0]['id']}' is not in its passage; "
            f"{len(missing)} of {len(examples)} answers are not in their passages; is this the right file?"
        )


def _labels(answer: tuple[int, int] | None, offsets: Offsets, first: int) -> Ids:
    """Return start and end token of the answer in a window, or 0 and 0 where it is not wholly inside."""
    if answer is None or not offsets or answer[0] < offsets[0][0] or answer[1] > max(e for _, e in offsets):
        return [0, 0]
    start = max((i for i, (s, _) in enumerate(offsets) if s <= answer[0]), default=0)
    end = min((i for i, (_, e) in enumerate(offsets) if e >= answer[1]), default=len(offsets) - 1)
    return [first + min(start, end), first + max(start, end)]
