"""Adapters: what is trained, what PEFT reads, and which weights the stage after starts from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

from xtransfer.adapters import METHODS, WEIGHTS, check_adapters
from xtransfer.config import Stage, expand
from xtransfer.encoder import Encoder, load_config
from xtransfer.errors import ConfigError
from xtransfer.hand_over import base_of, history_of
from xtransfer.module import TransferModule
from xtransfer.pipeline import evaluate, run
from xtransfer.report import printed

DATA = Path(__file__).parent / "data"
LORA = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["query", "value"]}
IA3 = {
    "peft_type": "IA3",
    "target_modules": ["key", "value", "output.dense"],
    "feedforward_modules": ["output.dense"],
}
SETTINGS = {
    "FOURIERFT": {"n_frequency": 50},
    "IA3": IA3,
    "LN_TUNING": {"target_modules": ["LayerNorm"]},
    "MISS": {"r": 8},
    "OFT": {"oft_block_size": 8},
}
IDS = torch.arange(4, 20).reshape(2, 8)
MASK = torch.ones_like(IDS)


def states(model) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS, MASK)


def trained(encoder: Encoder) -> list[str]:
    return [name for name, parameter in encoder.model.named_parameters() if parameter.requires_grad]


def train(encoder: Encoder, layer_decay: float = 1.0) -> None:
    optimizer = torch.optim.AdamW(encoder.parameter_groups(1e-2, 0.01, layer_decay))
    for _ in range(3):
        optimizer.zero_grad()
        encoder(IDS, MASK)[..., 0].sum().backward()
        optimizer.step()
    encoder.eval()


@pytest.mark.parametrize("method", METHODS)
def test_adapters_alone_are_trained_and_merging_changes_no_output(method, tiny_encoder, tmp_path):
    encoder = Encoder(str(tiny_encoder), dropout=0.0)
    plain = {name: tensor.clone() for name, tensor in encoder.model.state_dict().items()}
    before = states(encoder.eval())
    encoder.adapt({"peft_type": method, **SETTINGS.get(method, {})})
    assert trained(encoder)
    train(encoder, 0.5)
    now = {name.replace(".base_layer", ""): tensor for name, tensor in encoder.model.state_dict().items()}
    assert plain.keys() < now.keys()
    assert all(torch.equal(now[name], tensor) for name, tensor in plain.items())
    after = states(encoder)
    assert (after - before).abs().max() > 1e-3
    encoder.adapters.save(tmp_path)
    encoder.merge_adapters()
    assert type(encoder.model).__name__ == "XLMRobertaModel"
    assert encoder.model.state_dict().keys() == plain.keys()
    assert torch.allclose(states(encoder), after, rtol=0, atol=1e-6)
    base = AutoModel.from_pretrained(tiny_encoder, add_pooling_layer=False)
    read = PeftModel.from_pretrained(base, tmp_path).eval()
    assert torch.allclose(states(read).last_hidden_state, after, rtol=0, atol=1e-6)


def test_each_layers_adapters_learn_at_its_rate(tiny_encoder):
    encoder = Encoder(str(tiny_encoder))
    encoder.adapt(LORA)
    groups = {group["name"]: group for group in encoder.parameter_groups(1.0, 0.1, 0.5)}
    assert {name: group["lr"] for name, group in groups.items()} == {"encoder.layer.0": 0.25, "encoder.layer.1": 0.5}
    assert [len(group["params"]) for group in groups.values()] == [4, 4]  # A and B of query and value


def test_frozen_layers_stay_as_they_are(tiny_encoder):
    encoder = Encoder(str(tiny_encoder), freeze_layers=1)
    free = trained(encoder)
    encoder.adapt(LORA)
    assert len(trained(encoder)) == 4
    assert all("layer.1." in name and ".lora_" in name for name in trained(encoder))
    encoder.merge_adapters()
    assert trained(encoder) == free


def test_checkpointed_activations_give_the_same_gradients(tiny_encoder):
    gradients = []
    for checkpointing in (False, True):
        encoder = Encoder(str(tiny_encoder), dropout=0.0, gradient_checkpointing=checkpointing)
        torch.manual_seed(0)
        encoder.adapt(LORA)
        encoder(IDS, MASK)[..., 0].sum().backward()
        gradients.append({n: p.grad for n, p in encoder.model.named_parameters() if p.grad is not None})
    assert len(gradients[0]) == 8
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-6) for name in gradients[0])
    assert any(gradient.any() for gradient in gradients[0].values())


def test_an_encoder_with_adapters_is_not_written_as_a_plain_one(tiny_encoder, tmp_path):
    encoder = Encoder(str(tiny_encoder))
    encoder.adapt(LORA)
    with pytest.raises(ConfigError, match=r"has adapters: write them and call merge_adapters\(\) first"):
        encoder.save(tmp_path)


def test_adapters_of_another_size_are_refused(tiny_encoder, tmp_path):
    encoder = Encoder(str(tiny_encoder))
    encoder.adapt(LORA)
    encoder.adapters.save(tmp_path)
    with pytest.raises(ConfigError, match="are others: 8 tensors differ"):
        Encoder(str(tiny_encoder)).adapt({**LORA, "r": 2}, tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"broken")
    with pytest.raises(ConfigError, match="cannot be read"):
        Encoder(str(tiny_encoder)).adapt(LORA, tmp_path)
    with pytest.raises(ConfigError, match="no adapters in"):
        Encoder(str(tiny_encoder)).adapt(LORA, tmp_path / "nowhere")


# ---------------------------------------------------------------------- whole runs
@pytest.fixture
def config(tiny_encoder, tmp_path):
    """MNLI with LoRA."""
    return {
        "name": "toy",
        "out_dir": str(tmp_path / "runs"),
        "seed_everything": 3,
        "model": {"encoder": str(tiny_encoder), "lr": 1e-2, "adapters": LORA},
        "trainer": {"accelerator": "cpu", "max_steps": 2, "enable_progress_bar": False, "logger": False},
        "data": {"init_args": {"data_dir": str(DATA), "batch_size": 2, "cache_dir": str(tmp_path / "cache")}},
        "stages": {"mnli": {"data": "MNLI"}},
    }


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "encoder" / "model.safetensors")


def adapters(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / WEIGHTS)


def merged(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    """What PEFT makes of an encoder and adapters."""
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(base, add_pooling_layer=False), adapter)
    return model.merge_and_unload().state_dict()


def equal(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("settings", [LORA, IA3], ids=["LORA", "IA3"])
def test_a_stage_leaves_its_adapters_and_a_plain_encoder(settings, config, tiny_encoder, tmp_path):
    config["model"]["adapters"] = settings
    results = run(config)
    folder, pretrained = tmp_path / "runs/toy/1-mnli", load_file(tiny_encoder / "model.safetensors")
    last = weights(folder)
    changed = {name for name in pretrained if not torch.equal(last[name], pretrained[name])}
    adapted = {f"{name}.weight" for name in pretrained_modules(tiny_encoder, settings["target_modules"])}
    assert changed
    assert changed <= adapted | {name.replace("weight", "bias") for name in adapted}
    assert equal(last, merged(tiny_encoder, folder / "adapter"))
    assert json.loads((folder / "adapter/adapter_config.json").read_text())["base_model_name_or_path"] == str(
        tiny_encoder
    )
    _, report = AutoModel.from_pretrained(folder / "encoder", add_pooling_layer=False, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    sizes = [sum(tensor.numel() for tensor in tensors.values()) for tensors in (adapters(folder), pretrained)]
    told = f"{settings['peft_type']}, {sizes[0]} weights beside the encoder's {sizes[1]}"
    assert {row.adapters for row in results} == {told}
    again = evaluate(config, "test")
    assert [(row.value, row.adapters) for row in again] == [(row.value, told) for row in results.where(split="test")]


def pretrained_modules(folder: Path, endings: list[str]) -> list[str]:
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    return [name for name, _ in model.named_modules() if any(name.endswith(f".{ending}") for ending in endings)]


def test_the_stage_after_takes_adapters_merged_kept_or_dropped(config, tiny_encoder, tmp_path):
    still = {"data": "MNLI", "model": {"lr": 0.0}}
    config["stages"] |= {
        "merge": {**still, "init": {"from": "mnli"}},
        "drop": {**still, "init": {"from": "mnli", "adapters": "drop"}, "model": {"lr": 0.0, "adapters": None}},
        "keep": {**still, "init": {"from": "mnli", "adapters": "keep"}},
        "on": {"data": "MNLI", "init": {"from": "keep", "parts": ["encoder", "heads"], "adapters": "keep"}},
        "heads": {**still, "init": {"from": "mnli", "parts": ["encoder", "heads"], "adapters": "drop"}},
    }
    results = run(config)
    mnli, merge, drop, keep, on, heads = (
        tmp_path / "runs/toy" / f"{number}-{name}" for number, name in enumerate(config["stages"], 1)
    )
    pretrained = load_file(tiny_encoder / "model.safetensors")
    assert not equal(weights(mnli), pretrained)
    assert equal(weights(merge), weights(mnli))  # new adapters, that have learned nothing
    assert not equal(adapters(merge), adapters(mnli))
    assert equal(weights(drop), pretrained)
    assert not (drop / "adapter").exists()
    assert equal(adapters(keep), adapters(mnli))
    assert equal(weights(keep), weights(mnli))
    assert not equal(adapters(on), adapters(keep))  # trained on
    assert equal(weights(on), merged(tiny_encoder, on / "adapter"))
    assert equal(weights(heads), pretrained)
    assert equal(*(load_file(folder / "heads/mnli/head.safetensors") for folder in (heads, mnli)))
    chains = {row.stage: " ".join(row.chain) for row in results}
    assert chains == {
        "mnli": "mnli",
        "merge": "mnli merge",
        "drop": "drop",
        "keep": "mnli keep",
        "on": "mnli keep on",
        "heads": "mnli heads",
    }
    told = {row.stage: row.adapters.partition("; ")[2] or row.adapters for row in results}
    assert told["drop"] == "without those of mnli"
    assert told["on"] == "going on from those of keep"


def test_the_base_of_adapters_is_found_through_all_stages():
    first = Stage("first", 1, {}, None, ())
    second = Stage("second", 2, {}, "first")
    kept = Stage("kept", 3, {}, "second", adapters="keep")
    dropped = Stage("dropped", 4, {}, "kept", adapters="drop")
    heads_alone = Stage("heads_alone", 5, {}, "kept", ("heads",))
    stages = (first, second, kept, dropped, heads_alone)
    bases = [base and base.name for base in (base_of(stage, stages) for stage in stages)]
    assert bases == [None, "first", "first", "first", None]
    pasts = [past and past.name for past in (history_of(stage, stages) for stage in stages)]
    assert pasts == [None, "first", "second", "first", "kept"]


def test_a_run_goes_on_with_its_adapters(config, tmp_path, monkeypatch):
    config["trainer"]["max_steps"], config["checkpoint"] = 4, {"every_steps": 1, "keep": 2}
    run({**config, "name": "whole"})
    step = TransferModule.training_step

    def fail(self, batch, batch_idx):
        if self.trainer.global_step == 2:
            raise RuntimeError("the machine is gone")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(TransferModule, "training_step", fail)
    with pytest.raises(RuntimeError, match="the machine is gone"):
        run(config)
    monkeypatch.undo()
    run(config, resume="must")
    whole, resumed = (tmp_path / "runs" / name / "1-mnli" for name in ("whole", "toy"))
    assert equal(weights(resumed), weights(whole))
    assert equal(adapters(resumed), adapters(whole))


def test_training_anew_without_adapters_leaves_none(config, tmp_path):
    run(config)
    folder = tmp_path / "runs/toy/1-mnli/adapter"
    assert (folder / WEIGHTS).is_file()
    results = run(config, [("model.adapters", None)])
    assert not (folder / WEIGHTS).exists()
    assert {row.adapters for row in results} == {""}


def test_a_printed_configuration_says_what_becomes_of_adapters(config):
    config["stages"]["qa"] = {"data": "TyDiQA", "init": {"adapters": "keep"}}
    assert "adapters: keep" in printed(expand(config))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model.adapters.peft_type", "LORAA", "peft_type 'LORAA' cannot be used here; did you mean 'LORA'"),
        ("model.adapters.peft_type", "PREFIX_TUNING", "peft_type 'PREFIX_TUNING' cannot be used here"),
        ("model.adapters", {}, "peft_type 'None' cannot be used here; known: FOURIERFT"),
        ("model.adapters.lora_alhpa", 3, "LORA has no setting 'lora_alhpa'; did you mean 'lora_alpha'"),
        ("model.adapters.task_type", "SEQ_CLS", "LORA has no setting 'task_type'"),
        ("model.adapters.target_modules", ["query", "valeu"], "no module 'valeu'; did you mean 'value'"),
        ("model.adapters.target_modules", ".*q_proj", "PEFT refuses .* are LayerNorm, dense, key, query, value"),
        ("model.adapters.r", "eight", "PEFT refuses these settings"),
        ("model.adapters.r", 0, "PEFT refuses these settings .*should be a positive integer"),
        ("model.adapters.init_lora_weights", "pissa", "init_lora_weights 'pissa' changes the encoder's weights"),
        ("model.adapters.layer_replication", [[0, 2], [0, 2]], "would not keep its own parameters"),
        ("model.adapters", {"peft_type": "IA3"}, "PEFT refuses .*target_modules"),
        ("init", {"adapters": "kep"}, "init.adapters: found 'kep'; did you mean 'keep'"),
        ("init", {"from": "plain", "adapters": "drop"}, "stage 'plain' trains no adapters; set model.adapters there"),
        ("init", {"parts": ["heads"], "adapters": "drop"}, "the encoder is not among init.parts"),
        (
            "data",
            {"class_path": "Tatoeba", "init_args": {"languages": ["de"], "data_dir": str(DATA)}},
            "nothing is trained",
        ),
        ("model.adapters.r", 2, r"model.adapters \{.*'r': 4.*this one \{.*'r': 2"),
    ],
)
def test_a_fault_stops_the_run_before_anything_is_trained(config, tmp_path, path, value, message):
    config["stages"] = {
        "plain": {"data": "MNLI", "model": {"adapters": None}},
        "mnli": {"data": "MNLI"},
        "last": {
            "data": {"class_path": "TyDiQA", "init_args": {"languages": ["en"]}},
            "init": {"from": "mnli", "adapters": "keep"},
        },
    }
    with pytest.raises(ConfigError, match=f"stage 'last': .*{message}"):
        run(config, [(f"stages.last.{path}", value)])
    assert not (tmp_path / "runs/toy/1-plain").exists()


def test_the_first_stage_has_no_adapters_to_keep(config):
    config["stages"]["mnli"] = {"data": "MNLI", "init": {"adapters": "keep"}}
    with pytest.raises(ConfigError, match="stage 'mnli': init.adapters: keep: it starts from no stage"):
        run(config)


def test_without_peft_the_message_says_what_to_install(tiny_encoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"pip install xtransfer\[peft\]"):
        check_adapters(LORA, str(tiny_encoder), load_config(str(tiny_encoder)))
