"""The two errors a user can mend, and the hint that comes with them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """The configuration is wrong: an unknown name, a missing file, two settings that exclude each other."""


class DataError(ValueError):
    """The data are wrong: the message names task, file and line, what was expected and what was found."""


class UnavailableError(DataError):
    """The data set cannot be reached, or is gone."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint such as ``; did you mean 'max_epochs'?``, or the list of what is known.

    Args:
        name: What the user wrote.
        known: What could have been written.
    """
    options = sorted(set(known))
    lowered = {option.lower(): option for option in options}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{lowered[close[0]]}'?"
    return f"; known: {', '.join(options)}" if options else ""
