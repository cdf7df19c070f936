"""Measures intermediates against targets: draws the samples, encodes them, and gives each measure what it wants."""

from __future__ import annotations

import importlib.metadata
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from xtransfer.alignment.arrays import UndefinedError
from xtransfer.alignment.languages import read_languages
from xtransfer.alignment.parallel_rows import ENGLISH, draw_parallel, options
from xtransfer.alignment.registry import BETWEEN_LANGUAGES, PAIRS, Measure, chosen
from xtransfer.alignment.rows import Alignment
from xtransfer.alignment.samples import Sample, draw, task_data
from xtransfer.alignment.states import States, encode
from xtransfer.datamodules import TaskDataModule
from xtransfer.encoder import Encoder, check_tokenizer, load_tokenizer
from xtransfer.errors import ConfigError, nearest
from xtransfer.kinds import Layout
from xtransfer.versions import versions

log = logging.getLogger(__name__)

Key = tuple[str, str, str]
"""Role (``intermediate``, ``target``, ``training``, ``english``, ``other``), task and language of a sample."""


def measure(
    intermediates: Sequence[str | TaskDataModule],
    targets: Sequence[str | TaskDataModule],
    *,
    data_dir: Path | None = None,
    encoder: str = "xlm-roberta-base",
    encoders: Mapping[str, str] | None = None,
    layers: Sequence[int] | None = None,
    languages: Sequence[str] | None = None,
    limit: int | None = 200,
    seed: int = 1,
    measures: Sequence[str | Measure] | None = None,
    parallel: str | TaskDataModule | None = None,
    language_table: Path | None = None,
) -> list[Alignment]:
    """Measure how near intermediate tasks are to targets, and languages to English, in texts and in an encoder.

    The intermediates' English training rows are compared with the rows the targets are tested on, in each language;
    their labels are not looked at. Measures of labels look at the targets' own training rows.

    Args:
        intermediates: Names of tasks, or DataModules.
        targets: The same.
        data_dir: Folder with the data sets' own files; without it the hub is read.
        encoder: Name of the pretrained encoder.
        encoders: Intermediate -> folder of the encoder that training on it left, e.g. ``runs/mnli/1-mnli/encoder``.
        layers: After which layers states are read, the embeddings being 0; default the last.
        languages: Languages of the targets, and those compared with English; default all the targets have.
        limit: Rows drawn of each task and language.
        seed: By which they are drawn.
        measures: Names of measures; default all. Those that lack what they need are left out, and named in the log.
        parallel: Data set of translations, for measures between languages, e.g. ``Tatoeba`` or ``XNLI``.
        language_table: CSV file of properties of languages; see `read_languages`.

    Returns:
        A row a measure, pair, language and layer. Where a measure is not defined its value is None, and the row says
        why.

    Raises:
        ConfigError: A name is unknown, or a setting does not fit.
        DataError: A data set cannot be read.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}; at least 1 row has to be drawn")
    given = {"data_dir": data_dir, "tokenizer": encoder, "seed": seed, "evaluate": []}
    names = {"intermediate": intermediates, "target": targets, "parallel": [parallel] if parallel else []}
    tasks = {role: [task_data(name, given) for name in of_role] for role, of_role in names.items()}
    table = read_languages(Path(language_table)) if language_table else {}
    wanted = _possible(chosen(measures), bool(parallel), bool(encoders))
    run = _Run(encoder, dict(encoders or {}), limit, seed, wanted, _known_languages(tasks, languages))
    run.check(tasks["intermediate"])
    run.draw(tasks)
    rows = [*run.texts(), *run.states(layers), *run.properties(table)]
    for name, number in sorted(run.counts.items()):
        if number:
            log.info("alignment: %s: %d", name, number)
    return rows


@dataclass
class _Run:
    """One call of `measure`: what is asked for, the samples, and what was counted."""

    encoder: str
    encoders: Mapping[str, str]
    limit: int | None
    seed: int
    measures: Sequence[Measure]
    languages: Mapping[str, Sequence[str]]
    samples: dict[Key, Sample] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.layout = Layout(load_tokenizer(self.encoder))
        packages = ("numpy", "scikit-learn")
        self.versions = versions() | {name: v for name in packages if (v := _version(name))}

    def check(self, intermediates: Sequence[TaskDataModule]) -> None:
        """Check that the encoders given belong to intermediates."""
        names = [data.record.name for data in intermediates]
        for name in self.encoders:
            if name not in names:
                raise ConfigError(f"an encoder is given of '{name}', which is no intermediate{nearest(name, names)}")

    def of(self, *scopes: str) -> list[Measure]:
        return [measure for measure in self.measures if measure.scope in scopes]

    # ------------------------------------------------------------------ samples
    def draw(self, tasks: Mapping[str, Sequence[TaskDataModule]]) -> None:
        """Draw the samples that the measures need."""
        for data in tasks["intermediate"] if self.of(*PAIRS, "change") else []:
            if not data.trains:
                raise ConfigError(f"task '{data.record.name}' has no training rows, so it can be no intermediate")
            self._add("intermediate", data, "train", data.record.train_languages[0])
        for data in tasks["target"]:
            for language in self.languages[data.record.name] if self.of(*PAIRS, "sample", "change") else []:
                self._add("target", data, "test", language)
            if self.of("labels") and data.trains:
                self._add("training", data, "train", data.record.train_languages[0])
        for data in tasks["parallel"] if self.of(*BETWEEN_LANGUAGES) else []:
            self.lengths[data.record.name] = data.length
            for language in self.languages[data.record.name]:
                english, other = draw_parallel(data, language, self.limit, self.seed)
                self.samples["english", data.record.name, language] = english
                self.samples["other", data.record.name, language] = other

    def _add(self, role: str, data: TaskDataModule, split: str, language: str) -> None:
        log.info("alignment: reading %s, %s rows in %s", data.record.name, split, language)
        self.samples[role, data.record.name, language] = draw(data, split, language, self.limit, self.seed)
        self.lengths[data.record.name] = data.length

    def _in(self, role: str) -> Iterator[tuple[Key, Sample]]:
        yield from ((key, sample) for key, sample in self.samples.items() if key[0] == role)

    # ------------------------------------------------------------------ rows
    def texts(self) -> Iterator[Alignment]:
        """Yield what is measured of texts."""
        if not self.of("texts"):
            return
        found = {key: s.texts(self.layout) for key, s in self.samples.items() if key[0] in ("intermediate", "target")}
        for a, b, one in self._pairs("texts"):
            n = len(found[a].texts), len(found[b].texts)
            yield self._row(one, (found[a], found[b]), n, [a, b], intermediate=a[1], target=b[1], language=b[2])

    def states(self, layers: Sequence[int] | None) -> Iterator[Alignment]:
        """Yield what is measured of states: of the pretrained encoder, then of each intermediate's."""
        if not self.samples or not [measure for measure in self.measures if measure.scope != "texts"]:
            return
        before: dict[Key, dict[int, States]] = {}
        for trained in ("", *self.encoders):
            model = self._load(trained)
            at = list(layers) if layers is not None else [model.depth]
            if strange := [layer for layer in at if not 0 <= layer <= model.depth]:
                raise ConfigError(f"encoder '{model.name}' has no layer {strange[0]}: 0 is the embeddings, {model.depth} the last")
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

    def properties(self, table: Mapping[str, Mapping[str, float]]) -> Iterator[Alignment]:
        """Yield the properties of languages that a table of the user's has."""
        codes = sorted({code for own in self.languages.values() for code in own})
        for name, column in table.items():
            for code in codes:
                why = "" if code in column else "the table of languages has no value"
                told: dict[str, Any] = {"measure": f"language:{name}", "scope": "language", "better": "neither"}
                yield Alignment(**told, value=column.get(code), why=why, language=code, versions=self.versions)

    # ------------------------------------------------------------------ within
    def _pairs(self, scope: str) -> Iterator[tuple[Key, Key, Measure]]:
        for a, _ in self._in("intermediate"):
            for b, _ in self._in("target"):
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
        for key, _ in self._in("target"):
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
        check_tokenizer(self.layout.tokenizer, model.vocab_size, name, model.config)
        return model.to("cuda" if torch.cuda.is_available() else "cpu")

    def _encode(self, model: Encoder, sample: Sample, layers: Sequence[int]) -> dict[int, States]:
        length = min(self.lengths[sample.task.name], model.max_length)
        return encode(model, sample, self.layout, layers, length, self.counts)


