"""Options of the simple commands: names, ``--KEY VALUE`` pairs and flags."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from xtransfer.errors import ConfigError, nearest


def wants_help(words: Collection[str]) -> bool:
    """Say whether help was asked for."""
    return "-h" in words or "--help" in words


def split(words: list[str], known: Collection[str], flags: Collection[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Split a command's words into names and options, ``--KEY VALUE`` or ``--KEY=VALUE``; flags have no value.

    Args:
        words: The words.
        known: Names of the options that have a value.
        flags: Names of those that have none; they are among the options, with an empty value, where they were given.

    Raises:
        ConfigError: An option is unknown, has no value or is there twice.
    """
    names: list[str] = []
    options: dict[str, str] = {}
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            names.append(word)
            continue
        key, equals, value = word.partition("=")
        if key[2:] in flags and equals:
            raise ConfigError(f"option '{key}' takes no value")
        if key[2:] not in {*known, *flags}:
            raise ConfigError(f"unknown option '{key}'{nearest(key, [f'--{name}' for name in (*known, *flags)])}")
        if key[2:] in options:
            raise ConfigError(f"option '{key}' is there twice")
        if key[2:] in flags:
            options[key[2:]] = ""
            continue
        if not equals and not words:
            raise ConfigError(f"option '{key}' needs a value")
        options[key[2:]] = value if equals else words.pop(0)
    return names, options


def listed(options: Mapping[str, str], key: str) -> list[str] | None:
    """Return an option's list, ``[de, en]`` or ``de,en``; None if it was not given.

    Raises:
        ConfigError: It is empty.
    """
    if key not in options:
        return None
    found = [name.strip() for name in options[key].strip("[] ").split(",") if name.strip()]
    if not found:
        raise ConfigError(f"option '--{key}' names nothing")
    return found


def chosen(options: Mapping[str, str], key: str, legal: Collection[str], default: str) -> str:
    """Return an option's value, one of a few.

    Raises:
        ConfigError: It is none of them.
    """
    value = options.get(key, default)
    if value not in legal:
        raise ConfigError(f"--{key}: no '{value}'{nearest(value, legal)}")
    return value


def number(options: Mapping[str, str], key: str, default: int) -> int:
    """Return an option's whole number.

    Raises:
        ConfigError: It is none.
    """
    text = options.get(key, str(default))
    if not text.isascii() or not text.isdigit():
        raise ConfigError(f"--{key}: expected a whole number, found '{text}'")
    return int(text)
