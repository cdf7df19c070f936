"""What a set of runs will train, and what it costs, before any of it begins: stages that runs share are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from xtransfer.config import Plan, expand, parse_overrides, read
from xtransfer.errors import ConfigError, DataError
from xtransfer.hand_over import stage_folder
from xtransfer.identity import HandedOn, digest, identity_of, started
from xtransfer.resuming import trained
from xtransfer.sharing import device_name, key_of
from xtransfer.stage_costs import Cost, StageReader
from xtransfer.steps import done
from xtransfer.store import StageStore

Config = str | Path | Mapping[str, Any] | Plan | Sequence[str | Path]
FORWARD = 1 / 3
"""Work of a token that is only read, against one that is trained on: backward passes are twice the forward one."""


@dataclass(frozen=True)
class Use:
    """A stage of one run.

    Attributes:
        run: The run's name.
        task: What it is scored on, with the training's own task first.
        folder: The stage's folder.
        identity: Digest of all that its scores depend on.
        scoring: Tokens it is scored on.
        state: ``done``; ``trained``, but not scored as asked for; or ``to do``.
    """

    run: str
    task: str
    folder: Path
    identity: str
    scoring: float
    state: str


@dataclass
class Node:
    """A training, or an encoder that is only scored, with all runs that use it.

    Attributes:
        name: Name of the stage in the first of these runs.
        training: Digest of what its weights depend on.
        start: That of the training it starts from; None: the pretrained encoder.
        encoder: Name of the encoder.
        trains: Whether anything is trained.
        cost: What it costs to train it once.
        stored: Whether the store has it.
        shared: Whether there is a store, so that it is trained once for all runs.
        uses: The stages of the runs.
    """

    name: str
    training: str
    start: str | None
    encoder: str
    trains: bool
    cost: Cost
    stored: bool
    shared: bool
    uses: list[Use] = field(default_factory=list)

    @property
    def trainings(self) -> int:
        """How often it is to be trained."""
        folders = {use.folder for use in self.uses if use.state == "to do"}
        if not self.trains or self.stored:
            return 0
        return min(1, len(folders)) if self.shared else len(folders)

    @property
    def tokens(self) -> float:
        """Tokens to train on."""
        return self.trainings * self.cost.training

    @property
    def scored_tokens(self) -> float:
        """Tokens to score: of development rows while it trains, and of all rows once in each run's folder."""
        wanted = {(use.folder, use.identity): use.scoring for use in self.uses if use.state != "done"}
        return self.trainings * self.cost.looking + sum(wanted.values())

    @property
    def state(self) -> str:
        """What is to be done, in a few words."""
        if self.trainings:
            return "train" if self.trainings == 1 else f"train {self.trainings} times"
        if all(use.state == "done" for use in self.uses):
            return "done"
        if not self.trains:
            return "score, nothing to train"
        return "score, in the store" if self.stored else "score, trained before"


@dataclass(frozen=True)
class StagePlan:
    """The stages of many runs as a graph, with what is done, to be trained and to be scored, and what that costs.

    Attributes:
        nodes: Trainings, each after the one it starts from.
        store: Folder of the store, if there is one.
        speeds: Encoder -> tokens trained on in a second, as far as that is known.
        speed_from: How that is known.
    """

    nodes: tuple[Node, ...]
    store: Path | None
    speeds: Mapping[str, float]
    speed_from: str

    @property
    def tokens(self) -> int:
        """Tokens to train on, padding not counted."""
        return round(sum(node.tokens for node in self.nodes))

    @property
    def tokens_from_scratch(self) -> int:
        """The same if every stage of every run were trained by itself."""
        return round(sum(len(node.uses) * node.cost.training for node in self.nodes))

    @property
    def scored_tokens(self) -> int:
        """Tokens to score, those of development rows during training among them."""
        return round(sum(node.scored_tokens for node in self.nodes))

    @property
    def hours(self) -> float | None:
        """Hours that takes, a token that is only scored counted as a third; None where a speed is not known."""
        work = [(node.encoder, node.tokens + FORWARD * node.scored_tokens) for node in self.nodes]
        if any(tokens and encoder not in self.speeds for encoder, tokens in work):
            return None
        return sum(tokens / self.speeds[encoder] for encoder, tokens in work if tokens) / 3600

    def text(self) -> str:
        """Return the graph as a tree, and the sums, for reading."""
        from xtransfer.plan_text import written

        return written(self)


