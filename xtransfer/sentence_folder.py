"""What a folder needs besides encoder and tokenizer to be loaded by the package sentence-transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from xtransfer.heads import RetrievalHead

MODES = {"mean": "pooling_mode_mean_tokens", "first": "pooling_mode_cls_token"}
"""Our pooling -> that package's setting."""


def write_sentence_folder(head: RetrievalHead, folder: Path, length: int) -> None:
    """Write ``modules.json`` and the modules' folders: encoder, pooling, the dense layer if there is one, unit length.

    The names of classes and settings are those that all versions of the package read.

    Args:
        head: The head.
        folder: Folder with the encoder, whose last layer is the one the head reads.
        length: Longest input in tokens.
    """
    width, modules = head.hidden_size, [("", "Transformer")]
    _write(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    pooling = {"word_embedding_dimension": width, **{mode: name == head.pooling for name, mode in MODES.items()}}
    modules.append((f"{len(modules)}_Pooling", "Pooling"))
    _write(folder / modules[-1][0] / "config.json", pooling)
    if head.dense is not None:
        modules.append((f"{len(modules)}_Dense", "Dense"))
        settings: dict[str, Any] = {"in_features": width, "out_features": width, "bias": True}
        settings["activation_function"] = "torch.nn.modules.activation.Tanh"
        _write(folder / modules[-1][0] / "config.json", settings)
        weights = {f"linear.{key}": tensor.contiguous() for key, tensor in head.dense.state_dict().items()}
        save_file(weights, folder / modules[-1][0] / "model.safetensors", {"format": "pt"})
    modules.append((f"{len(modules)}_Normalize", "Normalize"))
    (folder / modules[-1][0]).mkdir(exist_ok=True)
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
        for number, (path, name) in enumerate(modules)
    ]
    _write(folder / "modules.json", listed)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
