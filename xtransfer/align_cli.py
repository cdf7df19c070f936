"""The command that measures how near tasks and languages are, and whether that foretells what runs have gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xtransfer.errors import ConfigError, nearest
from xtransfer.options import wants_help

HELP = """\
usage: xtransfer align --intermediates TASK ... --targets TASK ... --out DIR [options]

How near are intermediate tasks to targets, and languages to English, in texts and in an encoder? With --results: does
that foretell the gains that runs have shown? Writes alignment.jsonl, report.md and pictures. Needs the extra
`alignment`: pip install 'xtransfer[alignment]'.

  --config FILE             a YAML file with these options as keys; the command line is laid over it
  --intermediates TASK ...  e.g. MNLI SQuAD
  --targets TASK ...        e.g. TyDiQA UDPOS
  --out DIR                 where the files go
  --data_dir DIR            folder with the data sets' own files; without it the hub is read
  --encoder NAME            the pretrained encoder (default: xlm-roberta-base)
  --encoders TASK=DIR ...   encoders that intermediates left, e.g. mnli=runs/mnli/1-mnli/encoder
  --layers N ... | all      layers that are read, the embeddings being 0 (default: the last)
  --languages CODE ...      languages of the targets (default: all they have)
  --limit N                 rows drawn of each task and language (default: 200)
  --seed N                  by which they are drawn (default: 1)
  --split NAME              rows of the targets: test (default) or validation; their labels are not looked at
  --parallel TASK           translations, for measures between languages, e.g. Tatoeba or XNLI
  --language_table FILE     CSV of properties of languages, such as typological distances to English
  --measures NAME ...       these measures (default: all that have what they need)
  --results RUNS ...        folders of runs or results.jsonl files, whose gains are to be foretold
  --metric, --baseline, --recipe   as for `xtransfer table`
  --rows FILE ...           report on the rows of alignment.jsonl files that are there, and measure nothing

measures
{measures}
  xtransfer align --intermediates MNLI SQuAD --targets TyDiQA UDPOS --encoder offline-small --out alignment
"""

LISTS = ("intermediates", "targets", "encoders", "layers", "languages", "measures", "results", "recipe", "rows")
SINGLE = ("out", "data_dir", "encoder", "parallel", "split", "language_table", "metric", "baseline")
NUMBERS = ("limit", "seed")


def align(words: list[str]) -> int:
    """Run ``xtransfer align``; return the exit status."""
    if wants_help(words):
        from xtransfer.alignment.registry import MEASURES

        told = "".join(f"  {one.name:<25} {one.scope:<9} {one.paper}\n" for one in MEASURES.values())
        print(HELP.format(measures=told), end="")
        return 0
    options = read_options(words)
    if "out" not in options:
        raise ConfigError("name a folder for the report: xtransfer align ... --out DIR")
    folder = Path(options["out"])
    from xtransfer import alignment
    from xtransfer.run_cli import quiet
    from xtransfer.tables_cli import load

    quiet()
    results = load(options["results"], "align") if "results" in options else None
    if "rows" in options:
        rows = [row for path in options["rows"] for row in alignment.read(Path(path))]
    else:
        rows = alignment.measure(**_measured(options))
    if "rows" not in options:
        alignment.write(rows, folder / "alignment.jsonl")
        print(f"{len(rows)} rows in {folder / 'alignment.jsonl'}")
    given = {key: options[key] for key in ("metric", "baseline", "seed") if key in options}
    recipes = _pairs(options.get("recipe", ()), "recipe")
    found = alignment.report(rows, results, recipes=recipes, **given)
    print(found.markdown())
    print("\n".join(f"wrote {path}" for path in found.save(folder)))
    return 0


def read_options(words: Sequence[str]) -> dict[str, Any]:
    """Read ``--KEY VALUE ...``, laid over a file's keys.

    Raises:
        ConfigError: An option is unknown, has no value or too many, or is no number where one is wanted.
    """
    options: dict[str, list[str]] = {}
    key = ""
    for word in words:
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            if key in options:
                raise ConfigError(f"option '--{key}' is there twice")
            options[key] = [value] if equals else []
        elif key:
            options[key].append(word)
        else:
            raise ConfigError(f"expected an option such as --intermediates, found '{word}'")
    given: dict[str, Any] = {}
    if "config" in options:
        from xtransfer.config_files import load

        path = Path(_one("config", options.pop("config")))
        if not path.is_file():
            raise ConfigError(f"no configuration file '{path}'")
        given = load(path)
    return {name: _checked(name, value) for name, value in {**given, **options}.items()}


def _checked(key: str, value: Any) -> Any:
    known = (*LISTS, *SINGLE, *NUMBERS)
    if key not in known:
        raise ConfigError(
            f"unknown option '--{key}'{nearest(f'--{key}', [f'--{name}' for name in ('config', *known)])}"
        )
    if isinstance(value, Mapping):  # in a file: encoders and recipes
        value = [f"{name}={one}" for name, one in value.items()]
    values = [str(one) for one in (value if isinstance(value, list) else [value])]
    values = [part for one in values for part in ([one] if key in SINGLE else one.split(",")) if part]
    if key in LISTS:
        if not values:
            raise ConfigError(f"option '--{key}' names nothing")
        return values
    one = _one(key, values)
    if key not in NUMBERS:
        return one
    if not (one.isascii() and one.isdigit()):
        raise ConfigError(f"--{key}: expected a whole number, found '{one}'")
    return int(one)


def _one(key: str, values: Sequence[str]) -> str:
    if len(values) != 1:
        raise ConfigError(f"option '--{key}' takes one value, found {len(values)}: {' '.join(values)}")
    return values[0]


def _measured(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `measure`.

    Raises:
        ConfigError: Neither intermediates nor targets are named, or a layer is no number.
    """
    for key in ("intermediates", "targets"):
        if key not in options:
            raise ConfigError(f"name the {key}: xtransfer align --{key} TASK ...; `xtransfer tasks` lists them")
    plain = ("intermediates", "targets", "encoder", "languages", "limit", "seed", "measures", "parallel", "split")
    given = {key: options[key] for key in plain if key in options}
    given |= {key: Path(options[key]) for key in ("data_dir", "language_table") if key in options}
    if "encoders" in options:
        given["encoders"] = _pairs(options["encoders"], "encoders")
    if "layers" in options:
        layers = options["layers"]
        if layers != ["all"] and not all(layer.isascii() and layer.isdigit() for layer in layers):
            raise ConfigError(f"--layers: expected numbers or 'all', found '{' '.join(layers)}'")
        given["layers"] = "all" if layers == ["all"] else [int(layer) for layer in layers]
    return given


def _pairs(words: Sequence[str], key: str) -> dict[str, str]:
    """Return ``NAME=VALUE`` words as a mapping.

    Raises:
        ConfigError: A word is none.
    """
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise ConfigError(f"--{key}: expected NAME=VALUE, found '{word}'")
        found[name] = value
    return found
