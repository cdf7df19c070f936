"""The families of encoders that xtransfer knows, each tiny and random; the fixture `folders` holds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    DebertaV2Config,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
)

DEPTH, WIDTH = 3, 32
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 4, "intermediate_size": 40}
RELATIVE = {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
SPECIAL = {"bos_token_id": 0, "cls_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}

CONFIGS: dict[str, Callable[[int], PretrainedConfig]] = {
    "xlmr": lambda n: XLMRobertaConfig(vocab_size=n, **SIZES, max_position_embeddings=34, type_vocab_size=1),
    "mbert": lambda n: BertConfig(vocab_size=n, **SIZES, max_position_embeddings=32),
    "minilm": lambda n: BertConfig(vocab_size=n, **SIZES, max_position_embeddings=32),  # BERT with XLM-R's tokenizer
    "mdeberta": lambda n: DebertaV2Config(
        vocab_size=n, **SIZES, **RELATIVE, norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0
    ),
    "mmbert": lambda n: ModernBertConfig(vocab_size=n, **SIZES, **SPECIAL, local_attention=8),
}
FAMILIES = list(CONFIGS)


def wordpiece() -> PreTrainedTokenizerFast:
    """A tokenizer like BERT's: ``[PAD]`` is 0, and pairs have type ids."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sleeps", "##s", "Katze", "кошка", "猫"]
    words += list("abcdefghijklmnopqrstuvwxyz")
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names)


def write(config: PretrainedConfig, folder: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        AutoModel.from_config(config).save_pretrained(folder)
    return folder
