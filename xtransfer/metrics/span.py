"""Scores of extracted answers, as the official scripts of SQuAD v1.1, SQuAD v2.0 and MLQA compute them."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from xtransfer.errors import ConfigError, DataError, nearest
from xtransfer.metrics.base import Piece, RowMetric
from xtransfer.metrics.mlqa import normalize_mlqa

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower a text's case, delete ASCII punctuation and the English articles, and make each white space one blank.

    The order is SQuAD's. Other punctuation and other languages' articles stay, as the official scripts have it.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


Normalizer = Callable[[str], str]
"""Turns an answer into its tokens, with one blank between them, so that two spellings of one answer become equal."""

NORMALIZERS = ("squad", "mlqa")


def normalizer_of(name: str, language: str) -> Normalizer:
    """Return the way in which answers are made comparable.

    Args:
        name: ``squad``: SQuAD's English rules in every language; ``mlqa``: those of the language.
        language: Two-letter code.

    Raises:
        ConfigError: The name is unknown, or MLQA has no rules for the language.
    """
    if name not in NORMALIZERS:
        raise ConfigError(f"option normalizer: no '{name}'{nearest(name, NORMALIZERS)}")
    if name == "squad":
        return normalize_answer
    normalize_mlqa("", language)  # refuses an unknown language now, not at the first answer
    return partial(normalize_mlqa, language=language)


def exact_match(prediction: str, golds: Sequence[str], normalize: Normalizer = normalize_answer) -> float:
    """Return 1 if the prediction equals a gold answer after normalisation, else 0.

    Args:
        prediction: The predicted answer; empty is 'no answer'.
        golds: All right answers; none at all means that the question has no answer, which only an empty prediction
            meets (SQuAD v2.0).
        normalize: What makes answers comparable; default SQuAD's.
    """
    wanted = [normalize(gold) for gold in golds] or [""]
    return float(normalize(prediction) in wanted)


def token_f1(prediction: str, golds: Sequence[str], normalize: Normalizer = normalize_answer) -> float:
    """Return the best F1 over the gold answers, from 0 to 1, between multisets of tokens after normalisation.

    Args:
        prediction: The predicted answer; empty is 'no answer'.
        golds: All right answers; none at all means that the question has no answer, as in `exact_match`.
        normalize: What makes answers comparable; default SQuAD's.
    """
    if not golds:
        return exact_match(prediction, golds, normalize)
    words = normalize(prediction).split()
    return max(_overlap_f1(words, normalize(gold).split()) for gold in golds)


def _overlap_f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    common = (Counter(predicted) & Counter(gold)).total()
    return 2 * common / (len(predicted) + len(gold)) if common else 0.0


def decide(
    scores: Sequence[float], null_scores: Sequence[float], no_answer: bool = False, threshold: float = 0.0
) -> int | None:
    """Choose among the windows of one question, as SQuAD's reference systems do.

    Args:
        scores: Score of each window's best answer; minus infinity where it has none.
        null_scores: Score of 'no answer' in each window; the lowest counts, for an answer may lie in any window.
        no_answer: Whether 'no answer' may be chosen.
        threshold: By how much 'no answer' must be better than the best answer.

    Returns:
        The position of the chosen window, the first of equal ones, or None for 'no answer'.
    """
    best = max(range(len(scores)), key=scores.__getitem__)
    return None if no_answer and min(null_scores) - scores[best] > threshold else best


def choose_answer(pieces: Sequence[Piece], no_answer: bool = False, threshold: float = 0.0) -> str:
    """Return the answer to one question from its windows, by the same choice as `SpanScores` makes.

    Args:
        pieces: All windows of one question, in any order.
        no_answer: Whether the answer may be empty although a window has one.
        threshold: See `decide`.

    Raises:
        DataError: There is no window, or a score is not a number.
    """
    if not pieces:
        raise DataError("no window to choose an answer from: every question needs at least one")
    ordered = sorted(pieces, key=lambda piece: piece.part)
    scores = [_score(piece) for piece in ordered]
    best = decide(scores, [piece.null_score for piece in ordered], no_answer, threshold)
    return "" if best is None else str(ordered[best].value)


def _score(piece: Piece) -> float:
    """Return a window's score; an empty text loses to every other, so that it is chosen only if nothing is left."""
    if math.isnan(piece.score) or math.isnan(piece.null_score):
        raise DataError(
            f"example {piece.index}, window {piece.part}: the score of its answer is not a number; "
            "the weights have probably diverged: lower the learning rate or check the precision"
        )
    return piece.score if piece.value.strip() else -math.inf


class SpanScores(RowMetric):
    """F1 and exact match of extracted answers; the windows of a question compete, the best gives its answer.

    Args:
        no_answer: Whether questions without an answer exist (SQuAD v2.0).
        threshold: 'No answer' is predicted when its score exceeds the best answer's by more than this.
        normalizer: What makes answers comparable: ``squad`` or ``mlqa``, see `normalizer_of`.
        language: Two-letter code, for MLQA's rules.

    Raises:
        ConfigError: The normalizer is unknown, or has no rules for the language.
    """

    main = "f1"
    gold = 3

    def __init__(
        self, no_answer: bool = False, threshold: float = 0.0, normalizer: str = "squad", language: str = "en"
    ) -> None:
        super().__init__()
        self.no_answer, self.threshold = no_answer, threshold
        self.normalize = normalizer_of(normalizer, language)
        script = f"SQuAD v2.0 at threshold {threshold:g}" if no_answer else "SQuAD v1.1"
        if normalizer == "mlqa":
            script = f"MLQA's normalizer, {script}" if no_answer else "MLQA, its own normalizer"
        self.variant = {"f1": script, "em": script}

    def _rows(self, piece: Piece, gold: Sequence[str] | None) -> Tensor:
        """One row: index, part, score, F1, EM, and score, F1, EM of predicting nothing; F1 is -1 without gold."""
        if self.no_answer and gold is not None:
            gold = [text for text in gold if self.normalize(text)]  # v2.0 leaves out answers that are articles alone
        answer, nothing = [
            [-1.0, -1.0] if gold is None else [f(text, gold, self.normalize) for f in (token_f1, exact_match)]
            for text in (piece.value, "")
        ]
        row = [piece.index, piece.part, _score(piece), *answer, piece.null_score, *nothing]
        return torch.tensor([row], dtype=torch.float64)

    def _scores(self, rows: Tensor) -> dict[str, float]:
        f1, em, questions = 0.0, 0.0, 0
        for _, group in groupby(rows.tolist(), key=lambda row: row[0]):
            _, _, scores, f1s, ems, null_scores, null_f1s, null_ems = zip(*group, strict=True)
            best = decide(scores, null_scores, self.no_answer, self.threshold)
            f1 += null_f1s[0] if best is None else f1s[best]
            em += null_ems[0] if best is None else ems[best]
            questions += 1
        return {"f1": 100 * f1 / questions, "em": 100 * em / questions}
