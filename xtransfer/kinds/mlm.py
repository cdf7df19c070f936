"""Masked language modelling: words of a plain text are hidden and guessed; the text is its own label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from xtransfer.errors import ConfigError
from xtransfer.heads import Head, MaskedLMHead
from xtransfer.kinds.base import Example, HeadFactory, Kind, text_of
from xtransfer.kinds.text import Feature, Layout, Vocabulary, cut, ids_by_text
from xtransfer.metrics import Perplexity, Piece
from xtransfer.samplers import seed_of
from xtransfer.task import Row, Task

if TYPE_CHECKING:
    from xtransfer.encoder import Encoder

IGNORE = -100


class MaskedLM(Kind):
    """Words of a text are hidden and guessed, as Devlin et al. 2019 train BERT.

    Of the positions that hold no special token some are chosen, their number rounded, at least one; of these most are
    masked, some get a random word, the rest stay as they are, and all are to be guessed. Training rows get new masks
    each time they are shown. Development and test rows are masked once, by their number alone, so that every model of a
    tokenizer guesses the same words.

    Options:
        probability: Share of the positions that are to be guessed.
        masked: Share of these that are replaced by the mask.
        random: Share of these that are replaced by a random word, which is never a special token.
    """

    head = MaskedLMHead
    roles = ("text",)
    options: ClassVar[dict[str, Any]] = {"probability": 0.15, "masked": 0.8, "random": 0.1}
    max_length = 256
    labels_per = "token"
    auxiliary = True
    whole_vocabulary = True

    def check(self, task: Task) -> None:
        """Check the shares, besides what every kind checks."""
        super().check(task)
        options = self.settings(task.options)
        for name, share in options.items():
            if not isinstance(share, int | float) or not 0 <= share <= 1 or (name == "probability" and not share):
                raise ConfigError(f"task '{task.name}': option {name} must be a share from 0 to 1, found {share!r}")
        if options["masked"] + options["random"] > 1:
            raise ConfigError(
                f"task '{task.name}': options masked and random must be at most 1 together, found "
                f"{options['masked']} and {options['random']}"
            )

    def example(self, row: Row, task: Task, language: str) -> Example:
        """Read a text."""
        # The label is not None, which would mean that nothing can be learned from the row.
        return {"text": text_of(task, row, language, "text"), "label": 0}

    def encode(
        self,
        examples: Sequence[Example],
        task: Task,
        layout: Layout,
        max_length: int,
        train: bool,
        counts: Counter[str],
    ) -> Iterator[Feature]:
        """One feature an example: plain to train on, masked to be scored."""
        vocabulary = Vocabulary.of(layout.tokenizer)
        if vocabulary.mask is None:
            raise ConfigError(f"task '{task.name}': the tokenizer has no mask token, which guessing words needs")
        ids = ids_by_text(layout, [example["text"] for example in examples])
        for example in examples:
            whole = ids[example["text"]]
            kept = cut(whole, max_length - layout.single_specials)
            counts["empty_text"] += not whole
            counts["truncated"] += len(kept) < len(whole)
            feature = layout.single(kept) | {"index": example["index"], "part": 0, "meta": {"gold": None}}
            yield feature if train else self.shown(feature, task, vocabulary, seed_of("masks", example["index"]))

    def shown(self, feature: Feature, task: Task, vocabulary: Vocabulary, seed: int) -> Feature:
        """Return the feature with words hidden, and these as labels, -100 everywhere else."""
        options, generator = self.settings(task.options), torch.Generator().manual_seed(seed)
        ids = torch.tensor(feature["input_ids"])
        special = torch.tensor(vocabulary.special)
        words = (~torch.isin(ids, special)).nonzero()[:, 0]
        number = min(len(words), max(1, round(options["probability"] * len(words))))
        chosen = words[torch.randperm(len(words), generator=generator)[:number]]
        labels = torch.full_like(ids, IGNORE)
        labels[chosen] = ids[chosen]
        luck = torch.rand(number, generator=generator)
        other = torch.randint(vocabulary.size - len(special), (number,), generator=generator)
        for token in vocabulary.special:  # ascending: numbers the words, leaving out the special ones
            other += other >= token
        ids[chosen[luck < options["masked"]]] = int(vocabulary.mask or 0)
        swapped = (luck >= options["masked"]) & (luck < options["masked"] + options["random"])
        ids[chosen[swapped]] = other[swapped]
        return feature | {"input_ids": ids.tolist(), "labels": labels.tolist()}

    def num_labels(self, spec: Mapping[str, Any]) -> int:
        """None of the task's own: one output a word of the encoder, see `head_on`."""
        return 0

    def head_on(
        self, encoder: Encoder, spec: Mapping[str, Any], factory: HeadFactory | None = None, pretrained: bool = True
    ) -> Head:
        """Return the head, tied to the encoder's word embeddings, with its checkpoint's weights where it has some.

        Raises:
            ConfigError: The head does not fit the encoder, or is none for masked words.
        """
        from xtransfer.pretrained_lm import fresh_lm_head, load_lm_head  # models, which files of scores do not need

        words: Any = encoder.model.get_input_embeddings()
        head = factory(encoder.hidden_size, encoder.vocab_size) if factory else fresh_lm_head(encoder.config, words)
        if not isinstance(head, MaskedLMHead):
            raise ConfigError(
                f"task '{spec['name']}': expected a MaskedLMHead or a class derived from it, found a "
                f"{type(head).__name__}; leave model.heads out, or correct it"
            )
        head.tie(words)
        if pretrained:
            load_lm_head(head, encoder.name)
        return head

    def metric(self, spec: Mapping[str, Any], language: str = "en") -> Perplexity:
        """The share of words guessed, the loss, and the perplexity."""
        return Perplexity()

    def decode(self, logits: Tensor, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Piece]:
        """Per example: nats of all its hidden words together, how many these are, and how many were guessed.

        The logits ``(M, V)`` are those of the hidden words alone, row by row.
        """
        hidden = batch["labels"] != IGNORE
        gold = batch["labels"][hidden]
        nats = cross_entropy(logits.float(), gold, reduction="none").cpu().double()
        rows = torch.stack([nats, torch.ones_like(nats), (logits.argmax(-1) == gold).cpu().double()], -1)
        example = hidden.cpu().nonzero()[:, 0]
        sums = rows.new_zeros(len(hidden), 3).index_add(0, example, rows).tolist()
        numbers = zip(batch["index"], batch["part"], sums, strict=True)
        return [Piece(index, part, (total, int(n), int(hits))) for index, part, (total, n, hits) in numbers]

    def export(self, pieces: Sequence[Piece], metas: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> str:
        """One example a line: nats of all its hidden words together, how many these are, how many were guessed."""
        values = (piece.value for piece in pieces)
        return "".join(f"{nats:.6f}\t{positions}\t{hits}\n" for nats, positions, hits in values)
