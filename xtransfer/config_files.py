"""Configuration files: the shipped ones and a user's own, read with care."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from xtransfer.errors import ConfigError, nearest

MAX_BYTES = 1_000_000


class _UniqueKeys(yaml.SafeLoader):
    """The safe loader, but a key that is written twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping, refusing a key that is there already."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag.endswith(":merge"):
                continue  # `<<` lays the keys of another mapping under these
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise ConfigError(
                    f"{key_node.start_mark.name}:{key_node.start_mark.line + 1}: '{key}' is written twice"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def shipped() -> dict[str, Path]:
    """Return the configurations that come with the package: name below ``configs/`` -> file."""
    here = Path(__file__).parent
    for folder in (here / "configs", here.parent / "configs"):
        if folder.is_dir():
            return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.yaml"))}
    return {}


def find(name: str | Path) -> tuple[Path, bool]:
    """Return a configuration file, and whether it is a shipped one because no such file is there.

    Raises:
        ConfigError: There is neither.
    """
    path, own = Path(name), shipped()
    if path.is_file():
        return path, False
    key = path.as_posix().removeprefix("configs/")
    if key in own:
        return own[key], True
    raise ConfigError(f"no configuration file '{name}', and none of that name is shipped{nearest(key, own)}")


def load(path: Path) -> dict[str, Any]:
    """Read a YAML file with the safe loader.

    Raises:
        ConfigError: The file is too big, no YAML, no mapping, or a key is written twice.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes; is this a configuration?")
    try:
        with path.open(encoding="utf-8") as stream:
            loaded = yaml.load(stream, Loader=_UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: expected keys such as 'model', 'data', 'trainer', 'stages'; found {loaded!r:.60}")
    return loaded


def composed(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a file, laid over the files it names under ``include``, in their order: shipped ones, or beside it.

    Args:
        path: The file.
        above: The files that include it.

    Raises:
        ConfigError: A file is missing or broken, or includes itself.
    """
    if path in above:
        raise ConfigError(f"{path}: includes itself: {' -> '.join(file.name for file in (*above, path))}")
    own = load(path)
    names = own.pop("include", [])
    if not isinstance(names, list):
        raise ConfigError(f"{path}: include: expected a list of configuration files, found {names!r:.60}")
    config: dict[str, Any] = {}
    for name in names:
        beside = path.parent / str(name)
        config = merge(config, composed(beside if beside.is_file() else find(str(name))[0], (*above, path)))
    return dict(merge(config, own))


def merge(base: Any, over: Any) -> Any:
    """Lay one configuration over another: mappings key by key; lists, values and blocks of a new class replace.

    A list under ``KEY+`` is added to the one that is there.
    """
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return copy.deepcopy(over)
    if "class_path" in over and base.get("class_path", over["class_path"]) != over["class_path"]:
        return copy.deepcopy(dict(over))
    longer = {key[:-1]: base[key[:-1]] + value for key, value in over.items() if _adds(base, key, value)}
    over = {key: value for key, value in over.items() if key[:-1] not in longer} | longer
    merged = {key: copy.deepcopy(value) for key, value in base.items() if key not in over}
    both = {key: merge(base[key], value) if key in base else copy.deepcopy(value) for key, value in over.items()}
    return {key: both[key] if key in both else merged[key] for key in [*base, *(k for k in over if k not in base)]}


def _adds(base: Mapping[str, Any], key: Any, value: Any) -> bool:
    return str(key).endswith("+") and isinstance(value, list) and isinstance(base.get(key[:-1]), list)
