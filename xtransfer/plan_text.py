"""A plan of stages as a tree, for reading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xtransfer.planning import Node, StagePlan

SHOWN = 3
"""So many runs a line names."""


def written(plan: StagePlan) -> str:
    """Return the tree of stages, what is to be done with each, and the sums.

    Args:
        plan: The plan.
    """
    rows = [("stage", "to do", "tokens", "runs"), *_branches(plan)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in rows]
    return "\n".join([*lines, "", *_sums(plan)])


def _branches(plan: StagePlan) -> Iterator[tuple[str, str, str, str]]:
    known = {node.training for node in plan.nodes}
    below: dict[str | None, list[Node]] = {}
    for node in plan.nodes:
        below.setdefault(node.start if node.start in known else None, []).append(node)

    def visit(node: Node, first: str, rest: str) -> Iterator[tuple[str, str, str, str]]:
        tasks = list(dict.fromkeys(use.task for use in node.uses))
        tokens = f"{node.tokens:,.0f}" if node.trainings else "–"
        yield f"{first}{node.name} ({', '.join(tasks)})", node.state, tokens, _runs(node)
        children = below.get(node.training, [])
        for number, child in enumerate(children, 1):
            last = number == len(children)
            yield from visit(child, f"{rest}{'└─ ' if last else '├─ '}", f"{rest}{'   ' if last else '│  '}")

    for node in below.get(None, []):
        yield from visit(node, "", "")


def _runs(node: Node) -> str:
    names = list(dict.fromkeys(use.run for use in node.uses))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _sums(plan: StagePlan) -> Iterator[str]:
    trainings, stages = sum(node.trainings for node in plan.nodes), sum(len(node.uses) for node in plan.nodes)
    ratio = f", {plan.tokens_from_scratch / plan.tokens:.2f} times as many" if plan.tokens else ""
    yield f"trainings: {trainings}, for {stages} stages of the runs; store: {plan.store or 'none, no run shares any'}"
    yield f"training:  {plan.tokens:,} tokens; if each run trained all of its own: {plan.tokens_from_scratch:,}{ratio}"
    yield f"scoring:   {plan.scored_tokens:,} tokens"
    if plan.hours is None:
        missing = sorted({node.encoder for node in plan.nodes} - set(plan.speeds))
        yield f"hours:     not known for {', '.join(missing)}: no training in the store; say --tokens_per_second N"
    else:
        speeds = ", ".join(f"{encoder} {speed:,.0f}" for encoder, speed in sorted(plan.speeds.items()))
        told = f" (tokens a second: {speeds}; {plan.speed_from})" if speeds else ""
        yield f"hours:     {plan.hours:.3g}{told}"
    sampled = sorted({name for node in plan.nodes for name in node.cost.sampled})
    if sampled:
        more = f" and {len(sampled) - 2 * SHOWN} more" if len(sampled) > 2 * SHOWN else ""
        yield f"reckoned from a sample of their rows: {', '.join(sampled[: 2 * SHOWN])}{more}"
    yield "tokens without padding; early stopping may end sooner; a token only scored takes a third of the time"
