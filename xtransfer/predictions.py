"""Files of predictions, one a task and language, as XTREME's evaluator reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from xtransfer.disk import write
from xtransfer.kinds import KINDS, Retrieval
from xtransfer.metrics import Piece, RetrievalScores
from xtransfer.module import TransferModule

Collected = dict[tuple[int, int], tuple[Piece, dict[str, Any]]]


class PredictionWriter(Callback):
    """Collects what is predicted in testing and prediction and writes ``<folder>/<task>/test-<language>.<type>``.

    Pieces of one example (windows of a passage, parts of a sentence) are joined, the order of the rows is restored,
    and rows a distributed sampler repeats are written once.

    Args:
        folder: Where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[Path] = []
        self._collected: dict[tuple[str, str], Collected] = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Mapping[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's predictions."""
        assert isinstance(pl_module, TransferModule)
        if isinstance(pl_module.metric_of("test", batch["task"], batch["language"]), RetrievalScores):
            return  # holds all vectors itself, and what was found among them
        into = self._collected.setdefault((batch["task"], batch["language"]), {})
        for piece, meta in zip(outputs["pieces"], batch["meta"], strict=True):
            into[piece.index, piece.part] = (piece, {"id": meta.get("id")})

    on_predict_batch_end = on_test_batch_end

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write all files."""
        assert isinstance(pl_module, TransferModule)
        collected = _gather(self._collected)
        self._collected = {}
        if not trainer.is_global_zero:
            return
        for (task, language), pieces in collected.items():
            spec = pl_module.tasks[task]
            ordered = [pieces[key] for key in sorted(pieces)]
            text = KINDS[spec["kind"]].export([piece for piece, _ in ordered], [meta for _, meta in ordered], spec)
            self._write(text, spec, language)
        for spec in pl_module.tasks.values():
            kind = KINDS[spec["kind"]]
            if isinstance(kind, Retrieval):
                metric = pl_module.metric_of("test", spec["name"], spec["languages"][0])
                assert isinstance(metric, RetrievalScores)
                for language, found in metric.predictions.items():
                    self._write(kind.export_found(found, spec), spec, language)

    on_predict_end = on_test_end

    def _write(self, text: str, spec: Mapping[str, Any], language: str) -> None:
        path = self.folder / spec["name"] / f"test-{language}.{KINDS[spec['kind']].file_type(spec)}"
        write(path, text)
        self.files.append(path)


def _gather(own: dict[tuple[str, str], Collected]) -> dict[tuple[str, str], Collected]:
    """Join what all processes collected."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return own
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, own)
    joined: dict[tuple[str, str], Collected] = {}
    for part in parts:
        for key, pieces in part.items():
            joined.setdefault(key, {}).update(pieces)
    return joined
