"""Tasks that no shipped configuration runs go from their own files to a main score, in every language they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtransfer.config import expand
from xtransfer.pipeline import run

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    ("name", "languages", "main", "scored"),
    [
        ("MNLIMismatched", None, "accuracy", {"en": 3}),
        ("SNLI", None, "accuracy", {"en": 3}),
        ("ANLI", None, "accuracy", {"en": 3}),
        ("QQP", None, "accuracy_f1", {"en": 3}),
        ("PAWSX", ["de", "zh"], "accuracy", {"de": 3, "zh": 3}),
        ("HellaSwag", None, "accuracy", {}),  # its test rows have no labels
        ("CosmosQA", None, "accuracy", {}),
        ("MLQA", ["de", "en", "zh"], "f1", {"de": 3, "en": 3, "zh": 3}),
    ],
)
def test_from_files_to_scores(name, languages, main, scored, tiny_encoder, tmp_path):
    config = {
        "out_dir": str(tmp_path / "runs"),
        "model": {"encoder": str(tiny_encoder)},
        "trainer": {"accelerator": "cpu", "max_epochs": 1, "logger": False, "enable_progress_bar": False},
        "data": {
            "class_path": name,
            "init_args": {"data_dir": str(DATA), "batch_size": 2, "cache_dir": str(tmp_path), "languages": languages},
        },
        "stages": {"one": {}},
    }
    results = run(expand(config)).where(main=True)
    assert {row.metric for row in results} == {main}
    assert {row.language: row.n for row in results.where(split="test")} == scored
    assert results.where(split="validation").languages() == ["en"]
