"""The vocabulary of the library: what a task is and where its rows come from. Standard library only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from xtransfer.errors import ConfigError, DataError, nearest

Row = dict[str, Any]
"""One row as its source gives it: column -> value. The key `WHERE` holds where it was read."""

WHERE = "_where"
"""Reserved column: the place of a row for error messages, e.g. ``xnli/dev-de.tsv:17``."""

PART = "_part"
"""Reserved column of joined data sets: the name of the one a row is of; rows are counted by it."""

BLANK = "_blank"
"""Reserved column of plain text: the number of blank lines that were skipped before the row; they are counted."""

LEFT_OUT = "_left_out"
"""Reserved column of a split's last row: the number of sentences that its files hold without text; they are counted."""

KindName = Literal["classification", "span", "tagging", "multiple_choice", "retrieval", "mlm"]

SPLITS = ("train", "validation", "test")

POOL = "pool"
"""The split under which a source keeps the candidates that the queries of all languages share."""

IN_SPEC = "name kind labels labels_from_train languages train_languages metric options pool"
"""What the module and its checkpoint need to know of a task."""


def columns(row: Mapping[str, Any]) -> list[str]:
    """Return the names of a row's columns, without the reserved ones."""
    return [name for name in row if name not in (WHERE, PART, BLANK, LEFT_OUT)]


