"""The catalogue of tasks: one line each for the command line, and the whole page ``docs/tasks.md``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping

import xtransfer.datamodules as datamodules
from xtransfer.datamodules import TaskDataModule
from xtransfer.errors import ConfigError
from xtransfer.kinds import KINDS
from xtransfer.results import markdown
from xtransfer.sources import Hub, Joined
from xtransfer.sources.files import FileSource
from xtransfer.task import POOL, SPLITS, Task

DOCSTRING = re.compile(
    r"(?P<summary>.+?)\n\n(?P<citation>.+?) Languages: (?P<languages>.+?)\. Licence: (?P<licence>.+?)\. "
    r"Metric: (?P<metric>.+)",
    re.DOTALL,
)
"""The parts of a task's docstring, once its paragraphs are joined."""

HEAD = """\
# Tasks

Made from the records and docstrings in `xtransfer/datamodules` by `xtransfer tasks --docs > docs/tasks.md`: change
those, not this page.

**No hub id below has been tried**: no hub could be reached when the records were written. The ids follow public
evaluation code. Where a revision is named it is pinned; elsewhere the newest is read, and its commit is kept with every
score. What has been tried is reading files: below `data_dir/<name>`, or the folder named, under the names given here,
plain or gzip, up to four folders deep; the addresses they are published at are untried too. Numbers of rows are the
published ones; a run reports a difference. XTREME-R's MultiLingual CheckList is not among the tasks;
[architecture.md](architecture.md#not-there) says why.
"""


def listing() -> str:
    """Return the table of all tasks, a line each."""
    rows = []
    for name, cls in tasks().items():
        task = cls.task
        scores = ", ".join(KINDS[task.kind].metric(task.spec()).variant)
        where = getattr(task.hub.basis, "path", "") if task.hub else "local files"
        rows.append([name, task.kind, _trained_on(cls), str(len(task.languages)), scores, where])
    return markdown(["task", "kind", "trained on", "languages", "scores", "hub"], rows, left=(0, 1, 2, 4, 5))


def document() -> str:
    """Return the page that tells all there is to know about every task.

    Raises:
        ConfigError: A task's docstring lacks one of its fixed parts.
    """
    catalogue = tasks()
    index = [
        [f"[{name}](#{name.lower()})", f"`{task.name}`", task.kind, _trained_on(cls), str(len(task.languages))]
        for name, cls in catalogue.items()
        for task in [cls.task]
    ]
    table = markdown(["task", "name", "kind", "trained on", "languages"], index, left=(0, 1, 2, 3))
    return "\n".join([HEAD, table, *(_section(name, cls) for name, cls in catalogue.items())]) + "\n"


def tasks() -> dict[str, type[TaskDataModule]]:
    """Return the tasks that have a record of their own, in the order of the index."""
    classes = {name: getattr(datamodules, name) for name in datamodules.__all__}
    return {name: cls for name, cls in classes.items() if hasattr(cls, "task")}


def _section(name: str, cls: type[TaskDataModule]) -> str:
    task, told = cls.task, _told(name, cls)
    trained = _trained_on(cls).replace("–", "nothing")
    facts = [
        ("name", f"`{task.name}`"),
        ("kind", f"{task.kind}, head `{task.head or task.name}`; trained on {trained}"),
        ("languages", f"{len(task.languages)}: {told['languages']}"),
        ("labels", _labels(task)),
        ("rows", _sizes(task.sizes) or "no numbers recorded"),
        *_places(task),
        ("published at", task.home),
        ("also scored", ", ".join(f"`{other.task.name}`" for other in cls.also)),
        ("licence", told["licence"]),
        ("metric", told["metric"]),
        ("from", told["citation"]),
    ]
    lines = [f"- **{what}**: {fact}" for what, fact in facts if fact]
    return "\n".join(["", f"## {name}", "", told["summary"], "", *lines])


def _told(name: str, cls: type[TaskDataModule]) -> dict[str, str]:
    """Return the parts of a task's docstring."""
    paragraphs = (" ".join(part.split()) for part in inspect.cleandoc(cls.__doc__ or "").split("\n\n"))
    match = DOCSTRING.fullmatch("\n\n".join(paragraphs))
    if match is None:
        raise ConfigError(
            f"{name}: its docstring needs a first line, where it comes from, 'Languages:', 'Licence:' and 'Metric:'"
        )
    return {part: text.replace("\n\n", " ") for part, text in match.groupdict().items()}


def _trained_on(cls: type[TaskDataModule]) -> str:
    if cls.trains_on:
        return cls.trains_on.__name__
    return "itself" if cls.task.declares("train") else "–"


def _places(task: Task) -> list[tuple[str, str]]:
    """Return where a task's rows are looked for, each with what kind of place it is."""
    sources = [source.basis for source in (task.hub, *task.files) if source is not None]
    joined = {part.name: None for source in sources if isinstance(source, Joined) for part in source.parts}
    if joined:
        return [("joined", ", ".join(f"`{name}`" for name in joined))]
    hub = [("hub, untried", _hub(source)) for source in sources if isinstance(source, Hub)]
    files = [("files", _files(source)) for source in sources if isinstance(source, FileSource)]
    folder = [("folder", f"`{task.folder}`")] if task.folder else []
    return [*(hub or [("hub", "none")]), *files, *folder]


def _labels(task: Task) -> str:
    if task.labels_from_train:
        return "those of the training rows"
    return ", ".join(f"`{label}`" for label in task.labels)


def _sizes(sizes: Mapping[str, int]) -> str:
    """Return the published numbers of rows, split by split; languages that differ are named."""
    parts = []
    for split in (*SPLITS, POOL):
        every = [f"{sizes[split]:,}"] if split in sizes else []
        own = [f"{key.split('/')[1]} {size:,}" for key, size in sizes.items() if key.startswith(f"{split}/")]
        parts += [f"{split} {', '.join([*every, *own])}"] if every or own else []
    return "; ".join(parts)


def _hub(hub: Hub) -> str:
    config = f", configuration `{hub.config}`" if hub.config else ""
    revision = f", revision `{hub.revision}`" if hub.revision else ""
    splits = ", ".join(f"{ours} = `{theirs}`" if ours != theirs else ours for ours, theirs in hub.splits.items())
    only = f"; only {' '.join(hub.languages)}" if hub.languages else ""
    elsewhere: dict[str, list[str]] = {}
    for language, other in hub.elsewhere.items():
        elsewhere.setdefault(_hub(other), []).append(language)
    others = "".join(f"; {' '.join(languages)} from {other}" for other, languages in elsewhere.items())
    return f"`{hub.path}`{config}{revision} ({splits}){_codes(hub.codes)}{only}{others}"


def _files(source: FileSource) -> str:
    """Return the names a source looks for."""
    names: dict[str, list[str]] = {}
    for split, path in source.paths.items():
        names.setdefault("` or `".join(path.split("|")), []).append(split)
    listed = [f"`{path}` ({', '.join(splits)})" for path, splits in names.items()]
    partner = getattr(source, "partner", None)
    listed += [f"`{partner}` beside it"] if partner else []
    where = f" in the package, `{source.package}`" if source.package else ""
    return f"{type(source).__name__}: {', '.join(listed)}{where}{_codes(source.codes)}"


def _codes(codes: Mapping[str, str]) -> str:
    """Say how a data set spells languages, by one example, where it does not spell them as the library does."""
    other = next(((ours, theirs) for ours, theirs in codes.items() if ours != theirs), None)
    return f"; `{other[1]}` for {other[0]}, and so on" if other else ""
