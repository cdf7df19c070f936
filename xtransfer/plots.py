"""Pictures of tables and learning curves, made with matplotlib's objects alone: no window, no global state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtransfer.curves import Curve, Curves, smoothed
from xtransfer.errors import ConfigError
from xtransfer.results import GAP, MEAN
from xtransfer.tables import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb8a5a", "#332288", "#999933")
"""Told apart also by most of the colour-blind (after Paul Tol's qualitative schemes); further ones are hatched."""
GREY = "#bbbbbb"
SMALL, NORMAL = 7, 8
"""Sizes of print, in points."""
WIDTH = 6.9
"""Width of a page's text, in inches."""
BARS = 126
"""Bars that fit side by side into `WIDTH`."""


def heatmap(table: Table, path: str | Path | None = None) -> Figure:
    """Draw intermediates by targets: differences to the baseline as colours and numbers, the baseline's scores above.

    Red is worse than the baseline, blue better. The limits are symmetrical: the largest difference, or the 90th
    percentile of the differences' sizes if the largest is more than twice that, so that one column does not hide the
    others; the colour bar then ends in arrows. Missing cells are hatched, the best of a column is bold.

    Args:
        table: A table by target, told as differences.
        path: Where it is saved, if it is; the suffix is the format.

    Raises:
        ConfigError: The table tells no differences, or matplotlib is not installed.
    """
    columns, names, differences = _relative(table)
    gap = 0.15 * (columns[-1] == MEAN)
    places = [i + gap * (name == MEAN) for i, name in enumerate(columns)]
    slanted = any(len(name) > 9 for name in columns)
    left, top = 0.25 + 0.062 * max(map(len, table.names)), 0.85 if slanted else 0.28
    inner = 0.58 * (len(columns) + gap), 0.28 * (len(names) + 1)
    width, height = left + inner[0] + 0.8, top + inner[1] + 0.1
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, 0.1 / height, inner[0] / width, inner[1] / height))
    largest, limit = _limits(differences)
    colours = _colours(limit)
    for column, x in enumerate(places):
        told: dict[str, Any] = {"weight": "bold" if table.cells[0][column].best else "normal", "fontsize": NORMAL}
        axes.text(x, -1.1, _score(table.cells[0][column]), ha="center", va="center", **told)
        for y, cells in enumerate(table.cells[1:]):
            sign = -1 if columns[column] in table.lower else 1
            _square(axes, colours, sign * limit, x, y, cells[column].value, cells[column].best)
    axes.set_xlim(-0.5, places[-1] + 0.5)
    axes.set_ylim(len(names) - 0.5, -1.5)
    turned: dict[str, Any] = {"rotation": 35, "ha": "left", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(places, columns, fontsize=NORMAL, **turned)
    axes.xaxis.tick_top()
    axes.set_yticks([-1.1, *range(len(names))], list(table.names), fontsize=NORMAL)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    tall = 0.28 * len(names)
    beside = ((left + inner[0] + 0.12) / width, 0.1 / height, 0.1 / width, tall / height)
    bar = figure.colorbar(colours, cax=figure.add_axes(beside), extend="both" if largest > limit else "neither")
    bar.set_label(f"difference to {table.baseline}, in points" if tall > 1.7 else "difference", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL, width=0.5)
    return save(figure, path)


def language_bars(table: Table, path: str | Path | None = None) -> Figure:
    """Draw one target's languages: a bar an intermediate, up or down from the baseline, whose score stands below.

    English comes first, the mean last. Many languages go into several rows with one scale. A cross marks what is
    missing; a thin line the spread over seeds.

    Args:
        table: A table by language, told as differences.
        path: Where it is saved, if it is; the suffix is the format.

    Raises:
        ConfigError: The table tells no differences, or matplotlib is not installed.
    """
    columns, names, _ = _relative(table)
    columns = [column for column in columns if column != GAP]
    cells = [[table.cell(name, column) for column in columns] for name in names]
    rows = ceil(len(columns) * (len(names) + 1.5) / BARS)
    a_row = ceil(len(columns) / rows)
    rows = ceil(len(columns) / a_row)
    width = min(WIDTH, max(3.4, 0.7 + 0.072 * a_row * (len(names) + 1.5)))
    across = max(1, int(width / (0.4 + 0.06 * max(map(len, names)))))
    figure = new_figure(width, 0.45 + 0.16 * ceil(len(names) / across) + 1.35 * rows, layout="constrained")
    grid = figure.subplots(rows, 1, squeeze=False, sharey=True)[:, 0]
    for axes, start in zip(grid, range(0, len(columns), a_row), strict=True):
        _bars(axes, table, columns[start : start + a_row], a_row)
    ends = [0.0, *(c.value + sign * (c.spread or 0) for row in cells for c in row for sign in (-1, 1) if c.value)]
    margin = max(0.1, 0.05 * (max(ends) - min(ends)))
    grid[0].set_ylim(min(ends) - margin, max(ends) + margin)
    explained = f"bars: difference to {table.baseline}, in points; grey numbers: score of {table.baseline}"
    figure.suptitle(f"{table.title}\n{explained}", fontsize=SMALL, x=0.01, ha="left")
    handles, labels = grid[0].get_legend_handles_labels()
    place: dict[str, Any] = {"loc": "outside lower left", "ncols": min(len(names), across)}
    figure.legend(handles, labels, fontsize=SMALL, frameon=False, handlelength=1, columnspacing=1.2, **place)
    return save(figure, path)


def learning_curves(curves: Curves, path: str | Path | None = None) -> Figure:
    """Draw a stage's training loss and its development scores against the step.

    The loss is drawn pale as it was logged, and strong as a running mean. A dashed line is the score of the model that
    was kept. More than six languages are grey, with English and the mean in front.

    Args:
        curves: What the stage logged.
        path: Where it is saved, if it is; the suffix is the format.

    Raises:
        ConfigError: Nothing was logged, or matplotlib is not installed.
    """
    panels = ([("loss", curves.losses)] if curves.losses else []) + [
        (f"{task} {score}", languages) for (task, score), languages in curves.scores.items()
    ]
    if not panels:
        raise ConfigError(f"{curves.name}: no training loss and no development score was logged")
    across = min(3, len(panels))
    down = ceil(len(panels) / across)
    figure = new_figure(2.4 * across + 0.3, 1.9 * down + 0.2, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, lines) in zip(grid, panels, strict=False):
        _lines(axes, lines, is_loss=lines is curves.losses)
        kept = {f"{task} {score}": values for (task, score), values in curves.kept.items()}.get(name, {})
        if kept:
            shown = next(iter(kept)) if len(kept) < 3 else MEAN
            axes.axhline(kept[shown], color="black", linewidth=0.8, linestyle="--", label=f"kept model ({shown})")
        axes.set_title("training loss" if lines is curves.losses else f"development {name}", fontsize=NORMAL)
        axes.set_xlabel("step", fontsize=NORMAL)
        plain_axes(axes)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            many = len(lines) > 5
            if many:  # room for the names above the curves
                bottom, top = axes.get_ylim()
                axes.set_ylim(bottom, top + 0.6 * (top - bottom))
            axes.legend(fontsize=SMALL - 2 * many, frameon=False, ncols=1 + many, loc="upper right" if many else "best")
    figure.suptitle(curves.name, fontsize=NORMAL, x=0.01, ha="left")
    return save(figure, path)


# ------------------------------------------------------------------ pieces of pictures
def _square(
    axes: Axes, colours: ScalarMappable, limit: float, x: float, y: float, value: float | None, best: bool
) -> None:
    """Draw one cell of a heatmap, its number dark or light, as can be read; a negative limit turns the colours."""
    from matplotlib.patches import Rectangle

    corner = (x - 0.5, y - 0.5)
    if value is None:
        axes.add_patch(Rectangle(corner, 1, 1, facecolor="#e6e6e6", edgecolor=GREY, hatch="////", linewidth=0))
        axes.add_patch(Rectangle(corner, 1, 1, facecolor="none", edgecolor="white", linewidth=1))
        return
    red, green, blue, _ = colours.cmap(min(1.0, max(0.0, 0.5 + value / limit / 2)))
    light = _luminance(red, green, blue) > 0.18
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=(red, green, blue), edgecolor="white", linewidth=1))
    rounded = round(value, 1) + 0.0
    text = f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"
    weight = "bold" if best else "normal"
    axes.text(x, y, text, ha="center", va="center", fontsize=NORMAL, weight=weight, color="black" if light else "white")


