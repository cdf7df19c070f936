"""Masked language modelling: which words are hidden, how often, by what, and what is scored and written of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer

from xtransfer.errors import ConfigError
from xtransfer.kinds import KINDS, Layout, Vocabulary, collate
from xtransfer.kinds.mlm import MaskedLM
from xtransfer.task import Task

TEXT = Task(name="text", kind="mlm", fields={"text": "text"})
SPECIAL = (0, 1, 2, 3, 499)
VOCABULARY = Vocabulary(size=500, pad=1, mask=499, special=SPECIAL)
KIND = MaskedLM()


@pytest.fixture(scope="module")
def layout(tiny_encoder: Path) -> Layout:
    return Layout(AutoTokenizer.from_pretrained(tiny_encoder))


def encode(texts, layout, train, max_length=64, task=TEXT):
    counts: Counter[str] = Counter()
    examples = [KIND.example({"text": text}, task, "en") | {"index": i} for i, text in enumerate(texts)]
    return list(KIND.encode(examples, task, layout, max_length, train, counts)), counts


def feature(length=40):
    """Words 100, 101, ... between special tokens, an unknown one among them."""
    return {
        "input_ids": [0, *range(100, 100 + length // 2), 3, *range(300, 300 + length // 2), 2],
        "index": 0,
        "part": 0,
    }


# ------------------------------------------------------------------ masks
def test_shares_over_many_positions_are_those_of_bert():
    plain, fates, random = feature(200), Counter(), []
    for seed in range(500):
        shown = KIND.shown(plain, TEXT, VOCABULARY, seed)
        for before, after, label in zip(plain["input_ids"], shown["input_ids"], shown["labels"], strict=True):
            assert label in (-100, before)
            fate = "mask" if after == 499 else "same" if after == before else "random"
            fates[fate if label != -100 else "left"] += 1
            assert label != -100 or after == before
            if fate == "random":
                random.append(after)
    hidden = fates["mask"] + fates["random"] + fates["same"]
    assert hidden == 500 * 30, "15 % of the 200 words, each time"
    for fate, share in (("mask", 0.8), ("random", 0.1), ("same", 0.1)):
        assert abs(fates[fate] / hidden - share) < 4 * math.sqrt(share * (1 - share) / hidden), fate
    assert not set(random) & set(SPECIAL)
    assert min(random) < 14, "the lowest of the words, which begin after the special tokens"
    assert max(random) > 488, "the highest, which end before the mask"
    chi = sum((n - len(random) / 9) ** 2 / (len(random) / 9) for n in Counter(min(8, w // 55) for w in random).values())
    assert chi < 40, "all words alike"


def test_special_tokens_are_never_hidden_and_every_word_is_now_and_then():
    plain = feature()
    hidden = Counter(
        position
        for seed in range(400)
        for position, label in enumerate(KIND.shown(plain, TEXT, VOCABULARY, seed)["labels"])
        if label != -100
    )
    words = {position for position, token in enumerate(plain["input_ids"]) if token not in SPECIAL}
    assert set(hidden) == words
    assert max(hidden.values()) < 3 * min(hidden.values())


def test_masks_are_a_function_of_the_seed_alone():
    torch.manual_seed(5)
    first = KIND.shown(feature(), TEXT, VOCABULARY, 7)
    torch.manual_seed(6)
    assert KIND.shown(feature(), TEXT, VOCABULARY, 7) == first
    assert KIND.shown(feature(), TEXT, VOCABULARY, 8) != first
    state = torch.get_rng_state()
    KIND.shown(feature(), TEXT, VOCABULARY, 9)
    assert torch.equal(torch.get_rng_state(), state)


def test_of_a_short_text_one_word_is_hidden_and_of_no_word_none():
    short = {"input_ids": [0, 100, 101, 2]}
    assert {sum(label != -100 for label in KIND.shown(short, TEXT, VOCABULARY, s)["labels"]) for s in range(20)} == {1}
    assert KIND.shown({"input_ids": [0, 2]}, TEXT, VOCABULARY, 0) == {"input_ids": [0, 2], "labels": [-100, -100]}


def test_options_change_the_shares():
    task = replace(TEXT, options={"probability": 1.0, "masked": 0.0, "random": 1.0})
    shown = KIND.shown(feature(), task, VOCABULARY, 0)
    words = [i for i, token in enumerate(feature()["input_ids"]) if token not in SPECIAL]
    assert [shown["labels"][i] for i in words] == [feature()["input_ids"][i] for i in words]
    assert 499 not in shown["input_ids"]
    assert sum(shown["input_ids"][i] != feature()["input_ids"][i] for i in words) > 35


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 0}, "option probability must be a share from 0 to 1, found 0"),
        ({"masked": 1.5}, "option masked must be a share from 0 to 1, found 1.5"),
        ({"random": 0.5}, "masked and random must be at most 1 together, found 0.8 and 0.5"),
        ({"probabilty": 0.2}, "unknown option 'probabilty'.*probability"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        KIND.check(replace(TEXT, options=options))


# ------------------------------------------------------------------ features
def test_training_features_are_plain_and_others_masked_by_their_number_alone(layout):
    texts = ["the cat sleeps in the city", "wo ist die Katze " * 8]
    plain, _ = encode(texts, layout, train=True)
    assert [f["input_ids"] for f in plain] == [layout.tokenizer(text)["input_ids"] for text in texts]
    assert all("labels" not in f for f in plain)
    scored, _ = encode(texts, layout, train=False)
    other, _ = encode(["who ?", *texts[1:]], layout, train=False, task=replace(TEXT, name="other"))
    assert scored[1] == other[1], "its own number counts, not the task's name or the rows before"
    for before, after in zip(plain, scored, strict=True):
        assert [b for b, label in zip(before["input_ids"], after["labels"], strict=True) if label != -100] == [
            label for label in after["labels"] if label != -100
        ]
    assert [sum(label != -100 for label in f["labels"]) for f in scored] == [1, 5]


def test_long_lines_are_cut_and_counted(layout):
    features, counts = encode(["cat " * 50, "cat dog", "\u200b"], layout, train=False, max_length=16)
    assert [len(f["input_ids"]) for f in features][:2] == [16, 4]
    assert counts["truncated"] == 1


def test_a_tokenizer_without_a_mask_is_refused(tiny_encoder):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.mask_token = None
    with pytest.raises(ConfigError, match="task 'text': the tokenizer has no mask token"):
        encode(["cat"], Layout(tokenizer), train=True)


# ------------------------------------------------------------------ scores
def test_loss_accuracy_and_perplexity_by_hand():
    """Two examples with one and two hidden words of three; the probabilities of the right ones are 1/2, 1/4, 1/4."""
    features = [
        {"input_ids": [0, 7, 2], "labels": [-100, 1, -100], "index": 4, "part": 0, "meta": {"gold": None}},
        {"input_ids": [0, 7, 7, 2], "labels": [-100, 0, 2, -100], "index": 1, "part": 0, "meta": {"gold": None}},
    ]
    batch = collate(features, 1, "token")
    logits = torch.tensor([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]]).log()
    pieces = KIND.decode(logits, batch, TEXT.spec())
    assert [(piece.index, piece.value[1:]) for piece in pieces] == [(4, (1, 1)), (1, (2, 0))]
    metric = KIND.metric(TEXT.spec())
    metric.update(pieces, [None, None])
    metric.update(pieces[:1], [None])  # a row that a distributed sampler repeats
    found = metric.compute()
    loss = (math.log(2) + 2 * math.log(4)) / 3
    assert (found["accuracy"], found["n"], found["unlabelled"]) == (pytest.approx(100 / 3), 2, 0)
    assert found["loss"] == pytest.approx(loss)
    assert found["perplexity"] == pytest.approx(math.exp(loss))
    assert found["loss"] == pytest.approx(cross_entropy(logits, torch.tensor([1, 0, 2])).item())
    text = KIND.export([pieces[1], pieces[0]], [{}, {}], TEXT.spec())
    assert text == f"{2 * math.log(4):.6f}\t2\t0\n{math.log(2):.6f}\t1\t1\n"


def test_an_example_without_a_hidden_word_adds_nothing():
    features = [
        {"input_ids": [0, 2], "labels": [-100, -100], "index": 0, "part": 0, "meta": {"gold": None}},
        {"input_ids": [7], "labels": [1], "index": 1, "part": 0, "meta": {"gold": None}},
    ]
    pieces = KIND.decode(torch.zeros(1, 3), collate(features, 1, "token"), TEXT.spec())
    assert pieces[0].value == (0.0, 0, 0)
    metric = KIND.metric(TEXT.spec())
    metric.update(pieces, [None, None])
    assert metric.compute()["perplexity"] == pytest.approx(3)


def test_it_is_a_kind_like_the_others():
    assert isinstance(KINDS["mlm"], MaskedLM)
    assert KINDS["mlm"].auxiliary
