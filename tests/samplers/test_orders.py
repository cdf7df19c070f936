"""The order of batches: each example once before any again, the same in all processes, entered anywhere."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from itertools import islice

import pytest
from torch.utils.data import DataLoader, Dataset

from xtransfer.errors import ConfigError
from xtransfer.samplers import Draw, MultiTaskSampler, Sampling, ShuffledBatches, seed_of

SIZES = {"nli": 37, "qa": 10, "tags": 3}
BATCHES = {"nli": 4, "qa": 2, "tags": 1}


def mixed(rank=0, world_size=1, accumulate=2, steps=60, seed=5, **settings):
    sampling = Sampling(temperature=3)
    return MultiTaskSampler(SIZES, BATCHES, steps, sampling, accumulate, seed, rank, world_size, **settings)


def test_every_example_of_a_task_is_seen_once_before_any_is_seen_again():
    sampler, streams = mixed(epochs=3), {part: [] for part in range(3)}
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for batch in sampler:
            for draw in batch:
                streams[draw.part].append(draw)
    for part, size in enumerate(SIZES.values()):
        stream = streams[part]
        assert len(stream) > 2 * size
        rounds = [stream[start : start + size] for start in range(0, len(stream), size)]
        for number, passed in enumerate(rounds):
            assert {draw.round for draw in passed} == {number}
            assert len({draw.index for draw in passed}) == len(passed)
        assert [d.index for d in rounds[0]] != [d.index for d in rounds[1]] or size == 3
        assert sorted(draw.index for draw in rounds[0]) == list(range(size))


def test_a_step_is_of_one_task_with_all_its_batches():
    sampler = mixed(accumulate=3)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 180
    for step, task in enumerate(sampler.tasks()):
        own = batches[3 * step : 3 * step + 3]
        assert {draw.part for batch in own for draw in batch} == {list(SIZES).index(task)}
        assert [len(batch) for batch in own] == [BATCHES[task]] * 3
    assert Counter(sampler.tasks()) == Counter(sampler.counts())


def test_it_is_a_function_of_seed_and_epoch():
    first, second = mixed(), mixed()
    list(first)  # going through it changes nothing
    for epoch in (0, 2, 1, 0):
        first.set_epoch(epoch)
        second.set_epoch(epoch)
        assert list(first) == list(second)
    one, other = mixed(), mixed(seed=6)
    assert one.tasks() != other.tasks()
    assert one.tasks(0) != one.tasks(1)


def test_processes_see_the_same_task_and_other_examples_and_together_what_one_sees():
    alone = list(mixed(accumulate=6))
    ranks = [list(mixed(rank, 3, accumulate=2)) for rank in range(3)]
    together = [ranks[rank][number] for number in range(len(ranks[0])) for rank in range(3)]
    assert together == alone
    for same_time in zip(*ranks, strict=True):
        assert len({batch[0].part for batch in same_time}) == 1


@pytest.mark.parametrize("make", [mixed, lambda **settings: ShuffledBatches(23, 4, seed=5, **settings)])
@pytest.mark.parametrize("workers", [0, 2])
def test_it_can_be_entered_anywhere(make, workers):
    class Echo(Dataset):
        def __getitem__(self, draw):
            return draw

    def run(sampler, epochs):
        loader = DataLoader(Echo(), batch_sampler=sampler, collate_fn=list, num_workers=workers)
        for epoch in epochs:
            loader.batch_sampler.sampler.set_epoch(epoch)  # as Lightning does
            yield from loader

    whole = [[tuple(draw) for draw in batch] for batch in run(make(), range(3))]
    length = len(make())
    for done in (0, 1, length - 1, length, length + 2):
        sampler = make()
        sampler.resume(done // length, done % length)
        again = [[tuple(draw) for draw in batch] for batch in run(sampler, range(done // length, 3))]
        assert again == whole[done:]
        assert len(sampler) == length


def test_one_pass_an_epoch_with_a_short_last_batch():
    sampler = ShuffledBatches(10, 4, seed=1)
    batches = list(sampler)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert sorted(draw.index for batch in batches for draw in batch) == list(range(10))
    sampler.set_epoch(1)
    again = list(sampler)
    assert {draw.round for batch in again for draw in batch} == {1}
    assert [d.index for b in again for d in b] != [d.index for b in batches for d in b]


def test_uneven_ends_are_filled_and_counted():
    alone = [[draw.index for draw in batch] for batch in ShuffledBatches(10, 4, seed=1)]
    samplers = [ShuffledBatches(10, 4, seed=1, rank=rank, world_size=2) for rank in range(2)]
    first, second = ([[draw.index for draw in batch] for batch in sampler] for sampler in samplers)
    assert first == [alone[0], alone[2]]
    assert second == [alone[1], alone[0]]  # the first batch again, so that both have two
    assert [sampler.repeated for sampler in samplers] == [4, 4]
    assert ShuffledBatches(8, 4, world_size=2).repeated == 0


def test_more_processes_than_batches():
    ranks = [list(ShuffledBatches(3, 2, rank=rank, world_size=5)) for rank in range(5)]
    assert [len(batches) for batches in ranks] == [1] * 5
    assert {draw.index for batches in ranks for batch in batches for draw in batch} == {0, 1, 2}


def test_a_task_smaller_than_its_batch():
    sampler = MultiTaskSampler({"tiny": 2}, 5, steps=2)
    shown = [draw for batch in sampler for draw in batch]
    assert Counter(draw.index for draw in shown) == {0: 5, 1: 5}
    assert shown == sorted(shown, key=lambda draw: draw.round)


def test_seeds_do_not_depend_on_the_process():
    assert seed_of(1, "mnli", 0) == int(sha256(b"(1, 'mnli', 0)").hexdigest()[:16], 16) // 2
    keys = [(1, "a", 0), (1, "a", 1), (2, "a", 0), (1, "b", 0), (1, 0, "a")]
    assert len({seed_of(*key) for key in keys}) == 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiTaskSampler({"a": 3, "b": 0}, 2, 5), "task 'b' has no training data"),
        (lambda: MultiTaskSampler({"a": 3}, 0, 5), "task 'a': batch size must be at least 1, found 0"),
        (lambda: MultiTaskSampler({"a": 3}, 2, 0), "must be at least 1, found 0, 1 and 1"),
        (lambda: MultiTaskSampler({"a": 3}, 2, 5, Sampling(weights={"a": 0})), "one of them above 0"),
        (lambda: ShuffledBatches(0, 2), "found 0 examples, batch size 2"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_it_goes_on_from_the_first_example_when_asked_only_for_some():
    assert list(islice(mixed(), 3)) == list(mixed())[:3]
    assert isinstance(next(iter(mixed()))[0], Draw)