class Source(ABC):
    """Where the rows of a task come from: the hub, or files in their original format."""

    @property
    def embedded(self) -> bool:
        """Whether the rows are shipped with the package, so that no folder is needed."""
        return False

    @property
    def basis(self) -> Source:
        """The source the rows are read from: itself, unless it only adds to the rows of another."""
        return self

    @abstractmethod
    def rows(self, split: str, language: str, folder: Path | None) -> Iterator[Row]:
        """Yield the rows of one split in one language, in the order of the source.

        Args:
            split: ``train``, ``validation``, ``test`` or ``pool``.
            language: The library's two-letter code.
            folder: The task's own folder, ``<data_dir>/<task>``; sources that need none ignore it.

        Raises:
            DataError: A row or file is broken, or missing; the message names it.
        """

    @abstractmethod
    def declares(self, split: str) -> bool:
        """Say whether the data set has such a split at all."""

    @abstractmethod
    def has(self, split: str, language: str, folder: Path | None) -> bool:
        """Say whether this source holds that split in that language, without reading it."""

    @abstractmethod
    def origin(self, split: str, language: str, folder: Path | None) -> str:
        """Name what `rows` reads so exactly that two equal texts mean equal data (id and revision, or file digests)."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task: a frozen record of what its rows mean. How they are encoded, decoded and scored follows from `kind`.

    Args:
        name: Short name, also that of its files of predictions.
        kind: Which of the six kinds of task it is.
        fields: Role -> column, e.g. ``{"text": "premise", "pair": "hypothesis", "label": "label"}``. A value may
            reach inside (``choices.text``), be a template (``{premise} What was the {question}?``; over a list
            column it gives a list) or a list of these.
        hub: Where it lies on the hub, or None.
        files: Its original file formats; the one whose files are found below ``data_dir/<folder>`` is read.
        labels: Names of the classes or tags; their order is the order of the head's outputs.
        labels_from_train: The labels are those of the training rows, sorted; another one in the rows a model is scored
            on counts as a wrong prediction. Only for tagging.
        aliases: Spelling in the source -> label, e.g. ``{"contradictory": "contradiction"}``.
        unlabelled: Spellings that mean 'no gold label'.
        drop_unlabelled: Leave such rows out of training (counted), as the data set's authors ask.
        languages: Languages it is evaluated in.
        train_languages: Languages of its training and development rows.
        head: Name of the head that answers it; default its own name. Tasks of one head must have equal labels.
        metric: The main score, by which models are chosen; default the kind's.
        options: Settings of the kind, e.g. ``{"stride": 128}``; unknown names are refused.
        sizes: Published number of rows, by ``split`` or ``split/language``; another number is reported.
        pool: Retrieval: languages whose candidates, read under the split `POOL`, are one pool for all queries.
        max_length: Default number of tokens of one input; default the kind's.
        folder: Its folder below ``data_dir``; default its name.
        home: Where its authors publish it, for messages and lists.
    """

    name: str
    kind: KindName
    fields: Mapping[str, str | list[str]]
    hub: Source | None = None
    files: tuple[Source, ...] = ()
    labels: tuple[str, ...] = ()
    labels_from_train: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    unlabelled: tuple[str, ...] = ("", "-", "-1")
    drop_unlabelled: bool = False
    languages: tuple[str, ...] = ("en",)
    train_languages: tuple[str, ...] = ("en",)
    head: str | None = None
    metric: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    max_length: int | None = None
    pool: tuple[str, ...] = ()
    folder: str | None = None
    home: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without data.

        Raises:
            ConfigError: The kind is unknown or the name cannot be a folder's.
        """
        if self.kind not in get_args(KindName):
            raise ConfigError(f"task '{self.name}': unknown kind '{self.kind}'{nearest(self.kind, get_args(KindName))}")
        if not self.name or not all(c.isalnum() or c in "_-" for c in self.name):
            raise ConfigError(f"task name '{self.name}': only letters, digits, '_' and '-' are allowed")
        if len(set(self.labels)) != len(self.labels):
            raise ConfigError(f"task '{self.name}': a label is named twice in {list(self.labels)}")

    def spec(self) -> dict[str, Any]:
        """Return what the module and its checkpoint need to know, as plain data."""
        plain = {key: value for key, value in asdict(self).items() if key in IN_SPEC.split()}
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}
        return plain | {"head": self.head or self.name}

    def declares(self, split: str) -> bool:
        """Say whether the data set has such a split."""
        return any(source.declares(split) for source in (self.hub, *self.files) if source is not None)

    def read(self, row: Row, role: str) -> Any:
        """Return the value that plays `role` in a row, or None if the task has no such role.

        Raises:
            DataError: The row lacks the column.
        """
        wanted = self.fields.get(role)
        if isinstance(wanted, list):
            return [self._column(row, part) for part in wanted]
        return None if wanted is None else self._column(row, wanted)

    def lacking(self, row: Row) -> list[str]:
        """Return the columns that its roles are read from and that a row lacks."""
        wanted = [part for column in self.fields.values() for part in ([column] if isinstance(column, str) else column)]
        names = [name for part in wanted for name in (_in_template(part) if "{" in part else [part])]
        return [name for name in dict.fromkeys(names) if name.split(".")[0] not in row]

    def label_name(self, value: Any) -> str | None:
        """Return the label in the library's spelling, or None where there is no gold label."""
        text = "" if value is None else str(value).strip()
        return None if text in self.unlabelled else self.aliases.get(text, text)

    def where(self, row: Row, language: str) -> str:
        """Return task, language and place of a row, the start of every message about it."""
        return f"{self.name} ({language}) {row.get(WHERE, 'row')}"

    def _column(self, row: Row, wanted: str) -> Any:
        if "{" in wanted:
            return self._template(row, wanted)
        value: Any = row
        for key in wanted.split("."):
            if not isinstance(value, Mapping) or key not in value:
                found = ", ".join(map(str, columns(value))) if isinstance(value, Mapping) else value
                raise DataError(f"{self.name} {row.get(WHERE, 'row')}: no column '{wanted}'; found: {found}")
            value = value[key]
        return value

    def _template(self, row: Row, template: str) -> str | list[str]:
        """Fill a template; columns that hold lists make it a list, item by item."""
        values = {name: self._column(row, name) for name in _in_template(template)}
        lengths = {len(value) for value in values.values() if isinstance(value, list)}

        def fill(position: int) -> str:
            text = template
            for name, value in values.items():
                text = text.replace("{" + name + "}", str(value[position] if isinstance(value, list) else value))
            return text

        return [fill(i) for i in range(min(lengths))] if lengths else fill(0)


def _in_template(template: str) -> list[str]:
    """Return the columns that a template names."""
    return [part.split("}")[0] for part in template.split("{")[1:]]
