"""The one LightningModule: its optimiser, its heads, its hand-over, its scores."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from xtransfer.errors import ConfigError
from xtransfer.heads import ClassificationHead, SpanHead
from xtransfer.module import TransferModule
from xtransfer.task import Task

NLI = Task(
    name="toy",
    kind="classification",
    fields={"text": "a", "label": "b"},
    labels=("yes", "no"),
    languages=("en", "de", "sw"),
    head="shared",
)


def spec(task=NLI, **more):
    return task.spec() | {"dev_languages": ["en"], "languages": list(task.languages)} | more


@pytest.fixture
def module(tiny_encoder):
    return TransferModule([spec()], encoder=str(tiny_encoder), lr=0.1, head_lr=0.3, weight_decay=0.05, warmup=0.2)


def batch(language="en", gold=(0, 1), index=(0, 1)):
    return {
        "input_ids": torch.tensor([[0, 5, 2], [0, 6, 2]]),
        "attention_mask": torch.ones(2, 3, dtype=torch.long),
        "labels": torch.tensor([0, 1]),
        "task": "toy",
        "language": language,
        "index": list(index),
        "part": [0, 0],
        "meta": [{"gold": label} for label in gold],
    }


class _Trainer:
    estimated_stepping_batches, precision = 10, "32-true"


def test_warm_up_then_linear_decay(module):
    module._trainer = _Trainer()
    made = module.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]
    rates = []
    for _ in range(11):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    assert rates == pytest.approx([0, 0.05, 0.1, *(0.1 * (10 - step) / 8 for step in range(3, 11))])
    assert schedule["interval"] == "step"


def test_warm_up_of_one_or_more_is_a_number_of_steps(module):
    module._trainer, module.warmup = _Trainer(), 4
    schedule = module.configure_optimizers()["lr_scheduler"]["scheduler"]
    assert [schedule.lr_lambdas[0](step) for step in (0, 1, 4, 10)] == pytest.approx([0, 0.25, 1, 0])


def test_a_constant_rate_stays_after_the_warm_up(module):
    module._trainer, module.schedule = _Trainer(), "constant"
    schedule = module.configure_optimizers()["lr_scheduler"]["scheduler"]
    assert [schedule.lr_lambdas[0](step) for step in (0, 1, 2, 9, 10)] == pytest.approx([0, 0.5, 1, 1, 1])


def test_biases_and_norms_do_not_decay_and_heads_have_their_rate(module):
    module._trainer = _Trainer()
    groups = module.configure_optimizers()["optimizer"].param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    rates = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
    for name, parameter in module.named_parameters():
        assert decays[id(parameter)] == (0.05 if parameter.ndim > 1 else 0.0), name
        assert rates[id(parameter)] == (0.3 if name.startswith("heads.") else 0.1), name


def test_scores_are_logged_by_language_and_averaged(module):
    with torch.no_grad():
        predicted = module.eval()(batch()).logits.argmax(-1).tolist()
    for language, gold in (("en", predicted), ("de", [1 - predicted[0], predicted[1]]), ("sw", [None, None])):
        loader = {f"toy/{language}": DataLoader([batch(language, gold)], batch_size=None)}
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        logged = trainer.test(module, loader, verbose=False)[0]
        expected = {"en": 100, "de": 50}.get(language)
        assert logged.get(f"test/toy/accuracy/{language}") == expected
        assert logged.get("test/toy/accuracy/mean") == expected


def test_the_mean_is_over_languages_not_examples(module):
    with torch.no_grad():
        predicted = module.eval()(batch()).logits.argmax(-1).tolist()
    wrong = [1 - label for label in predicted]
    loaders = {
        "toy/en": DataLoader([batch("en", predicted)], batch_size=None),
        "toy/de": DataLoader([batch("de", wrong), batch("de", wrong, (2, 3))], batch_size=None),
    }
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.test(module, loaders, verbose=False)
    assert trainer.callback_metrics["test/toy/accuracy/mean"] == 50


def test_tasks_of_one_head_share_it(tiny_encoder):
    other = spec() | {"name": "other"}
    module = TransferModule([spec(), other], encoder=str(tiny_encoder))
    assert list(module.heads) == ["shared"]
    assert module.head("shared").labels == ("yes", "no")


def test_monitor_is_the_main_score_in_the_training_language(module):
    assert module.monitor() == "val/toy/accuracy/en"


def test_monitor_without_development_rows_says_so(tiny_encoder):
    module = TransferModule([spec(dev_languages=[])], encoder=str(tiny_encoder))
    with pytest.raises(ConfigError, match="no development rows"):
        module.monitor()


def test_heads_read_the_layer_that_is_asked_for(tiny_encoder):
    module = TransferModule([spec()], encoder=str(tiny_encoder), layer=1).eval()
    inputs = {key: batch()[key] for key in ("input_ids", "attention_mask")}
    hidden = module.encoder(**inputs, layer=1)
    expected = module.head("shared")(hidden, inputs["attention_mask"]).logits
    assert torch.equal(module(batch()).logits, expected)
    assert not torch.equal(module.encoder(**inputs), hidden)


def test_a_head_with_other_labels_is_refused(module, tiny_encoder, tmp_path):
    module.save_parts(tmp_path)
    swapped = TransferModule([spec(labels=["no", "yes"])], encoder=str(tiny_encoder))
    with pytest.raises(ConfigError, match=r"trained on labels \['yes', 'no'\], not \['no', 'yes'\]"):
        swapped.load_parts(tmp_path, ["heads"])


def test_a_head_of_another_make_is_refused(module, tiny_encoder, tmp_path):
    module.save_parts(tmp_path)
    pooled = TransferModule(
        [spec()], str(tiny_encoder), heads={"shared": lambda h, n: ClassificationHead(h, n, 0.1, "mean")}
    )
    with pytest.raises(ConfigError, match="pooling=first.*pooling=mean"):
        pooled.load_parts(tmp_path, ["heads"])


def test_a_missing_head_and_an_unknown_part_are_named(module, tmp_path):
    module.save_parts(tmp_path)
    module.add_head("more", SpanHead(32))
    with pytest.raises(ConfigError, match=r"no head 'more' in .*heads there: \['shared'\]"):
        module.load_parts(tmp_path, ["heads"])
    with pytest.raises(ConfigError, match="unknown part 'head'; did you mean 'heads'"):
        module.load_parts(tmp_path, ["head"])


def test_dropout_is_a_function_of_seed_epoch_and_batch(module, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    module._trainer = SimpleNamespace(world_size=1, global_rank=0, current_epoch=0)
    draws = []
    for number in (3, 4, 3):
        torch.rand(7)  # whatever happened before
        module.on_train_batch_start({}, number)
        draws.append(torch.rand(4).tolist())
    assert draws[0] == draws[2]
    assert draws[0] != draws[1]
    monkeypatch.setenv("PL_GLOBAL_SEED", "6")
    module.on_train_batch_start({}, 3)
    assert torch.rand(4).tolist() != draws[0]


def test_two_processes_draw_what_one_draws_that_accumulates_two_batches(module):
    def drawn(number, world_size, rank):
        module._trainer = SimpleNamespace(world_size=world_size, global_rank=rank, current_epoch=2)
        module.on_train_batch_start({}, number)
        return torch.rand(4).tolist()

    assert [drawn(3, 2, 0), drawn(3, 2, 1)] == [drawn(6, 1, 0), drawn(7, 1, 0)]
    assert drawn(3, 2, 0) != drawn(3, 2, 1)


def test_a_training_step_lowers_the_loss(module):
    module.eval()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    before = module(batch()).loss
    before.backward()
    optimizer.step()
    assert module(batch()).loss < before


def test_checkpoints_hold_plain_data(module, tmp_path):
    trainer = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        max_steps=1,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader([batch()], batch_size=None))
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    torch.load(tmp_path / "x.ckpt", weights_only=True)
    again = TransferModule.load_from_checkpoint(tmp_path / "x.ckpt", pretrained=False, weights_only=True)
    a, b = module.eval()(copy.copy(batch())), again.eval()(batch())
    assert torch.equal(a.logits, b.logits)
