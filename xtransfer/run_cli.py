"""The commands that run a configuration: fit, validate, test, predict, layers."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Any

from xtransfer.errors import ConfigError, nearest
from xtransfer.lock import first_process

RUN_HELP = """\
usage: xtransfer {command} --config FILE [--config FILE ...] [--KEY VALUE ...]

  --config FILE            a YAML file, or the name of a shipped one; several are laid over each other
  --print_config           print every stage with its defaults filled in, and stop
  --check                  parse and check every stage and its data, and stop
  --force                  train finished stages again, also those that the store has
  --resume WHEN            a stage that was interrupted: auto (default) goes on if there is something to go on from,
                           must insists on it, never begins the stage anew
  --allow_config_change    go on though the configuration has changed meanwhile
  --on_preempt WHAT        after SIGTERM (or SIGUSR1 under SLURM) and a snapshot: exit (default), or requeue the job
  --out_dir DIR            folder of the runs (default: runs)
  --store DIR              folder of trained stages that runs share: each is trained once (default: none)
  --name NAME              name of the run (default: that of the file)
  --KEY VALUE              a setting for all stages, e.g. --trainer.max_epochs 1
  --stages.NAME.KEY VALUE  a setting for one stage, e.g. --stages.tydiqa.model.lr 2e-5
  --stages.NAME null       leave a stage out

settings used most
  seed_everything          seed of the run (default: 1)
  model.encoder            hub name, folder, or offline-small
  model.lr                 peak learning rate
  model.layer              encoder layer the heads read (embeddings are 0; default: last)
  model.freeze_embeddings  leave the word embeddings as they are
  model.freeze_layers      leave the lowest layers as they are
  model.layer_decay        learning rate of a layer against the one above
  model.adapters           train adapters in place of the encoder, e.g. {{peft_type: LORA, r: 8}}
  data                     the task, e.g. MNLI; `xtransfer tasks` lists them
  data.data_dir            folder with the data sets' own files; without it the hub is read
  data.batch_size          examples in a training batch
  data.max_length          tokens of one input
  data.languages           languages to test in
  data.limit               read at most so many rows of each split and language
  data.splits              which rows serve as what, e.g. {{train: "train[:3000]"}}
  data.evaluate            further data sets scored with the same head
  trainer.max_epochs       epochs (default: 3); trainer.* are Lightning's Trainer options
  init                     null: start from the pretrained encoder; {{from: STAGE, parts: [encoder, heads],
                           adapters: merge}}; adapters of the stage before are merged, or with keep trained on, or with
                           drop left out
  select                   best (default), last, or a score such as val/tydiqa/f1/mean
  protocol                 name of the recipe followed; kept with the results
  checkpoint               {{every_steps: 1000, keep: 2, background: true}}: how often a snapshot is written, how many
                           are kept, whether training goes on meanwhile

`xtransfer {command} --help=all` prints every setting.
"""


FLAGS = ("--print_config", "--check", "--force", "--allow_config_change", "--help=all")
CHOICES = {"--resume": ("auto", "must", "never"), "--on_preempt": ("exit", "requeue")}
KEYS = (
    "name",
    "out_dir",
    "store",
    "stages",
    "seed_everything",
    "model",
    "data",
    "trainer",
    "init",
    "select",
    "protocol",
    "checkpoint",
)

OWN = tuple(f"{name}=" for name in ("--config", *CHOICES))
"""Options of this command's own that may be written with an equals sign."""

NOISE = (
    ".*is_gradient_checkpointing.*",  # PEFT asks for it
    ".*does not have many workers.*",
    ".*Checkpoint directory.*exists.*",
    ".*Experiment logs directory.*exists.*",
    ".*treespec.*",
    ".*The number of training batches.*",
    ".*Trainer was initialized.*",
)
"""Warnings of the dependencies that tell a user of this command line nothing to act on."""


