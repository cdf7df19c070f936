"""The command line. Nothing heavy is imported before a command needs it, so that help answers at once."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from xtransfer.errors import ConfigError, DataError, nearest

HELP = """\
xtransfer: intermediate-task training and zero-shot cross-lingual transfer

usage: xtransfer COMMAND [--config FILE ...] [--KEY VALUE ...]

commands
  fit        train every stage of a configuration, hand the encoder over, score it in every language
  validate   development scores of a finished run
  test       test scores of a finished run
  layers     development scores of every encoder layer in retrieval, to choose one by
  predict    files of predictions of a finished run, as XTREME's evaluator reads them
  score      scores of a folder of predictions, by the rules of XTREME's and XTREME-R's evaluator
  labels     the folder of labels that predictions are scored against
  table      tables of many runs: intermediate tasks by targets or languages, the best of them
  compare    two systems' predictions on the same examples: is one better, or is it chance?
  plot       pictures of many runs: heatmap, bars of languages, learning curves
  tasks      the catalogue: every task, its kind, languages and scores; --docs prints docs/tasks.md;
             --mix CONFIG tells what share, steps and epochs each task of a run will get
  configs    the configurations that come with the package

`xtransfer fit --help` explains the settings. To begin with:

  xtransfer fit --config demo.yaml
"""

RUN_HELP = """\
usage: xtransfer {command} --config FILE [--config FILE ...] [--KEY VALUE ...]

  --config FILE            a YAML file, or the name of a shipped one; several are laid over each other
  --print_config           print every stage with its defaults filled in, and stop
  --check                  parse and check every stage and its data, and stop
  --force                  train finished stages again
  --out_dir DIR            folder of the runs (default: runs)
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
  data                     the task, e.g. MNLI; `xtransfer tasks` lists them
  data.data_dir            folder with the data sets' own files; without it the hub is read
  data.batch_size          examples in a training batch
  data.max_length          tokens of one input
  data.languages           languages to test in
  data.limit               read at most so many rows of each split and language
  data.splits              which rows serve as what, e.g. {{train: "train[:3000]"}}
  data.evaluate            further data sets scored with the same head
  trainer.max_epochs       epochs (default: 3); trainer.* are Lightning's Trainer options
  init                     null: start from the pretrained encoder; {{from: STAGE, parts: [encoder, heads]}}
  select                   best (default), last, or a score such as val/tydiqa/f1/mean
  protocol                 name of the recipe followed; kept with the results

