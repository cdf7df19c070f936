"""Task models of transformers as the start of a run: their encoder, their head, their labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

import xtransfer
from tests.families import FAMILIES
from xtransfer.cli import main
from xtransfer.config import expand
from xtransfer.encoder import Encoder, load_config, load_tokenizer
from xtransfer.errors import ConfigError
from xtransfer.heads import Head
from xtransfer.hf import PretrainedHead, load_head, task_model
from xtransfer.pipeline import prepare
from xtransfer.results import Results
from xtransfer.stage_cli import parse

DATA = Path(__file__).parent / "data"
NAMES = ["entailment", "neutral", "contradiction"]
AUTO = {
    "classification": AutoModelForSequenceClassification,
    "span": AutoModelForQuestionAnswering,
    "tagging": AutoModelForTokenClassification,
    "multiple_choice": AutoModelForMultipleChoice,
    "mlm": AutoModelForMaskedLM,
}


def saved(folder: Path, encoder: Path, kind: str, **config: object) -> PreTrainedModel:
    """A task model that transformers has made and saved, with random weights and the encoder's tokenizer."""
    settings = load_config(str(encoder))
    settings.update({"id2label": dict(enumerate(NAMES))} | config if kind in ("classification", "tagging") else config)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        model = AUTO[kind].from_config(settings).eval()
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    load_tokenizer(str(encoder)).save_pretrained(folder)
    return model