def _bars(axes: Axes, table: Table, columns: Sequence[str], a_row: int) -> None:
    """Draw the groups of bars of some languages; `a_row` groups fill the width."""
    names = table.names[1:]
    wide = 1 / (len(names) + 1.5)
    for number, name in enumerate(names):
        cells = [table.cell(name, column) for column in columns]
        places = [i + (number - (len(names) - 1) / 2) * wide for i in range(len(columns))]
        colour, hatch = COLOURS[number % len(COLOURS)], ("", "////", "....")[number // len(COLOURS) % 3]
        there = [(x, cell.value, cell.spread) for x, cell in zip(places, cells, strict=True) if cell.value is not None]
        lost = [x for x, cell in zip(places, cells, strict=True) if cell.value is None]
        heights = [value for _, value, _ in there]
        axes.bar(
            [x for x, *_ in there], heights, wide, color=colour, hatch=hatch, label=name, edgecolor="white", lw=0.2
        )
        spreads = [(x, value, spread) for x, value, spread in there if spread]
        for x, value, spread in spreads:
            axes.plot([x, x], [value - spread, value + spread], color="#333333", linewidth=0.6)
        axes.plot(lost, [0.0] * len(lost), "x", color=colour, markersize=3, markeredgewidth=0.7)
    axes.plot([-0.5, len(columns) - 0.5], [0, 0], color="black", linewidth=0.8)
    axes.set_xlim(-0.5, a_row - 0.5)
    axes.set_xticks(range(len(columns)), columns)
    below = axes.get_xaxis_transform()
    told: dict[str, Any] = {"transform": below, "ha": "center", "va": "top", "fontsize": SMALL - 1, "color": "#555555"}
    for i, column in enumerate(columns):
        axes.text(i, -0.17, _score(table.cell(table.baseline, column)), **told)
        if column == MEAN and i:
            axes.axvline(i - 0.5, color=GREY, linewidth=0.8, linestyle=":")
    plain_axes(axes)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)