`xtransfer {command} --help=all` prints every setting.
"""


FLAGS = ("--print_config", "--check", "--force", "--help=all")
KEYS = ("name", "out_dir", "stages", "seed_everything", "model", "data", "trainer", "init", "select", "protocol")

NOISE = (
    ".*does not have many workers.*",
    ".*Checkpoint directory.*exists.*",
    ".*Experiment logs directory.*exists.*",
    ".*treespec.*",
    ".*The number of training batches.*",
    ".*Trainer was initialized.*",
)
"""Warnings of the dependencies that tell a user of this command line nothing to act on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except (ConfigError, DataError) as error:
        print(f"xtransfer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


def _dispatch(words: list[str]) -> int:
    command = words.pop(0) if words else "--help"
    if command in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if command == "--version":
        import xtransfer

        print(f"xtransfer {xtransfer.__version__}")
        return 0
    commands: dict[str, Callable[[list[str]], int]] = {
        "fit": lambda rest: _run("fit", rest),
        "validate": lambda rest: _run("validate", rest),
        "test": lambda rest: _run("test", rest),
        "predict": lambda rest: _run("predict", rest),
        "layers": lambda rest: _run("layers", rest),
        "score": _of("scoring_cli", "score"),
        "labels": _of("scoring_cli", "labels"),
        "table": _of("tables_cli", "table"),
        "compare": _of("tables_cli", "compare"),
        "plot": _of("tables_cli", "plot"),
        "tasks": _tasks,
        "configs": _configs,
    }
    if command not in commands:
        raise ConfigError(f"unknown command '{command}'{nearest(command, commands)}")
    return commands[command](words)


def _run(command: str, words: list[str]) -> int:
    if "-h" in words or "--help" in words:
        print(RUN_HELP.format(command=command), end="")
        return 0
    files, flags, rest = _own_options(words)
    if "--help=all" in flags:
        return _help_all()
    if not files:
        raise ConfigError(
            f"name a configuration: xtransfer {command} --config FILE; `xtransfer configs` lists those shipped"
        )
    from xtransfer.config import find, parse_overrides, read

    for name in files:
        path, is_shipped = find(name)
        if is_shipped:
            print(f"using the shipped configuration {name} ({path})", file=sys.stderr)
    plan = read(files, parse_overrides(rest))
    from xtransfer import pipeline
    from xtransfer.report import by_layer, checked, printed, scored

    _quiet()

    if "--print_config" in flags:
        _say(printed(plan).rstrip())
        return 0
    if "--check" in flags:
        _say(checked(pipeline.prepare(plan)))
        return 0
    if command == "fit":
        _say(scored(pipeline.run(plan, force="--force" in flags), plan, _program()))
    elif command == "layers":
        _say(by_layer(pipeline.layers(plan)))
    else:
        results = pipeline.evaluate(plan, command)
        if command != "predict":
            _say(scored(results, plan, _program()))
    return 0


def _say(text: str) -> None:
    """Print, but in one process only where a strategy has started several."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(text)


def _program() -> str:
    """Return how this command line was called, so that what it proposes can be typed as it stands."""
    return sys.argv[0] if Path(sys.argv[0]).name == "xtransfer" else "xtransfer"


def _own_options(words: list[str]) -> tuple[list[str], set[str], list[str]]:
    """Take the files and flags out of the words; the rest are settings.

    Raises:
        ConfigError: An option is neither.
    """
    files: list[str] = []
    flags: set[str] = set()
    rest: list[str] = []
    words = list(words)
    while words:
        word = words.pop(0)
        if word in ("-c", "--config") and words:
            files.append(words.pop(0))
        elif word.startswith("--config="):
            files.append(word.split("=", 1)[1])
        elif word in FLAGS:
            flags.add(word)
        elif word.startswith("--") and (key := re.split("[.=]", word, maxsplit=1)[0])[2:] not in KEYS:
            raise ConfigError(f"unknown option '{key}'{nearest(key, ['--config', *FLAGS, *(f'--{k}' for k in KEYS)])}")
        else:
            rest.append(word)
    return files, flags, rest


def _of(module: str, function: str) -> Callable[[list[str]], int]:
    """Return a command that lives in a module of its own, which is imported when the command is run."""
    return lambda words: int(getattr(import_module(f"xtransfer.{module}"), function)(words))


def _tasks(words: list[str]) -> int:
    if "--mix" in words:
        from xtransfer.mix_cli import mix

        _quiet()
        return mix(words)
    if words not in ([], ["--docs"]):
        raise ConfigError(f"tasks takes no option but --docs and --mix, found '{' '.join(words)}'")
    from xtransfer.catalogue import document, listing

    print(document() if words else listing(), end="" if words else "\n")
    return 0


def _configs(words: list[str]) -> int:
    if words:
        raise ConfigError(f"configs takes no options, found '{words[0]}'")
    from xtransfer.config import shipped
    from xtransfer.results import markdown

    rows = [[name, _first_comment(path)] for name, path in shipped().items()]
    print(markdown(["configuration", "what it does"], rows, left=(0, 1)))
    return 0


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.lstrip("# ").rstrip(".") if first.startswith("#") else ""


def _help_all() -> int:
    _quiet()
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


def _quiet() -> None:
    """Show the library's own messages plainly, and of its dependencies' only warnings that a user can act on."""
    import warnings

    import transformers

    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    logging.getLogger("xtransfer").setLevel(logging.INFO if first else logging.WARNING)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("lightning"):
            logging.getLogger(name).setLevel(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for text in NOISE:
        warnings.filterwarnings("ignore", message=text)


if __name__ == "__main__":
    sys.exit(main())
