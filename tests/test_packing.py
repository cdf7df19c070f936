"""A packed batch gives what a padded one gives: states and gradients, in every family of encoders, for every head."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel, EuroBertConfig, EuroBertModel

from tests.families import CONFIGS, SIZES
from xtransfer import attention
from xtransfer.encoder import Encoder
from xtransfer.heads import ClassificationHead, Head, MultipleChoiceHead, RetrievalHead, SpanHead, TaggingHead
from xtransfer.kinds import collate
from xtransfer.packing import Packing, size_for

LENGTHS = (9, 4, 12, 1, 7, 12)


def texts(vocabulary: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(3)
    return [
        {
            "input_ids": torch.randint(5, vocabulary, (n,), generator=generator).tolist(),
            "index": i,
            "part": 0,
            "meta": {},
        }
        for i, n in enumerate(LENGTHS)
    ]


def both(folder: Path) -> tuple[Encoder, Encoder]:
    """The same encoder, packed and padded, without dropout."""
    return Encoder(str(folder)).eval(), Encoder(str(folder), packing=False).eval()


# ------------------------------------------------------------------ where tokens are
def test_packing_by_hand() -> None:
    packing = Packing.of([2, 3, 0], 4)
    assert packing.tokens.tolist() == [0, 1, 4, 5, 6, 8]  # the row without tokens has one all the same
    assert packing.positions.tolist() == [0, 1, 0, 1, 2, 0]
    assert (packing.bounds.tolist(), packing.bounds.dtype) == ([0, 2, 5, 6], torch.int32)
    assert (packing.lengths, packing.rows) == ((2, 3, 1), None)
    states = torch.arange(1.0, 7.0)[:, None]
    assert packing.unpack(states, (3, 4))[..., 0].tolist() == [[1, 2, 0, 0], [3, 4, 5, 0], [6, 0, 0, 0]]


def test_equal_rows_are_computed_once_by_hand() -> None:
    packing = Packing.of([2, 2, 1, 2], 2, rows=[0, 0, 2, 0])
    assert packing.tokens.tolist() == [0, 1, 4]
    assert packing.unpack(torch.tensor([[1.0], [2.0], [3.0]]), (4, 2))[..., 0].tolist() == [
        [1, 2],
        [1, 2],
        [3, 0],
        [1, 2],
    ]


def test_filling_up_by_hand() -> None:
    packing = Packing.of([2, 3, 0], 4)
    filled = packing.filled()
    assert filled.tokens.tolist() == [*packing.tokens.tolist(), 0, 0]
    assert filled.positions.tolist() == [*packing.positions.tolist(), 0, 1]
    assert (filled.bounds.tolist(), filled.bounds.dtype) == ([0, 2, 5, 6, 8], torch.int32)
    assert filled.lengths == (2, 3, 1, 2)
    short = Packing.of([3] * 3, 3).filled()  # 9 are filled up to 16, by sequences no longer than theirs
    assert (short.lengths, short.bounds.tolist()) == ((3,) * 5 + (1,), [0, 3, 6, 9, 12, 15, 16])
    assert short.positions[9:].tolist() == [0, 1, 2, 0, 1, 2, 0]
    full = Packing.of([4, 4], 4)
    assert full.filled().tokens.tolist() == full.tokens.tolist()
    assert full.filled().lengths == (4, 4)


def test_there_are_few_sizes_and_little_is_added() -> None:
    assert [size_for(n) for n in (1, 8, 9, 64, 65, 1024, 1025, 2047)] == [8, 8, 16, 64, 72, 1024, 1152, 2048]
    sizes = {n: size_for(n) for n in range(64, 8193)}
    assert len(set(sizes.values())) == 7 * 8 + 1
    assert all(n <= size <= n * 9 / 8 for n, size in sizes.items())


def test_packing_of_a_mask_with_holes() -> None:
    mask = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    packing = Packing.of_mask(mask)
    assert packing.tokens.tolist() == [0, 2, 3, 4, 9]
    assert packing.positions.tolist() == [0, 1, 2, 0, 0]
    assert packing.lengths == (3, 1, 1)
    assert mask.sum() == 4  # the mask itself is left as it was


def test_batches_say_where_their_tokens_are() -> None:
    features = [{"input_ids": ids, "index": 0, "part": 0, "meta": {}} for ids in ([5, 6], [7], [5, 6])]
    assert collate(features, 1)["packing"].tokens.tolist() == [0, 1, 2, 4, 5]
    distinct = collate(features, 1, distinct=True)["packing"]
    assert (distinct.tokens.tolist(), distinct.rows.tolist()) == ([0, 1, 2], [0, 1, 0])
    options = [{"input_ids": [[5, 6], [7]], "index": 0, "part": 0, "meta": {}}] * 2
    assert collate(options, 1)["packing"].tokens.tolist() == [0, 1, 2, 4, 5, 6]


# ------------------------------------------------------------------ packed = padded
def test_which_families_are_packed(folders: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "xtransfer"):
        packs = {family: Encoder(str(path)).packs for family, path in folders.items()}
    assert packs == {family: family != "mdeberta" for family in CONFIGS}
    assert [record.message for record in caplog.records if "mdeberta" in record.message] == [
        f"encoder '{folders['mdeberta']}': batches are padded, for its attention cannot be replaced"
    ]


def test_states_and_gradients_are_those_of_padded_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, padded = both(folder)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **given: None)
    filled = Encoder(str(folder), compiled=True).eval()
    features = texts(packed.vocab_size)
    batch = collate(features, 1)
    real = batch["attention_mask"].bool()
    results = []
    for encoder, packing in (
        (packed, batch["packing"]),
        (packed, None),
        (filled, batch["packing"]),
        (filled, None),
        (padded, None),
    ):
        encoder.zero_grad()
        hidden = encoder(batch["input_ids"], batch["attention_mask"], packing=packing)
        (hidden[real] * torch.linspace(-1, 1, hidden.shape[-1])).sum().backward()
        results.append((hidden[real], {n: p.grad for n, p in encoder.named_parameters() if p.grad is not None}))
    expected, expected_gradients = results[-1]
    for states, gradients in results[:-1]:
        torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-5)
        assert gradients.keys() == expected_gradients.keys()
        for name, gradient in gradients.items():
            scale = max(1.0, float(expected_gradients[name].abs().max()))
            torch.testing.assert_close(
                gradient / scale, expected_gradients[name] / scale, rtol=1e-5, atol=1e-5, msg=name
            )


def test_every_layer_is_that_of_padded_rows(folder: Path) -> None:
    packed, padded = both(folder)
    batch = collate(texts(packed.vocab_size), 1)
    given, real = (batch["input_ids"], batch["attention_mask"]), batch["attention_mask"].bool()
    for found, expected in zip(packed.layers(*given), padded.layers(*given), strict=True):
        torch.testing.assert_close(found[real], expected[real], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["xlmr", "mbert", "mmbert"])
def test_token_types_and_checkpointing_are_packed_too(folders: dict[str, Path], family: str) -> None:
    packed = Encoder(str(folders[family]), dropout=0.0, gradient_checkpointing=True)
    padded = Encoder(str(folders[family]), dropout=0.0, packing=False)
    batch = collate(
        [
            f | {"token_type_ids": [0] * (len(f["input_ids"]) // 2) + [1] * (-(-len(f["input_ids"]) // 2))}
            for f in texts(packed.vocab_size)
        ],
        1,
    )
    real, gradients = batch["attention_mask"].bool(), []
    for encoder in (packed, padded):
        hidden = encoder(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
        hidden[real].square().sum().backward()
        gradients.append(next(p.grad for n, p in encoder.named_parameters() if "query.weight" in n or "Wqkv" in n))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


HEADS: dict[str, tuple[Head, bool, Tensor]] = {
    "classification": (ClassificationHead(32, 3), False, torch.tensor([0, 2, 1, 0, 1, 2])),
    "mean": (ClassificationHead(32, 3, pooling="mean"), False, torch.tensor([0, 2, 1, 0, 1, 2])),
    "span": (SpanHead(32), False, torch.tensor([[1, 2], [0, 0], [5, 11], [0, 0], [2, 2], [3, 4]])),
    "tagging": (TaggingHead(32, 4), False, torch.arange(72).reshape(6, 12) % 4),
    "multiple choice": (MultipleChoiceHead(32), True, torch.tensor([0, 1, 0])),
    "retrieval": (RetrievalHead(32), True, torch.arange(3)),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_see_no_difference(folders: dict[str, Path], name: str) -> None:
    head, nested, labels = HEADS[name]
    head.eval()
    packed, padded = both(folders["xlmr"])
    features = texts(packed.vocab_size)
    if nested:
        pairs = zip(features[::2], features[1::2], strict=True)
        features = [a | {"input_ids": [a["input_ids"], b["input_ids"]]} for a, b in pairs]
    batch = collate(features, 1)
    outputs, gradients = [], []
    for encoder in (packed, padded):
        hidden = encoder(batch["input_ids"], batch["attention_mask"], packing=batch["packing"])
        outputs.append(head(hidden, batch["attention_mask"], labels))
        outputs[-1].loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None]))
    torch.testing.assert_close(outputs[0].loss, outputs[1].loss, rtol=1e-5, atol=1e-5)
    of_tokens = name in ("span", "tagging")
    found, expected = (o.logits[batch["attention_mask"].bool()] if of_tokens else o.logits for o in outputs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------ what fails in silence
def test_no_text_sees_another(folders: dict[str, Path]) -> None:
    """Attention across texts gives finite, plausible states: only a changed neighbour shows it."""
    encoder = Encoder(str(folders["xlmr"])).eval()
    batch = collate(texts(encoder.vocab_size), 1)
    before = encoder(batch["input_ids"], batch["attention_mask"])[0]
    batch["input_ids"][1:] = 7
    assert torch.equal(encoder(batch["input_ids"], batch["attention_mask"])[0], before)


def test_positions_start_where_the_encoder_begins_to_count(folders: dict[str, Path]) -> None:
    """XLM-R's first token is at position 2 in each text; from 0, states are wrong and nothing else is."""
    encoder = Encoder(str(folders["xlmr"])).eval()
    seen: list[Tensor] = []
    encoder.model.embeddings.position_embeddings.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    batch = collate(texts(encoder.vocab_size), 1)
    encoder(batch["input_ids"], batch["attention_mask"], packing=batch["packing"])
    assert seen[0].flatten().tolist() == [position + 2 for n in LENGTHS for position in range(n)]


