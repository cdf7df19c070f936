"""Stages handed over to transformers: the Auto classes give the logits and labels that this library gives."""

from __future__ import annotations

import json
import re
from inspect import signature
from pathlib import Path
from typing import TypeVar

import pytest
import torch
import yaml
from huggingface_hub import HfApi
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    RemBertConfig,
    RobertaConfig,
)

import xtransfer
from tests.families import CONFIGS, DEPTH, FAMILIES, SIZES, WIDTH, write
from xtransfer.cli import main
from xtransfer.encoder import load_tokenizer
from xtransfer.errors import ConfigError
from xtransfer.heads import ClassificationHead, Head, MultipleChoiceHead, SpanHead, TaggingHead
from xtransfer.hf import NotHeldError, task_model
from xtransfer.module import TransferModule
from xtransfer.pretrained_lm import fresh_lm_head
from xtransfer.task import Task

FIELDS = {
    "classification": {"text": "a", "label": "l"},
    "span": {"id": "i", "question": "q", "context": "c", "answers": "a"},
    "tagging": {"words": "w", "tags": "t"},
    "multiple_choice": {"text": "a", "options": "o", "label": "l"},
    "mlm": {"text": "a"},
    "retrieval": {"text": "a", "candidate": "b"},
}
LABELS = {"classification": ("yes", "no", "perhaps"), "tagging": ("B-x", "I-x", "O", "B-y")}
CLASSES = {
    "classification": AutoModelForSequenceClassification,
    "span": AutoModelForQuestionAnswering,
    "tagging": AutoModelForTokenClassification,
    "multiple_choice": AutoModelForMultipleChoice,
    "mlm": AutoModelForMaskedLM,
}
Module = TypeVar("Module", bound=torch.nn.Module)
TEXTS = (["the cat sleeps", "der Hund schläft nicht in der Stadt"], ["cat", "кошка собака дом"])


def module_of(encoder: Path, kind: str, **settings: object) -> TransferModule:
    """A module for one task of a kind."""
    spec = Task(name="toy", kind=kind, fields=FIELDS[kind], labels=LABELS.get(kind, ())).spec() | {
        "dev_languages": ["en"]
    }
    return shaken(TransferModule([spec], str(encoder), **settings)).eval()


def shaken(module: Module) -> Module:
    """The same with other weights: those that are drawn are small, and biases 0, so that much would look the same."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def stage_of(module: TransferModule, run: Path, encoder: Path, name: str = "1-toy") -> Path:
    """A run's folder with a stage that ended with a module."""
    folder = run / name
    module.save_parts(folder)
    load_tokenizer(str(encoder)).save_pretrained(folder / "encoder")
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": {"encoder": str(encoder), "layer": module.layer}}))
    (folder / "DONE").write_text("{}")
    return run


def batch_of(folder: Path, kind: str) -> dict[str, torch.Tensor]:
    """Two pairs of texts of unequal length, by the exported tokenizer."""
    inputs = dict(AutoTokenizer.from_pretrained(folder)(*TEXTS, padding=True, return_tensors="pt"))
    assert not inputs["attention_mask"].all()
    return {k: v.unsqueeze(0) for k, v in inputs.items()} if kind == "multiple_choice" else inputs


