"""The active vocabulary: only the rows of the word embeddings that a stage can touch are trained and kept in memory.

Most of a multilingual encoder's parameters are word embeddings, most of them of words that a stage never sees. They get
no gradient, and still are moved by the optimiser in every step, in its state and in what processes send one another.
AdamW changes such a row by its decay alone: all of them by one and the same factor, which can be applied at the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

log = logging.getLogger(__name__)
WORTH = 0.9
"""A table of which a larger share would be trained is left whole."""


class Words(NamedTuple):
    """The words of a stage.

    Attributes:
        trained: Ids in its training rows, ascending, special tokens included.
        scored: Ids in its development rows alone, ascending.
    """

    trained: Tensor
    scored: Tensor


class Activation(NamedTuple):
    """What the active vocabulary of a stage is made with.

    Attributes:
        words: Tells its words, once its rows are tokenised.
        file: Where the whole table is kept meanwhile.
    """

    words: Callable[[], Words]
    file: Path


class ActiveEmbedding(nn.Module):
    """A table of word embeddings of which only some rows are trained; the whole of it waits in a file.

    A word that is in no row of the stage has no row here: looking it up is an error.

    Args:
        table: The whole table ``(V, E)``.
        words: The rows that are trained, and those that are only looked up in evaluation.
        file: Where the whole table is written to; it is as large as the table.

    Attributes:
        weight: The trained rows ``(A, E)``.
        rest: The rows that are only looked up, as they were at the start.
        decay: Factor by which decay has moved all rows that are not trained.
    """

    weight: nn.Parameter
    rest: Tensor
    place: Tensor

    def __init__(self, table: nn.Embedding, words: Words, file: Path) -> None:
        super().__init__()
        rows, self.embedding_dim = table.weight.shape
        self.num_embeddings, self.padding_idx, self.file, self.decay = rows, table.padding_idx, file, 1.0
        trained, scored = words
        if self.padding_idx is not None:
            trained = torch.unique(torch.cat([trained, torch.tensor([self.padding_idx])]))
            scored = scored[scored != self.padding_idx]
        whole, device = table.weight.detach().cpu(), table.weight.device
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({"weight": whole.contiguous()}, file)
        place = torch.full((rows,), rows, dtype=torch.int32)  # out of range
        place[trained] = torch.arange(len(trained), dtype=torch.int32)
        place[scored] = torch.arange(len(trained), len(trained) + len(scored), dtype=torch.int32)
        self.trained = trained
        self._padding = None if self.padding_idx is None else int(place[self.padding_idx])
        self.weight = nn.Parameter(whole[trained].to(device))
        # In no checkpoint: they stay as they are, and what is scored meanwhile may be another choice of words later.
        self.register_buffer("rest", whole[scored].to(device), persistent=False)
        self.register_buffer("place", place.to(device), persistent=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Look words up: ``(...) -> (..., E)``."""
        place, active = self.place[input_ids], len(self.weight)
        if self.training or not len(self.rest):
            return F.embedding(place, self.weight, self._padding)
        other = F.embedding((place - active).clamp(min=0), self.rest) * self.decay
        return torch.where((place < active)[..., None], F.embedding(place.clamp(max=active - 1), self.weight), other)

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep count of the decay that an optimiser applies to the trained rows, as it is that of all others."""
        group = next(g for g in optimizer.param_groups if any(p is self.weight for p in g["params"]))
        position = optimizer.param_groups.index(group)

        def count(stepped: torch.optim.Optimizer, *_: Any) -> None:
            settings = stepped.param_groups[position]  # loading a checkpoint replaces it
            if self.weight.grad is not None:
                self.decay *= 1 - settings["lr"] * settings["weight_decay"]

        optimizer.register_step_post_hook(count)

    def whole(self) -> nn.Embedding:
        """Return the whole table as training all of it would have left it."""
        rows = load_file(self.file)["weight"]
        if self.decay != 1:
            rows = rows * self.decay
        rows[self.trained] = self.weight.detach().cpu().to(rows.dtype)
        rows = rows.to(self.weight.device)
        return nn.Embedding(self.num_embeddings, self.embedding_dim, self.padding_idx, _weight=rows)

    def get_extra_state(self) -> Tensor:
        """Return what a checkpoint holds besides the rows: the decay."""
        return torch.tensor(self.decay, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what a checkpoint holds."""
        self.decay = float(state)


def activate(model: PreTrainedModel, activation: Activation, name: str) -> None:
    """Train only those rows of an encoder's word embeddings that a stage can touch; the log says how many.

    Where nothing would be gained they are left as they are.

    Args:
        model: The encoder.
        activation: The words of the stage, and where the whole table waits.
        name: The encoder's name, for the log.
    """
    table: Any = model.get_input_embeddings()
    if type(table) is not nn.Embedding:
        log.info("encoder '%s': all words are trained, for its embeddings are a %s", name, type(table).__name__)
        return
    if not table.weight.requires_grad:
        return
    words = activation.words()
    # Of trained words alone, so that what is scored meanwhile changes no bit of the weights.
    if len(words.trained) > WORTH * len(table.weight):
        told = "encoder '%s': all %d words are trained, for %d of them occur in its training rows"
        log.info(told, name, len(table.weight), len(words.trained))
        return
    active = ActiveEmbedding(table, words, activation.file)
    active.train(model.training)
    model.set_input_embeddings(active)
    told = "encoder '%s': %d of %d words are trained, %d more are looked up: no other occurs in this stage"
    log.info(told, name, len(active.weight), len(table.weight), len(active.rest))


def keep_apart(root: nn.Module, active: ActiveEmbedding) -> None:
    """Let processes that train together not send one another, in every step, what each has made itself.

    Args:
        root: The module that is trained by several processes.
        active: Its word embeddings.
    """
    own = {id(buffer) for buffer in active.buffers()}
    names = [name for name, buffer in root.named_buffers() if id(buffer) in own]
    mark: Any = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    mark(root, names)


def settle(model: PreTrainedModel) -> None:
    """Make an encoder's word embeddings a whole, plain table again; nothing happens if they are one."""
    active: Any = model.get_input_embeddings()
    if isinstance(active, ActiveEmbedding):
        model.set_input_embeddings(active.whole())
        active.file.unlink(missing_ok=True)
