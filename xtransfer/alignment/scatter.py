"""The picture of a finding: values against gains, with names on the points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from xtransfer.alignment.findings import Finding
from xtransfer.errors import ConfigError
from xtransfer.plots import COLOURS, GREY, NORMAL, SMALL, new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

MARKERS = "osD^vP*X"


def scatter(finding: Finding) -> Figure:
    """Draw a measure against the gain, a point a unit and target, with its name; a colour and a sign a target.

    Raises:
        ConfigError: matplotlib or adjustText is not installed.
    """
    try:
        from adjustText import adjust_text
    except ImportError as error:
        raise ConfigError(
            "names on points need adjustText, which is not installed: pip install 'xtransfer[alignment]'"
        ) from error
    figure = new_figure(4.6, 3.6, layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    names: list[Text] = []
    targets = list(dict.fromkeys(target for _, target, _, _ in finding.points))
    for number, target in enumerate(targets):
        own = [(name, x, y) for name, t, x, y in finding.points if t == target]
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        axes.plot([x for _, x, _ in own], [y for _, _, y in own], linestyle="", markersize=4, label=target, **style)
        names += [axes.text(x, y, name, color=style["color"], fontsize=SMALL - 1) for name, x, y in own]
    axes.margins(0.12)
    direction = {"high": " (higher is nearer)", "low": " (lower is nearer)"}.get(finding.better, "")
    axes.set_xlabel(f"{finding.name.replace('_', ' ')}{direction}", fontsize=NORMAL)
    axes.set_ylabel("gain over none, in points", fontsize=NORMAL)
    plain_axes(axes)
    axes.legend(fontsize=SMALL, frameon=False, title="target", title_fontsize=SMALL)
    axes.set_title(_told(finding), fontsize=SMALL, loc="left")
    figure.draw_without_rendering()  # lays the axes out, by which names are placed
    lines = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5}
    adjust_text(names, ax=axes, expand=(1.15, 1.6), iter_lim=200, arrowprops=lines)
    return figure


def _told(finding: Finding) -> str:
    if math.isnan(finding.rho):
        return f"{finding.units} {finding.unit}s; the measure or the gain does not vary"
    within = "target and language" if finding.unit == "intermediate" else "target and intermediate"
    p = f"p = {finding.p:.3f}, corrected {finding.corrected:.3f}"
    if math.isnan(finding.corrected):
        p = f"too few {finding.unit}s to conclude"
    return f"ρ = {finding.rho:+.2f} within each {within}\n{p}; {finding.units} {finding.unit}s"
