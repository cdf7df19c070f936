"""Each kind from a row to features, from logits to predictions and files, against values worked out by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch
from transformers import AutoTokenizer

from xtransfer.datamodules import UDPOS
from xtransfer.errors import ConfigError, DataError
from xtransfer.kinds import KINDS, Layout, collate
from xtransfer.metrics import Piece
from xtransfer.task import WHERE, Task

NLI = Task(
    name="toy",
    kind="classification",
    fields={"text": "a", "pair": "b", "label": "label"},
    labels=("yes", "no"),
    aliases={"y": "yes"},
)
CHOICE = Task(
    name="choice",
    kind="multiple_choice",
    fields={"text": "{a} who ?", "choices": ["c1", "c2"], "label": "label"},
    aliases={"A": "0", "B": "1"},
)
TAGS = Task(name="tags", kind="tagging", fields={"tokens": "tokens", "tags": "tags"}, labels=("N", "V", "O"))
QA = Task(name="qa", kind="span", fields={n: n for n in ("id", "question", "context", "answers")})
PAIRS = Task(name="pairs", kind="retrieval", fields={"text": "en", "candidate": "xx", "candidate_id": "line"})


@pytest.fixture(scope="module")
def layout(tiny_encoder) -> Layout:
    return Layout(AutoTokenizer.from_pretrained(tiny_encoder))


def encode(task, rows, layout, max_length=64, train=False):
    kind, counts = KINDS[task.kind], Counter()
    examples = [kind.example(row, task, "en") | {"index": i} for i, row in enumerate(rows)]
    return list(kind.encode(examples, task, layout, max_length, train, counts)), counts


def qa_row(context, answer, start=None, question="who ?", id="q1"):
    start = context.index(answer) if start is None else start
    return {
        "id": id,
        "question": question,
        "context": context,
        "answers": {"text": [answer], "answer_start": [start]},
        WHERE: "f.json:1",
    }


# ------------------------------------------------------------------ classification
def test_classification_reads_labels_by_name(layout):
    features, counts = encode(
        NLI, [{"a": "cat", "b": "dog", "label": "y"}, {"a": "", "b": "dog", "label": None}], layout
    )
    assert [feature["labels"] for feature in features] == [0, None]
    assert features[0]["input_ids"] == layout.tokenizer("cat", "dog")["input_ids"]
    assert (counts["empty_text"], counts["truncated"]) == (1, 0)


def test_classification_counts_what_it_cuts(layout):
    features, counts = encode(NLI, [{"a": "cat " * 50, "b": "dog", "label": "no"}], layout, max_length=16)
    assert len(features[0]["input_ids"]) == 16
    assert counts["truncated"] == 1


def test_illegal_label_names_place_value_and_labels():
    with pytest.raises(DataError, match=r"toy \(sw\) f.tsv:9: label 'maybe' is not one of: yes, no"):
        KINDS["classification"].example({"a": "x", "b": "y", "label": "maybe", WHERE: "f.tsv:9"}, NLI, "sw")


def test_missing_column_names_what_is_there():
    with pytest.raises(DataError, match=r"toy f.tsv:9: no column 'b'; found: a, label"):
        KINDS["classification"].example({"a": "x", "label": "yes", WHERE: "f.tsv:9"}, NLI, "sw")


def test_text_that_is_no_text_is_refused():
    with pytest.raises(DataError, match="should be a text, found 3"):
        KINDS["classification"].example({"a": 3, "b": "y", "label": "yes"}, NLI, "en")


def test_classification_predicts_and_exports_names():
    kind = KINDS["classification"]
    batch = {"index": [0, 1], "part": [0, 0]}
    pieces = kind.decode(torch.tensor([[0.1, 0.2], [3.0, -1.0]]), batch, NLI.spec())
    assert kind.export(pieces, [{}, {}], NLI.spec()) == "no\nyes\n"


def test_a_class_that_is_looked_for_is_scored_by_its_f1():
    kind = KINDS["classification"]
    task = replace(NLI, options={"positive": "no"}, metric="accuracy_f1")
    kind.check(task)
    metric = kind.metric(task.spec())
    metric.update([Piece(0, 0, 1), Piece(1, 0, 1)], [1, 0])
    assert metric.compute()["f1"] == pytest.approx(200 / 3)
    assert kind.main_score(task.spec()) == "accuracy_f1" in metric.variant
    assert set(kind.metric(NLI.spec()).variant) == {"accuracy"}
    with pytest.raises(ConfigError, match="task 'toy': option positive: no label 1; known: no, yes"):
        kind.check(replace(NLI, options={"positive": 1}))


def test_examples_with_a_placeholder_are_counted_and_kept(layout):
    pairs = [("cat", "dog"), ("NS", "dog"), ("cat", "NS"), ("NS", "NS"), ("NSX", "")]
    rows = [{"a": a, "b": b, "label": "no"} for a, b in pairs]
    features, counts = encode(replace(NLI, options={"placeholder": "NS"}), rows, layout)
    assert (len(features), counts["placeholder"]) == (5, 3)
    assert encode(NLI, rows, layout)[1]["placeholder"] == 0


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_labels_are_required(kind):
    fields = {"text": "a", "label": "b", "tokens": "a", "tags": "b"}
    with pytest.raises(ConfigError, match="needs `labels`"):
        KINDS[kind].check(Task(name="x", kind=kind, fields=fields))


def test_unknown_option_has_a_hint():
    task = Task(name="x", kind="span", fields=QA.fields, options={"strid": 3})
    with pytest.raises(ConfigError, match="unknown option 'strid'.*did you mean 'stride'"):
        KINDS["span"].check(task)


def test_missing_role_is_named():
    with pytest.raises(ConfigError, match=r"missing: \['label'\]"):
        KINDS["classification"].check(Task(name="x", kind="classification", fields={"text": "a"}, labels=("a", "b")))


# ------------------------------------------------------------------ multiple choice
def test_options_share_the_prompt_and_keep_its_end(layout):
    rows = [{"a": "the " * 30 + "cat", "c1": "dog", "c2": "house", "label": "B"}]
    features, counts = encode(CHOICE, rows, layout, max_length=12)
    prompt_end = layout.ids(["cat who ?"])[0]
    for ids, option in zip(features[0]["input_ids"], ("dog", "house"), strict=True):
        assert len(ids) == 12
        assert ids[-1 - len(layout.ids([option])[0]) : -1] == layout.ids([option])[0]
        assert "".join(map(str, prompt_end)) in "".join(map(str, ids))
    assert features[0]["labels"] == 1
    assert counts["truncated"] == 2


def test_label_beyond_the_options_is_refused():
    row = {"a": "x", "c1": "a", "c2": "b", "label": "2", WHERE: "f:1"}
    with pytest.raises(DataError, match="label '2' is not one of A, B; there are 2 options"):
        KINDS["multiple_choice"].example(row, CHOICE, "en")


def test_where_answers_have_names_numbers_are_none_of_them():
    row = {"a": "x", "c1": "a", "c2": "b", "label": "0", WHERE: "f:1"}
    with pytest.raises(DataError, match="label '0' is not one of A, B; there are 2 options"):
        KINDS["multiple_choice"].example(row, CHOICE, "en")
    with pytest.raises(DataError, match="label '2' is not one of 0, 1; there are 2 options"):
        KINDS["multiple_choice"].example(row | {"label": 2}, replace(CHOICE, aliases={}), "en")


def test_choice_exports_json_lines():
    kind = KINDS["multiple_choice"]
    pieces = kind.decode(torch.tensor([[0.0, 1.0]]), {"index": [0], "part": [0]}, CHOICE.spec())
    assert kind.export(pieces, [{}], CHOICE.spec()) == '{"label": 1}\n'


# ------------------------------------------------------------------ tagging
def test_first_sub_word_carries_the_tag(layout):
    features, _ = encode(TAGS, [{"tokens": ["cat", "xyz", "runs"], "tags": ["N", "O", "V"]}], layout)
    feature = features[0]
    first = feature["meta"]["first"]
    assert [feature["labels"][position] for position in first] == [0, 2, 1]
    assert sum(label != -100 for label in feature["labels"]) == 3
    assert len(feature["input_ids"]) > 5  # 'xyz' has several sub-words


def test_long_sentences_are_split_and_written_back_whole(layout):
    tokens = ["cat", "dog", "house", "city", "river", "who"] * 5
    rows = [{"tokens": tokens, "tags": ["N"] * 30}, {"tokens": ["cat"], "tags": ["V"]}]
    features, counts = encode(TAGS, rows, layout, max_length=13)  # room for 10
    assert [(f["index"], f["part"], len(f["meta"]["first"])) for f in features] == [
        (0, 0, 10),
        (0, 1, 10),
        (0, 2, 10),
        (1, 0, 1),
    ]
    assert counts["sentences_split"] == 1
    kind = KINDS["tagging"]
    batch = collate(features, 1, "token")
    logits = torch.zeros(4, batch["input_ids"].shape[1], 3)
    logits[..., 1] = 1.0
    logits[1, :, 0] = 2.0
    text = kind.export(kind.decode(logits, batch, TAGS.spec()), batch["meta"], TAGS.spec())
    assert text == "V\n" * 10 + "N\n" * 10 + "V\n" * 10 + "\n" + "V\n"


def test_an_empty_word_keeps_its_row_and_gets_the_tag_of_the_options(layout):
    rows = [{"tokens": ["cat", "", "dog", ""], "tags": ["N", "O", "N", "O"]}]
    for options, tags in (({}, [1, 1, 1, 1]), ({"empty_tag": "O"}, [1, 2, 1, 2])):
        task = replace(TAGS, options=options)
        features, _ = encode(task, rows, layout, max_length=6)  # in pieces
        batch = collate(features, layout.tokenizer.pad_token_id, "token")
        logits = torch.zeros(*batch["input_ids"].shape, 3)
        logits[..., 1] = 1.0
        pieces = KINDS["tagging"].decode(logits, batch, task.spec())
        assert len(pieces) > 1
        assert [tag for piece in pieces for tag in piece.value] == tags
    with pytest.raises(ConfigError, match="task 'tags': empty_tag 'Q' is none of its labels; known: N, O, V"):
        KINDS["tagging"].check(replace(TAGS, options={"empty_tag": "Q"}))
    assert UDPOS.task.options["empty_tag"] == "X"


def test_words_without_or_with_too_many_sub_words_become_unknown(layout):
    features, counts = encode(TAGS, [{"tokens": ["", "x" * 90, "cat"], "tags": ["O", "O", "N"]}], layout, max_length=20)
    assert features[0]["input_ids"][1:3] == [layout.tokenizer.unk_token_id] * 2
    assert counts["words_unknown"] == 2
    assert len(features[0]["meta"]["first"]) == 3


def test_words_and_tags_of_different_number_are_refused():
    with pytest.raises(DataError, match="2 words but 1 tags"):
        KINDS["tagging"].example({"tokens": ["a", "b"], "tags": ["N"]}, TAGS, "en")


def test_unknown_tag_is_refused():
    with pytest.raises(DataError, match="label 'Q' is not one of: N, V, O"):
        KINDS["tagging"].example({"tokens": ["a"], "tags": ["Q"]}, TAGS, "en")


# ------------------------------------------------------------------ spans
def test_answer_tokens_cover_the_answer(layout):
    row = qa_row("the dog sleeps in the city", "dog sleeps")
    feature = encode(QA, [row], layout, train=True)[0][0]
    start, end = feature["labels"]
    assert feature["input_ids"][start : end + 1] == layout.ids(["dog sleeps"])[0]


def test_windows_step_by_the_stride_and_own_the_middle(layout):
    task = Task(name="qa", kind="span", fields=QA.fields, options={"stride": 4})
    context = " ".join(["cat", "dog", "house", "city", "river"] * 4)  # 20 tokens
    question = layout.ids(["who ?"])[0]
    features, _ = encode(task, [qa_row(context, "city")], layout, len(question) + 4 + 8)
    starts = [len(context.split()) - 20 + i * 4 for i in range(len(features))]
    assert len(features) == 4  # 0-8, 4-12, 8-16, 12-20
    assert [len(f["meta"]["offsets"]) for f in features] == [8, 8, 8, 8]
    owned = [start + position for start, f in zip(starts, features, strict=True) for position in f["meta"]["own"]]
    assert sorted(owned) == list(range(20))  # every token may start an answer in exactly one window
    assert features[1]["meta"]["own"] == [2, 3, 4, 5]  # tokens 6 to 9, those with most context on the poorer side


def test_window_without_the_answer_points_to_the_start(layout):
    task = Task(name="qa", kind="span", fields=QA.fields, options={"stride": 8})
    context = " ".join(["cat"] * 8 + ["river"] + ["cat"] * 7)
    question = layout.ids(["who ?"])[0]
    features, _ = encode(task, [qa_row(context, "river")], layout, len(question) + 4 + 8, train=True)
    assert [feature["labels"] == [0, 0] for feature in features] == [True, False]


def test_wrong_offset_is_mended_to_the_nearest_and_counted(layout):
    context = "cat dog cat dog"
    features, counts = encode(QA, [qa_row(context, "dog", start=11)], layout, train=True)
    start = features[0]["labels"][0]
    assert start == features[0]["meta"]["first"] + 3
    assert counts["answer_moved"] == 1


def test_answer_that_is_nowhere_is_left_out_and_counted(layout):
    features, counts = encode(QA, [qa_row("cat dog", "river", start=0)], layout, train=True)
    assert features == []
    assert counts["answer_missing"] == 1


def test_unanswerable_needs_the_option():
    row = qa_row("cat dog", "cat") | {"answers": {"text": [], "answer_start": []}}
    with pytest.raises(DataError, match="question 'q1' has no answer"):
        KINDS["span"].example(row, QA, "en")
    task = Task(name="qa", kind="span", fields=QA.fields, options={"no_answer": True})
    assert KINDS["span"].example(row, task, "en")["label"] == []


def test_answers_taken_away_are_no_gold(layout):
    row = qa_row("cat dog", "cat") | {"answers": None}
    assert encode(QA, [row], layout)[0][0]["meta"]["gold"] is None


def test_span_is_read_off_the_logits_by_characters(layout):
    row = qa_row("  the cat sleeps.", "cat", id="q-7")
    features, _ = encode(QA, [row], layout)
    batch = collate(features, 1)
    meta = batch["meta"][0]
    words = [meta["text"][s:e] for s, e in meta["offsets"]]
    logits = torch.zeros(1, batch["input_ids"].shape[1], 2)
    logits[0, meta["first"] + words.index("cat"), 0] = 5.0
    logits[0, meta["first"] + words.index("sleeps"), 1] = 4.0
    logits[0, 0] = torch.tensor([1.0, 2.0])
    logits[0, 1, 0] = 50.0  # the question may not be the answer
    kind = KINDS["span"]
    piece = kind.decode(logits, batch, QA.spec())[0]
    assert (piece.value, piece.score, piece.null_score) == ("cat sleeps", 9.0, 3.0)
    assert json.loads(kind.export([piece], batch["meta"], QA.spec())) == {"q-7": "cat sleeps"}


def test_white_space_is_no_answer_while_there_is_another(layout):
    features, _ = encode(QA, [qa_row("the cat sleeps", "cat")], layout)
    batch = collate(features, 1)
    meta = batch["meta"][0]
    meta["text"], meta["offsets"] = "the   sleeps", [(0, 3), (4, 5), (6, 12)]  # as tokenizers with such tokens have it
    logits = torch.zeros(1, batch["input_ids"].shape[1], 2)
    logits[0, meta["first"] + 1] = 9.0
    logits[0, meta["first"] + 2] = 4.0
    logits[0, meta["first"] + 1, 1] = 9.5
    (piece,) = KINDS["span"].decode(logits, batch, QA.spec())
    assert (piece.value.strip(), piece.score) == ("sleeps", 13.0)


def test_best_window_wins_and_no_answer_can(layout):
    task = Task(name="qa", kind="span", fields=QA.fields, options={"stride": 4, "no_answer": True})
    context = " ".join(["cat", "dog", "house", "city", "river"] * 2)
    question = layout.ids(["who ?"])[0]
    features, _ = encode(task, [qa_row(context, "city")], layout, len(question) + 4 + 6)
    batch, kind = collate(features, 1), KINDS["span"]
    logits = torch.zeros(len(features), batch["input_ids"].shape[1], 2)
    last = batch["meta"][-1]
    logits[-1, last["first"] + last["own"][-1]] = 3.0
    pieces = kind.decode(logits, batch, task.spec())
    assert json.loads(kind.export(pieces, batch["meta"], task.spec())) == {"q1": "river"}
    logits[:, 0] = 9.0
    pieces = kind.decode(logits, batch, task.spec())
    assert json.loads(kind.export(pieces, batch["meta"], task.spec())) == {"q1": ""}
    assert json.loads(kind.export(pieces, batch["meta"], QA.spec()))["q1"] == "river"  # v1.1: never empty


def test_no_room_for_the_passage(layout):
    with pytest.raises(ConfigError, match="max_length 6 leaves no room"):
        encode(QA, [qa_row("cat", "cat")], layout, max_length=6)


# ------------------------------------------------------------------ retrieval
def test_each_side_is_a_feature_and_predictions_name_lines(layout):
    rows = [{"en": "a cat", "xx": "Katze", "line": 7}, {"en": "the dog", "xx": "собака", "line": 2}]
    features, _ = encode(PAIRS, rows, layout)
    named = [(f["index"], f["part"], f["meta"]["gold"]["id"], f["meta"]["gold"]["targets"]) for f in features]
    assert named == [(0, 0, "0", ["7"]), (0, 1, "7", None), (1, 0, "1", ["2"]), (1, 1, "2", None)]
    kind, batch = KINDS["retrieval"], collate(features, 1, "batch")
    assert "labels" not in batch
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.9, 0.1]])
    pieces = kind.decode(vectors, batch, PAIRS.spec())
    assert kind.export(pieces, batch["meta"], PAIRS.spec()) == "2\n7\n"


def test_queries_of_one_candidate_are_all_in_the_file(layout):
    fields = {"text": "en", "candidate": "xx", "label": "line"}
    task = Task(name="answers", kind="retrieval", fields=fields, options={"method": "ranking"})
    rows = [{"en": "a cat", "xx": "Katze", "line": 0}, {"en": "the cat", "xx": "Katze", "line": 0}]
    features, _ = encode(task, rows, layout)
    kind, batch = KINDS["retrieval"], collate(features, 1, "batch")
    pieces = kind.decode(torch.eye(4), batch, task.spec())
    found = json.loads(kind.export(pieces, batch["meta"], task.spec()))
    assert list(found) == ["0", "1"]
    assert json.loads(kind.gold([kind.example(row, task, "de") for row in rows], task)) == found


def test_training_pairs_are_one_feature(layout):
    features, _ = encode(PAIRS, [{"en": "a cat", "xx": "Katze", "line": 0}] * 2, layout, train=True)
    batch = collate(features, 1, KINDS["retrieval"].labels_per)
    assert batch["input_ids"].shape[:2] == (2, 2)
    assert batch["labels"].tolist() == [0, 1]


@pytest.mark.parametrize(("depth", "layer"), [(24, 14), (12, 7)])
def test_default_layer_is_the_papers(depth, layer):
    assert KINDS["retrieval"].layer(depth, {"options": {}}) == layer
