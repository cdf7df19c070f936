"""What determines a stage's weights, and what determines its scores: two digests, and what they are taken of."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from pydoc import locate
from typing import Any, NamedTuple

from huggingface_hub import try_to_load_from_cache

from xtransfer.config import Stage
from xtransfer.datamodules import TaskDataModule
from xtransfer.datamodules.determinants import alias, of_choice, of_heads, of_training
from xtransfer.disk import known_digest
from xtransfer.errors import ConfigError
from xtransfer.hf import PretrainedHead
from xtransfer.pretrained import resolve_encoder
from xtransfer.stage_cli import StageCLI
from xtransfer.task_metrics import judged
from xtransfer.versions import PACKAGES, code_digest

VOLATILE = (
    *("default_root_dir", "logger", "enable_progress_bar", "enable_model_summary", "log_every_n_steps"),
    *("profiler", "enable_checkpointing"),
)
"""Settings of the trainer that change no outcome."""
LOOKS = ("limit_val_batches", "check_val_every_n_epoch", "val_check_interval", "num_sanity_val_steps", "inference_mode")
"""Settings of the trainer that change no weights where nothing follows from what development rows say meanwhile."""
SCORING = ("limit_test_batches", "limit_predict_batches")
"""Settings of the trainer that change scores alone."""
PLACES = ("num_workers", "cache_dir", "data_dir")
"""Settings of the data that say where files lie and how they are read."""
FILES = (".safetensors", ".bin", ".json", ".model", ".txt")
"""Files of an encoder's folder that are read: weights, configuration, tokenizer."""


def digest(facts: Mapping[str, Any]) -> str:
    """Return a short digest of plain values; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON has them."""
    found: dict[str, Any] = json.loads(json.dumps(facts, sort_keys=True, default=str))
    return found


class HandedOn(NamedTuple):
    """What a stage hands on, by digests of what it depends on.

    Attributes:
        parts: Of its heads and adapters.
        encoder: Of its encoder; None: that is the pretrained one.
        pretrained: Which encoder that is.
    """

    parts: str
    encoder: str | None
    pretrained: str

    @classmethod
    def by(cls, stage: Stage, trains: bool, facts: Mapping[str, Any], start: HandedOn | None) -> HandedOn:
        """Return what a stage hands on; one that does not train passes on the encoder it has got.

        Args:
            stage: The stage.
            trains: Whether it trains.
            facts: What its weights depend on.
            start: What the stage it starts from hands on.
        """
        own, pretrained = digest(facts), str(facts["encoder"])
        if trains:
            return cls(own, own, pretrained)
        if start is None or "encoder" not in stage.parts:
            return cls(own, None, pretrained)
        passed_on = stage.adapters == "merge" and start.pretrained == pretrained
        return cls(own, start.encoder if passed_on else own, pretrained)

    def to(self, stage: Stage, pretrained: str) -> str | None:
        """Return what the start of a stage depends on; None: nothing but its pretrained encoder."""
        encoder_alone = set(stage.parts) == {"encoder"} and pretrained == self.pretrained
        return (self.encoder if encoder_alone else self.parts) if stage.parts else None


def training_facts(stage: Stage, cli: StageCLI, data: TaskDataModule) -> dict[str, Any]:
    """Return all that a stage's weights depend on besides those it starts from, and nothing that they do not.

    Names, folders, loggers, worker processes, languages and data sets that are only scored are left out. Development
    rows are in only as far as a model is chosen by them, or training stopped.

    Args:
        stage: The stage.
        cli: Its parsed configuration.
        data: Its DataModule, not set up.

    Raises:
        DataError: Its training rows are not there.
    """
    config, specs = dumped(cli), data.specs()
    callbacks = _listed(config["trainer"].get("callbacks"))
    developed = data.trains and bool(data.portions("validation"))
    chosen_by = _chosen_by(stage, specs) if developed else []
    watched = [*chosen_by, *_watched(callbacks)] if developed else []
    names = {spec["name"]: alias(spec["name"], specs) for spec in specs}
    unseen = not watched and not callbacks
    left_out = (*VOLATILE, *SCORING, *(LOOKS if unseen else ()))
    trainer = {key: value for key, value in config["trainer"].items() if key not in left_out}
    trainer["callbacks"] = [_renamed(callback, names) for callback in callbacks]
    left_out = ("encoder", "tasks", *(("eval_bf16",) if unseen else ()))
    model = {key: value for key, value in config["model"].items() if key not in left_out}
    blocks = [*_foreign(config["model"]), *_foreign(config["trainer"]), *_foreign(config["data"], ("evaluate",))]
    return plain(
        {
            "config": {"seed_everything": config["seed_everything"], "model": model, "trainer": trainer},
            "encoder": encoder_digest(cli.config.model.encoder),
            "data": of_training(data),
            "heads": of_heads(specs),
            **_taken_over(config["model"].get("heads") or {}),
            "select": [_with_alias(score, names) for score in chosen_by] or "last",
            "chosen_on": of_choice(data, specs, watched),
            "own_classes": [_own(block) for block in blocks],
            "code": code_digest(),
        }
    )


def started(facts: Mapping[str, Any], stage: Stage, start: HandedOn | None) -> dict[str, Any]:
    """Return what a stage's weights depend on, those it starts from among it.

    Args:
        facts: What they depend on besides.
        stage: The stage.
        start: What the stage it starts from hands on, if there is one.
    """
    taken = start.to(stage, str(facts["encoder"])) if start else None
    parts = {"parts": sorted(stage.parts), "adapters": stage.adapters} if taken else {}
    return {**facts, "start": taken, **parts}


