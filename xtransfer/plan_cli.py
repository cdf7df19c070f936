"""The command ``plan``: what a set of configurations will train, and what it costs."""

from __future__ import annotations

from xtransfer.config import parse_overrides
from xtransfer.errors import ConfigError

USAGE = """\
usage: xtransfer plan CONFIG [CONFIG ...] [--config FILE ...] [--store DIR] [--tokens_per_second N] [--KEY VALUE ...]

Prints which stages the runs of these configurations share, what is done, stored, to be trained or only to be scored,
and what that costs in tokens, and in hours where a speed is known. Nothing is trained.

  CONFIG                 a run: a YAML file, or the name of a shipped one; FILE+FILE lays the second over the first
  --config FILE          laid over all of them
  --store DIR            the store of trained stages (default: that of the configurations)
  --tokens_per_second N  tokens that are trained on in a second (default: measured in the store's trainings)
  --KEY VALUE            a setting for all runs, as in `xtransfer fit`
"""


def plan(words: list[str]) -> int:
    """Run the command; return its exit status."""
    if not words or "-h" in words or "--help" in words:
        print(USAGE, end="")
        return 0
    from xtransfer import planning
    from xtransfer.run_cli import quiet

    runs: list[list[str]] = []
    over: list[str] = []
    rest: list[str] = []
    words = list(words)
    while words:
        word = words.pop(0)
        if word in ("-c", "--config") and words:
            over.append(words.pop(0))
        elif word.startswith("--"):
            rest += [word] if "=" in word or not words else [word, words.pop(0)]
        else:
            runs.append(word.split("+"))
    settings = parse_overrides(rest)
    speed = dict(settings).get("tokens_per_second")
    if speed is not None and (isinstance(speed, bool) or not isinstance(speed, int | float) or speed <= 0):
        raise ConfigError(f"--tokens_per_second: expected a number above 0, found {speed!r}")
    quiet()
    others = [(key, value) for key, value in settings if key != "tokens_per_second"]
    print(planning.plan([[*files, *over] for files in runs], others, tokens_per_second=speed).text())
    return 0
