"""Measures intermediates against targets: draws the samples, encodes them, and gives each measure what it wants."""

from __future__ import annotations

import importlib.metadata
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from xtransfer.alignment.arrays import UndefinedError
from xtransfer.alignment.gathering import Draws, Key, gather, possible, tasks_of
from xtransfer.alignment.languages import read_languages
from xtransfer.alignment.parallel_rows import options
from xtransfer.alignment.registry import BETWEEN_LANGUAGES, Measure, chosen
from xtransfer.alignment.rows import Alignment
from xtransfer.alignment.samples import Sample
from xtransfer.alignment.states import States, encode
from xtransfer.datamodules import TaskDataModule
from xtransfer.encoder import Encoder, check_tokenizer, load_tokenizer
from xtransfer.errors import ConfigError
from xtransfer.kinds import Layout
from xtransfer.versions import versions

log = logging.getLogger(__name__)


def measure(
    intermediates: Sequence[str | TaskDataModule],
    targets: Sequence[str | TaskDataModule],
    *,
    data_dir: str | Path | None = None,
    encoder: str = "xlm-roberta-base",
    encoders: Mapping[str, str] | None = None,
    layers: Sequence[int] | Literal["all"] | None = None,
    languages: Sequence[str] | None = None,
    limit: int | None = 200,
    seed: int = 1,
    measures: Sequence[str | Measure] | None = None,
    parallel: str | TaskDataModule | None = None,
    split: str = "test",
    language_table: str | Path | None = None,
) -> list[Alignment]:
    """Measure how near intermediate tasks are to targets, and languages to English, in texts and in an encoder.

    English training rows of intermediates are compared with test rows of targets in each language, whose labels are not
    looked at. Measures of labels look at the targets' own training rows.

    Args:
        intermediates: Names of tasks, or DataModules.
        targets: The same.
        data_dir: Folder with the data sets' own files; without it the hub is read.
        encoder: Name of the pretrained encoder.
        encoders: Intermediate -> folder of the encoder that training on it left, e.g. ``runs/mnli/1-mnli/encoder``.
        layers: After which layers states are read, the embeddings being 0, or ``all``; default the last.
        languages: Languages of the targets, and those compared with English; default all the targets have.
        limit: Rows drawn of each task and language, all if there are fewer.
        seed: By which they are drawn.
        measures: Names of measures; default all. Those that lack what they need are left out, and named in the log.
        parallel: Data set of translations, for measures between languages, e.g. ``Tatoeba`` or ``XNLI``.
        split: Rows of the targets: ``test`` or ``validation``.
        language_table: CSV file of properties of languages; see `read_languages`.

    Returns:
        A row a measure, pair, language and layer; where it is not defined its value is None, and the row says why.

    Raises:
        ConfigError: A name is unknown, or a setting does not fit.
        DataError: A data set cannot be read.
    """
    draws = Draws(limit, seed, split)
    given = dict[str, Any](data_dir=data_dir and Path(data_dir), tokenizer=encoder, seed=seed, evaluate=[])
    tasks = tasks_of(intermediates, targets, parallel, encoders or {}, given)
    table = read_languages(Path(language_table)) if language_table else {}
    wanted, codes = possible(chosen(measures), bool(parallel), bool(encoders)), tasks.languages(languages)
    run = _Run(encoder, encoders or {}, seed, wanted, gather(tasks, codes, wanted, draws), tasks.lengths())
    return run.everything(layers, table, {code for own in codes.values() for code in own})