@pytest.mark.parametrize("fault", ["across", "positions"])
def test_an_encoder_that_would_go_wrong_is_padded(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    def blind(query: Tensor, key: Tensor, value: Tensor, packing: Packing, settings: attention.Settings) -> Tensor:
        whole = packing._replace(lengths=(len(query),))
        return attention.one_by_one(query, key, value, whole, settings)

    if fault == "across":
        monkeypatch.setattr(attention, "choose", lambda query, settings: blind)
    else:
        monkeypatch.setattr(attention, "OFFSET_TYPES", ())
    with caplog.at_level(logging.INFO, "xtransfer"):
        encoder = Encoder(str(folders["xlmr"]))
    assert not encoder.packs
    assert "batches are padded, for it cannot be packed (it gives other states then)" in caplog.text
    assert encoder.config._attn_implementation == "sdpa"
    assert encoder.training


def test_an_encoder_with_fewer_keys_than_queries(tmp_path: Path) -> None:
    """Whether it is packed or not, its states are right."""
    config = EuroBertConfig(vocab_size=40, **(SIZES | {"num_key_value_heads": 2}), pad_token_id=1, bos_token_id=0)
    EuroBertModel(config).save_pretrained(tmp_path)
    packed, padded = both(tmp_path)
    batch = collate(texts(40), 1)
    real = batch["attention_mask"].bool()
    states = [e(batch["input_ids"], batch["attention_mask"])[real] for e in (packed, padded)]
    torch.testing.assert_close(*states, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------ attention itself
@pytest.mark.parametrize(("backend", "window"), [("one_by_one", None), ("padded", None), ("padded", 2)])
def test_backends_against_a_softmax_by_hand(backend: str, window: int | None) -> None:
    query, key, value = (torch.randn(11, 2, 4, generator=torch.Generator().manual_seed(n)) for n in range(3))
    packing = Packing.of([5, 2, 4], 5)
    found = getattr(attention, backend)(query, key, value, packing, attention.Settings(0.0, 0.3, window))
    text = torch.tensor([0] * 5 + [1] * 2 + [2] * 4)
    seen = text[:, None] == text
    if window:
        seen &= (torch.arange(11)[:, None] - torch.arange(11)).abs() <= window
    weights = (torch.einsum("qhd,khd->hqk", query, key) * 0.3).masked_fill(~seen, float("-inf")).softmax(-1)
    torch.testing.assert_close(found, torch.einsum("hqk,khd->qhd", weights, value))


def test_dropout_of_attention_is_on_in_training(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=40, **SIZES, attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0)
    BertModel(config).save_pretrained(tmp_path)
    encoder = Encoder(str(tmp_path))
    batch = collate(texts(40), 0)
    first, second = (encoder(batch["input_ids"], batch["attention_mask"]) for _ in range(2))
    assert not torch.allclose(first, second)
    encoder.eval()
    first, second = (encoder(batch["input_ids"], batch["attention_mask"]) for _ in range(2))
    assert torch.equal(first, second)


def test_what_is_saved_names_no_attention_of_ours(folders: dict[str, Path], tmp_path: Path) -> None:
    encoder = Encoder(str(folders["xlmr"]))
    assert encoder.packs
    encoder.save(tmp_path)
    assert attention.NAME not in (tmp_path / "config.json").read_text()
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "xlm-roberta"


def test_compiled_layers_give_the_same_states(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for all lengths, and all layers: by the tracer alone, which needs no C++ compiler."""
    compile_, made, sizes = torch.nn.Module.compile, list[Any](), list[int]()

    def traced(graph: Any, inputs: Any) -> Any:
        made.append(graph)
        return graph

    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **given: compile_(self, **given, backend=traced))
    compiled, plain = Encoder(str(folders["xlmr"]), compiled=True).eval(), Encoder(str(folders["xlmr"])).eval()
    monkeypatch.undo()
    compiled.model.embeddings.register_forward_hook(lambda _, args, states: sizes.append(states.shape[1]))
    features, graphs = texts(plain.vocab_size), []
    for chosen in (features, features[:3], features[2:6], features[1:5]):
        batch = collate(chosen, 1)
        given = (batch["input_ids"], batch["attention_mask"], None, None, batch["packing"])
        torch.testing.assert_close(compiled(*given), plain(*given))
        graphs.append(len(made))
    assert graphs[0] > 0
    assert len(set(graphs[1:])) == 1  # other lengths, the same code
    assert sizes == [48, 32, 32, 24]  # of 45, 25, 32 and 24 tokens


def test_a_mode_of_compiling_is_handed_on(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **settings: given.append(settings))
    Encoder(str(folders["xlmr"]), compiled="reduce-overhead")
    Encoder(str(folders["xlmr"]), compiled=True)
    layers = Encoder(str(folders["xlmr"])).depth
    assert given == [{"dynamic": True, "mode": "reduce-overhead"}] * layers + [{"dynamic": True, "mode": None}] * layers
