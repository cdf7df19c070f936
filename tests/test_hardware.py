"""Which devices compute in bfloat16, and what a measurement is said to have been made on."""

from __future__ import annotations

import json

import pytest
import torch

from xtransfer import hardware
from xtransfer.hardware import describe, native_bf16


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((8, 9), True), ((9, 0), True)])
def test_gpus_from_ampere_on(capability, native, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: asked.append(device) or capability)
    assert native_bf16(torch.device("cuda", 1)) is native
    assert asked == [torch.device("cuda", 1)]


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert native_bf16(torch.device("cuda")) is False


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"cpu_name": "bf16", "avx2": True, "avx512_f": True, "amx_tile": True}, False),
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": False}, False),
        ({"bf16": True, "neon": True}, False),
    ],
)
def test_processors_by_their_instructions(capabilities, native, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert native_bf16(torch.device("cpu")) is native


def test_a_torch_that_cannot_tell_and_devices_that_are_not_known(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert native_bf16(torch.device("cpu")) is False
    assert native_bf16(torch.device("mps")) is False


def test_the_description_is_plain_data(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    told = json.loads(json.dumps(describe()))
    assert told == {
        "cpu": told["cpu"],
        "cores": hardware.cores(),
        "threads": torch.get_num_threads(),
        "gpu": "GPU 0",
        "gpus": 2,
        "torch": torch.__version__,
    }
    assert told["cpu"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert (describe()["gpu"], describe()["gpus"]) == (None, 0)


def test_a_processors_name_is_read_off_the_listing(tmp_path):
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nmodel name\t: Some CPU: fast\nflags\t: sse\nmodel name\t: Another\n")
    assert hardware._cpu_model(listing) == "Some CPU: fast"
    listing.write_text("processor\t: 0\n")
    assert hardware._cpu_model(listing)
    assert hardware._cpu_model(tmp_path / "nothing")
