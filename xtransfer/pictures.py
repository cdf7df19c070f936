"""All pictures of some runs: which there are, and where they go: files, or TensorBoard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xtransfer import plots
from xtransfer.curves import LOG, read_curves
from xtransfer.errors import ConfigError, nearest
from xtransfer.results import Results
from xtransfer.study import NONE, Study, lay_out
from xtransfer.study_tables import by_language, by_target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
KINDS_OF_PICTURES = ("heatmap", "languages", "curves")


@dataclass(frozen=True)
class Picture:
    """A picture, and what has to be said below it.

    Attributes:
        name: Its name, which can be that of a file.
        figure: The picture.
        notes: The notes of the table it was made of.
    """

    name: str
    figure: Figure
    notes: Sequence[str] = ()


def of_study(study: Study) -> Iterator[Picture]:
    """Yield the heatmap, and the languages of each target that has anything to compare; nothing without a baseline."""
    compared = [
        target for target in study.targets if study.baseline in study.rows(target) and len(study.rows(target)) > 1
    ]
    if compared:
        table = by_target(study)
        yield Picture("heatmap", plots.heatmap(table), table.notes)
    for target in compared:
        table = by_language(study, target)
        yield Picture(f"languages-{file_name(target)}", plots.language_bars(table), table.notes)


def of_logs(folders: Iterable[Path]) -> Iterator[Picture]:
    """Yield the learning curves of the stages in these folders, be they stages' or runs'."""
    for folder in folders:
        for log in sorted([*folder.glob(str(LOG)), *folder.glob(f"*/{LOG}")]):
            stage = log.parents[len(LOG.parts) - 1]
            curves = read_curves(stage)
            if curves.losses or curves.scores:
                name = f"curves-{file_name(stage.resolve().parent.name)}-{file_name(stage.resolve().name)}"
                yield Picture(name, plots.learning_curves(curves))


def one(
    results: Results,
    kind: str = "heatmap",
    task: str | None = None,
    path: str | Path | None = None,
    metric: str | None = None,
    baseline: str = NONE,
    recipes: Mapping[str, str] | None = None,
    run: str | None = None,
    stage: str | None = None,
) -> Figure:
    """Return one picture of results.

    Args:
        results: Rows of any number of runs, or of a sweep.
        kind: ``heatmap``: intermediates by targets; ``languages``: the languages of one target; ``curves``: training
            loss and development scores of one stage.
        task: For ``languages`` the target, for ``heatmap`` the only one; may be left out if there is only one.
        path: Where it is saved, if it is; the suffix is the format.
        metric: As for `lay_out`.
        baseline: As for `lay_out`.
        recipes: As for `lay_out`.
        run: For ``curves`` the run; may be left out if there is only one.
        stage: For ``curves`` the stage; default the run's last.

    Raises:
        ConfigError: There is no such picture, or it is not clear of what.
        DataError: The stage has no logs.
    """
    if kind not in KINDS_OF_PICTURES:
        raise ConfigError(f"no picture '{kind}'{nearest(kind, KINDS_OF_PICTURES)}")
    if kind == "curves":
        return plots.learning_curves(read_curves(_stage_of(results, run, stage)), path)
    study = lay_out(results, metric, "test", baseline, recipes, [task] if task else [])
    if kind == "heatmap":
        return plots.heatmap(by_target(study), path)
    if len(study.targets) > 1:
        raise ConfigError(f"a picture of languages is of one target: choose a task of {study.targets}")
    return plots.language_bars(by_language(study, study.targets[0]), path)


def _stage_of(results: Results, run: str | None, stage: str | None) -> Path:
    """Return the folder of a run's stage, the last one if none is named."""
    runs = list(dict.fromkeys(row.run for row in results))
    if run is None and len(runs) != 1:
        raise ConfigError(f"learning curves are of one run: choose a run of {runs}")
    rows = [row for row in results if row.run == (run or runs[0])]
    if stage is not None:
        rows = [row for row in rows if row.stage == stage]
    if not rows:
        wanted = f"run '{run or runs[0]}'" + (f", stage '{stage}'" if stage else "")
        raise ConfigError(f"no scores of the {wanted}{nearest(run or '', runs)}")
    folder = Path(rows[-1].config_file).parent
    moved = results.sweep.folders.get(rows[-1].run) if results.sweep else None
    return folder if moved is None else moved / folder.name


def save(pictures: Iterable[Picture], folder: Path, form: str = "png") -> dict[Path, Picture]:
    """Write pictures into a folder and return them by their files; of two of one name the second gets a number.

    Raises:
        ConfigError: The format is neither ``png`` nor ``svg``.
    """
    if form not in FORMATS:
        raise ConfigError(f"no picture format '{form}'{nearest(form, FORMATS)}")
    written: dict[Path, Picture] = {}
    for picture in pictures:
        path, number = folder / f"{picture.name}.{form}", 1
        while path in written:
            number += 1
            path = folder / f"{picture.name}-{number}.{form}"
        plots.save(picture.figure, path)
        written[path] = picture
    return written


def log_to_tensorboard(results: Results, folder: Path, recipes: Mapping[str, str] | None = None) -> int:
    """Write the pictures of results, with their notes, where TensorBoard finds them; return their number.

    Learning curves are there already: every stage logs to TensorBoard.

    Args:
        results: Rows of any number of runs.
        folder: TensorBoard's folder.
        recipes: As for `Results.table`.
    """
    return write_to_tensorboard(list(of_study(lay_out(results, recipes=recipes))), folder)


def write_to_tensorboard(pictures: Sequence[Picture], folder: Path) -> int:
    """Write pictures, with their notes, where TensorBoard finds them; return their number."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for picture in pictures:
            writer.add_figure(picture.name, picture.figure, close=False)
            if picture.notes:
                writer.add_text(picture.name, "\n".join(f"- {note}" for note in picture.notes))
    return len(pictures)


def file_name(text: str) -> str:
    """Return a text as part of a file's name, e.g. ``xquad-squad_v1`` for ``xquad (squad_v1)``."""
    return re.sub(r"[^\w.]+", "-", text).strip("-")
