"""What each task of a run's mixes will get, told before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from xtransfer.config import Plan, Stage, parse_overrides, read
from xtransfer.datamodules.mixture import Part, Place, described
from xtransfer.errors import ConfigError
from xtransfer.hand_over import stage_folder
from xtransfer.mix_plot import mix_picture
from xtransfer.results import markdown
from xtransfer.samplers import EpochBatches, MultiTaskSampler
from xtransfer.stage_cli import data_of, parse, seed_of_run

USAGE = "usage: xtransfer tasks --mix CONFIG [--mix CONFIG ...] [--out PICTURE.png] [--KEY VALUE ...]"


class Mixed(NamedTuple):
    """The training data of a stage.

    Attributes:
        stage: The stage.
        parts: Its training rows by task and language.
        order: Their order.
        place: Where in the run.
        facts: What its results will tell of them.
    """

    stage: Stage
    parts: Sequence[Part]
    order: EpochBatches
    place: Place
    facts: dict[str, object]


def mix(words: list[str]) -> int:
    """Run the command: print what each part gets in every stage, and draw it where a file is named."""
    files, rest = [], []
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--mix" and words:
            files.append(words.pop(0))
        else:
            rest.append(word)
    settings = parse_overrides(rest)
    out = next((Path(str(value)) for key, value in settings if key == "out"), None)
    plan = read(files, [pair for pair in settings if pair[0] != "out"])
    found = list(mixes(plan))
    print("\n\n".join(map(told, found)))
    drawn = [one for one in found if isinstance(one.order, MultiTaskSampler)]
    if out is not None and not drawn:
        raise ConfigError("--out: no stage mixes tasks or languages, so there is nothing to draw")
    for one in drawn if out is not None else []:
        assert out is not None
        assert isinstance(one.order, MultiTaskSampler)
        path = out if len(drawn) == 1 else out.with_stem(f"{out.stem}-{one.stage.name}")
        mix_picture(one.order, path)
        print(f"\npicture: {path}")
    return 0


def mixes(plan: Plan) -> Iterator[Mixed]:
    """Yield the training data of every stage that trains, read and tokenised (or taken from the cache).

    Raises:
        ConfigError: The configuration is wrong.
        DataError: The data are.
    """
    for stage in plan.stages:
        cli = parse(stage, stage_folder(plan, stage))
        data = data_of(cli)
        if not data.trains:
            continue
        data.check(None, ("train",))
        data.setup("fit")
        trainer = cli.config.trainer
        devices = trainer.devices if isinstance(trainer.devices, int) else 1
        epochs = 1 if trainer.max_epochs in (None, -1) else trainer.max_epochs
        place = Place(
            seed_of_run(cli.config.seed_everything),
            0,
            devices * trainer.num_nodes,
            trainer.accumulate_grad_batches,
            epochs,
        )
        parts = data.parts()
        order = data.order(parts, place)
        yield Mixed(stage, parts, order, place, data.facts(order, parts, place))


def told(mixed: Mixed) -> str:
    """Return the table of a stage: examples, size of a step, share, steps and passes of each part."""
    stage, parts, order, place, facts = mixed
    rows, found = [], described(order, parts, place)
    for part in parts:
        own, share = found[part.name], "all"
        if isinstance(order, MultiTaskSampler):
            at = [f"{order.sampling.shares(order.sizes, t)[part.name]:.1%}" for t in (0.0, 1.0)]
            share = " to ".join(dict.fromkeys(at))
        step = part.batch_size * place.accumulate * place.world_size
        cells = [f"{len(part):,}", str(step), share, f"{own['steps']:,.0f}", f"{own['epochs']:.2f}"]
        rows.append([part.name, *cells])
    header = ["part", "examples", "examples a step", "share", "steps", "epochs"]
    total = sum(own["steps"] for own in found.values())
    title = f"stage '{stage.name}': {total:,.0f} optimisation steps, {len(order) * place.epochs:,} batches a process"
    missing = facts.get("missing")
    notes = [f"left out, not there: {', '.join(missing)}"] if isinstance(missing, list) and missing else []
    notes += [f"removed, in an earlier task too: {facts['removed']} examples"] if facts.get("removed") else []
    return "\n".join([title, "", markdown(header, rows), *([""] if notes else []), *notes])
