"""The command that runs a configuration for every combination of some settings' values."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from xtransfer.errors import ConfigError, nearest
from xtransfer.options import chosen

SWEEP_HELP = """\
usage: xtransfer sweep CONFIG [CONFIG ...] --axes.KEY VALUES [--axes.KEY VALUES ...] [options] [--KEY VALUE ...]

A run for each combination of the axes' values, each in a process of its own and with a configuration that can be run
alone. All are checked before the first one trains. Given again, the command runs what is missing, was interrupted or
has failed; several may work on one folder.

  --axes.KEY VALUES        values of a setting, e.g. --axes.seed_everything '[1, 2, 3]'; those of a stage are tasks,
                           settings, files or null, which leaves it out: --axes.stages.mnli '[MNLI, SQuAD, null]'
  --out_dir DIR            the sweep's folder (default: sweeps/NAME, by the name of the configuration)
  --workers N              cells that run at a time (default: 1; on a cluster as many as there is room for)
  --retries N              how often a cell that failed is tried again (default: 1)
  --resume never           begin interrupted stages anew, as needed when their settings have changed (default: auto)
  --engine NAME            local (default), slurm or ray
  --slurm.KEY VALUE        what a cell asks of SLURM, e.g. --slurm.partition gpu --slurm.gpus_per_node 1
  --ray.KEY VALUE          what a cell asks of ray, e.g. --ray.num_gpus 1
  --check                  check all cells, say what will be trained and what it costs, and stop
  --KEY VALUE              a setting for all cells, as for `xtransfer fit`

The exit status is 1 if a cell has failed, and 130 after Ctrl-C or SIGTERM: the cells have then written snapshots.

  xtransfer sweep mnli_then_tydiqa.yaml --axes.stages.mnli '[MNLI, SQuAD, null]' --axes.seed_everything '[1, 2, 3]'
  xtransfer table sweeps/mnli_then_tydiqa --significance
"""

OPTIONS = ("out_dir", "workers", "retries", "engine", "resume")


def sweep(words: list[str]) -> int:
    """Run ``xtransfer sweep``; return the exit status: 1 if a cell has failed."""
    if "-h" in words or "--help" in words:
        print(SWEEP_HELP, end="")
        return 0
    files, check, rest = _files(words)
    from xtransfer.config import parse_overrides

    pairs = parse_overrides(rest)
    options = {key: value for key, value in pairs if key in OPTIONS}
    axes = {key.removeprefix("axes."): value for key, value in pairs if key.startswith("axes.")}
    engine = str(options.get("engine", "local"))
    numbers = {key: _whole(key, options[key]) for key in ("workers", "retries") if key in options}
    overrides = [(k, v) for k, v in pairs if k not in OPTIONS and k.split(".")[0] not in ("axes", "slurm", "ray")]
    _check_keys(overrides)
    settings = _settings(pairs, engine)
    from xtransfer import planning
    from xtransfer.run_cli import quiet
    from xtransfer.sweeps import sweeping
    from xtransfer.sweeps.checking import checked

    quiet()
    planned = sweeping.plan(files, axes, options.get("out_dir"), overrides)
    if check:
        checked(planned.cells)
        print(planning.plan([cell.plan for cell in planned.cells]).text())
        print("\n".join(["", *(cell.name for cell in planned.cells), f"{len(planned.cells)} cells, nothing wrong"]))
        return 0
    resume: Any = chosen({"resume": str(options.get("resume", "auto"))}, "resume", ("auto", "never"), "auto")
    items = sweeping.conduct(planned, engine=engine, settings=settings, resume=resume, **numbers)
    failed = [item for item in items if item.record.state == "failed"]
    print(_outcome(planned, len(items) - len(failed)))
    for item in failed:
        print(sweeping.failure(planned, item), file=sys.stderr)
    return 1 if failed else 0


def _files(words: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """Return the configurations, whether they are only to be checked, and the remaining words.

    Raises:
        ConfigError: There is no configuration.
    """
    files: list[str] = []
    rest: list[str] = []
    check = False
    left = list(words)
    while left:
        word = left.pop(0)
        if word in ("-c", "--config") and left:
            files.append(left.pop(0))
        elif word == "--check":
            check = True
        elif word.startswith("--"):
            rest.append(word)
            if "=" not in word and left:
                rest.append(left.pop(0))
        else:
            files.append(word)
    if not files:
        raise ConfigError("name a configuration: xtransfer sweep CONFIG --axes.seed_everything '[1, 2, 3]'")
    return files, check, rest


def _check_keys(overrides: Sequence[tuple[str, Any]]) -> None:
    from xtransfer.config import RUN_KEYS, STAGE_KEYS

    known = {*RUN_KEYS, *STAGE_KEYS, "seed_everything", "model", "data", "trainer"}
    for key, _ in overrides:
        if key.split(".")[0] not in known:
            options = [f"--{name}" for name in (*known, *OPTIONS, "axes", "slurm", "ray", "check", "config")]
            raise ConfigError(f"unknown option '--{key}'{nearest(f'--{key}', options)}")


def _whole(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"--{key}: expected a whole number, found {value!r:.60}")
    return value


def _settings(pairs: Sequence[tuple[str, Any]], engine: str) -> Any:
    """Return the engine's settings, or None where there are none.

    Raises:
        ConfigError: A setting does not exist, is of the wrong type, or is one of another engine.
    """
    from xtransfer.sweeps.on_ray import Ray
    from xtransfer.sweeps.on_slurm import Slurm

    given: dict[str, dict[str, Any]] = {"slurm": {}, "ray": {}}
    for key, value in pairs:
        head, _, name = key.partition(".")
        if head in given:
            given[head][name] = value
    for head, values in given.items():
        if values and head != engine:
            raise ConfigError(f"--{head}.{next(iter(values))} is for --engine {head}, which is '{engine}'")
    if engine not in given:
        return None
    made: Any = {"slurm": Slurm, "ray": Ray}[engine]
    known = {field.name: field.default for field in dataclasses.fields(made)}
    for name, value in given[engine].items():
        if name not in known:
            raise ConfigError(f"unknown option '--{engine}.{name}'{nearest(name, known)}")
        default = known[name]
        if isinstance(default, int | float) and not isinstance(value, int | float):
            raise ConfigError(f"--{engine}.{name}: expected a number, found {value!r:.60}")
    return made(**given[engine])


def _outcome(planned: Any, well: int) -> str:
    """Return the main table of the sweep, if there is one, and where everything is."""
    from xtransfer.errors import DataError
    from xtransfer.results import Results

    where = f"{well} of {len(planned.cells)} cells are done: {planned.folder}"
    try:
        text = Results.load(planned.folder).of_runs([cell.name for cell in planned.cells]).table().markdown()
    except (ConfigError, DataError) as error:
        return f"{where}\nno table: {error}"
    more = f"differences that are not chance: xtransfer table {planned.folder} --significance"
    pictures = f"pictures:                        xtransfer plot {planned.folder} --out DIR"
    return "\n".join(["", text, "", where, more, pictures])