def _possible(measures: Sequence[Measure], parallel: bool, trained: bool) -> list[Measure]:
    """Return the measures that have what they need; the others are named."""
    lacking = {scope: "a data set of translations" for scope in BETWEEN_LANGUAGES if not parallel}
    lacking |= {} if trained else {"change": "encoders that intermediates left"}
    for one in measures:
        if one.scope in lacking:
            log.info("alignment: %s is left out: it needs %s", one.name, lacking[one.scope])
    return [one for one in measures if one.scope not in lacking]


def _known_languages(
    tasks: Mapping[str, Sequence[TaskDataModule]], wanted: Sequence[str] | None
) -> dict[str, Sequence[str]]:
    """Return the languages of each target, and of the translations those that the targets have, without English.

    Raises:
        ConfigError: No target has one of those asked for, or a target has none of them.
    """
    found: dict[str, Sequence[str]] = {}
    spoken = sorted({code for data in tasks["target"] for code in data.languages})
    for code in wanted or ():
        if code not in spoken:
            raise ConfigError(f"no target has the language '{code}'{nearest(code, spoken)}")
    for data in tasks["target"]:
        found[data.record.name] = [code for code in data.languages if wanted is None or code in wanted]
        if not found[data.record.name]:
            raise ConfigError(f"task '{data.record.name}' has none of the languages {', '.join(wanted or ())}")
    for data in tasks["parallel"]:
        own = [code for code in data.languages if code in (wanted or spoken) and code != ENGLISH]
        found.setdefault(data.record.name, own)
        if data.record.name in {target.record.name for target in tasks["target"]}:
            continue
        found[data.record.name] = own
    return found


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
