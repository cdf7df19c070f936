"""Encoders of five families, each tiny and random, saved to disk and loaded back as a user's would be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Linear
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    ByT5Tokenizer,
    DistilBertConfig,
    GPT2Config,
    MBartConfig,
    MPNetConfig,
    PretrainedConfig,
    ViTConfig,
    XLMRobertaConfig,
)

from tests.families import DEPTH, SIZES, WIDTH, wordpiece
from xtransfer.encoder import Encoder, check_tokenizer, load_config, load_tokenizer, position_limit, resolve_encoder
from xtransfer.errors import ConfigError


def tokens(encoder: Encoder, *shape: int) -> tuple[Tensor, Tensor]:
    """Random ids without special ones, all attended to."""
    ids = torch.randint(5, encoder.vocab_size, shape, generator=torch.Generator().manual_seed(2))
    return ids, torch.ones_like(ids)


def copy(folder: Path, target: Path, **changes: object) -> Path:
    shutil.copytree(folder, target)
    config = json.loads((folder / "config.json").read_text()) | changes
    (target / "config.json").write_text(json.dumps(config))
    return target


# ------------------------------------------------------------------ forward
def test_attributes_and_layers_are_those_of_transformers(folder: Path) -> None:
    encoder = Encoder(str(folder)).eval()
    assert (encoder.hidden_size, encoder.depth, encoder.name) == (WIDTH, DEPTH, str(folder))
    assert encoder.vocab_size == encoder.config.vocab_size == len(load_tokenizer(str(folder))) + 3
    ids, mask = tokens(encoder, 2, 9)
    mask[1, 6:] = 0
    reference = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = reference(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        real = mask.bool()
        torch.testing.assert_close(encoder(ids, mask)[real], expected.last_hidden_state[real])
        torch.testing.assert_close(encoder(ids, mask, layer=DEPTH)[real], expected.last_hidden_state[real])
        for layer in range(DEPTH):
            torch.testing.assert_close(encoder(ids, mask, layer=layer)[real], expected.hidden_states[layer][real])
    assert not torch.allclose(encoder(ids, mask, layer=1), encoder(ids, mask, layer=2))


def test_leading_dimensions_are_folded(folder: Path) -> None:
    encoder = Encoder(str(folder)).eval()
    ids, mask = tokens(encoder, 2, 3, 7)
    mask[0, 1, 4:] = 0
    types = torch.zeros_like(ids)
    types[..., 3:] = 1
    folded = encoder(ids, mask, types)
    assert folded.shape == (2, 3, 7, WIDTH)
    for i in range(2):
        torch.testing.assert_close(folded[i], encoder(ids[i], mask[i], types[i]))


def test_padding_changes_nothing(folder: Path) -> None:
    encoder, pad = Encoder(str(folder)).eval(), load_tokenizer(str(folder)).pad_token_id
    ids, mask = tokens(encoder, 2, 8)
    padded = torch.cat([ids, torch.full((2, 12), pad)], 1)
    longer = torch.cat([mask, torch.zeros_like(padded[:, 8:])], 1)
    torch.testing.assert_close(encoder(padded, longer)[:, :8], encoder(ids, mask), rtol=1e-4, atol=1e-5)


def test_row_without_tokens_is_finite_and_leaves_the_others_alone(folder: Path) -> None:
    encoder = Encoder(str(folder)).eval()
    ids, mask = tokens(encoder, 2, 2, 6)
    whole = encoder(ids, mask)
    mask[1, 0] = 0
    before, seen = mask.clone(), []
    encoder.model.register_forward_pre_hook(lambda _, args, kw: seen.append(kw["attention_mask"]), with_kwargs=True)
    hidden = encoder(ids, mask)
    assert (seen[0].sum(-1) > 0).all()  # no attention kernel is asked for a softmax over nothing
    assert hidden.isfinite().all()
    assert torch.equal(mask, before)
    torch.testing.assert_close(hidden[0], whole[0])
    torch.testing.assert_close(hidden[1, 1], whole[1, 1])
    encoder(ids, mask).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize(
    ("family", "counts"), [("mbert", True), ("xlmr", False), ("mdeberta", False), ("mmbert", False)]
)
def test_token_types_reach_only_who_has_them(folders: dict[str, Path], family: str, counts: bool) -> None:
    encoder = Encoder(str(folders[family])).eval()
    ids, mask = tokens(encoder, 2, 6)
    assert torch.allclose(encoder(ids, mask), encoder(ids, mask, torch.ones_like(ids))) is not counts


def test_length_is_limited_to_the_positions(folders: dict[str, Path]) -> None:
    for family in ("xlmr", "mbert"):
        encoder = Encoder(str(folders[family])).eval()
        assert encoder.max_length == 32  # XLM-R: 34 positions less the two before the first token's
        encoder(*tokens(encoder, 1, 32))
        with pytest.raises(ConfigError, match=r"33 tokens are too many for encoder .*: it takes 32"):
            encoder(*tokens(encoder, 1, 33))


@pytest.mark.parametrize("layer", [-1, DEPTH + 1])
def test_layer_out_of_range(folders: dict[str, Path], layer: int) -> None:
    encoder = Encoder(str(folders["xlmr"]))
    with pytest.raises(ConfigError, match=f"no layer {layer}: 0 is the embeddings, {DEPTH} the last"):
        encoder(*tokens(encoder, 1, 4), layer=layer)


@pytest.mark.parametrize(
    "config",
    [
        XLMRobertaConfig(vocab_size=9, **SIZES, max_position_embeddings=12),
        MPNetConfig(vocab_size=9, **SIZES, max_position_embeddings=12),
        BertConfig(vocab_size=9, **SIZES, max_position_embeddings=12),
        DistilBertConfig(vocab_size=9, dim=32, n_heads=4, hidden_dim=40, n_layers=2, max_position_embeddings=12),
    ],
    ids=lambda config: config.model_type,
)
def test_position_limit_is_where_transformers_fails(config: PretrainedConfig) -> None:
    model, limit = AutoModel.from_config(config).eval(), position_limit(config)
    model(input_ids=torch.full((1, limit), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, limit + 1), 5))


def test_position_limit_of_a_model_without() -> None:
    assert position_limit(PretrainedConfig()) > 10**9


# ----------------------------------------------------------------- training
def gradients(encoder: Encoder) -> dict[str, Tensor]:
    ids, mask = tokens(encoder, 2, 6)
    encoder(ids, mask).square().sum().backward()
    return {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}


def test_gradient_checkpointing_gives_the_same_gradients(folder: Path) -> None:
    found, calls = {}, {True: 0, False: 0}
    for saving in (False, True):
        encoder = Encoder(str(folder), dropout=0.0, gradient_checkpointing=saving)
        inner = next(m for m in encoder.model.get_submodule(encoder._layers).modules() if type(m) is Linear)
        inner.register_forward_pre_hook(lambda *_, saving=saving: calls.update({saving: calls[saving] + 1}))
        found[saving] = gradients(encoder)
    assert calls[True] == 2 * calls[False] > 0  # once more, in the backward pass
    assert found[True].keys() == found[False].keys()
    for name, gradient in found[False].items():
        torch.testing.assert_close(found[True][name], gradient, msg=name)


def test_frozen_layers_are_not_computed_again(folder: Path) -> None:
    encoder = Encoder(str(folder), gradient_checkpointing=True, freeze_layers=2)
    ids, mask = tokens(encoder, 1, 4)
    assert not encoder(ids, mask, layer=2).requires_grad
    assert encoder(ids, mask).requires_grad


def test_dropout_is_on_in_training_and_set_everywhere(folder: Path) -> None:
    ids, mask = tokens(Encoder(str(folder)), 2, 6)
    encoder = Encoder(str(folder), dropout=0.0)
    assert all(module.training for module in encoder.modules())
    torch.testing.assert_close(encoder(ids, mask), encoder.eval()(ids, mask))
    encoder = Encoder(str(folder), dropout=0.4)
    rates = {module.p for module in encoder.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates - {0.0} == {0.4}
    assert not torch.allclose(encoder(ids, mask), encoder(ids, mask))
    with pytest.raises(ConfigError, match="dropout is 1"):
        Encoder(str(folder), dropout=1)


def stepped(encoder: Encoder) -> set[str]:
    """Names of the parameters that one step of plain gradient descent changes."""
    before = {name: p.detach().clone() for name, p in encoder.model.named_parameters()}
    gradients(encoder)
    torch.optim.SGD(encoder.parameters(), lr=0.1).step()
    return {name for name, p in encoder.model.named_parameters() if not torch.equal(before[name], p)}


def test_freezing(folder: Path) -> None:
    free = stepped(Encoder(str(folder), dropout=0.0))
    no_words = stepped(Encoder(str(folder), dropout=0.0, freeze_embeddings=True))
    assert [name.split(".")[1] for name in free - no_words] in (["word_embeddings"], ["tok_embeddings"])
    two_layers = stepped(Encoder(str(folder), dropout=0.0, freeze_layers=2))
    assert two_layers
    assert all("layer.2." in name or "layers.2." in name or name == "final_norm.weight" for name in two_layers)
    assert {name for name in free if "layer.2." in name or "layers.2." in name} <= two_layers
    for wrong in (-1, DEPTH + 1):
        with pytest.raises(ConfigError, match=f"freeze_layers is {wrong}, .* has {DEPTH} layers"):
            Encoder(str(folder), freeze_layers=wrong)


def test_parameter_groups_without_layer_decay(folder: Path) -> None:
    encoder = Encoder(str(folder), freeze_embeddings=True)
    groups = {group["name"]: group for group in encoder.parameter_groups(lr=2e-5, weight_decay=0.1)}
    assert groups.keys() == {"encoder", "encoder.no_decay"}
    assert [groups[name]["weight_decay"] for name in ("encoder", "encoder.no_decay")] == [0.1, 0.0]
    assert all(group["lr"] == 2e-5 for group in groups.values())
    assert all(p.ndim == 1 for p in groups["encoder.no_decay"]["params"])
    grouped = [id(p) for group in groups.values() for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in encoder.parameters() if p.requires_grad)
    assert id(encoder.model.get_input_embeddings().weight) not in grouped


def test_layer_decay_by_hand(folder: Path) -> None:
    encoder = Encoder(str(folder))
    groups = encoder.parameter_groups(lr=1.0, weight_decay=0.01, layer_decay=0.5)
    rates = {"encoder.embeddings": 0.0625, "encoder.layer.0": 0.125, "encoder.layer.1": 0.25, "encoder.layer.2": 0.5}
    rates |= {"encoder.top": 1.0}
    assert len({group["name"] for group in groups}) == len(groups)
    assert all(group["lr"] == rates[group["name"].removesuffix(".no_decay")] for group in groups)
    assert all(group["weight_decay"] == (0.0 if group["name"].endswith(".no_decay") else 0.01) for group in groups)
    names = {id(p): name for name, p in encoder.model.named_parameters()}
    found = {names[id(p)]: group["lr"] for group in groups for p in group["params"]}
    expected = dict.fromkeys(names.values(), 0.0625)  # all that is no layer is embeddings, DeBERTa's relative too,
    expected |= {name: 1.0 for name in expected if name == "final_norm.weight"}  # but for ModernBERT's last norm
    for layer, rate in enumerate([0.125, 0.25, 0.5]):
        expected |= {n: rate for n in expected if n.startswith((f"encoder.layer.{layer}.", f"layers.{layer}."))}
    assert found == expected
    torch.optim.AdamW(groups)  # takes them as they are


@pytest.mark.parametrize("layer_decay", [0.0, 1.1])
def test_layer_decay_out_of_range(folders: dict[str, Path], layer_decay: float) -> None:
    with pytest.raises(ConfigError, match="layer_decay"):
        Encoder(str(folders["xlmr"])).parameter_groups(1.0, 0.0, layer_decay)


# --------------------------------------------------------- saving and loading
def test_save_and_load_weights(folder: Path, tmp_path: Path) -> None:
    encoder = Encoder(str(folder), dropout=0.0)
    stepped(encoder)
    ids, mask = tokens(encoder, 2, 6)
    expected = encoder.eval()(ids, mask)
    encoder.save(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "model.safetensors"}
    fresh = Encoder(str(folder), pretrained=False, dropout=0.0).eval()
    assert not torch.allclose(fresh(ids, mask), expected)
    fresh.load_weights(tmp_path / "out")
    torch.testing.assert_close(fresh(ids, mask), expected, rtol=0, atol=0)
    again = AutoModel.from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(again(input_ids=ids, attention_mask=mask).last_hidden_state, expected)
    torch.testing.assert_close(Encoder(str(tmp_path / "out")).eval()(ids, mask), expected)


def test_random_weights_come_in_training_mode_and_float32(folders: dict[str, Path], tmp_path: Path) -> None:
    half = copy(folders["xlmr"], tmp_path / "half")
    AutoModel.from_pretrained(half).bfloat16().save_pretrained(half)
    assert json.loads((half / "config.json").read_text())["dtype"] == "bfloat16"
    for pretrained in (True, False):
        encoder = Encoder(str(half), pretrained=pretrained)
        assert {p.dtype for p in encoder.parameters()} == {torch.float32}
        assert encoder.model.training


def test_weights_that_do_not_fit_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    encoder = Encoder(str(folders["xlmr"]))
    path, other = tmp_path / "model.safetensors", dict(encoder.model.state_dict())
    other["embeddings.LayerNorm.bias"] = torch.zeros(7)
    other["pooler.dense.bias"] = other.pop("encoder.layer.2.output.dense.bias")
    save_file(other, path)
    with pytest.raises(ConfigError, match="3 tensors differ") as caught:
        encoder.load_weights(tmp_path)
    assert "embeddings.LayerNorm.bias is (7,), expected (32,)" in str(caught.value)
    assert "encoder.layer.2.output.dense.bias is missing" in str(caught.value)
    assert "pooler.dense.bias is not this encoder's" in str(caught.value)
    with pytest.raises(
        ConfigError, match=r"mdeberta.model\.safetensors does not fit encoder .*xlmr': 41 tensors differ"
    ):
        encoder.load_weights(folders["mdeberta"])


@pytest.mark.parametrize("content", [None, b"", b"broken" * 50])
def test_unreadable_weights(folders: dict[str, Path], tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read from"):
        Encoder(str(folders["xlmr"])).load_weights(tmp_path)


def test_weights_left_random_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    deeper = copy(folders["xlmr"], tmp_path / "deeper", num_hidden_layers=DEPTH + 1)
    with pytest.raises(ConfigError, match=r"lacks 16 of its weights.*encoder\.layer\.3\."):
        Encoder(str(deeper))
    wider = copy(folders["xlmr"], tmp_path / "wider", vocab_size=400)
    with pytest.raises(ConfigError, match=r"the weights of encoder .* cannot be loaded"):
        Encoder(str(wider))


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_pickled_weights_are_read_without_running_code(
    folders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = copy(folders["xlmr"], tmp_path / "old")
    (old / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="cannot be loaded"):
        Encoder(str(old))
    model = AutoModel.from_pretrained(folders["xlmr"])
    torch.save(model.state_dict(), old / "pytorch_model.bin")
    encoder = Encoder(str(old))
    assert "has no safetensors" in caplog.text
    torch.testing.assert_close(encoder.model.get_input_embeddings().weight, model.get_input_embeddings().weight)
    torch.save(model.state_dict() | {"x": Evil(tmp_path / "ran")}, old / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        Encoder(str(old))
    assert not (tmp_path / "ran").exists()


# ------------------------------------------------------------ what is refused
def test_code_that_comes_with_an_encoder_is_never_run(folders: dict[str, Path], tmp_path: Path) -> None:
    auto_map = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel", "AutoTokenizer": ["own.T", "own.T"]}
    code = f"open({str(tmp_path / 'ran')!r}, 'w')"
    unknown = copy(folders["xlmr"], tmp_path / "unknown", auto_map=auto_map, model_type="own")
    known = copy(folders["xlmr"], tmp_path / "known", auto_map=auto_map)
    for folder in (unknown, known):
        (folder / "own.py").write_text(code)
    for load in (load_config, load_tokenizer, Encoder):
        with pytest.raises(ConfigError, match=r"needs code of its own \(auto_map\)"):
            load(str(unknown))
    assert Encoder(str(known)).depth == DEPTH  # transformers has its own code for XLM-R
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("config", [GPT2Config(), MBartConfig(), ViTConfig()], ids=lambda config: config.model_type)
def test_what_is_no_text_encoder(config: PretrainedConfig, tmp_path: Path) -> None:
    config.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=f"{config.model_type}.* is no text encoder"):
        Encoder(str(tmp_path), pretrained=False)


def test_shared_layers_are_refused(tmp_path: Path) -> None:
    AlbertConfig(vocab_size=9, **SIZES, embedding_size=8).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="no layers found in AlbertModel"):
        Encoder(str(tmp_path), pretrained=False)


def test_unknown_name_says_what_was_tried() -> None:
    with pytest.raises(ConfigError) as caught:
        Encoder("xlm-roberta-bse")
    message = str(caught.value)
    assert "not 'offline-small'" in message
    assert f"no folder {Path('xlm-roberta-bse').absolute()}" in message
    assert "owner/name" in message
    assert message.endswith("did you mean 'xlm-roberta-base'?")
    with pytest.raises(ConfigError, match="did you mean 'offline-small'"):
        load_tokenizer("ofline-small")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no config.json with a model_type"),
        ("{}", "has no config.json with a model_type"),
        ("{broken", "cannot be read: .*not a valid JSON"),
        ('{"model_type": "xlm-robert"}', "unknown model_type 'xlm-robert'; did you mean 'xlm-roberta'"),
    ],
)
def test_folder_that_is_no_encoder(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        Encoder(str(tmp_path))


def test_offline_small_is_resolved_to_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("xtransfer.offline.offline_small", lambda: tmp_path)
    assert resolve_encoder("offline-small") == str(tmp_path)
    assert resolve_encoder("xlm-roberta-base") == "xlm-roberta-base"
    assert resolve_encoder("~/model") == str(Path.home() / "model")


# ------------------------------------------------------------------ tokenizers
def test_each_family_has_a_fitting_tokenizer(folder: Path) -> None:
    encoder, tokenizer = Encoder(str(folder)).eval(), load_tokenizer(str(folder))
    check_tokenizer(tokenizer, encoder.vocab_size, encoder.name, encoder.config)
    batch = tokenizer(["the cat", "the cat sleeps sleeps"], ["猫", "Katze"], padding=True, return_tensors="pt")
    assert encoder(**batch).isfinite().all()
    assert ("token_type_ids" in batch) is (folder.name == "mbert")


def test_tokenizer_of_another_encoder_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_encoder))
    highest = len(tokenizer) - 1
    check_tokenizer(tokenizer, highest + 1, "tiny")
    with pytest.raises(
        ConfigError, match=rf"'tiny' do not belong together.*go up to {highest}, .*\(0 to {highest - 1}\)"
    ):
        check_tokenizer(tokenizer, highest, "tiny")
    tokenizer.add_tokens(["<new>"])
    with pytest.raises(ConfigError, match="do not belong together"):
        check_tokenizer(tokenizer, highest + 1, "tiny")


def test_padding_that_would_shift_all_positions_is_refused(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_encoder))
    with pytest.raises(ConfigError, match=r"pads with id 1, its config\.json says 0: every position"):
        check_tokenizer(tokenizer, 1000, "tiny", XLMRobertaConfig(pad_token_id=0))
    check_tokenizer(tokenizer, 1000, "tiny", BertConfig(pad_token_id=0))  # padding is masked, positions are counted


@pytest.mark.parametrize("role", ["pad", "cls", "sep"])
def test_missing_special_tokens_are_named(role: str) -> None:
    tokenizer = wordpiece()
    setattr(tokenizer, f"{role}_token", None)
    with pytest.raises(ConfigError, match=rf"lacks the special token\(s\) {role}"):
        check_tokenizer(tokenizer, 1000, "bert")


def test_folder_without_a_tokenizer_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    Encoder(str(tiny_encoder)).save(tmp_path)
    with pytest.raises(ConfigError, match="comes without a tokenizer"):
        load_tokenizer(str(tmp_path))


def test_slow_tokenizer_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    Encoder(str(tiny_encoder)).save(tmp_path)
    ByT5Tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"only a slow tokenizer .ByT5Tokenizer."):
        load_tokenizer(str(tmp_path))


def test_real_encoder_loads_by_its_short_name(offline_encoder: Path) -> None:
    assert load_config("offline-small").vocab_size == 250037
    assert position_limit(load_config("offline-small")) == 512


def test_layers_above_the_one_that_is_read_are_not_run(folder: Path) -> None:
    encoder, run = Encoder(str(folder)).eval(), []
    stack = encoder.model.get_submodule(encoder._layers)
    for number, layer in enumerate(stack, 1):
        layer.register_forward_hook(lambda *_, number=number: run.append(number))
    ids, mask = tokens(encoder, 2, 6)
    for layer, expected in ((2, [1, 2]), (0, [1]), (None, [1, 2, 3])):
        run.clear()
        encoder(ids, mask, layer=layer)
        assert run == expected
    assert encoder.model.get_submodule(encoder._layers) is stack


def test_a_mask_of_one_row_is_that_of_all_and_another_shape_is_refused(folder: Path) -> None:
    for encoder in (Encoder(str(folder)).eval(), Encoder(str(folder), packing=False).eval()):
        ids, mask = tokens(encoder, 3, 9)
        one = mask[:1].clone()
        one[:, 6:] = 0
        torch.testing.assert_close(encoder(ids, one)[:, :6], encoder(ids, one.repeat(3, 1))[:, :6])
        with pytest.raises(RuntimeError, match="must match the existing size"):
            encoder(ids, mask[:2])