def run(command: str, words: list[str]) -> int:
    """Run a command; return its exit status."""
    if "-h" in words or "--help" in words:
        print(RUN_HELP.format(command=command), end="")
        return 0
    files, flags, chosen, rest = _own_options(words)
    if "--help=all" in flags:
        return _help_all()
    if not files:
        raise ConfigError(
            f"name a configuration: xtransfer {command} --config FILE; `xtransfer configs` lists those shipped"
        )
    from xtransfer.config import parse_overrides, read
    from xtransfer.config_files import find

    for name in files:
        path, is_shipped = find(name)
        if is_shipped:
            print(f"using the shipped configuration {name} ({path})", file=sys.stderr)
    plan = read(files, parse_overrides(rest))
    from xtransfer import pipeline
    from xtransfer.report import by_layer, checked, printed, scored

    quiet()

    if "--print_config" in flags:
        _say(printed(plan).rstrip())
        return 0
    if "--check" in flags:
        _say(checked(pipeline.prepare(plan)))
        return 0
    if command == "fit":
        results = pipeline.run(
            plan,
            force="--force" in flags,
            resume=chosen["--resume"],  # type: ignore[arg-type]
            allow_config_change="--allow_config_change" in flags,
            on_preempt=chosen["--on_preempt"],  # type: ignore[arg-type]
        )
        _say(scored(results, plan, _program()))
    elif command == "layers":
        _say(by_layer(pipeline.layers(plan)))
    else:
        results = pipeline.evaluate(plan, command)
        if command != "predict":
            _say(scored(results, plan, _program(), fitted=False))
    return 0


def _say(text: str) -> None:
    """Print, but in one process only where a strategy has started several."""
    if first_process():
        print(text)


def _program() -> str:
    """Return how this command line was called, so that what it proposes can be typed as it stands."""
    return sys.argv[0] if Path(sys.argv[0]).name == "xtransfer" else "xtransfer"


def _own_options(words: list[str]) -> tuple[list[str], set[str], dict[str, str], list[str]]:
    """Take the files, flags and choices out of the words; the rest are settings.

    Raises:
        ConfigError: An option is none of these, or a choice does not exist.
    """
    files: list[str] = []
    flags: set[str] = set()
    chosen = {name: values[0] for name, values in CHOICES.items()}
    rest: list[str] = []
    words = [part for word in words for part in (word.split("=", 1) if word.startswith(OWN) else [word])]
    while words:
        word = words.pop(0)
        if word in ("-c", "--config"):
            if not words:
                raise ConfigError(f"{word} needs the name of a file")
            files.append(words.pop(0))
        elif word in CHOICES:
            chosen[word] = _choice(word, words)
        elif word in FLAGS:
            flags.add(word)
        elif word.startswith("--") and (key := re.split("[.=]", word, maxsplit=1)[0])[2:] not in KEYS:
            known = ["--config", *FLAGS, *CHOICES, *(f"--{k}" for k in KEYS)]
            raise ConfigError(f"unknown option '{key}'{nearest(key, known)}")
        else:
            rest.append(word)
    return files, flags, chosen, rest


def _choice(option: str, words: list[str]) -> str:
    value = words.pop(0) if words else ""
    if value not in CHOICES[option]:
        raise ConfigError(f"{option}: expected {' or '.join(CHOICES[option])}, found '{value}'")
    return value


def _help_all() -> int:
    quiet()
    from lightning.pytorch.cli import LightningArgumentParser

    from xtransfer.datamodules import TaskDataModule
    from xtransfer.module import TransferModule

    parser: Any = LightningArgumentParser(prog="xtransfer fit")
    parser.add_lightning_class_args(TransferModule, "model")
    parser.add_lightning_class_args(TaskDataModule, "data", subclass_mode=False)
    from lightning.pytorch import Trainer

    parser.add_lightning_class_args(Trainer, "trainer")
    parser.print_help()
    return 0


def quiet() -> None:
    """Show the library's own messages plainly, and of its dependencies' only warnings that a user can act on."""
    import warnings

    import transformers

    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("xtransfer").setLevel(logging.INFO if first_process() else logging.WARNING)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("lightning"):
            logging.getLogger(name).setLevel(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for text in NOISE:
        warnings.filterwarnings("ignore", message=text)