def ours(module: TransferModule, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return module(batch | {"task": "toy", "language": "en"}).logits


def theirs(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        output = model(**batch)
    return torch.stack([output.start_logits, output.end_logits], -1) if "start_logits" in output else output.logits


def assert_same(found: torch.Tensor, expected: torch.Tensor, mask: torch.Tensor) -> None:
    assert found.shape == expected.shape
    if expected.dim() == 3:
        found, expected = found[mask == 1], expected[mask == 1]
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------ logits
HELD = [(f, k) for f in FAMILIES for k in CLASSES if f != "mmbert" or k == "mlm"]


@pytest.mark.parametrize(("family", "kind"), HELD)
def test_task_models_give_the_same_logits(folders, tmp_path, family, kind):
    module = module_of(folders[family], kind)
    done = xtransfer.export(stage_of(module, tmp_path / "run", folders[family]), tmp_path / "out")
    assert done.note == ""
    assert not (tmp_path / "out" / "heads").exists()
    model, report = CLASSES[kind].from_pretrained(tmp_path / "out", output_loading_info=True)
    assert type(model).__name__ == done.model
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    batch = batch_of(tmp_path / "out", kind)
    assert_same(theirs(model, batch), ours(module, batch), batch["attention_mask"])


@pytest.mark.parametrize("kind", ["classification", "span", "tagging", "multiple_choice"])
def test_modernbert_which_puts_a_norm_in_its_heads_goes_with_ours_beside_it(folders, tmp_path, kind):
    module = module_of(folders["mmbert"], kind)
    done = xtransfer.export(stage_of(module, tmp_path / "run", folders["mmbert"]), tmp_path / "out")
    assert done.model == "ModernBertModel"
    assert "has another head" in done.note or "other parts" in done.note
    assert "with the head beside it in heads/toy" in done.note
    assert done.note in (tmp_path / "out" / "README.md").read_text()
    batch = batch_of(tmp_path / "out", kind)
    flat = {key: value.flatten(0, -2) for key, value in batch.items()}
    with torch.no_grad():
        states = AutoModel.from_pretrained(tmp_path / "out")(**flat).last_hidden_state
        states = states.view(*batch["input_ids"].shape, -1)
        found = Head.from_pretrained(tmp_path / "out" / "heads" / "toy")(states, batch["attention_mask"]).logits
    assert_same(found, ours(module, batch), batch["attention_mask"])


@pytest.mark.parametrize("family", ["xlmr", "mbert", "mdeberta"])
@pytest.mark.parametrize("kind", ["classification", "mlm"])
def test_a_head_on_an_inner_layer_goes_with_an_encoder_of_fewer_layers(folders, tmp_path, family, kind):
    module = module_of(folders[family], kind, layer=2)
    done = xtransfer.export(stage_of(module, tmp_path / "run", folders[family]), tmp_path / "out")
    model = CLASSES[kind].from_pretrained(tmp_path / "out")
    assert model.config.num_hidden_layers == 2 < DEPTH
    assert done.note == ""
    batch = batch_of(tmp_path / "out", kind)
    assert_same(theirs(model, batch), ours(module, batch), batch["attention_mask"])


@pytest.mark.parametrize(
    ("family", "layer", "why"), [("mmbert", 2, "gives other states"), ("mdeberta", 0, "embeddings")]
)
def test_an_inner_layer_that_cannot_be_the_last_is_told(folders, tmp_path, family, layer, why):
    module = module_of(folders[family], "tagging", layer=layer)
    done = xtransfer.export(stage_of(module, tmp_path / "run", folders[family]), tmp_path / "out")
    assert why in done.note
    assert f"the head beside it reads layer {layer}" in done.note
    assert f"hidden_states[{layer}]" in (tmp_path / "out" / "README.md").read_text()
    batch = batch_of(tmp_path / "out", "tagging")
    with torch.no_grad():
        encoder = AutoModel.from_pretrained(tmp_path / "out")
        states = encoder(**batch, output_hidden_states=True).hidden_states[layer]
        found = Head.from_pretrained(tmp_path / "out" / "heads" / "toy")(states, batch["attention_mask"]).logits
    assert_same(found, ours(module, batch), batch["attention_mask"])


MORE = {
    "RoBERTa": RobertaConfig(vocab_size=60, **SIZES, max_position_embeddings=34),
    "CamemBERT": CamembertConfig(vocab_size=60, **SIZES, max_position_embeddings=34),
    "MPNet": MPNetConfig(vocab_size=60, **SIZES, max_position_embeddings=34),
    "RemBERT": RemBertConfig(vocab_size=60, **SIZES, input_embedding_size=WIDTH),
    "ELECTRA": ElectraConfig(vocab_size=60, **SIZES),
    "DistilBERT": DistilBertConfig(vocab_size=60, dim=WIDTH, n_heads=4, hidden_dim=40, n_layers=2),
}
KNOWN = {"XLM-R": "xlmr", "mBERT": "mbert", "multilingual MiniLM": "minilm", "mDeBERTa-v3": "mdeberta"}
KNOWN["ModernBERT (mmBERT)"] = "mmbert"


def test_the_table_of_the_documentation_is_true():
    page = (Path(__file__).parents[1] / "docs" / "huggingface.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in page.splitlines() if "| yes |" in line]
    told = {name: cells for names, *cells in rows for name in names.split(", ")}
    assert set(told) == {*MORE, *KNOWN}
    for name, cells in told.items():
        config = MORE[name] if name in MORE else CONFIGS[KNOWN[name]](60)
        body = shaken(AutoModel.from_config(config))
        heads = [ClassificationHead(WIDTH, 3), SpanHead(WIDTH), TaggingHead(WIDTH, 3), MultipleChoiceHead(WIDTH)]
        for head, cell in zip([*heads, fresh_lm_head(config, body.get_input_embeddings())], cells, strict=True):
            try:
                task_model(body, shaken(head))
                held = "yes"
            except NotHeldError:
                held = "no"
            assert held == cell.split(":")[0], (name, type(head).__name__)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (
            MORE["DistilBERT"],
            r"DistilBertForSequenceClassification has another head \(pre_classifier, classifier\)",
        ),
        (MORE["ELECTRA"], "ElectraForSequenceClassification computes something else"),  # GELU
    ],
    ids=["distilbert", "electra"],
)
def test_models_that_compute_something_else_are_refused(tmp_path, config, why):
    write(config, tmp_path)
    body, head = AutoModel.from_pretrained(tmp_path), ClassificationHead(WIDTH, 3)
    with pytest.raises(NotHeldError, match=why):
        task_model(body, head)


def test_mean_pooling_is_no_first_token(folders, tmp_path):
    body = AutoModel.from_pretrained(folders["xlmr"])
    with pytest.raises(NotHeldError, match="pools by the mean"):
        task_model(body, ClassificationHead(WIDTH, 3, pooling="mean"))


def test_the_model_given_stays_as_it_was(folders):
    body = AutoModel.from_pretrained(folders["mbert"]).train()
    before = body.config.to_dict()
    task_model(body, SpanHead(WIDTH))
    assert body.training
    assert body.config.to_dict() == before


# ------------------------------------------------------------------ what stands beside the weights
def test_labels_are_named(folders, tmp_path):
    for kind in ("classification", "tagging"):
        run = stage_of(module_of(folders["xlmr"], kind), tmp_path / kind, folders["xlmr"])
        xtransfer.export(run, tmp_path / f"{kind}-out")
        config = AutoConfig.from_pretrained(tmp_path / f"{kind}-out")
        assert config.id2label == dict(enumerate(LABELS[kind]))
        assert config.label2id == {label: number for number, label in enumerate(LABELS[kind])}
        assert config.problem_type == ("single_label_classification" if kind == "classification" else None)


def test_labels_of_an_earlier_task_do_not_stay(folders, tmp_path):
    run = stage_of(module_of(folders["xlmr"], "classification"), tmp_path / "run", folders["xlmr"])
    xtransfer.export(run, tmp_path / "first")
    for kind in ("span", "mlm", "multiple_choice"):
        run = stage_of(module_of(tmp_path / "first", kind), tmp_path / kind, tmp_path / "first")
        xtransfer.export(run, tmp_path / f"{kind}-out")
        config = AutoConfig.from_pretrained(tmp_path / f"{kind}-out")
        assert (config.num_labels, config.problem_type) == (2, None), kind
        assert "yes" not in config.label2id


def test_the_tokenizer_is_the_encoders_and_knows_its_limit(folder, tmp_path):
    xtransfer.export(stage_of(module_of(folder, "span"), tmp_path / "run", folder), tmp_path / "out")
    own, exported = load_tokenizer(str(folder)), AutoTokenizer.from_pretrained(tmp_path / "out")
    text = "der Hund schläft 猫 ..."
    assert exported(text, "the cat").input_ids == own(text, "the cat").input_ids
    assert exported.decode(exported(text).input_ids) == own.decode(own(text).input_ids)
    model = AutoModel.from_pretrained(tmp_path / "out")
    longest = exported("cat " * 40, truncation=True, return_tensors="pt")
    model(**longest)
    assert longest["input_ids"].shape[1] in (32, 42)  # ModernBERT and DeBERTa have room for all 42


def test_no_file_tells_where_it_was_made(folders, tmp_path):
    xtransfer.export(
        stage_of(module_of(folders["mbert"], "span"), tmp_path / "run", folders["mbert"]), tmp_path / "out"
    )
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in files}
    for path in files:
        assert str(folders["mbert"].parent).encode() not in path.read_bytes(), path
        assert str(tmp_path).encode() not in path.read_bytes(), path


