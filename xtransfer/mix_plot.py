"""A picture of a mix: which task's turn it is over a run, by the rule and as it was drawn."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from xtransfer.plots import COLOURS, NORMAL, SMALL, WIDTH, new_figure, plain_axes, save
from xtransfer.samplers import MultiTaskSampler

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 60
"""Stretches of a run in which the drawn steps are counted, at the most; each has 50 steps or more."""


def mix_picture(sampler: MultiTaskSampler, path: Path | None = None) -> Figure:
    """Draw the shares of the tasks over a run as areas, and the shares of the steps really drawn as lines over them.

    Args:
        sampler: The order of the run.
        path: Where it is saved, if it is; the suffix is the format.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    drawn = [task for epoch in range(sampler.epochs) for task in sampler.tasks(epoch)]
    bins = min(BINS, max(2, len(drawn) // 50))
    edges = [round(i * len(drawn) / bins) for i in range(bins + 1)]
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    told = [sampler.sampling.shares(sampler.sizes, min(1.0, x / max(1, len(drawn) - 1))) for x in middles]
    figure = new_figure(WIDTH, 2.8, "constrained")
    axes = figure.subplots()
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(sampler.names)}
    below, counted = [0.0] * bins, [0.0] * bins
    for name in sampler.names:
        top = [base + shares[name] for base, shares in zip(below, told, strict=True)]
        axes.fill_between(middles, below, top, color=colours[name], alpha=0.55, linewidth=0, label=name)
        own = [drawn[a:b].count(name) / (b - a) for a, b in pairwise(edges)]
        counted = [base + share for base, share in zip(counted, own, strict=True)]
        if name != sampler.names[-1]:
            axes.plot(middles, counted, color="black", linewidth=0.5)
        below = top
    axes.set_xlim(middles[0], middles[-1])
    axes.set_ylim(0, 1)
    axes.set_xlabel("optimisation step", fontsize=NORMAL)
    axes.set_ylabel("share of the steps", fontsize=NORMAL)
    plain_axes(axes)
    axes.set_title("areas: the rule; lines: the steps as drawn", fontsize=SMALL, loc="left")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center", fontsize=SMALL, frameon=False)
    return save(figure, path)