def text(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 30, shape, generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[..., -1, -2:] = 0
    return ids, mask


@pytest.mark.parametrize("family", FAMILIES)
def test_the_encoder_is_taken_out_of_a_task_model(folders, tmp_path, family):
    model = saved(tmp_path, folders[family], "classification")
    ids, mask = text(2, 7)
    with torch.no_grad():
        expected = model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state
        found = Encoder(str(tmp_path)).eval()(ids, mask)
    torch.testing.assert_close(found[mask == 1], expected[mask == 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", AUTO)
@pytest.mark.parametrize("family", ["xlmr", "mbert"])
def test_heads_are_taken_over_with_their_logits(folders, tmp_path, family, kind):
    model = saved(tmp_path, folders[family], kind)
    head, encoder = load_head(str(tmp_path)), Encoder(str(tmp_path)).eval()
    ids, mask = text(1, 2, 7) if kind == "multiple_choice" else text(2, 7)
    with torch.no_grad():
        output, found = model(input_ids=ids, attention_mask=mask), head(encoder(ids, mask), mask).logits
    expected = torch.stack([output.start_logits, output.end_logits], -1) if kind == "span" else output.logits
    if expected.dim() == 3:
        found, expected = found[mask == 1], expected[mask == 1]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert head.labels == (tuple(NAMES) if kind in ("classification", "tagging") else ())
    assert not head.training


def test_labels_come_in_the_order_that_is_asked_for(folders, tmp_path):
    saved(tmp_path, folders["xlmr"], "classification")
    own = load_head(str(tmp_path))
    other = load_head(str(tmp_path), ["Neutral", "contradiction", "entailment"])
    assert other.labels == ("Neutral", "contradiction", "entailment")
    hidden, mask = torch.randn(4, 6, 32), torch.ones(4, 6)
    torch.testing.assert_close(other(hidden, mask).logits, own(hidden, mask).logits[:, [1, 2, 0]])
    with pytest.raises(ConfigError, match=r"expected the labels \['yes', 'no', 'so'\], found \['entailment', "):
        load_head(str(tmp_path), ["yes", "no", "so"])


def test_dropout_comes_along(folders, tmp_path):
    saved(tmp_path, folders["xlmr"], "classification", classifier_dropout=0.3)
    assert load_head(str(tmp_path)).dropout.p == 0.3


@pytest.mark.parametrize(
    ("family", "kind", "config", "message"),
    [
        ("mdeberta", "classification", {}, "DebertaV2ForSequenceClassification computes something else"),  # GELU
        ("mmbert", "tagging", {}, "ModernBertForTokenClassification computes something else"),
        ("mmbert", "classification", {}, r"has another head \(head.dense, head.norm, classifier\)"),
        ("xlmr", "classification", {"problem_type": "regression"}, "problem_type regression"),
    ],
)
def test_heads_that_ours_are_not_are_refused(folders, tmp_path, family, kind, config, message):
    saved(tmp_path, folders[family], kind, **config)
    with pytest.raises(ConfigError, match=message):
        load_head(str(tmp_path))


def test_an_encoder_has_no_head(folders, tmp_path):
    with pytest.raises(ConfigError, match=r"holds XLMRobertaModel, which has no head; expected one of XLMRobertaForS"):
        load_head(str(folders["xlmr"]))
    config = load_config(str(folders["xlmr"]))
    config.architectures = ["XLMRobertaForQuestionAnswering"]
    AutoModel.from_pretrained(folders["xlmr"]).save_pretrained(tmp_path)
    config.save_pretrained(tmp_path)
    with pytest.raises(
        ConfigError, match=r"no weights for its head: qa_outputs.bias, qa_outputs.weight would be random"
    ):
        load_head(str(tmp_path))


def test_a_head_that_does_not_fit_is_refused(folders, tmp_path):
    saved(tmp_path, folders["xlmr"], "classification")
    with pytest.raises(ConfigError, match="width 32 and has 3 outputs; encoder and task need 32 and 2"):
        PretrainedHead(str(tmp_path))(32, 2)


# ------------------------------------------------------------------ runs
def config_of(tmp_path: Path, encoder: Path, name: str, **model: object) -> dict[str, object]:
    data = {"data_dir": str(DATA), "batch_size": 2, "cache_dir": str(tmp_path / "cache"), "languages": ["de", "en"]}
    return {
        "name": name,
        "out_dir": str(tmp_path / "runs"),
        "model": {"encoder": str(encoder), **model},
        "trainer": {"accelerator": "cpu", "max_steps": 1, "logger": False, "enable_progress_bar": False},
        "data": {"class_path": "XNLI", "init_args": data},
        "stages": {"nli": {}},
    }


def test_there_and_back_gives_the_same_scores_and_weights(tiny_encoder, tmp_path, capsys):
    first = xtransfer.run(config_of(tmp_path, tiny_encoder, "first", lr=0.1))
    stage, out = tmp_path / "runs" / "first" / "1-nli", tmp_path / "out"
    assert main(["export", str(tmp_path / "runs" / "first"), "--to", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: XLMRobertaForSequenceClassification, tokenizer and model card\n"
    heads = {"mnli": {"class_path": "xtransfer.hf.PretrainedHead", "init_args": {"folder": str(out)}}}
    again = xtransfer.run(config_of(tmp_path, out, "again", lr=0.0, heads=heads))
    assert [(r.language, r.metric, r.value) for r in again] == [(r.language, r.metric, r.value) for r in first]
    old, new = (
        Head.from_pretrained(tmp_path / "runs" / run / "1-nli" / "heads" / "mnli") for run in ("first", "again")
    )
    for name, weight in old.state_dict().items():
        assert torch.equal(weight, new.state_dict()[name]), name
    ids, mask = text(2, 7)
    with torch.no_grad():
        states = [Encoder(str(f / "encoder")).eval()(ids, mask) for f in (stage, tmp_path / "runs" / "again" / "1-nli")]
    assert torch.equal(*states)


def test_the_card_tells_scores_and_history(tiny_encoder, tmp_path):
    results = xtransfer.run(config_of(tmp_path, tiny_encoder, "told"))
    xtransfer.export(tmp_path / "runs" / "told", tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    fields = yaml.safe_load(text.split("---")[1])
    assert fields == {
        "language": ["en", "de"],
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["xtransfer", "cross-lingual-transfer"],
    }
    row = results.where(language="de", main=True, split="test").rows[0]
    assert "xnli: accuracy in percent, test rows, " in text
    columns, _, values = [
        line.strip("| ").split("|") for line in text.split("accuracy in percent")[1].splitlines()[2:5]
    ]
    assert float(dict(zip([c.strip() for c in columns], values, strict=True))["de"]) == pytest.approx(
        row.value, abs=0.06
    )
    steps = f"seed 1, 1 steps on {row.tokens} tokens"
    for told in (row.origin, row.config, row.versions["torch"], steps, "trained in the stages: nli (xnli)"):
        assert told in text, told
    assert "labels: entailment, neutral, contradiction" in text
    assert "license" not in fields
    kept = Results.load(tmp_path / "out")
    assert [(r.language, r.value) for r in kept] == [
        (r.language, r.value) for r in Results.load(tmp_path / "runs" / "told")
    ]
    assert str(tmp_path) not in text + (tmp_path / "out" / "results.jsonl").read_text()


def test_the_card_tells_which_run_has_trained(tiny_encoder, tmp_path):
    for name in ("one", "two"):
        xtransfer.run({**config_of(tmp_path, tiny_encoder, name), "store": str(tmp_path / "store")})
        xtransfer.export(tmp_path / "runs" / name, tmp_path / name)
    told = "that stage was trained by the run and stage one/nli"
    assert [told in (tmp_path / name / "README.md").read_text() for name in ("one", "two")] == [False, True]


def test_labels_in_another_order_are_refused_unless_put_right(folders, tiny_encoder, tmp_path):
    body = Encoder(str(tiny_encoder)).model
    other = load_head_with(body, ("neutral", "contradiction", "entailment"))
    task_model(body, other).save_pretrained(tmp_path / "other")
    load_tokenizer(str(tiny_encoder)).save_pretrained(tmp_path / "other")
    settings = {"folder": str(tmp_path / "other")}
    heads = {"mnli": {"class_path": "xtransfer.hf.PretrainedHead", "init_args": settings}}
    with pytest.raises(ConfigError, match=r"expected a head with the labels \['entailment', .* found \['neutral', 'c"):
        xtransfer.run(config_of(tmp_path, tiny_encoder, "wrong", lr=0.0, heads=heads))
    settings["labels"] = NAMES
    xtransfer.run(config_of(tmp_path, tiny_encoder, "right", lr=0.0, heads=heads))
    new = Head.from_pretrained(tmp_path / "runs" / "right" / "1-nli" / "heads" / "mnli")
    assert torch.equal(new.state_dict()["out_proj.bias"], other.state_dict()["out_proj.bias"][[2, 0, 1]])


def test_a_stage_is_another_if_the_head_it_takes_over_is(tiny_encoder, tmp_path):
    body = Encoder(str(tiny_encoder)).model
    heads = {"mnli": {"class_path": "xtransfer.hf.PretrainedHead", "init_args": {"folder": str(tmp_path / "other")}}}
    config, found = config_of(tmp_path, tiny_encoder, "one", heads=heads), []
    for head in [load_head_with(body, tuple(NAMES))] * 2 + [load_head_with(body, tuple(NAMES))]:
        task_model(body, head).save_pretrained(tmp_path / "other")
        found.append(prepare(expand(config))[0].identity)
    assert found[0] == found[1] != found[2]


def test_what_the_documentation_shows_can_be_parsed(tmp_path):
    page = (DATA.parents[1] / "docs" / "huggingface.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (stage,) = expand(yaml.safe_load(shown)).stages
    parsed = parse(stage, tmp_path).config.model.heads["mnli"]
    assert parsed.init_args.labels == NAMES


def load_head_with(body: PreTrainedModel, labels: tuple[str, ...]) -> Head:
    from xtransfer.heads import ClassificationHead

    head = ClassificationHead(body.config.hidden_size, len(labels))
    head.labels = labels
    return head
