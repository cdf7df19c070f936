"""A text that stands in several languages' rows is encoded once, and its vector is the one it would have had."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from xtransfer.datamodules import Tatoeba
from xtransfer.encoder import Encoder
from xtransfer.module import TransferModule
from xtransfer.once import Once

ENGLISH = ["The cat sleeps.", "Where is the river?", "The cat sleeps.", "A dog eats."]
OTHERS = {
    "deu": ["Die Katze schläft.", "Wo ist der Fluss?", "Die Katze, sie schläft.", "Ein Hund frisst."],
    "fra": ["Le chat dort.", "Où est la rivière ?", "Un chat dort.", "Le chien mange."],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two languages with the same English side, in which one sentence stands twice."""
    inside = tmp_path / "tatoeba"
    inside.mkdir()
    for code, sentences in OTHERS.items():
        (inside / f"tatoeba.{code}-eng.{code}").write_text("".join(f"{line}\n" for line in sentences), encoding="utf-8")
        (inside / f"tatoeba.{code}-eng.eng").write_text("".join(f"{line}\n" for line in ENGLISH), encoding="utf-8")
    return tmp_path


def scored(folder: Path, encoder: Path, languages: list[str], monkeypatch: pytest.MonkeyPatch, again: int = 1):
    """Score; return the scores, the vectors by language, and the number of rows that were encoded."""
    data = Tatoeba(data_dir=folder, tokenizer=str(encoder), languages=languages, cache_dir=folder / "cache")
    module = TransferModule(data.specs(), encoder=str(encoder), layer=2)
    rows, vectors = [], {}
    forward, add = Encoder.forward, module.metrics.add

    def count(self, input_ids, *args, **kwargs):
        rows.append(len(input_ids))
        return forward(self, input_ids, *args, **kwargs)

    def keep(split, task, language, pieces, golds):
        vectors.setdefault(language, {}).update({(p.index, p.part): p.value for p in pieces})
        add(split, task, language, pieces, golds)

    monkeypatch.setattr(Encoder, "forward", count)
    monkeypatch.setattr(module.metrics, "add", keep)
    settings = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", devices=1, default_root_dir=folder, **settings)
    for _ in range(again):
        trainer.test(module, datamodule=data, verbose=False)
    monkeypatch.undo()
    return module.scores, vectors, sum(rows)


def test_english_is_encoded_once_for_all_languages(
    folder: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, vectors, rows = scored(folder, tiny_encoder, ["de", "fr"], monkeypatch)
    assert rows == 3 + 4 + 4  # three different sentences in English, four in each language
    for language in ("de", "fr"):
        alone, expected, _ = scored(folder, tiny_encoder, [language], monkeypatch)
        assert scores[f"test/tatoeba/{language}"] == alone[f"test/tatoeba/{language}"]
        assert vectors[language].keys() == expected[language].keys()
        for key, vector in expected[language].items():
            torch.testing.assert_close(vectors[language][key], vector, rtol=1e-5, atol=1e-5)


def test_nothing_is_remembered_from_one_evaluation_to_the_next(
    folder: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights may have been trained in between."""
    _, _, rows = scored(folder, tiny_encoder, ["de"], monkeypatch, again=2)
    assert rows == 2 * (3 + 4)


def test_vectors_stand_in_the_order_of_the_batch_and_tasks_are_kept_apart() -> None:
    once, seen = Once(), []

    def encode(batch):
        seen.append((batch["input_ids"].tolist(), batch["packing"]))
        return batch["input_ids"][:, :1] * 1.0

    def batch(task, *ids):
        texts = [bytes(row) for row in ids]
        return {
            "task": task,
            "texts": texts,
            "input_ids": torch.tensor(ids),
            "attention_mask": torch.ones(len(ids), 2),
            "packing": "of the batch",
        }

    assert once.vectors(batch("a", (1, 1), (2, 2), (1, 1)), encode).tolist() == [[1], [2], [1]]
    assert once.vectors(batch("a", (3, 3), (2, 2)), encode).tolist() == [[3], [2]]
    assert once.vectors(batch("b", (2, 2)), encode).tolist() == [[2]]
    assert once.vectors(batch("a", (2, 2)), encode).tolist() == [[2]]
    # The packing is that of a whole batch; rows of it are packed anew.
    assert seen == [([[1, 1], [2, 2]], None), ([[3, 3]], None), ([[2, 2]], "of the batch")]
