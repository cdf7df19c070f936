"""The command line. Nothing heavy is imported before a command needs it, so that help answers at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from xtransfer.errors import ConfigError, DataError, nearest

HELP = """\
xtransfer: intermediate-task training and zero-shot cross-lingual transfer

usage: xtransfer COMMAND [--config FILE ...] [--KEY VALUE ...]

commands
  fit        train every stage of a configuration, hand the encoder over, score it in every language
  plan       which stages the runs of several configurations share, and what they cost, before any is trained
  sweep      a run for each combination of settings, here or on a cluster: intermediates, targets, seeds, rates
  validate   development scores of a finished run
  test       test scores of a finished run
  layers     development scores of every encoder layer in retrieval, to choose one by
  predict    files of predictions of a finished run, as XTREME's evaluator reads them
  score      scores of a folder of predictions, by the rules of XTREME's and XTREME-R's evaluator
  labels     the folder of labels that predictions are scored against
  table      tables of many runs: intermediate tasks by targets or languages, the best of them
  compare    two systems' predictions on the same examples: is one better, or is it chance?
  plot       pictures of many runs: heatmap, bars of languages, learning curves
  export     a finished stage as a folder that transformers loads, or on the Hugging Face hub
  align      how near intermediate tasks are to targets, and whether that foretells what they gain
  tasks      the catalogue: every task, its kind, languages and scores; --docs prints docs/tasks.md;
             --mix CONFIG tells what share, steps and epochs each task of a run will get
  configs    the configurations that come with the package

`xtransfer fit --help` explains the settings. To begin with:

  xtransfer fit --config demo.yaml
"""


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
    except OSError as error:
        if error.filename is None:
            raise
        print(f"xtransfer: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2


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
        **{name: _running(name) for name in ("fit", "validate", "test", "predict", "layers")},
        "plan": _of("plan_cli", "plan"),
        "sweep": _of("sweep_cli", "sweep"),
        "score": _of("scoring_cli", "score"),
        "labels": _of("scoring_cli", "labels"),
        "table": _of("tables_cli", "table"),
        "compare": _of("tables_cli", "compare"),
        "plot": _of("tables_cli", "plot"),
        "export": _of("export_cli", "export"),
        "align": _of("align_cli", "align"),
        "tasks": _tasks,
        "configs": _configs,
    }
    if command not in commands:
        raise ConfigError(f"unknown command '{command}'{nearest(command, commands)}")
    return commands[command](words)


def _running(command: str) -> Callable[[list[str]], int]:
    def run(words: list[str]) -> int:
        from xtransfer.run_cli import run

        return run(command, words)

    return run


def _of(module: str, function: str) -> Callable[[list[str]], int]:
    """Return a command that lives in a module of its own, which is imported when the command is run."""
    return lambda words: int(getattr(import_module(f"xtransfer.{module}"), function)(words))


def _tasks(words: list[str]) -> int:
    if "--mix" in words:
        from xtransfer.mix_cli import mix
        from xtransfer.run_cli import quiet

        quiet()
        return mix(words)
    if words not in ([], ["--docs"]):
        raise ConfigError(f"tasks takes no option but --docs and --mix, found '{' '.join(words)}'")
    from xtransfer.catalogue import document, listing

    print(document() if words else listing(), end="" if words else "\n")
    return 0


def _configs(words: list[str]) -> int:
    if words:
        raise ConfigError(f"configs takes no options, found '{words[0]}'")
    from xtransfer.config_files import shipped
    from xtransfer.results import markdown

    rows = [[name, _first_comment(path)] for name, path in shipped().items()]
    print(markdown(["configuration", "what it does"], rows, left=(0, 1)))
    return 0


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.lstrip("# ").rstrip(".") if first.startswith("#") else ""


if __name__ == "__main__":
    sys.exit(main())