@pytest.mark.parametrize("kind", [*CLASSES, "a head of ours"])
def test_what_the_card_tells_to_do_can_be_done(folders, tmp_path, monkeypatch, kind):
    family, kind = ("xlmr", kind) if kind in CLASSES else ("mmbert", "classification")
    run = stage_of(module_of(folders[family], kind), tmp_path / "run", folders[family])
    xtransfer.export(run, tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, found := {})
    if kind == "span":
        assert found["answer"] in "The passage."
        assert found["answer"]


# ------------------------------------------------------------------ retrieval
@pytest.mark.parametrize("layer", [None, 1])
def test_vectors_of_a_retrieval_run_come_from_the_exported_encoder(folders, tmp_path, layer):
    module = module_of(folders["xlmr"], "retrieval", layer=layer)
    read = module.layer_of(module.tasks["toy"])
    run = stage_of(module, tmp_path / "run", folders["xlmr"])
    config = tmp_path / "run" / "1-toy" / "config.yaml"
    config.write_text(yaml.safe_dump({"model": {"encoder": "x", "layer": read}}))
    done = xtransfer.export(run, tmp_path / "out")
    assert (done.model, done.note) == ("XLMRobertaModel", "")
    batch = batch_of(tmp_path / "out", "retrieval")
    encoder, mask = AutoModel.from_pretrained(tmp_path / "out"), batch["attention_mask"].unsqueeze(-1)
    with torch.no_grad():
        states = encoder(**batch).last_hidden_state
    mean = (states * mask).sum(1) / mask.sum(1)
    torch.testing.assert_close(mean / mean.norm(dim=-1, keepdim=True), ours(module, batch), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"pooling": "first"}, {"dense": True}], ids=str)