def _lines(axes: Axes, lines: dict[str, Curve], is_loss: bool) -> None:
    """Draw the curves of one panel."""
    drawn = {name: curve for name, curve in lines.items() if name != MEAN or len(lines) > 2}
    crowd = len(drawn) > (len(COLOURS) if is_loss else 7)  # a mix has a loss a task
    for number, (name, curve) in enumerate(drawn.items()):
        steps, values = zip(*curve, strict=True) if curve else ((), ())
        pale = crowd and name not in ("en", MEAN)
        colour = "black" if name == MEAN else GREY if pale else COLOURS[number % len(COLOURS)]
        style: dict[str, Any] = {"color": colour, "linewidth": 0.6 if pale else 1.2, "zorder": 1 if pale else 2}
        if is_loss:
            axes.plot(steps, values, **style | {"linewidth": 0.5, "alpha": 0.4})
            if curve:
                values = tuple(value for _, value in smoothed(curve, max(1, len(curve) // 20)))
        marker: dict[str, Any] = (
            {"marker": "o", "markersize": 2.5} if len(curve) < (2 if is_loss else 30) and not pale else {}
        )
        label = None if pale and "others" in axes.get_legend_handles_labels()[1] else "others" if pale else name
        axes.plot(steps, values, label=label, **style, **marker)


def _luminance(*channels: float) -> float:
    """Return how light a colour is, from 0 to 1, as WCAG defines it; black is read better from 0.18 on."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _score(cell: Cell) -> str:
    return replace(cell, spread=None).plain()


def plain_axes(axes: Axes) -> None:
    """Leave out what a plot does not need, and print small."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_linewidth(0.5)
    axes.tick_params(labelsize=SMALL, width=0.5, length=2.5)


def _colours(limit: float) -> ScalarMappable:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(-limit, limit), "RdBu")


def _limits(differences: Sequence[float]) -> tuple[float, float]:
    """Return the largest size of a difference, and the size at which the colours end."""
    sizes = sorted(map(abs, differences))
    largest, most = sizes[-1], sizes[ceil(0.9 * len(sizes)) - 1]
    return largest, max(most if largest > 2 * most else largest, 0.1)


def _relative(table: Table) -> tuple[list[str], list[str], list[float]]:
    """Return columns, names and values of a table of differences.

    Raises:
        ConfigError: It is none.
    """
    values = [cell.value for row in table.cells[1:] for cell in row if cell.value is not None]
    if not table.baseline or not values:
        raise ConfigError("a picture of differences needs scores of a baseline and of something to compare with it")
    return list(table.header[1:]), list(table.names[1:]), values


def new_figure(width: float, height: float, layout: Any = None) -> Figure:
    """Return an empty figure of so many inches.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("pictures need matplotlib, which is not installed: pip install 'xtransfer[plots]'") from error
    return Figure((width, height), dpi=200, layout=layout)


def save(figure: Figure, path: str | Path | None) -> Figure:
    """Save a figure if a path is given; files of one figure are equal byte by byte."""
    if path is not None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    return figure
