"""Results: one JSON object a line with all that says how a score came about, and tables made from them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtransfer.disk import write
from xtransfer.errors import ConfigError, DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from xtransfer.study_cells import Cells
    from xtransfer.tables import Table

MEAN, GAP = "mean", "gap"
LESS_IS_BETTER: Mapping[str, str] = {"loss": "in nats", "perplexity": "per word"}
"""The scores that are not in percent, and of which less is better: no model is chosen by them. Score -> its unit."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One score and where it comes from.

    Args:
        run: Name of the run.
        stage: Name of the stage.
        chain: The stages its weights went through, the pretrained encoder left out.
        trained: The tasks they were trained on, stage by stage.
        training: What its own stage was trained on where a task's name does not tell: the parts of a mix with their
            shares, steps and epochs, what is missing, languages, shots.
        protocol: Name of the published recipe the run follows; empty if none.
        task: Name of the task.
        head: Name of the head that was scored.
        language: Two-letter code.
        split: What the rows served as: ``validation`` or ``test``.
        rows: Which rows of the data set they were, e.g. ``train[3000:]``.
        metric: Name of the score.
        value: The score, in percent; `loss` is in nats a hidden word, and `perplexity` e to the power of it.
        n: Examples scored.
        main: Whether it is the task's main score.
        variant: Which definition of the score.
        counts: What was read, cut, split, repaired, unlabelled.
        origin: Data source and revision, or file digests.
        encoder: Name of the encoder.
        precision: In which the rows were scored, e.g. ``32-true`` or ``bf16``.
        layer: Encoder layer the head read, the embeddings counting as 0.
        pooling: How the head makes one vector of many; empty where it does not.
        threshold: The threshold the score depends on and what it was chosen on; empty where there is none.
        adapters: Adapters that were trained in place of the encoder, with their size, and what became of those before;
            empty if there were none.
        seed: The run's seed.
        steps: Optimisation steps of the stage.
        tokens: Tokens it was trained on, padding not counted.
        seconds: How long that took; of an interrupted training since it last went on.
        reused_from: The run and stage that has trained it, where it was taken from a store; empty where it was trained
            in this run.
        selected: Which of its models was kept: the best by which score, at which step, or the last.
        config: Digest of the stage's configuration, data and history.
        config_file: The stage's whole configuration.
        versions: Versions of the packages.
        time: When it was scored, ISO 8601, UTC.
    """

    run: str
    stage: str
    chain: Sequence[str]
    task: str
    head: str
    language: str
    split: str
    metric: str
    value: float
    n: int
    main: bool
    trained: Sequence[str] = field(default_factory=list)
    training: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = ""
    rows: str = ""
    variant: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    origin: str = ""
    encoder: str = ""
    precision: str = ""
    layer: int | None = None
    pooling: str = ""
    threshold: str = ""
    adapters: str = ""
    seed: int | None = None
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    reused_from: str = ""
    selected: str = ""
    config: str = ""
    config_file: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    time: str = ""


class Results:
    """Rows of one run or of many.

    Args:
        rows: The rows.
        sweep: What is known of the sweep they come from; None: they come from no sweep.
    """

    def __init__(self, rows: Iterable[Row] = (), sweep: Cells | None = None) -> None:
        self.rows, self.sweep = list(rows), sweep

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        """Go through the rows."""
        return iter(self.rows)

    @classmethod
    def load(cls, *paths: str | Path) -> Results:
        """Read ``results.jsonl`` files, those in the folders of runs or stages, or those of all cells of a sweep.

        Where a stage's folder lies beside its results, rows name its configuration there: it may have been moved, or
        written from another working directory.

        Raises:
            DataError: There is none, or a line is broken; names file and line.
        """
        from xtransfer.study_cells import files_of

        rows = []
        files, sweep = files_of(paths)
        for path in files:
            file = path / "results.jsonl" if path.is_dir() else path
            if not file.is_file():
                raise DataError(f"no results in {path}: expected {file}")
            for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
                if not line:
                    continue
                try:
                    rows.append(_found_in(file.parent, Row(**json.loads(line))))
                except (json.JSONDecodeError, TypeError) as error:
                    raise DataError(f"{file}:{number}: not a result: {error}") from error
        return cls(rows, sweep)

    def append(self, path: Path) -> None:
        """Add the rows to a file, one JSON object a line, flushed to the disk."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in self._lines())
            stream.flush()
            os.fsync(stream.fileno())

    def _lines(self) -> list[str]:
        return [json.dumps(asdict(row), ensure_ascii=False) for row in self.rows]

    def replace(self, path: Path) -> None:
        """Add the rows to a file in place of those there of the same stage and configuration; others stay as they are.

        So a stage that is scored again, because the run was killed just after, stands there once. The file is
        exchanged in one step.
        """
        scored = {(row.stage, row.config) for row in self.rows}
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        kept = [line for line in lines if line and _origin(line) not in scored]
        write(path, "".join(f"{line}\n" for line in [*kept, *self._lines()]))

    def where(self, **wanted: Any) -> Results:
        """Return the rows whose fields have these values, e.g. ``where(task="xnli", main=True)``."""
        chosen = (row for row in self.rows if all(getattr(row, k) == v for k, v in wanted.items()))
        return Results(chosen, self.sweep)

    def of_runs(self, runs: Sequence[str]) -> Results:
        """Return the rows of some runs."""
        from xtransfer.study_cells import of_runs

        return of_runs(self, runs)

    def languages(self) -> list[str]:
        """Return the languages in order of their codes, English first."""
        return sorted({row.language for row in self.rows}, key=lambda code: (code != "en", code))

    def by_language(self) -> dict[str, float]:
        """Return language -> value of these rows, with their mean and, where English is among them, the gap.

        The gap is the English score less the mean over the other languages, as in XTREME's paper.
        """
        values = {code: self.where(language=code).rows[-1].value for code in self.languages()}
        others = [value for code, value in values.items() if code != "en"]
        told = dict(values)
        if values:
            told[MEAN] = sum(values.values()) / len(values)
        if "en" in values and others:
            told[GAP] = values["en"] - sum(others) / len(others)
        return told

    def table(
        self,
        columns: str = "target",
        task: str | None = None,
        metric: str | None = None,
        split: str = "test",
        baseline: str = "none",
        recipes: Mapping[str, str] | None = None,
        difference: bool = True,
        rows: str = "intermediate",
    ) -> Table:
        """Return the intermediate tasks' scores as a table; `xtransfer.study_tables` says how they are laid out.

        Of a sweep, rows and columns may also be its axes, e.g. ``rows="model.lr"``.

        Args:
            columns: ``target``: a column a target task, or ``language``: the languages of one target; ``best``: the
                intermediate chosen on development rows, for each target; ``seed``, or an axis of the sweep.
            task: Only this task; may be left out with ``language`` if there is only one.
            metric: Name of the score; default each task's main score.
            split: ``test`` or ``validation``.
            baseline: The intermediate that the others are compared with; ``none`` is no intermediate task.
            recipes: Target -> the intermediate that is part of its published recipe, e.g. ``{"xcopa": "siqa"}``.
            difference: Tell differences to the baseline, or else scores.
            rows: ``intermediate``, or as for `columns`.

        Raises:
            ConfigError: A name is unknown, or no row is left.
        """
        from xtransfer.study import lay_out
        from xtransfer.study_tables import COLUMNS, tables

        across = "target" if columns in COLUMNS else columns
        study = lay_out(self, metric, split, baseline, recipes, [task] if task else [], (rows, across))
        found = tables(study, columns if columns in COLUMNS else "target", difference)
        if len(found) > 1:
            raise ConfigError(f"{len(found)} targets have a table each: choose a task of {study.targets}")
        return found[0]

    def to_frame(self) -> DataFrame:
        """Return the scores as a pandas data frame: a row a score, none twice, a sweep's axes as columns too."""
        from xtransfer.study_cells import frame

        return frame(self)

    def gains(self, **options: Any) -> Any:
        """Return the differences to the baseline and how sure they are; see `xtransfer.significance.gains`."""
        return import_module("xtransfer.significance").gains(self, **options)  # a layer up: it reads predictions

    def plot(
        self, kind: str = "heatmap", task: str | None = None, path: str | Path | None = None, **options: Any
    ) -> Figure:
        """Return a picture of the scores; see `xtransfer.pictures.one`, which takes the same arguments."""
        figure: Figure = import_module("xtransfer.pictures").one(self, kind, task, path, **options)  # a layer up
        return figure


def _found_in(folder: Path, row: Row) -> Row:
    """Return a row that names its configuration where it lies now, if it lies below the folder it was read from."""
    stage = Path(row.config_file).parent.name
    for place in (folder / stage, folder):
        if place.name == stage and (place / "config.yaml").is_file():
            return replace(row, config_file=str(place / "config.yaml"))
    return row


def _origin(line: str) -> tuple[str, str] | None:
    """Return the stage and configuration of a result, or None of a line that a kill cut short."""
    try:
        row = json.loads(line)
        return row["stage"], row["config"]
    except (ValueError, TypeError, KeyError):
        return None


def unit(metric: str) -> str:
    """Return what a score is measured in, as titles say it."""
    return LESS_IS_BETTER.get(metric, "in percent")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Return a Markdown table with aligned columns, those of `left` to the left; a missing cell is a dash."""
    cells = [list(header), *[[cell.replace("|", "\\|") or "–" for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [f"{c:<{w}}" if i in left else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (w + 1) + ("-" if i in left else ":") for i, w in enumerate(widths))
    return "\n".join([line(cells[0]), f"|{rule}|", *map(line, cells[1:])])