def test_sentence_transformers_gives_the_same_vectors(folders, tmp_path, options):
    st = pytest.importorskip("sentence_transformers")
    spec = Task(name="toy", kind="retrieval", fields=FIELDS["retrieval"], options=options).spec() | {
        "dev_languages": ["en"]
    }
    module = TransferModule([spec], str(folders["xlmr"])).eval()
    run = stage_of(module, tmp_path / "run", folders["xlmr"])
    (run / "1-toy" / "config.yaml").write_text(yaml.safe_dump({"model": {"encoder": "x", "layer": 2}}))
    assert module.layer_of(spec) == 2
    xtransfer.export(run, tmp_path / "out")
    inputs = AutoTokenizer.from_pretrained(tmp_path / "out")(TEXTS[0], padding=True, return_tensors="pt")
    found = st.SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS[0], convert_to_tensor=True)
    torch.testing.assert_close(found, ours(module, dict(inputs)), rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------ what is refused
class OwnHead(ClassificationHead):
    """A class of the user's own."""


def test_a_head_of_ones_own_is_refused(folders, tmp_path):
    module = module_of(folders["xlmr"], "classification")
    module.add_head("toy", OwnHead(WIDTH, 3))
    run = stage_of(module, tmp_path / "run", folders["xlmr"])
    with pytest.raises(
        ConfigError, match=r"head 'toy' is a OwnHead, a class of your own.*1-toy/encoder, which AutoModel"
    ):
        xtransfer.export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="OwnHead is a class of your own"):
        task_model(module.encoder.model, OwnHead(WIDTH, 3))


def test_stage_and_head_are_asked_for_where_there_are_several(folders, tmp_path):
    module = module_of(folders["xlmr"], "classification")
    module.add_head("other", SpanHead(WIDTH))
    run = stage_of(module, tmp_path / "run", folders["xlmr"])
    stage_of(module, run, folders["xlmr"], "2-later")
    for words, message in (
        ({}, r"has the stages toy, later: choose one by --stage"),
        ({"stage": "latr"}, r"no stage 'latr'; did you mean 'later'\?"),
        ({"stage": "later"}, r"has the heads other, toy: choose one by --head"),
        ({"stage": "later", "head": "othr"}, r"no head 'othr'; did you mean 'other'\?"),
    ):
        with pytest.raises(ConfigError, match=message):
            xtransfer.export(run, tmp_path / "out", **words)
    assert xtransfer.export(run, tmp_path / "out", "later", "other").model == "XLMRobertaForQuestionAnswering"
    assert xtransfer.export(run / "1-toy", tmp_path / "own", head="toy").model == "XLMRobertaForSequenceClassification"