@dataclass
class _Run:
    """One call of `measure`: what is asked for, the samples, and what was counted."""

    encoder: str
    encoders: Mapping[str, str]
    seed: int
    measures: Sequence[Measure]
    samples: Mapping[Key, Sample]
    lengths: Mapping[str, int]
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.tokenizer = load_tokenizer(self.encoder)
        self.layout = Layout(self.tokenizer)
        packages = ("numpy", "scikit-learn")
        self.versions = versions() | {name: v for name in packages if (v := _version(name))}

    def everything(
        self,
        layers: Sequence[int] | Literal["all"] | None,
        table: Mapping[str, Mapping[str, float]],
        codes: Collection[str],
    ) -> list[Alignment]:
        """Return all rows, and tell what was counted."""
        rows = [*self.texts(), *self.states(layers), *self.properties(table, codes)]
        for name, number in sorted(self.counts.items()):
            if number:
                log.info("alignment: %s: %d", name, number)
        return rows

    def of(self, *scopes: str) -> list[Measure]:
        return [measure for measure in self.measures if measure.scope in scopes]

    # ------------------------------------------------------------------ rows
    def texts(self) -> Iterator[Alignment]:
        """Yield what is measured of texts."""
        if not self.of("texts"):
            return
        found = {key: s.texts(self.layout) for key, s in self.samples.items() if key[0] in ("intermediate", "target")}
        for a, b, one in self._pairs("texts"):
            n = len(found[a].texts), len(found[b].texts)
            yield self._row(one, (found[a], found[b]), n, [a, b], intermediate=a[1], target=b[1], language=b[2])

    def states(self, layers: Sequence[int] | Literal["all"] | None) -> Iterator[Alignment]:
        """Yield what is measured of states: of the pretrained encoder, then of each intermediate's."""
        if not self.samples or not [measure for measure in self.measures if measure.scope != "texts"]:
            return
        before: dict[Key, dict[int, States]] = {}
        for trained in ("", *self.encoders):
            model = self._load(trained)
            at = list(range(model.depth + 1) if layers == "all" else layers or [model.depth])
            if strange := [layer for layer in at if not 0 <= layer <= model.depth]:
                known = f"0 is the embeddings, {model.depth} the last"
                raise ConfigError(f"encoder '{model.name}' has no layer {strange[0]}: {known}")
            found = {key: self._encode(model, sample, at) for key, sample in self._needed(trained)}
            before = before or found
            for layer in at:
                told: dict[str, Any] = {"layer": layer, "trained": bool(trained)}
                if not trained:
                    for a, b, one in self._pairs("states"):
                        names = {"intermediate": a[1], "target": b[1], "language": b[2]}
                        both = found[a][layer].rows, found[b][layer].rows
                        yield self._row(one, both, [*map(len, both)], [a, b], **told, **names)
                yield from self._of_encoder(found, trained, told)
                yield from self._changes(before, found, trained, told) if trained else ()

    def properties(self, table: Mapping[str, Mapping[str, float]], codes: Collection[str]) -> Iterator[Alignment]:
        """Yield the properties of languages that a table of the user's has."""
        for name, column in table.items():
            for code in sorted(codes):
                why = "" if code in column else "the table of languages has no value"
                told: dict[str, Any] = {"measure": f"language:{name}", "scope": "language", "better": "neither"}
                yield Alignment(**told, value=column.get(code), why=why, language=code, versions=self.versions)

    # ------------------------------------------------------------------ within
    def _in(self, role: str) -> list[Key]:
        return [key for key in self.samples if key[0] == role]

    def _pairs(self, scope: str) -> Iterator[tuple[Key, Key, Measure]]:
        for a in self._in("intermediate"):
            for b in self._in("target"):
                yield from ((a, b, measure) for measure in self.of(scope))

    def _needed(self, trained: str) -> Iterator[tuple[Key, Sample]]:
        """Yield the samples that an encoder reads; one that an intermediate left reads no intermediate's rows."""
        roles = {
            "intermediate": self.of("states") and not trained,
            "target": self.of("sample", "change") or (self.of("states") and not trained),
            "training": self.of("labels"),
            "english": self.of(*BETWEEN_LANGUAGES),
            "other": self.of(*BETWEEN_LANGUAGES),
        }
        yield from ((key, sample) for key, sample in self.samples.items() if roles[key[0]])

    def _of_encoder(
        self, found: Mapping[Key, Mapping[int, States]], trained: str, told: dict[str, Any]
    ) -> Iterator[Alignment]:
        """Yield what is measured of one encoder alone: samples, labels, and English against other languages."""
        layer, whose = told["layer"], {"intermediate": trained}
        for key, by_layer in found.items():
            role, task, language = key
            states, names = by_layer[layer], {"target": task, "language": language}
            if role == "target":
                for one in self.of("sample"):
                    yield self._row(one, (states.rows,), [len(states.rows)], [key], **told, **whose, **names)
            elif role == "training":
                for one in self.of("labels"):
                    given = states.labelled or UndefinedError(f"rows of task '{task}' have no classes")
                    n = [len(states.labelled[1])] if states.labelled else []
                    yield self._row(one, given, n, [key], **told, **whose, **names)
            elif role == "other":
                yield from self._between(key, found, layer, told | whose)

    def _between(
        self, key: Key, found: Mapping[Key, Mapping[int, States]], layer: int, told: Mapping[str, Any]
    ) -> Iterator[Alignment]:
        origin: list[Key] = [("english", key[1], key[2]), key]
        english, other = (found[one][layer] for one in origin)
        for one in self.of("parallel"):
            yield self._row(one, (english.rows, other.rows), [len(other.rows)], origin, **told, language=key[2])
        for one in self.of("options"):
            given: Any
            try:
                given = options(english, other, self.samples[origin[0]], self.counts)
            except UndefinedError as error:
                given = error
            n = [] if isinstance(given, UndefinedError) else [len(given[0])]
            yield self._row(one, given, n, origin, **told, language=key[2])

    def _changes(
        self,
        before: Mapping[Key, Mapping[int, States]],
        after: Mapping[Key, Mapping[int, States]],
        trained: str,
        told: Mapping[str, Any],
    ) -> Iterator[Alignment]:
        for key in self._in("target"):
            for one in self.of("change"):
                both = before[key][told["layer"]].rows, after[key][told["layer"]].rows
                names = {"intermediate": trained, "target": key[1], "language": key[2]}
                yield self._row(one, both, [len(both[0])], [key], **told, **names)

    def _row(
        self, one: Measure, given: Sequence[Any] | UndefinedError, n: Sequence[int], origin: Sequence[Key], **told: Any
    ) -> Alignment:
        """Compute a measure and say all that belongs to its row."""
        value, why = None, ""
        try:
            if isinstance(given, UndefinedError):
                raise given
            value = float(one.compute(*given))
            if value != value or abs(value) == float("inf"):
                value, why = None, f"the result is {value}"
        except UndefinedError as error:
            why = str(error)
        return Alignment(
            measure=one.name,
            scope=one.scope,
            value=value,
            why=why,
            better=one.better,
            n=tuple(n),
            seed=self.seed,
            encoder=self.encoder,
            origin=tuple(self.samples[key].origin for key in origin),
            versions=self.versions,
            **told,
        )

    def _load(self, trained: str) -> Encoder:
        name = self.encoders.get(trained, self.encoder)
        log.info("alignment: encoding with %s", name)
        model = Encoder(name).eval().requires_grad_(False)
        check_tokenizer(self.tokenizer, model.vocab_size, name, model.config)
        return model.to("cuda" if torch.cuda.is_available() else "cpu")

    def _encode(self, model: Encoder, sample: Sample, layers: Sequence[int]) -> dict[int, States]:
        length = min(self.lengths[sample.task.name], model.max_length)
        return encode(model, sample, self.layout, layers, length, self.counts)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