def plan(
    configs: Config | Sequence[Config],
    overrides: Sequence[str] | Sequence[tuple[str, Any]] = (),
    store: Path | str | None = None,
    tokens_per_second: float | None = None,
) -> StagePlan:
    """Say what a set of runs will train and score, and what it costs; nothing is built or trained.

    Every distinct stage is parsed and its data are looked at once, however many runs share it.

    Args:
        configs: The runs, or one: each a file, several files laid over each other (a list), a mapping, or a plan.
        overrides: Settings laid over all of them, as on the command line.
        store: Folder of the store; default that of the configurations.
        tokens_per_second: Tokens trained on in a second; default what the store's own trainings took.

    Raises:
        ConfigError: A configuration is wrong, two of them name different stores, or there is none.
        DataError: Data are missing.
    """
    pairs: Any = overrides
    if overrides and isinstance(overrides[0], str):
        pairs = parse_overrides([str(word) for word in overrides])
    if isinstance(configs, str | Path | Mapping | Plan):
        configs = [configs]
    runs = [_run(config, pairs) for config in configs]
    if not runs:
        raise ConfigError("name at least one configuration to plan")
    stores = {run.store for run in runs} if store is None else {Path(store).expanduser()}
    if len(stores) > 1:
        raise ConfigError(f"the runs name different stores: {', '.join(sorted(map(str, stores)))}; plan them apart")
    where = next(iter(stores))
    nodes = _nodes(runs, None if where is None else StageStore(where))
    encoders = {node.encoder for node in nodes}
    if tokens_per_second is not None:
        return StagePlan(nodes, where, dict.fromkeys(encoders, tokens_per_second), "as given")
    return StagePlan(nodes, where, *_measured(encoders, where))


def _run(config: Config, pairs: Sequence[tuple[str, Any]]) -> Plan:
    if isinstance(config, Plan):
        return config
    if isinstance(config, Mapping):
        return expand(config, pairs)
    return read([config] if isinstance(config, str | Path) else list(config), pairs)


def _nodes(runs: Sequence[Plan], store: StageStore | None) -> tuple[Node, ...]:
    """Return the trainings of all runs, those that are the same as one."""
    reader, nodes = StageReader(), dict[str, Node]()
    for run in runs:
        handed: dict[str, HandedOn] = {}
        for stage in run.stages:
            folder, start = stage_folder(run, stage), handed.get(stage.start or "")
            try:
                look = reader.look(stage, folder)
            except (ConfigError, DataError) as error:
                where = f"stage '{stage.name}': "
                raise type(error)(f"run '{run.name}', {where}{str(error).removeprefix(where)}") from error
            facts = started(look.facts, stage, start)
            handed[stage.name] = HandedOn.by(stage, look.trains, facts, start)
            training, identity = digest(facts), identity_of(facts, look.scoring)
            if training not in nodes:
                stored = store is not None and store.find(key_of(training, look.processes)) is not None
                known = training, facts["start"], look.encoder, look.trains, look.cost, stored, store is not None
                nodes[training] = Node(stage.name, *known)
            state = "done" if done(folder, identity) else "trained" if trained(folder, training) else "to do"
            nodes[training].uses.append(Use(run.name, look.task, folder, identity, look.cost.scoring, state))
    return tuple(nodes.values())


def _measured(encoders: set[str], store: Path | None) -> tuple[dict[str, float], str]:
    """Return the speed of each encoder in the store's own trainings, on this machine's device if there are such."""
    records = list(StageStore(store).records()) if store else []
    here = device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    speeds, devices, count = dict[str, float](), set[str](), 0
    for encoder in encoders:
        known = [r for r in records if r["encoder"] == encoder and r["noted"].get("tokens_per_second")]
        device = here if any(r["device"] == here for r in known) else known[-1]["device"] if known else ""
        alike = [r["noted"] for r in known if r["device"] == device]
        if alike:
            seconds = sum(noted["tokens"] / noted["tokens_per_second"] for noted in alike)
            speeds[encoder] = sum(noted["tokens"] for noted in alike) / seconds
            devices.add(device)
            count += len(alike)
    return speeds, f"measured in {count} trainings of the store, on {', '.join(sorted(devices))}" if count else ""