def identity_of(facts: Mapping[str, Any], scoring: Mapping[str, Any]) -> str:
    """Return the digest of all that a stage's scores depend on: by it a finished stage is known.

    Args:
        facts: What its weights depend on.
        scoring: What its scores depend on besides.
    """
    return digest({"training": digest(facts), "scoring": scoring})


def scoring_facts(stage: Stage, cli: StageCLI, origins: Mapping[str, str]) -> dict[str, Any]:
    """Return all that a stage's scores depend on besides its weights: its whole configuration and where rows are from.

    Args:
        stage: The stage.
        cli: Its parsed configuration.
        origins: Where its rows come from, by portion.
    """
    config = dumped(cli)
    config["trainer"] = {key: value for key, value in config["trainer"].items() if key not in VOLATILE}
    init = config["data"].get("init_args", {})
    config["data"]["init_args"] = {key: value for key, value in init.items() if key not in PLACES}
    taken = {"parts": stage.parts, "adapters": stage.adapters, "select": stage.select}
    return {"config": config, **taken, "origins": dict(origins), "code": code_digest()}


def dumped(cli: StageCLI) -> dict[str, Any]:
    """Return a parsed configuration as plain values."""
    config: dict[str, Any] = json.loads(cli.parser.dump(cli.config, format="json"))
    return config


def encoder_digest(name: str) -> str:
    """Return what tells one encoder from another: the digest of its folder's files, or its name and commit on the hub.

    A folder may be moved. The commit is that of the copy which is read, in the hub's cache.
    """
    folder = Path(resolve_encoder(name))
    if folder.is_dir():
        files = sorted(file for file in folder.iterdir() if file.suffix in FILES and file.is_file())
        told = [f"{file.name} {known_digest(file)}" for file in files]
        return f"sha256:{hashlib.sha256(' '.join(told).encode()).hexdigest()}"
    found = try_to_load_from_cache(name, "config.json")
    return f"{name} @{Path(found).parent.name if isinstance(found, str) else 'unknown'}"


def _taken_over(heads: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the digests of the task models that heads are taken over from, if there are any."""
    blocks = {name: block for name, block in heads.items() if isinstance(block, Mapping)}
    found = {
        name: encoder_digest(str(block["init_args"]["folder"]))
        for name, block in blocks.items()
        if str(block.get("class_path")).rpartition(".")[2] == PretrainedHead.__name__
    }
    return {"heads_taken_over": found} if found else {}


# ------------------------------------------------------------------ what a model is chosen by
def _chosen_by(stage: Stage, specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the development scores by which a stage's model is chosen."""
    return {"best": list(judged(specs).values()), "last": []}.get(stage.select, [stage.select])


def _watched(callbacks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the scores that callbacks look at; one that names none may look at all development scores."""
    return [str((callback.get("init_args") or {}).get("monitor") or "val") for callback in callbacks]


def _listed(callbacks: Any) -> list[dict[str, Any]]:
    return [] if callbacks is None else list(callbacks) if isinstance(callbacks, list) else [callbacks]


def _renamed(callback: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a callback's settings with the score it looks at written without the task's own name."""
    init = dict(callback.get("init_args") or {})
    if "monitor" in init:
        init["monitor"] = _with_alias(str(init["monitor"]), names)
    return {**callback, "init_args": init}


def _with_alias(score: str, names: Mapping[str, str]) -> str:
    return "/".join(names.get(word, word) if place == 1 else word for place, word in enumerate(score.split("/")))


# ------------------------------------------------------------------ classes of a user's own
def _foreign(block: Any, leave_out: Sequence[str] = ()) -> Iterator[Mapping[str, Any]]:
    """Yield the blocks of classes that come neither from this package nor from one whose version is recorded."""
    if isinstance(block, list):
        for item in block:
            yield from _foreign(item, leave_out)
    elif isinstance(block, Mapping):
        name = block.get("class_path")
        if isinstance(name, str) and _is_own(name):
            yield block
        for key, value in block.items():
            if key not in leave_out:
                yield from _foreign(value, leave_out)


def _is_own(name: str) -> bool:
    return name.split(".")[0] not in ("xtransfer", *PACKAGES, *sys.stdlib_module_names)


def _own(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a user's class with the digest of the files it stands in, and the settings that the rest does not tell.

    A DataModule that adds nothing but a record is told by its rows; one with code of its own by all its settings.

    Raises:
        ConfigError: There is no such class.
    """
    name, settings = str(block["class_path"]), dict(block.get("init_args") or {})
    found = locate(name)
    if found is None:
        raise ConfigError(f"class_path: no class '{name}'")
    lines = [kind for kind in (inspect.getmro(found) if isinstance(found, type) else [found]) if _is_own(_home(kind))]
    sources = {_home(kind): source for kind in lines if (source := _source(kind))}
    if isinstance(found, type) and issubclass(found, TaskDataModule):
        told = inspect.signature(TaskDataModule.__init__).parameters
        skipped = PLACES if any(map(_has_code, lines)) else (*PLACES, *told)
        settings = {key: value for key, value in settings.items() if key not in skipped}
    return {"class": name, "settings": settings, "sources": sources}


def _home(kind: Any) -> str:
    return str(getattr(kind, "__module__", "builtins"))


def _source(kind: Any) -> str:
    """Return the digest of the file a class stands in, or nothing where there is none."""
    try:
        file = Path(inspect.getsourcefile(kind) or "")
    except TypeError:  # a class of the interpreter
        return ""
    return known_digest(file) if file.is_file() else ""


def _has_code(kind: Any) -> bool:
    code = (property, cached_property, classmethod, staticmethod)
    return any(inspect.isfunction(value) or isinstance(value, code) for value in vars(kind).values())
