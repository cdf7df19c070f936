"""Saved heads: what cannot be loaded is refused by name, and what can needs nothing but torch and safetensors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xtransfer.errors import ConfigError, DataError
from xtransfer.heads import ClassificationHead, Head, HeadOutput, SpanHead, TaggingHead

ROOT = Path(__file__).parents[2]


class WideHead(Head):
    """A user's head with an argument of its own and tied weights."""

    def __init__(self, hidden_size: int, num_labels: int, *, factor: int = 2) -> None:
        super().__init__(hidden_size, num_labels)
        self.factor = factor
        self.up = nn.Linear(hidden_size, factor * num_labels)
        self.tied = nn.Linear(hidden_size, factor * num_labels)
        self.tied.weight = self.up.weight

    def config(self) -> dict[str, Any]:
        return {"hidden_size": self.hidden_size, "num_labels": self.num_labels, "factor": self.factor}

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> HeadOutput:
        return HeadOutput(None, self.up(hidden_states) + self.tied(hidden_states))


class ForgetfulHead(WideHead):
    """Leaves its argument out of config()."""

    def config(self) -> dict[str, Any]:
        return {"hidden_size": self.hidden_size, "num_labels": self.num_labels}


class CarelessHead(Head):
    """Has no `dropout` argument, but config() still names one."""

    def __init__(self, hidden_size: int, num_labels: int) -> None:
        super().__init__(hidden_size, num_labels)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    head = TaggingHead(8, 3)
    head.labels = ("B", "I", "O")
    head.save_pretrained(tmp_path / "head")
    return tmp_path / "head"


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "head.json"
    record = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))


def test_files_are_plain(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["head.json", "head.safetensors"]
    record = json.loads((saved / "head.json").read_text())
    assert record["class"] == "TaggingHead"
    assert record["arguments"] == {"hidden_size": 8, "num_labels": 3, "dropout": 0.1}
    assert record["labels"] == ["B", "I", "O"]


def test_a_head_of_ones_own(tmp_path: Path) -> None:
    head = WideHead(8, 3, factor=4).eval()
    head.save_pretrained(tmp_path)
    hidden, mask = torch.randn(2, 5, 8), torch.ones(2, 5)
    for loaded in (WideHead.from_pretrained(tmp_path), Head.from_pretrained(str(tmp_path))):
        assert type(loaded) is WideHead
        assert loaded.factor == 4
        torch.testing.assert_close(loaded(hidden, mask).logits, head(hidden, mask).logits)
        assert loaded.tied.weight is loaded.up.weight


def test_a_derived_head_is_taken_for_its_base(tmp_path: Path) -> None:
    class LongSpanHead(SpanHead):
        pass

    LongSpanHead(8).save_pretrained(tmp_path)
    assert type(SpanHead.from_pretrained(tmp_path)) is LongSpanHead
    assert type(Head.from_pretrained(tmp_path)) is LongSpanHead


def test_two_heads_of_one_name_are_told_apart_by_the_caller(tmp_path: Path) -> None:
    def one() -> type[Head]:
        class SharedName(Head):
            pass

        return SharedName

    def another() -> type[Head]:
        class SharedName(Head):
            pass

        return SharedName

    first, second = one(), another()
    second(8, 2).save_pretrained(tmp_path)
    assert type(second.from_pretrained(tmp_path)) is second
    with pytest.raises(ConfigError, match="2 heads named SharedName"):
        Head.from_pretrained(tmp_path)
    assert first is not second


def test_a_head_that_is_defined_again_is_the_newest(tmp_path: Path) -> None:
    def define() -> type[Head]:
        class NotebookHead(Head):
            pass

        return NotebookHead

    first, second = define(), define()  # a cell that ran twice
    first(8, 2).save_pretrained(tmp_path)
    assert type(Head.from_pretrained(tmp_path)) is second


def test_another_head_is_refused(saved: Path) -> None:
    with pytest.raises(ConfigError, match=r"head\.json: holds a TaggingHead, expected a SpanHead"):
        SpanHead.from_pretrained(saved)


def test_unknown_class_gets_a_hint(saved: Path) -> None:
    edit(saved, **{"class": "TagingHead"})
    with pytest.raises(ConfigError, match="did you mean 'TaggingHead'"):
        Head.from_pretrained(saved)


@pytest.mark.parametrize("name", ["head.json", "head.safetensors"])
def test_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(ConfigError, match=f"{name}: no such file"):
        Head.from_pretrained(saved)


def test_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/head\.json: no such file"):
        Head.from_pretrained(tmp_path / "file")
    with pytest.raises(ConfigError, match=r"nowhere/head\.json: no such file"):
        Head.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["head.json", "head.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_truncated_file(saved: Path, name: str, share: float) -> None:
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=name):
        Head.from_pretrained(saved)


def test_flipped_bytes(saved: Path) -> None:
    data = bytearray((saved / "head.safetensors").read_bytes())
    data[-3] ^= 0x10  # a weight: the file itself stays well-formed
    (saved / "head.safetensors").write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"head\.safetensors: .*damaged"):
        Head.from_pretrained(saved)


