"""What is put into flat arrays comes out again, also in other processes, and is not copied into memory."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from xtransfer.datamodules.flat import FeatureSet, Flattened

PLAIN = [
    {"input_ids": [0, 5, 2], "labels": 1, "index": 7, "part": 0, "meta": {"gold": "猫", "spans": [[0, 2]]}},
    {"input_ids": [0, 250001, 6, 2], "labels": None, "index": 7, "part": 1, "meta": {}},
    {"input_ids": [0, 2], "labels": [-100, 3], "index": 9, "part": 0, "meta": {"gold": None}},
]
PAIRS = [
    {"input_ids": [[0, 5, 2], [0, 2]], "labels": 0, "index": 0, "part": 0, "meta": {}},
    {"input_ids": [[0, 2], [0, 2], [0, 7, 8, 2]], "labels": 2, "index": 1, "part": 0, "meta": {}},
]
TYPED = [
    {"input_ids": [1, 2, 3], "token_type_ids": [0, 0, 1], "labels": 0, "index": 0, "part": 0, "meta": {}},
    {"input_ids": [4, 5], "token_type_ids": [0, 1], "labels": 1, "index": 1, "part": 0, "meta": {}},
]
TYPED_PAIRS = [f | {"token_type_ids": [[1] * len(ids) for ids in f["input_ids"]]} for f in PAIRS]


def written(features, folder: Path) -> FeatureSet:
    Flattened(features).save(folder / "features.safetensors", json.dumps({"counts": {"rows": len(features)}}))
    return FeatureSet(folder / "features.safetensors")


@pytest.mark.parametrize(
    "features", [PLAIN, PAIRS, TYPED, TYPED_PAIRS, []], ids=["plain", "pairs", "typed", "both", "none"]
)
def test_features_come_out_as_they_were(features, tmp_path):
    found = written(features, tmp_path)
    assert list(found) == features
    assert found.counts == {"rows": len(features)}
    with pytest.raises(IndexError, match=f"has {len(features)} features"):
        found[len(features)]


def test_a_feature_without_labels_or_text_side_says_so(tmp_path):
    bare = {"input_ids": [0, 2], "index": 0, "part": 0, "meta": {}}
    assert list(written([bare], tmp_path)) == [bare | {"labels": None}]


def test_sizes_and_token_ids(tmp_path):
    found = written(PAIRS, tmp_path)
    assert found.lengths.tolist() == [3, 4]
    assert found.tokens.tolist() == [5, 8]
    assert found.token_ids().tolist() == [0, 5, 2, 0, 2, 0, 2, 0, 2, 0, 7, 8, 2]
    assert found.index.tolist() == [0, 1]
    assert found.sequences(0) != found.sequences(1)
    first, second, _ = found.sequences(1)
    assert first == second == found.sequences(0)[1]


def test_arrays_stay_in_the_file_and_cannot_be_changed(tmp_path):
    found = written(PLAIN, tmp_path)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(found.path) in maps.read_text()
    with pytest.raises(ValueError, match="read-only"):
        found.token_ids()[0] = 1


def whole(features):
    return features


def test_other_processes_read_the_same(tmp_path):
    features = [PLAIN[0] | {"index": i, "input_ids": list(range(1000))} for i in range(20)]
    found = written(features, tmp_path)
    pickled = pickle.dumps(found)  # as it goes to a process that is started anew
    assert len(pickled) < 1000  # the path, not what is in the file
    assert list(pickle.loads(pickled)) == features
    loader = DataLoader(found, batch_size=4, num_workers=1, collate_fn=whole)
    assert [feature for batch in loader for feature in batch] == features


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([PLAIN[0], PAIRS[0]], "one sequence or all of several"),
        ([PLAIN[0] | {"weight": 1.0}], r"found also \['weight'\]"),
        ([TYPED[0] | {"token_type_ids": [0]}], "as many token types as tokens, found 1 and 3"),
        ([TYPED[0], PLAIN[0]], "as many token types as tokens, found 3 and 6"),
    ],
)
def test_what_has_no_place_is_refused(features, message):
    with pytest.raises(ValueError, match=message):
        Flattened(features)
