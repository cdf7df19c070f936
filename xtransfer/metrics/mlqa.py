"""How the official script of MLQA makes answers comparable, language by language."""

from __future__ import annotations

import re
import string
import unicodedata

from xtransfer.errors import ConfigError

_ARTICLES = {
    "ar": "ال",
    "de": r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "en": r"\b(?:a|an|the)\b",
    "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
    "hi": "",
    "vi": r"\b(?:của|là|cái|chiếc|những)\b",
    "zh": "",
}
"""Language -> pattern of what is deleted. The Arabic article goes wherever its two letters stand, within words too."""

LANGUAGES = tuple(_ARTICLES)
"""The languages the script knows."""

_HAN = re.compile("([\u4e00-\u9fa5])")


def normalize_mlqa(text: str, language: str) -> str:
    """Lower a text's case, delete all punctuation and the language's articles, and put one blank between tokens.

    Punctuation is what Unicode calls so, and what ASCII counts as such besides (``$``, ``+``, ``|``). In Chinese each
    character from U+4E00 to U+9FA5 is a token; other text, and every other language, is split at white space.

    Args:
        text: An answer.
        language: One of `LANGUAGES`.

    Raises:
        ConfigError: The script does not know the language.
    """
    if language not in _ARTICLES:
        raise ConfigError(
            f"MLQA's script compares answers in {', '.join(LANGUAGES)} alone, not in '{language}'; "
            f"for other languages set the option normalizer: squad"
        )
    bare = "".join(character for character in text.lower() if not _is_punctuation(character))
    if articles := _ARTICLES[language]:
        bare = re.sub(articles, " ", bare)
    if language == "zh":
        bare = _HAN.sub(r" \1 ", bare)
    return " ".join(bare.split())


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
