"""A run's stages, parsed and checked before any is trained, each with the identity by which it is known as done."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xtransfer.checks import check_heads_left, check_stage
from xtransfer.config import Plan, Stage
from xtransfer.datamodules import TaskDataModule
from xtransfer.errors import ConfigError, DataError
from xtransfer.hand_over import check_adapters_left, history_of, stage_folder
from xtransfer.identity import HandedOn, digest, identity_of, scoring_facts, started, training_facts
from xtransfer.results import MEAN
from xtransfer.stage_cli import StageCLI, data_of, parse
from xtransfer.task import SPLITS
from xtransfer.task_metrics import monitor

log = logging.getLogger(__name__)


@dataclass
class Step:
    """A stage that was parsed and checked, with what tells whether it is done.

    Attributes:
        stage: The stage.
        folder: Its folder.
        parsed: Its parsed configuration.
        origins: Where its rows come from, by portion.
        counts: What was found in them, by portion.
        chooses: Whether the model can be chosen by development rows, if there are any: some have gold labels.
        everything: All that determines its weights: configuration, data, and the stage it starts from.
        training: Digest of that; stages that have it in common have equal weights.
        identity: Digest of that and of all that determines its scores.
        handed_on: What it hands on; None where training rows were not looked at.
        chain: The stages its weights are trained in, in order.
        trained: The tasks of these.
    """

    stage: Stage
    folder: Path
    parsed: StageCLI
    origins: dict[str, str]
    counts: dict[str, Mapping[str, int]]
    chooses: bool
    everything: dict[str, Any]
    training: str
    identity: str
    handed_on: HandedOn | None
    chain: tuple[str, ...]
    trained: tuple[str, ...]

    @property
    def done(self) -> bool:
        """Whether the stage was finished with this very configuration and data."""
        return done(self.folder, self.identity)


def prepare(plan: Plan, splits: Sequence[str] = SPLITS) -> list[Step]:
    """Parse every stage, and check its data, encoder and tokenizer, before anything is trained."""
    steps: list[Step] = []
    parsed = [parse(stage, stage_folder(plan, stage)) for stage in plan.stages]
    for stage, cli in zip(plan.stages, parsed, strict=True):
        try:
            steps.append(_check(plan, stage, cli, splits, steps))
        except (ConfigError, DataError) as error:
            raise type(error)(f"stage '{stage.name}': {str(error).removeprefix(f'stage {stage.name!r}: ')}") from error
    return steps


def wanted_of(data: TaskDataModule, splits: Sequence[str] = SPLITS) -> list[str]:
    """Return those of the splits that are read for a stage's data."""
    wanted = [split for split in splits if data.trains or split == "test"]
    return ["validation", *wanted] if data.calibrates else wanted


def origins_of(data: TaskDataModule, splits: Sequence[str]) -> dict[str, str]:
    """Return where rows come from, by portion."""
    return {portion.name: portion.origin() for split in splits for portion in data.portions(split)}


def done(folder: Path, identity: str) -> bool:
    """Say whether the stage of a folder was finished as this identity tells."""
    mark = folder / "DONE"
    return mark.is_file() and json.loads(mark.read_text(encoding="utf-8")).get("identity") == identity


def _check(plan: Plan, stage: Stage, cli: StageCLI, splits: Sequence[str], before: Sequence[Step]) -> Step:
    data = data_of(cli)
    longest = check_stage(stage, cli, data)
    wanted = wanted_of(data, splits)
    counts, origins = data.check(longest, wanted), origins_of(data, wanted)
    chooses = _chooses(stage, data, counts)
    for portion, found in counts.items():
        published = found["rows_published"]
        if published and published != found["rows_in_source"]:
            log.warning("%s: %d rows, the data set is published with %d", portion, found["rows_in_source"], published)
    start = next((step for step in before if step.stage.name == stage.start), None)
    if start is not None and stage.adapters != "merge":
        check_adapters_left(cli, data.trains, start.parsed, start.stage.name in start.chain)
    if start is not None and set(stage.parts) != {"encoder"}:
        check_heads_left(stage, {spec["head"] for spec in data.specs()}, data_of(start.parsed).specs())
    before_it = start.handed_on if start else None
    everything = started(training_facts(stage, cli, data), stage, before_it) if "train" in splits else {}
    handed_on = HandedOn.by(stage, data.trains, everything, before_it) if everything else None
    training, identity = digest(everything), identity_of(everything, scoring_facts(stage, cli, origins))
    history = history_of(stage, [step.stage for step in before])
    past = next((step for step in before if step.stage is history), None)
    chain, trained = (past.chain, past.trained) if past else ((), ())
    if data.trains:
        chain, trained = (*chain, stage.name), (*trained, data.title)
    folder, told = stage_folder(plan, stage), dict[str, Mapping[str, int]](counts)
    facts = everything, training, identity, handed_on, chain, trained
    return Step(stage, folder, cli, origins, told, chooses, *facts)


def _chooses(stage: Stage, data: TaskDataModule, counts: Mapping[str, Mapping[str, int]]) -> bool:
    """Say whether a model can be chosen by development rows: one of them at least has to have a gold label.

    Raises:
        ConfigError: None has, and a score is named to choose by.
    """
    developed = {portion.name for portion in data.portions("validation")} & counts.keys()
    if not data.trains or not developed or stage.select == "last":
        return True
    chosen_by = monitor(data.specs()) if stage.select == "best" else stage.select
    developed = _judged(chosen_by, developed)
    if any(counts[portion]["rows"] > counts[portion]["unlabelled"] for portion in developed):
        return True
    told = f"no development row has a gold label ({', '.join(sorted(developed))})"
    if stage.select != "best":
        raise ConfigError(f"select: {told}, so no model can be chosen by '{stage.select}': select last")
    log.warning("%s: %s: the last model will be kept", stage.name, told)
    return False


def _judged(score: str, developed: set[str]) -> set[str]:
    """Return the portions that a development score is of, such as ``val/xnli/accuracy/en``, or of all ``val/mean``."""
    parts = score.split("/")
    if len(parts) < 4:
        return developed
    own = {portion for portion in developed if portion.startswith(f"{parts[1]}/")}
    return own if parts[-1] == MEAN else {portion for portion in own if portion.endswith(f"/{parts[-1]}")}
