"""The measures by name, what each is given, and how one of a user's own comes among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, get_args

from xtransfer.alignment.cka import linear_cka
from xtransfer.alignment.dali import dali, dali_strict
from xtransfer.alignment.frechet import frechet_distance
from xtransfer.alignment.hscore import h_score
from xtransfer.alignment.isotropy import average_cosine, isoscore
from xtransfer.alignment.jensen_shannon import jensen_shannon
from xtransfer.alignment.logme import logme
from xtransfer.alignment.parallel import margin, mexa, retrieval_accuracy
from xtransfer.alignment.profile import length_ratio, type_token_difference
from xtransfer.alignment.separability import proxy_a_distance
from xtransfer.alignment.subspace import subspace_similarity
from xtransfer.alignment.text_embedding import text_embedding
from xtransfer.alignment.vocabulary import token_coverage, vocabulary_overlap
from xtransfer.errors import ConfigError, nearest

Scope = Literal["texts", "states", "sample", "labels", "parallel", "options", "change"]
"""What a measure is given.

- ``texts``: two `Texts`, the intermediate's training rows and the target's rows in a language.
- ``states``: the same two samples as states ``(N, H)`` and ``(M, H)`` of the pretrained encoder.
- ``sample``: states ``(N, H)`` of the target's rows in a language.
- ``labels``: states ``(N, H)`` of the target's training rows, and their classes ``(N,)``.
- ``parallel``: states ``(N, H)`` of English sentences, and of their translations.
- ``options``: states ``(N, C, H)`` of English questions with each option, and of their translations.
- ``change``: states ``(N, H)`` of the target's rows in the pretrained encoder, and in the one an intermediate left.
"""

PAIRS = ("texts", "states")
"""Scopes that compare an intermediate with a target before anything is trained."""

ENCODERS = ("sample", "labels", "parallel", "options")
"""Scopes that tell of an encoder, and of each intermediate's encoder where these are given."""

BETWEEN_LANGUAGES = ("parallel", "options")
"""Scopes that compare English with another language, whatever the target."""


@dataclass(frozen=True)
class Measure:
    """A measure of alignment.

    Attributes:
        name: What it is called in files, tables and on the command line.
        scope: What it is given; see `Scope`.
        compute: From that to a number; raises `UndefinedError` where there is none.
        better: Which end means nearer, or better for transfer: ``high``, ``low``, or ``neither``.
        paper: Where it is defined.
    """

    name: str
    scope: Scope
    compute: Callable[..., float]
    better: Literal["high", "low", "neither"]
    paper: str

    def __post_init__(self) -> None:
        """Check the scope.

        Raises:
            ConfigError: There is no such scope.
        """
        if self.scope not in get_args(Scope):
            raise ConfigError(f"measure '{self.name}': no scope '{self.scope}'{nearest(self.scope, get_args(Scope))}")


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("jensen_shannon", "texts", jensen_shannon, "low", "Lin 1991"),
        Measure("vocabulary_overlap", "texts", vocabulary_overlap, "high", "Gururangan et al. 2020"),
        Measure("token_coverage", "texts", token_coverage, "high", "its own definition"),
        Measure("length_ratio", "texts", length_ratio, "low", "Ruder and Plank 2017"),
        Measure("type_token_difference", "texts", type_token_difference, "low", "Ruder and Plank 2017; Scott 2004"),
        Measure("proxy_a_distance", "states", proxy_a_distance, "low", "Ben-David et al. 2007"),
        Measure("text_embedding", "states", text_embedding, "high", "Vu et al. 2020"),
        Measure("frechet_distance", "states", frechet_distance, "low", "Dowson and Landau 1982"),
        Measure("subspace_similarity", "states", subspace_similarity, "high", "Bjorck and Golub 1973"),
        Measure("isoscore", "sample", isoscore, "neither", "Rudman et al. 2022"),
        Measure("average_cosine", "sample", average_cosine, "neither", "Ethayarajh 2019"),
        Measure("logme", "labels", logme, "high", "You et al. 2021"),
        Measure("h_score", "labels", h_score, "high", "Bao et al. 2019; Ibrahim et al. 2021"),
        Measure("retrieval_accuracy", "parallel", retrieval_accuracy, "high", "Artetxe and Schwenk 2019"),
        Measure("mexa", "parallel", mexa, "high", "Kargaran et al. 2024"),
        Measure("margin", "parallel", margin, "high", "its own definition"),
        Measure("cka", "parallel", linear_cka, "high", "Kornblith et al. 2019"),
        Measure("dali", "options", dali, "high", "Ravisankar et al. 2025"),
        Measure("dali_strict", "options", dali_strict, "high", "Ravisankar et al. 2025"),
        Measure("cka_change", "change", linear_cka, "neither", "Kornblith et al. 2019"),
    )
}
"""The measures there are, by name."""


def register(measure: Measure) -> Measure:
    """Put a measure of one's own among the others, for this process; it takes the place of an earlier state of itself.

    Raises:
        ConfigError: Another has its name: one whose function has another name, or is of another module.
    """
    if _home(MEASURES.get(measure.name, measure)) != _home(measure):
        raise ConfigError(f"there is a measure '{measure.name}' already: choose another name")
    MEASURES[measure.name] = measure
    return measure


def _home(measure: Measure) -> tuple[object, object]:
    """Return where a measure's function is defined."""
    function: object = measure.compute
    return getattr(function, "__module__", None), getattr(function, "__qualname__", function)


def chosen(names: Iterable[str | Measure] | None) -> list[Measure]:
    """Return measures by their names, or by the dotted path of a `Measure` of one's own; all without any.

    Raises:
        ConfigError: There is none of that name.
    """
    if names is None:
        return list(MEASURES.values())
    return [name if isinstance(name, Measure) else _named(name) for name in names]


def _named(name: str) -> Measure:
    if name in MEASURES:
        return MEASURES[name]
    module, dot, attribute = name.rpartition(".")
    if not dot:
        raise ConfigError(f"no measure '{name}'{nearest(name, MEASURES)}")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the measure '{name}' cannot be imported: {error}") from error
    if not isinstance(found, Measure):
        raise ConfigError(f"'{name}' is a {type(found).__name__}; expected an xtransfer.alignment.Measure")
    return register(found)