def test_files_of_two_saves_are_not_mixed(saved: Path, tmp_path: Path) -> None:
    """Labels in another order fit the same shapes: without a check they would load and answer wrongly."""
    other = TaggingHead(8, 3)
    other.labels = ("O", "I", "B")
    other.save_pretrained(tmp_path / "other")
    os.replace(tmp_path / "other" / "head.json", saved / "head.json")
    with pytest.raises(DataError, match="of another save"):
        Head.from_pretrained(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lables": []}, "unknown key 'lables'; did you mean 'labels'"),
        ({"labels": None}, "the key 'labels' is missing"),
        ({"labels": [1, 2]}, "'labels' must be a list of strings"),
        ({"arguments": [8, 3]}, "'arguments' must be dict"),
        ({"arguments": {"hidden_size": 8, "num_labels": 3, "dropuot": 0.1}}, "dropuot"),
        ({"arguments": {"hidden_size": 8}}, "num_labels"),
        ({"arguments": {"hidden_size": 8, "num_labels": 3, "dropout": 7}}, "between 0 and 1"),
        ({"format": 2}, "format 2, this version reads 1"),
    ],
)
def test_wrong_settings(saved: Path, changes: dict[str, Any], message: str) -> None:
    edit(saved, **changes)
    with pytest.raises(ConfigError, match=message) as caught:
        Head.from_pretrained(saved)
    assert str(saved / "head.json") in str(caught.value)


def test_weights_of_another_shape(saved: Path) -> None:
    edit(saved, arguments={"hidden_size": 8, "num_labels": 4, "dropout": 0.1})
    with pytest.raises(DataError, match=r"head\.safetensors: the weights do not fit(?s:.)*out_proj\.weight"):
        Head.from_pretrained(saved)


def test_an_argument_that_would_be_lost_is_refused_on_saving(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ForgetfulHead\.config\(\) leaves out factor"):
        ForgetfulHead(8, 3).save_pretrained(tmp_path / "head")
    with pytest.raises(ConfigError, match=r"CarelessHead\.config\(\) does not fit the constructor: .*'dropout'"):
        CarelessHead(8, 3).save_pretrained(tmp_path / "head")
    wide = WideHead(8, 3)
    for value in (torch.tensor(2), float("nan")):
        wide.factor = value
        with pytest.raises(ConfigError, match=r"WideHead: config.* must be plain JSON"):
            wide.save_pretrained(tmp_path / "head")
    assert not (tmp_path / "head").exists(), "nothing may be written before everything is checked"


def test_a_failed_save_leaves_the_old_head(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        TaggingHead(8, 3).save_pretrained(saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_saving_again_replaces(saved: Path) -> None:
    ClassificationHead(4, 2, pooling="mean").save_pretrained(saved)
    assert Head.from_pretrained(saved).config() == ClassificationHead(4, 2, pooling="mean").config()


PORTABLE = """
import sys
for name in ("lightning", "pytorch_lightning", "transformers", "datasets"):
    sys.modules[name] = None  # importing it now fails
import torch
from xtransfer.heads import SpanHead
assert "safetensors" not in sys.modules
head = SpanHead.from_pretrained(sys.argv[1])
hidden = torch.linspace(-1, 1, 2 * 5 * 8).reshape(2, 5, 8)
loss, logits = head(hidden, torch.ones(2, 5, dtype=torch.long), torch.tensor([[1, 2], [0, 0]]))
print(loss.item(), *logits.flatten().tolist())
"""


def test_a_saved_head_runs_where_only_torch_is(tmp_path: Path) -> None:
    head = SpanHead(8).eval()
    head.save_pretrained(tmp_path)
    command = [sys.executable, "-c", PORTABLE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    hidden = torch.linspace(-1, 1, 2 * 5 * 8).reshape(2, 5, 8)
    loss, logits = head(hidden, torch.ones(2, 5, dtype=torch.long), torch.tensor([[1, 2], [0, 0]]))
    torch.testing.assert_close(
        torch.tensor([float(number) for number in done.stdout.split()]), torch.cat([loss[None], logits.flatten()])
    )
