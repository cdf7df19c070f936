"""What a kind is: how a family of tasks is read, encoded, decoded, scored and written, one file each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from xtransfer.errors import ConfigError, DataError, nearest
from xtransfer.heads import Head
from xtransfer.kinds.text import Feature, LabelLayout, Layout, Vocabulary
from xtransfer.metrics import Piece, TaskMetric
from xtransfer.task import Row, Task

if TYPE_CHECKING:
    from xtransfer.encoder import Encoder

HeadFactory = Callable[[int, int], Head]
"""Makes a head from the width of the hidden states and the number of outputs."""

Example = dict[str, Any]
"""A checked row: role -> value, with the label already a number; `index` is its position in the split."""


class Kind(ABC):
    """One of the six kinds of task. Stateless: everything a task adds comes in its record.

    Attributes:
        head: The default head.
        roles: Roles a task of this kind must name in its `fields`.
        options: The kind's settings and their defaults; a task's `options` are laid over them.
        max_length: Default number of tokens of one input.
        main: The main score.
        suffix: File type of its predictions.
        labels_per: What a label belongs to, for `collate`.
        auxiliary: No model is chosen by such a task where it is trained beside others.
        whole_vocabulary: All words take part in each step of its training, also those that are in no row.
        scoring_options: The options that change scores alone, never what is trained.
    """

    head: ClassVar[type[Head]]
    roles: ClassVar[tuple[str, ...]]
    options: ClassVar[Mapping[str, Any]] = {}
    max_length: ClassVar[int] = 128
    main: ClassVar[str] = "accuracy"
    suffix: ClassVar[str] = "tsv"
    labels_per: ClassVar[LabelLayout] = "example"
    auxiliary: ClassVar[bool] = False
    whole_vocabulary: ClassVar[bool] = False
    scoring_options: ClassVar[tuple[str, ...]] = ()

    def check(self, task: Task) -> None:
        """Check a record against what this kind needs.

        Raises:
            ConfigError: A role or label set is missing, or an option is unknown.
        """
        missing = [role for role in self.roles if role not in task.fields]
        if missing:
            raise ConfigError(
                f"task '{task.name}': a {task.kind} task needs the fields {list(self.roles)}; missing: {missing}"
            )
        self.settings(task.options)

    def settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Lay a task's options over the kind's.

        Raises:
            ConfigError: An option this kind does not have.
        """
        for name in options:
            if name not in self.options:
                raise ConfigError(f"unknown option '{name}' for {type(self).__name__}{nearest(name, self.options)}")
        return {**self.options, **options}

    @abstractmethod
    def example(self, row: Row, task: Task, language: str) -> Example:
        """Read a row: pick the roles, check them, turn labels into numbers (None: no gold label).

        Raises:
            DataError: A column is missing or a value is not legal; names task, language, file and line.
        """

    def check_together(self, examples: Sequence[Example], train: bool) -> None:
        """Check what can be told of rows beside one another only; by default there is nothing to check.

        Args:
            examples: All of a portion.
            train: Whether they are trained on, or else scored.

        Raises:
            DataError: They do not go together; the message names the row.
        """
        return None

    @abstractmethod
    def encode(
        self,
        examples: Sequence[Example],
        task: Task,
        layout: Layout,
        max_length: int,
        train: bool,
        counts: Counter[str],
    ) -> Iterator[Feature]:
        """Tokenise examples into features; what is cut, split, repaired or empty is added to `counts`."""

    @abstractmethod
    def num_labels(self, spec: Mapping[str, Any]) -> int:
        """Return the number of outputs the head needs for a task's plain record."""

    @abstractmethod
    def metric(self, spec: Mapping[str, Any], language: str = "en") -> TaskMetric:
        """Return a fresh metric for one task in one language; that of retrieval takes all languages."""

    @abstractmethod
    def decode(self, logits: Tensor, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Piece]:
        """Read predictions out of a batch's logits, one piece a feature."""

    @abstractmethod
    def export(self, pieces: Sequence[Piece], metas: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> str:
        """Write a language's predictions as the official evaluator reads them; pieces come in order, once each."""

    def labels_in(self, rows: Iterable[Row], task: Task) -> set[str]:
        """Return the names of the labels in rows, for tasks that have their labels from the training rows.

        Raises:
            ConfigError: Tasks of this kind have not.
        """
        raise ConfigError(f"task '{task.name}': `labels_from_train` is for tagging, not for {task.kind}")

    def gold(self, examples: Sequence[Example], task: Task) -> str:
        """Write a language's right answers as the official evaluator reads them, row by row as `export` predictions.

        Args:
            examples: Checked rows, in order.
            task: Their task.

        Raises:
            DataError: A row has no gold label, or the official evaluator reads no labels of such tasks.
        """
        raise DataError(f"task '{task.name}': there is no official form of labels for such a task ({task.kind})")

    def new_head(self, spec: Mapping[str, Any], hidden_size: int) -> Head:
        """Return a fresh head for a task's plain record."""
        return self.head(hidden_size, self.num_labels(spec))

    def head_on(
        self, encoder: Encoder, spec: Mapping[str, Any], factory: HeadFactory | None = None, pretrained: bool = True
    ) -> Head:
        """Return a fresh head on top of an encoder.

        Args:
            encoder: The encoder.
            spec: The task's plain record.
            factory: What makes it, in place of the kind's own class.
            pretrained: Take over what the encoder's checkpoint has for it; False where other weights follow.

        Raises:
            ConfigError: The head comes with labels, and they are not the task's.
        """
        width = encoder.hidden_size
        head = factory(width, self.num_labels(spec)) if factory else self.new_head(spec, width)
        if head.labels and head.labels != tuple(spec["labels"]):
            raise ConfigError(
                f"task '{spec['name']}': expected a head with the labels {list(spec['labels'])}, in this order; found "
                f"{list(head.labels)}; give a PretrainedHead its `labels` in that order"
            )
        return head

    def shown(self, feature: Feature, task: Task, vocabulary: Vocabulary, seed: int) -> Feature:
        """Return a training feature as a model is shown it this time; by default as it is.

        Args:
            feature: What `encode` made.
            task: Its task.
            vocabulary: The tokenizer's.
            seed: Another number for every time it is shown; all that is drawn depends on it alone.
        """
        return feature

    def main_score(self, spec: Mapping[str, Any]) -> str:
        """Return the score by which models are chosen: the task's, or the kind's."""
        return str(spec["metric"] or self.main)

    def file_type(self, spec: Mapping[str, Any]) -> str:
        """Return the file type of a task's predictions."""
        return self.suffix

    def calibrates(self, spec: Mapping[str, Any]) -> bool:
        """Say whether something is chosen on development rows although nothing is trained."""
        return False

    def layer(self, depth: int, spec: Mapping[str, Any]) -> int | None:
        """Return the encoder layer whose output a task uses by default; None is the last."""
        return None


def require_labels(examples: Sequence[Example], task: Task) -> None:
    """Check that every row has a gold label.

    Raises:
        DataError: Some have none; says how many, and which is the first.
    """
    absent = [number for number, example in enumerate(examples, 1) if example["label"] is None]
    if absent:
        raise DataError(
            f"task '{task.name}': {len(absent)} of {len(examples)} rows have no gold label, first row {absent[0]}; "
            "XTREME's copies of test rows have none, the data sets' own files do"
        )


def label_id(task: Task, row: Row, language: str, value: object, labels: Sequence[str]) -> int | None:
    """Return a label's number, or None where there is no gold label.

    Raises:
        DataError: The label is not among `labels`.
    """
    name = task.label_name(value)
    if name is None:
        return None
    if name not in labels:
        allowed = ", ".join(labels)
        raise DataError(f"{task.where(row, language)}: label '{value}' is not one of: {allowed}")
    return list(labels).index(name)


def text_of(task: Task, row: Row, language: str, role: str) -> str:
    """Return a text role of a row; an empty text is legal (and counted when it is encoded).

    Raises:
        DataError: The value is no text.
    """
    value = task.read(row, role)
    if not isinstance(value, str):
        raise DataError(f"{task.where(row, language)}: '{task.fields[role]}' should be a text, found {value!r:.80}")
    return value
