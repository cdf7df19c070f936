"""A finished stage as a folder that transformers loads: task model or encoder, tokenizer, model card."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from transformers import PreTrainedModel

from xtransfer.encoder import Encoder, load_tokenizer, position_limit
from xtransfer.errors import ConfigError, nearest
from xtransfer.heads import Head, MaskedLMHead, RetrievalHead
from xtransfer.model_card import Told, card, public_name
from xtransfer.publishing import check_name, publish
from xtransfer.results import Results
from xtransfer.sentence_folder import write_sentence_folder
from xtransfer.task_models import TASK_MODELS, NotHeldError, kind_of, shortened, task_model

log = logging.getLogger(__name__)


class Exported(NamedTuple):
    """What was written.

    Attributes:
        folder: Where.
        model: The class of transformers that its weights are of.
        note: What there is to know: why it is an encoder with a head of ours beside it; empty for a task model.
        url: Where on the hub it is; empty if it was not sent there.
    """

    folder: Path
    model: str
    note: str = ""
    url: str = ""


class Trained(NamedTuple):
    """A stage's parts as they lie in its folder, and the head that is wanted.

    Attributes:
        folder: The stage's folder.
        encoder: Its encoder.
        head: Its head.
        name: The head's name.
        layer: The layer it reads, the embeddings counting as 0.
        config: The stage's configuration.
        rows: The head's scores.
    """

    folder: Path
    encoder: Encoder
    head: Head
    name: str
    layer: int
    config: dict[str, Any]
    rows: Results


def export(
    run: str | Path,
    to: str | Path,
    stage: str | None = None,
    head: str | None = None,
    push: str | None = None,
    public: bool = False,
) -> Exported:
    """Write a finished stage as a folder that transformers loads, and send it to the hub if that is asked for.

    The folder holds the task model of transformers if there is one that gives the same logits, which is tried before
    anything is written. Otherwise it holds the encoder, as ``AutoModel`` loads it, and the head as this library does.

    Args:
        run: A run's folder, or that of one of its stages.
        to: The folder to be written; there must be nothing in it.
        stage: Name of the stage; may be left out if there is only one.
        head: Name of the head; may be left out if there is only one.
        push: Name on the hub, ``owner/name``, to send it to.
        public: Let everyone see it there; otherwise it is private.

    Raises:
        ConfigError: There is no such run, stage or head, or it is not finished; the head is of a class of the user's
            own; the folder is not empty; the hub refuses.
    """
    target = Path(to)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} is there already and not an empty folder: name another, or remove it")
    if push is not None:
        check_name(push)
    found = read(stage_of(Path(run), stage), head)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        exported = write(found, temporary, push or target.absolute().name)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    exported = exported._replace(folder=target)
    return exported if push is None else exported._replace(url=publish(target, push, public))


def stage_of(run: Path, name: str | None) -> Path:
    """Return the folder of a finished stage of a run; a stage's own folder may be given in place of the run's.

    Raises:
        ConfigError: There is none, or several and no name, or it is not finished.
    """
    if not run.is_dir():
        raise ConfigError(f"no folder '{run}': name a run's folder, such as runs/demo")
    if (run / "encoder").is_dir():
        there = {run.name.partition("-")[2] or run.name: run}
    else:
        numbered = sorted((int(m[1]), m[2], p) for p in run.iterdir() if (m := re.fullmatch(r"(\d+)-(.+)", p.name)))
        there = {stage: path for _, stage, path in numbered if path.is_dir()}
    if not there:
        raise ConfigError(f"{run} holds no stage: name a run's folder, such as runs/demo")
    if name is None and len(there) > 1:
        raise ConfigError(f"{run} has the stages {', '.join(there)}: choose one by --stage")
    name = next(iter(there)) if name is None else name
    if name not in there:
        raise ConfigError(f"{run} has no stage '{name}'{nearest(name, there)}")
    if not (there[name] / "DONE").is_file():
        raise ConfigError(f"stage '{name}' in {run} is not finished: run the same `xtransfer fit` again, it goes on")
    return there[name]


def read(folder: Path, name: str | None) -> Trained:
    """Read a stage's encoder and one of its heads.

    Raises:
        ConfigError: There is no such head, or several and no name; it is of a class of the user's own; which layer it
            reads is not known.
    """
    there = sorted(path.parent.name for path in (folder / "heads").glob("*/head.json"))
    if name is None and len(there) != 1:
        raise ConfigError(f"{folder} has the heads {', '.join(there) or '(none)'}: choose one by --head")
    name = there[0] if name is None else name
    if name not in there:
        raise ConfigError(f"{folder} has no head '{name}'{nearest(name, there)}")
    _check_class(folder / "heads" / name)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    scores = folder / "results.jsonl"
    rows = (Results.load(scores) if scores.is_file() else Results()).where(head=name)
    encoder = Encoder(str(folder / "encoder"), packing=False).eval()
    head = Head.from_pretrained(folder / "heads" / name)
    if isinstance(head, MaskedLMHead):
        words: Any = encoder.model.get_input_embeddings()
        head.tie(words)
    layers: set[int | None] = {row.layer for row in rows} or {config["model"].get("layer")}
    layer = layers.pop()
    if layers or (layer is None and isinstance(head, RetrievalHead)):
        raise ConfigError(f"which layer head '{name}' reads is not known: {folder} has no scores of it, or of two")
    return Trained(folder, encoder, head, name, encoder.depth if layer is None else layer, config, rows)


def write(found: Trained, folder: Path, name: str) -> Exported:
    """Write model, tokenizer, scores and card.

    Args:
        found: What a stage has left.
        folder: Where to.
        name: What the card calls it.

    Raises:
        ConfigError: The head is of a class of the user's own.
    """
    model, note, whole = model_of(found)
    model.save_pretrained(folder)
    tokenizer = load_tokenizer(str(found.folder / "encoder"))
    tokenizer.model_max_length = min(tokenizer.model_max_length, position_limit(model.config))
    tokenizer.save_pretrained(folder)
    is_task = type(model) is not type(found.encoder.model)
    if not is_task:
        found.head.save_pretrained(folder / "heads" / found.name)
    head, tag = found.head, kind_of(found.head).tag if is_task else "feature-extraction"
    if isinstance(head, RetrievalHead) and whole:
        write_sentence_folder(head, folder, tokenizer.model_max_length)
        tag = "sentence-similarity"
    rows = Results(dataclasses.replace(row, config_file="", encoder=public_name(row.encoder)) for row in found.rows)
    if len(rows):
        rows.append(folder / "results.jsonl")
    told = Told(
        name=name,
        model=type(model).__name__,
        tag=tag,
        encoder=str(found.config["model"]["encoder"]),
        head=found.name,
        head_class=type(head).__name__,
        labels=head.labels,
        layer=found.layer,
        read_inside=not is_task and not whole,
        note=note,
    )
    (folder / "README.md").write_text(card(told, rows), encoding="utf-8")
    return Exported(folder, type(model).__name__, note)


def model_of(found: Trained) -> tuple[PreTrainedModel, str, bool]:
    """Return the model to be written, what there is to say of it, and whether its last layer is the one that is read.

    Raises:
        ConfigError: The head is of a class of the user's own.
    """
    try:
        body = shortened(found.encoder, found.layer)
    except NotHeldError as error:
        note = f"{error}. So this is the whole encoder, and the head beside it reads layer {found.layer} of it"
        return found.encoder.model, note, False
    if isinstance(found.head, RetrievalHead):
        return body, "", True
    try:
        return task_model(body, found.head), "", True
    except NotHeldError as error:
        return body, f"{error}. So this is the encoder, with the head beside it in heads/{found.name}", True


def _check_class(folder: Path) -> None:
    """Refuse a head of a class of the user's own before it is loaded, which would need that class."""
    name = json.loads((folder / "head.json").read_text(encoding="utf-8"))["class"]
    ours = [*(kind.head.__name__ for kind in TASK_MODELS), RetrievalHead.__name__]
    if name not in ours:
        raise ConfigError(
            f"head '{folder.name}' is a {name}, a class of your own, for which transformers has no model; the stage's "
            f"own folders can be passed on as they are: {folder.parents[1] / 'encoder'}, which AutoModel loads, and "
            f"{folder}, which {name}.from_pretrained loads"
        )
