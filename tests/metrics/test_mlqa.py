"""MLQA's rules for comparing answers, against values worked out by hand."""

from __future__ import annotations

import pytest

from xtransfer.errors import ConfigError
from xtransfer.metrics import Piece, SpanScores, exact_match, normalize_mlqa, normalizer_of, token_f1


@pytest.mark.parametrize(
    ("language", "text", "normal"),
    [
        ("en", "The Cat, an Umbrella and a theatre!", "cat umbrella and theatre"),
        ("en", "«A.N.» Other", "other"),  # punctuation goes first, so that an article can appear
        ("en", "$5 + 3 | €4", "5 3 €4"),  # ASCII's symbols go, other symbols stay
        ("en", "Der Hund", "der hund"),
        ("de", "Der Hund (des Herrn) und die Katze", "hund herrn und katze"),
        ("de", "Derby, Einer, indem „das“ Dorf", "derby indem dorf"),
        ("es", "¿Los Gatos de la Casa?", "gatos de casa"),
        ("es", "un, una, unos, unas, el, elefante", "elefante"),
        ("vi", "Những con mèo của tôi", "con mèo tôi"),
        ("vi", "là cái chiếc nhà", "nhà"),
        ("ar", "القط في البيت", "قط في بيت"),
        ("ar", "بالبيت، مثال؟", "ب بيت مث"),  # wherever the two letters stand
        ("hi", "बिल्ली सो रही है।", "बिल्ली सो रही है"),
        ("hi", "the cat", "the cat"),
        ("zh", "北京，2008年 Olympic Games！", "北 京 2008 年 olympic games"),
        ("zh", "《三国》the", "三 国 the"),
        ("zh", "\u9fa5\u9fa6\u9fa6", "\u9fa5 \u9fa6\u9fa6"),  # the script's range ends there
        ("zh", "", ""),
    ],
)
def test_normalisation(language: str, text: str, normal: str) -> None:
    assert normalize_mlqa(text, language) == normal


@pytest.mark.parametrize(
    ("language", "prediction", "gold", "f1", "em"),
    [
        ("zh", "北京市", "北京", 0.8, 0),  # tokens are characters: 2 of 3, 2 of 2
        ("de", "der alte Hund", "ein alter Hund", 0.5, 0),
        ("de", "im alten Haus", "alten Haus.", 0.8, 0),
        ("es", "la casa", "Casa", 1, 1),
        ("ar", "البيت", "بيت", 1, 1),
    ],
)
def test_f1_and_exact_match(language: str, prediction: str, gold: str, f1: float, em: float) -> None:
    rules = normalizer_of("mlqa", language)
    assert token_f1(prediction, [gold], rules) == pytest.approx(f1)
    assert exact_match(prediction, [gold], rules) == em


@pytest.mark.parametrize(
    ("normalizer", "language", "f1", "em", "variant"),
    [
        ("squad", "zh", 0, 0, "SQuAD v1.1"),
        ("mlqa", "zh", 80, 0, "MLQA, its own normalizer"),
        ("mlqa", "vi", 0, 0, "MLQA, its own normalizer"),
    ],
)
def test_the_metric_scores_by_the_language(normalizer: str, language: str, f1: float, em: float, variant: str) -> None:
    metric = SpanScores(normalizer=normalizer, language=language)
    metric.update([Piece(0, 0, "北京市", 1.0)], [["北京"]])
    scores = metric.compute()
    assert (scores["f1"], scores["em"]) == (pytest.approx(f1), em)
    assert metric.variant["f1"] == metric.variant["em"] == variant


def test_a_gold_answer_of_articles_alone_is_none_by_the_language() -> None:
    metric = SpanScores(no_answer=True, normalizer="mlqa", language="de")
    metric.update([Piece(0, 0, "", float("-inf"), 0.0)], [["Die"]])
    assert metric.compute()["f1"] == 100
    assert metric.variant["f1"] == "MLQA's normalizer, SQuAD v2.0 at threshold 0"


def test_other_languages_and_names_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"in ar, de, en, es, hi, vi, zh alone, not in 'ru'; .* normalizer: squad$"):
        SpanScores(normalizer="mlqa", language="ru")
    with pytest.raises(ConfigError, match="option normalizer: no 'mlqaa'; did you mean 'mlqa'"):
        normalizer_of("mlqaa", "de")
    assert normalizer_of("squad", "ru")("The Кот.") == "кот"
