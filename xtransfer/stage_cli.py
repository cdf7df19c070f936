"""One stage as a LightningCLI: parsed on its own first, built when its turn comes."""

from __future__ import annotations

import argparse
import copy
import inspect
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonargparse
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher

import xtransfer.datamodules as datamodules
from xtransfer.checkpoints import CheckedFiles
from xtransfer.config import RUN_KEYS, STAGE_KEYS, Stage
from xtransfer.datamodules import TaskDataModule
from xtransfer.errors import ConfigError, nearest
from xtransfer.module import TransferModule

DEFAULT_SEED = 1
REFRESH = 20
"""Batches between two looks at the progress."""
TOP_KEYS = ("seed_everything", "model", "data", "trainer")


class StageCLI(LightningCLI):
    """Reads one stage's configuration; the tokenizer follows the encoder, the heads follow the data.

    Args:
        stage: The stage.
        folder: Its folder: logs and checkpoints go there.
        build: Build model, data and trainer; otherwise only parse.
        callbacks: Callbacks added in code to those of the configuration.
        chooses: Whether a model can be chosen by development rows.
    """

    model: TransferModule
    datamodule: TaskDataModule

    def __init__(
        self, stage: Stage, folder: Path, build: bool, callbacks: tuple[Callback, ...] = (), chooses: bool = True
    ) -> None:
        self.stage, self.folder, self.build, self.chooses = stage, folder, build, chooses
        self.checkpoint: ModelCheckpoint | None = None
        with warnings.catch_warnings():
            # Lightning warns of options on the command line, which are this package's own, already in `stage.config`.
            warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
            super().__init__(
                TransferModule,
                TaskDataModule,
                subclass_mode_data=True,
                save_config_callback=None,
                seed_everything_default=DEFAULT_SEED,
                auto_configure_optimizers=False,
                trainer_defaults=trainer_defaults(folder) | {"callbacks": list(callbacks)},
                parser_kwargs={"exit_on_error": False, "allow_abbrev": False},
                args=with_epochs(copy.deepcopy(stage.config)),  # parsing writes into it
                run=False,
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link what would otherwise be written twice."""
        parser.link_arguments("model.encoder", "data.init_args.tokenizer")
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=seed_of_run)
        parser.link_arguments("data", "model.tasks", compute_fn=specs_of, apply_on="instantiate")

    def instantiate_classes(self) -> None:
        """Build model, data and trainer, unless the stage is only parsed."""
        if self.build:
            super().instantiate_classes()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer; it keeps the model that `select` names.

        Raises:
            ConfigError: The trainer refuses a value, such as an accelerator that is not there.
        """
        developed = self.chooses and bool(self.datamodule.portions("validation"))
        chosen_by_score = self.stage.select != "last" and developed
        if self.datamodule.trains and chosen_by_score:
            monitor = self.model.monitor() if self.stage.select == "best" else self.stage.select
            self.checkpoint = ModelCheckpoint(
                self.folder / "checkpoints",
                "best",
                monitor=monitor,
                mode="max",
                save_weights_only=True,
                enable_version_counter=False,
            )
            self.trainer_defaults["callbacks"].append(self.checkpoint)
        own = self._get(self.config_init, "trainer.callbacks") or []
        if self.checkpoint is None and not any(isinstance(callback, Checkpoint) for callback in own):
            # Lightning's default would write a whole checkpoint after each epoch, and leave the last.
            wanted = self._get(self.config_init, "trainer.enable_checkpointing")
            kwargs.setdefault("enable_checkpointing", bool(wanted))
        shown = self._get(self.config_init, "trainer.enable_progress_bar") is not False
        if shown and not any(isinstance(callback, ProgressBar) for callback in own):
            # Lightning's default shows the loss of each step, for which a GPU has to be waited for each time.
            self.trainer_defaults["callbacks"].append(TQDMProgressBar(refresh_rate=REFRESH))
        plugins = self._get(self.config_init, "trainer.plugins") or []
        files = CheckedFiles(self.stage.name, background=bool(self.stage.checkpoint["background"]))
        plugins = [files, *(plugins if isinstance(plugins, list) else [plugins])]
        try:
            trainer = super().instantiate_trainer(**kwargs, plugins=plugins)
        except (MisconfigurationException, ValueError) as error:
            raise ConfigError(f"stage '{self.stage.name}': trainer: {' '.join(str(error).split())}") from error
        if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
            raise ConfigError(
                f"stage '{self.stage.name}': trainer: processes that are forked or spawned (ddp_fork, ddp_notebook, "
                "ddp_spawn) cannot hand their weights on to the next stage: use strategy: ddp from the command line, "
                "in a notebook devices: 1"
            )
        return trainer

    def dump(self) -> str:
        """Return the whole configuration as YAML, defaults filled in."""
        return str(self.parser.dump(self.config, skip_link_targets=False))


def specs_of(data: TaskDataModule) -> list[dict[str, Any]]:
    """Return the records the module is built for."""
    return data.specs()


def seed_of_run(seed_everything: bool | int) -> int:
    """Return the number behind ``seed_everything``."""
    return DEFAULT_SEED if isinstance(seed_everything, bool) else seed_everything


def trainer_defaults(folder: Path) -> dict[str, Any]:
    """Return the trainer's defaults: TensorBoard and CSV logs in the stage's folder, three epochs as elsewhere."""
    logs = {"save_dir": str(folder), "name": ""}
    return {
        "default_root_dir": str(folder),
        "logger": [
            {
                "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
                "init_args": logs | {"version": "tensorboard", "default_hp_metric": False},
            },
            {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": logs | {"version": "csv"}},
        ],
        "max_epochs": 3,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        "enable_checkpointing": None,
        "use_distributed_sampler": False,  # the data modules deal rows out to the processes themselves
    }


def with_epochs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Let ``max_steps`` alone decide the length of training where it is given without ``max_epochs``.

    A mix of tasks is one epoch: its own settings say how long that is.
    """
    trainer = dict(config.get("trainer") or {})
    data = config.get("data")
    if isinstance(data, Mapping) and str(data.get("class_path")).rpartition(".")[2] == "MultiTask":
        trainer.setdefault("max_epochs", 1)
    if trainer.get("max_steps", -1) not in (-1, None) and "max_epochs" not in trainer:
        trainer["max_epochs"] = -1
    return {**config, **({"trainer": trainer} if trainer else {})}


def parse(stage: Stage, folder: Path) -> StageCLI:
    """Parse a stage without building anything.

    Raises:
        ConfigError: A key is misspelt, a class unknown or a value of the wrong type; one message naming the stage.
    """
    for message in complaints(stage.config):
        raise ConfigError(f"stage '{stage.name}': {message}")
    try:
        return StageCLI(stage, folder, build=False)
    except (argparse.ArgumentError, jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"stage '{stage.name}': {own_message(error) or shorten(str(error))}") from error


def data_of(cli: StageCLI) -> TaskDataModule:
    """Build a parsed stage's DataModule alone, for checks before any model is built."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(TaskDataModule, "data")
    try:
        config = parser.parse_object({"data": cli.config.data.as_dict()})
        data: TaskDataModule = parser.instantiate(config).data
    except (argparse.ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(own_message(error) or shorten(str(error))) from error
    return data


def complaints(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the keys of a stage, each with the nearest right spelling."""
    yield from _unknown("", config, TOP_KEYS, (*RUN_KEYS, *STAGE_KEYS))
    for key, builder in (("trainer", Trainer.__init__), ("model", TransferModule.__init__)):
        block = config.get(key) or {}
        if not isinstance(block, Mapping):
            yield f"{key}: expected settings, found {block!r:.60}"
            continue
        filled_in = ("tasks",) if key == "model" else ()
        yield from _unknown(key, block, [name for name in _parameters(builder) if name not in filled_in])
    yield from _of_data("data", config.get("data"))


def _of_data(where: str, data: Any) -> Iterator[str]:
    """Yield what is wrong with a task's block, further data sets it is evaluated on included."""
    data = {"class_path": data} if isinstance(data, str) else data
    if not isinstance(data, Mapping) or not data.get("class_path"):
        yield f"{where}: name a task, e.g. {{class_path: MNLI}}; `xtransfer tasks` lists them"
        return
    name, settings = str(data["class_path"]), data.get("init_args") or {}
    short = name.removeprefix("xtransfer.datamodules.")
    if not isinstance(settings, Mapping):
        yield f"{where}.init_args: expected settings, found {settings!r:.60}"
        return
    if "." not in short:
        if short not in datamodules.__all__:
            yield f"{where}.class_path: no task '{name}'{nearest(short, datamodules.__all__)}"
            return
        yield from _unknown(where, settings, _parameters(getattr(datamodules, short).__init__))
    yield from _unknown(where, data, ("class_path", "init_args", "dict_kwargs"))
    for key in ("evaluate", "tasks"):
        members = settings.get(key)
        for number, member in enumerate(members if isinstance(members, list) else []):
            yield from _of_data(f"{where}.{key}[{number}]", member)


def own_message(error: BaseException | None) -> str:
    """Return the message of our own error that a parser has wrapped in its own, or nothing."""
    while error is not None:
        if isinstance(error, ConfigError):
            return str(error)
        error = error.__cause__ or error.__context__
    return ""


def shorten(message: str) -> str:
    """Keep of a parser's message which key it is about, what was expected and what was found."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    keys = re.findall(r'Parser key "([^"]+)"', message)
    expected: list[str] = []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if "Problem with given class_path" in line:  # the line below says which
            expected += [] if after.startswith("Parser key") else [f"{line} {after}"]
        elif re.match(r"- (?!a |Does not|Expected a <class 'NoneType'>)|(Expected|Not|Option|Unexpected) ", line):
            expected.append(line)
    found = [f"found {line.removeprefix('Given value: '):.80}" for line in lines if line.startswith("Given value: ")]
    told = [line.removeprefix("- ") for line in dict.fromkeys(expected)]
    return ": ".join([*[".".join(keys)] * bool(keys), "; ".join([*told[:2], *found[:1]]) or " ".join(lines[:4])])


def _parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "args", "kwargs")]


def _unknown(
    prefix: str, block: Mapping[str, Any], known: Sequence[str], elsewhere: Sequence[str] = ()
) -> Iterator[str]:
    for key in block:
        if str(key).rstrip("+") not in known:
            where = f"{prefix}.{key}" if prefix else str(key)
            yield f"unknown key '{where}'{nearest(str(key), {*known, *elsewhere} - {key})}"


def seed() -> int:
    """Return the seed Lightning has set for this process."""
    return int(os.environ.get("PL_GLOBAL_SEED", DEFAULT_SEED))
