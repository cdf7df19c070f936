"""The head for masked words that a checkpoint brings along: the same logits as transformers' own model gives."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedModel,
    RemBertConfig,
    XLMRobertaConfig,
)

from xtransfer.encoder import Encoder
from xtransfer.errors import ConfigError
from xtransfer.heads import MaskedLMHead
from xtransfer.kinds import KINDS
from xtransfer.task import Task

WORDS = 40
SIZES = {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 20, "max_position_embeddings": 34}
SPECIAL = {"bos_token_id": 0, "cls_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
RELATIVE = {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
SPEC = Task(name="mlm", kind="mlm", fields={"text": "text"}).spec()

CONFIGS: dict[str, Callable[[], PretrainedConfig]] = {
    "xlmr": lambda: XLMRobertaConfig(**SIZES, layer_norm_eps=0.1),
    "mbert": lambda: BertConfig(**SIZES, hidden_act="gelu_new"),
    "distilbert": lambda: DistilBertConfig(vocab_size=WORDS, dim=16, n_heads=2, hidden_dim=20, n_layers=1),
    "mpnet": lambda: MPNetConfig(**SIZES),
    "electra": lambda: ElectraConfig(**SIZES, embedding_size=8),
    "mdeberta": lambda: DebertaV2Config(**SIZES, **RELATIVE, type_vocab_size=0, hidden_act="relu"),
    "mdeberta, as published": lambda: DebertaV2Config(**SIZES, **RELATIVE, type_vocab_size=0, legacy=False),
    "mmbert": lambda: ModernBertConfig(**SIZES, **SPECIAL, local_attention=8),
}


def saved(config: PretrainedConfig, folder: Path) -> PreTrainedModel:
    """A model for masked words with random weights, none of them 0 or 1, that was saved and loaded again."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = AutoModelForMaskedLM.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return AutoModelForMaskedLM.from_pretrained(folder, config=config).eval()


def head_on(encoder: Encoder, pretrained: bool = True) -> MaskedLMHead:
    head = KINDS["mlm"].head_on(encoder, SPEC, None, pretrained)
    assert isinstance(head, MaskedLMHead)
    return head.eval()


def batch() -> tuple[Tensor, Tensor, Tensor]:
    ids = torch.randint(5, WORDS, (2, 9), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    labels = torch.full_like(ids, -100)
    labels[0, 2], labels[0, 7], labels[1, 1] = 6, 20, 39
    return ids, mask, labels


@pytest.mark.parametrize("family", CONFIGS)
def test_logits_and_loss_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    reference = saved(CONFIGS[family](), tmp_path)
    if family == "mdeberta, as published":  # a checkpoint does not say of which of two forms its head is
        CONFIGS["mdeberta"]().save_pretrained(tmp_path)
        config = (tmp_path / "config.json").read_text().replace('"relu"', '"gelu"')
        (tmp_path / "config.json").write_text(config)
    encoder = Encoder(str(tmp_path)).eval()
    head, (ids, mask, labels) = head_on(encoder), batch()
    with torch.no_grad():
        expected = reference(input_ids=ids, attention_mask=mask, labels=labels)
        hidden = encoder(ids, mask)
        seen = mask == 1
        torch.testing.assert_close(head(hidden, mask).logits[seen], expected.logits[seen], rtol=1e-5, atol=1e-5)
        found = head(hidden, mask, labels)
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.logits, expected.logits[labels != -100], rtol=1e-5, atol=1e-5)


def test_pickled_weights_are_read_too(tmp_path: Path) -> None:
    reference = saved(CONFIGS["xlmr"](), tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    head = head_on(Encoder(str(tmp_path)))
    assert torch.equal(head.dense.weight, reference.lm_head.dense.weight)
    assert torch.equal(head.bias, reference.lm_head.bias)


def test_a_checkpoint_without_such_a_head_gives_a_fresh_one_and_says_so(tiny_encoder: Path, caplog) -> None:
    encoder = Encoder(str(tiny_encoder))
    head = head_on(encoder)
    assert "starts with random weights: the checkpoint has none" in caplog.text
    assert head.norm.eps == encoder.config.layer_norm_eps
    assert head.dense.weight.std() > 0


def test_transformers_does_not_call_such_a_checkpoint_corrupted(tiny_encoder: Path, monkeypatch) -> None:
    encoder, told = Encoder(str(tiny_encoder)), []
    logger = logging.getLogger("transformers")
    monkeypatch.setattr(logger, "handlers", [handler := logging.Handler()])
    monkeypatch.setattr(handler, "emit", told.append)
    head_on(encoder)
    assert not told
    assert logger.level < logging.ERROR, "and later it speaks again"


def test_looking_for_a_pretrained_head_leaves_the_random_state_alone(tiny_encoder: Path) -> None:
    encoder, states = Encoder(str(tiny_encoder)), []
    for pretrained in (True, False):
        torch.manual_seed(3)
        head_on(encoder, pretrained)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_half_a_head_is_none(tmp_path: Path, caplog) -> None:
    saved(CONFIGS["xlmr"](), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["lm_head.layer_norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    head_on(Encoder(str(tmp_path)))
    assert "the checkpoint has none" in caplog.text


def test_weights_that_follow_need_no_head_of_the_checkpoint(tmp_path: Path, caplog) -> None:
    saved(CONFIGS["mbert"](), tmp_path)
    caplog.set_level(logging.INFO)
    head = head_on(Encoder(str(tmp_path), pretrained=False), pretrained=False)
    assert (head.activation, head.norm.eps) == ("gelu_tanh", 1e-12)
    assert "head for masked words" not in caplog.text


def test_an_output_matrix_of_its_own_is_not_taken_for_the_word_embeddings(tmp_path: Path, caplog) -> None:
    config = RemBertConfig(**SIZES, input_embedding_size=8, output_embedding_size=12)
    saved(config, tmp_path)
    head = head_on(Encoder(str(tmp_path)))
    assert head.embedding_size == 8
    assert "an output matrix of its own" in caplog.text


def test_an_activation_that_cannot_be_rebuilt_is_refused(tmp_path: Path) -> None:
    saved(BertConfig(**SIZES, hidden_act="mish"), tmp_path)
    with pytest.raises(ConfigError, match="a bert with the activation 'mish' cannot be rebuilt"):
        head_on(Encoder(str(tmp_path)))


def test_a_head_of_another_kind_is_refused(tiny_encoder: Path) -> None:
    from xtransfer.heads import TaggingHead

    with pytest.raises(ConfigError, match="task 'mlm': expected a MaskedLMHead .* found a TaggingHead"):
        KINDS["mlm"].head_on(Encoder(str(tiny_encoder)), SPEC, TaggingHead, False)
