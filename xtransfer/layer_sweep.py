"""Which encoder layer retrieves best: every layer scored in one pass over development rows."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from xtransfer.kinds import KINDS
from xtransfer.metrics import RetrievalScores
from xtransfer.stage_cli import StageCLI
from xtransfer.task_metrics import precision


def scores_by_layer(cli: StageCLI) -> Iterator[tuple[int, dict[str, dict[str, float]]]]:
    """Yield each layer, the embeddings being 0, with its scores by ``val/task/language``.

    All layers of a batch are read off one forward pass; the vectors of one language are held at a time, a set for each
    layer. They are computed in the precision in which the stage is scored. While a layer is yielded, the model's metric
    holds the thresholds of its pairs, as after an evaluation.

    Args:
        cli: A stage with a retrieval task, built, its development rows set up.
    """
    plugin, device = cli.trainer.precision_plugin, cli.trainer.strategy.root_device
    model = cli.model.to(device).eval()
    model.trainer = cli.trainer
    plugin.convert_module(model)
    spec = model.tasks[cli.datamodule.record.name]
    kind, head = KINDS[spec["kind"]], model.head(spec["head"])
    metrics = [kind.metric(spec) for _ in range(model.encoder.depth + 1)]
    scores: list[dict[str, dict[str, float]]] = [{} for _ in metrics]
    thresholds: list[dict[str, tuple[float, str]]] = [{} for _ in metrics]
    loaders = cli.datamodule.val_dataloader()
    for loader in loaders.values() if isinstance(loaders, dict) else loaders:
        for batch in loader:
            inputs = {name: batch[name].to(device) for name in ("input_ids", "attention_mask")}
            types = batch.get("token_type_ids")
            golds = [meta["gold"] for meta in batch["meta"]]
            with torch.inference_mode(), plugin.forward_context(), precision(model, model.eval_bf16):
                states = model.encoder.layers(**inputs, token_type_ids=None if types is None else types.to(device))
                for metric, hidden in zip(metrics, states, strict=True):
                    assert isinstance(metric, RetrievalScores)
                    pieces = kind.decode(head(hidden, inputs["attention_mask"]).logits, batch, spec)
                    metric.update(pieces, golds, batch["language"])
        for layer, metric in enumerate(metrics):
            assert isinstance(metric, RetrievalScores)
            found = {f"val/{spec['name']}/{language}": values for language, values in metric.compute().items()}
            scores[layer] |= {name: values for name, values in found.items() if values["n"]}
            thresholds[layer] |= metric.thresholds
            metric.reset()
    for layer, of_layer in enumerate(scores):
        for name in of_layer:
            told = model.metric_of(*name.split("/"))
            assert isinstance(told, RetrievalScores)
            told.thresholds = thresholds[layer]
        yield layer, of_layer