def test_what_is_there_is_not_written_over_and_nothing_half_done_is_left(folders, tmp_path):
    run = stage_of(module_of(folders["xlmr"], "span"), tmp_path / "run", folders["xlmr"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is there already and not an empty folder"):
        xtransfer.export(run, tmp_path / "out")
    (run / "1-toy" / "DONE").unlink()
    with pytest.raises(ConfigError, match=r"stage 'toy' .* is not finished: run the same `xtransfer fit` again"):
        xtransfer.export(run, tmp_path / "new")
    (run / "1-toy" / "DONE").write_text("{}")
    (run / "1-toy" / "encoder" / "tokenizer.json").unlink()
    with pytest.raises(ConfigError):
        xtransfer.export(run, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs"], "export needs a run and a folder: xtransfer export RUN --to DIR"),
        (["nowhere", "--to", "x"], "no folder 'nowhere': name a run's folder"),
        (["runs", "--to", "x", "--public"], "name a repository there by --push"),
        (["runs", "--to", "x", "--push", "just-a-name"], "'just-a-name' is no name on the hub: expected owner/name"),
        (["runs", "--too", "x"], "unknown option '--too'; did you mean '--to'?"),
    ],
)
def test_a_wrong_command_is_told_in_one_line(capsys, words, message):
    assert main(["export", *words]) == 2
    assert message in capsys.readouterr().err


# ------------------------------------------------------------------ the hub
class Hub:
    """Stands in for the hub: a repository that is made, or is there already."""

    def __init__(self, private: bool | None = None, refuses: Exception | None = None) -> None:
        self.private, self.refuses = private, refuses
        self.sent: dict[str, list[str]] = {}

    def __call__(self) -> Hub:
        return self

    def create_repo(self, repo: str, *, private: bool, exist_ok: bool) -> None:
        signature(HfApi.create_repo).bind(self, repo, private=private, exist_ok=exist_ok)
        if self.refuses:
            raise self.refuses
        assert exist_ok
        self.private = private if self.private is None else self.private

    def repo_info(self, repo: str) -> Hub:
        return self

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        signature(HfApi.upload_folder).bind(
            self, repo_id=repo_id, folder_path=folder_path, commit_message=commit_message
        )
        self.sent[repo_id] = sorted(path.name for path in folder_path.iterdir())


@pytest.fixture
def run(folders, tmp_path):
    return stage_of(module_of(folders["xlmr"], "span"), tmp_path / "run", folders["xlmr"])


def test_a_model_is_sent_to_a_private_repository(run, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", hub := Hub())
    done = xtransfer.export(run, tmp_path / "out", push="group/model")
    assert hub.private
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= set(hub.sent["group/model"])
    assert done.url == "https://huggingface.co/group/model"
    assert 'from_pretrained("group/model")' in (tmp_path / "out" / "README.md").read_text()


def test_a_public_repository_has_to_be_asked_for(run, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", hub := Hub(private=False))
    with pytest.raises(
        ConfigError,
        match="'group/model' is public on the hub, and nothing was sent",
    ):
        xtransfer.export(run, tmp_path / "out", push="group/model")
    assert not hub.sent
    xtransfer.export(run, tmp_path / "out2", push="group/model", public=True)
    assert "group/model" in hub.sent
    monkeypatch.setattr("huggingface_hub.HfApi", hub := Hub())
    xtransfer.export(run, tmp_path / "out3", push="group/new", public=True)
    assert not hub.private


def test_nothing_is_sent_unless_asked(run, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: pytest.fail("the hub was called"))
    assert xtransfer.export(run, tmp_path / "out").url == ""


class Refused(OSError):
    """As the hub's errors: it carries the answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} Client Error.\n\nmore")
        self.response = type("Answer", (), {"status_code": status})()


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Refused(401), r"401 Client Error\. Log in with `hf auth login`"),
        (Refused(403), r"403 Client Error\. Use a token that may write to the models of 'group'"),
        (ConnectionError("no route"), r"no route\. Check the network"),
    ],
)
def test_what_the_hub_refuses_is_told_and_the_folder_stays(run, tmp_path, monkeypatch, error, advice):
    monkeypatch.setattr("huggingface_hub.HfApi", Hub(refuses=error))
    with pytest.raises(ConfigError, match=advice) as told:
        xtransfer.export(run, tmp_path / "out", push="group/model")
    assert f"hf upload group/model {tmp_path / 'out'} --private" in str(told.value)
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_without_a_network_it_says_so(run, tmp_path):
    with pytest.raises(ConfigError, match=r"OfflineModeIsEnabled.*Unset HF_HUB_OFFLINE"):
        xtransfer.export(run, tmp_path / "out", push="group/model")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"]
