"""Putting texts together must give what the tokenizer itself would give."""

from __future__ import annotations

import random

import pytest
import torch
from transformers import AutoTokenizer, BertTokenizerFast, PreTrainedTokenizerFast

from xtransfer.kinds.text import Layout, collate, cut, fit_pair


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder):
    return AutoTokenizer.from_pretrained(tiny_encoder)


@pytest.fixture(scope="module")
def bert_tokenizer(tmp_path_factory) -> PreTrainedTokenizerFast:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sleeps", "who", "?", "a"]
    return BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})


@pytest.mark.parametrize("which", ["tokenizer", "bert_tokenizer"])
def test_layout_equals_the_tokenizer(which, request):
    tokenizer = request.getfixturevalue(which)
    layout = Layout(tokenizer)
    first, second = layout.ids(["who sleeps ?", "the cat sleeps"])
    pair = tokenizer("who sleeps ?", "the cat sleeps")
    assert layout.pair(first, second)["input_ids"] == pair["input_ids"]
    assert layout.single(first)["input_ids"] == tokenizer("who sleeps ?")["input_ids"]
    if "token_type_ids" in pair:
        assert layout.pair(first, second)["token_type_ids"] == pair["token_type_ids"]
    start = layout.second_start(first)
    assert pair["input_ids"][start : start + len(second)] == second
    assert layout.single(first)["input_ids"][layout.first_start()] == first[0]


def test_bert_marks_the_second_text(bert_tokenizer):
    types = Layout(bert_tokenizer).pair([5], [6, 7])["token_type_ids"]
    assert types == [0, 0, 0, 1, 1, 1]


def test_pairs_are_cut_as_the_tokenizer_cuts_them(tokenizer):
    layout, random_ = Layout(tokenizer), random.Random(0)
    for _ in range(200):
        texts = [" ".join(random_.choices(["cat", "dog", "the"], k=random_.randint(1, 12))) for _ in range(2)]
        length = random_.randint(6, 20)
        wanted = tokenizer(*texts, truncation="longest_first", max_length=length)["input_ids"]
        got = layout.pair(*fit_pair(*layout.ids(texts), length - layout.pair_specials))["input_ids"]
        assert got == wanted, (texts, length)


def test_cut_from_the_left_keeps_the_end():
    assert cut([1, 2, 3, 4], 2, "left") == [3, 4]
    assert cut([1, 2, 3, 4], 0, "left") == []
    assert fit_pair([1, 2, 3, 4], [9], 3, "left") == ([3, 4], [9])


def test_offsets_leave_white_space_out(tokenizer):
    text = "  the cat  猫"
    ids, offsets = Layout(tokenizer).ids_and_offsets([text])[0]
    assert [text[start:end] for start, end in offsets if end > start][:2] == ["the", "cat"]
    assert len(ids) == len(offsets)


def test_collate_pads_to_the_longest():
    features = [
        {"input_ids": [5, 6], "labels": [-100, 1], "index": 3, "part": 0, "meta": {}},
        {"input_ids": [5, 6, 7], "labels": [-100, 2, 0], "index": 4, "part": 1, "meta": {}},
    ]
    batch = collate(features, pad_id=1, labels_per="token")
    assert batch["input_ids"].tolist() == [[5, 6, 1], [5, 6, 7]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["labels"].tolist() == [[-100, 1, -100], [-100, 2, 0]]
    assert (batch["index"], batch["part"]) == ([3, 4], [0, 1])


def test_collate_of_options_and_pairs():
    features = [{"input_ids": [[1, 2], [3]], "labels": 1, "index": i, "part": 0, "meta": {}} for i in range(2)]
    assert collate(features, 0)["input_ids"].tolist() == [[[1, 2], [3, 0]]] * 2
    assert collate(features, 0)["attention_mask"].shape == (2, 2, 2)
    assert torch.equal(collate(features, 0, "batch")["labels"], torch.arange(2))


def test_collate_without_some_labels_has_none():
    features = [{"input_ids": [1], "labels": label, "index": 0, "part": 0, "meta": {}} for label in (0, None)]
    assert "labels" not in collate(features, 0)


def test_texts_are_whole_whatever_the_tokenizer_was_used_for_before(tokenizer):
    layout, text = Layout(tokenizer), "the cat sleeps in the house"
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    tokenizer([text, "cat"], truncation=True, max_length=3, padding="max_length")
    assert layout.ids([text, "cat"]) == [whole, whole[1:2]]


def test_collate_refuses_features_of_different_numbers_of_sequences():
    features = [{"input_ids": ids, "labels": 0, "index": 0, "part": 0, "meta": {}} for ids in ([[1], [2]], [[1]] * 4)]
    with pytest.raises(ValueError, match=r"as many sequences in every feature of a batch, found \[2, 4\]"):
        collate(features, 0)
