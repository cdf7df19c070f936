"""What the measurements stand on: the same examples for all, padding counted right, ratios the right way round."""

import argparse
import ast
import json
from itertools import chain
from pathlib import Path

import pytest
import torch

from benchmarks import evaluate, gpu, hours, orders, report, tokenise
from benchmarks.evaluate_peers import spans_of
from benchmarks.examples import PAIRS, random_encoder, synthetic_pairs, word_tokenizer
from benchmarks.harness import Goal, MeasurementError, Row, Run, Table, compared, in_turn
from benchmarks.memory import count
from benchmarks.ours import Setting, check_gradients, lengths_of, train
from benchmarks.peers import by_loop, by_trainer, encoded
from xtransfer.heads import best_spans

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    encoder = random_encoder(folder / "tiny", "tiny", word_tokenizer(600))
    return Setting(encoder, synthetic_pairs(64, 300, 600), folder / "cache", words=400)


def test_benchmarks_are_short_too():
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path.name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, f"{path.name} {node.name}"


def test_the_share_of_real_tokens_is_that_of_padded_batches():
    lengths, batches = [1, 3, 4, 8], [[0, 1], [2, 3]]
    assert orders.share(batches, lengths) == 16 / (2 * 3 + 2 * 8)
    assert orders.share(batches, lengths, width=10) == 16 / 40


def test_grouping_needs_many_examples_and_little_padding():
    with pytest.raises(MeasurementError, match="needs 800 examples, found 799"):
        orders.grouped([5] * 799, 4)
    with pytest.raises(MeasurementError, match="real tokens, expected 95 %|real tokens, expected 95%"):
        orders.grouped([2**i for i in range(16)] * 50, 4)
    lengths = [5 + i % 40 for i in range(800)]
    batches = orders.grouped(lengths, 4)
    assert sorted(i for batch in batches for i in batch) == list(range(800))


def test_few_batches_stand_for_all_and_random_ones_have_the_same_examples():
    lengths = [5 + i % 40 for i in range(800)]
    chosen = orders.typical(orders.grouped(lengths, 4), lengths, 6, seed=3)
    own = [lengths[i] for batch in chosen for i in batch]
    assert abs(sum(own) / len(own) / (sum(lengths) / 800) - 1) <= orders.NEAR
    mixed = orders.shuffled(chosen, 1)
    assert sorted(chain(*mixed)) == sorted(chain(*chosen))
    assert mixed != chosen
    assert [len(batch) for batch in mixed] == [4] * 6


def test_variants_take_turns_and_every_other_round_goes_backwards():
    order = []

    def variant(name):
        return lambda number: order.append((number, name)) or Run(1, 1)

    in_turn({name: variant(name) for name in "ab"}, 2)
    assert order == [(0, "a"), (0, "b"), (1, "b"), (1, "a")]


def test_a_ratio_is_the_peers_time_over_ours_round_by_round():
    runs = {"ours": [Run(1, 9, 50, 50), Run(2, 9, 50, 50)], "peer": [Run(4, 1, 50, 100), Run(2, 1, 50, 100)]}
    row = compared(runs, "ours", "peer", "work", Goal(3, 5))
    assert list(row.values) == [4, 1]
    assert row.told["real tokens, peer"] == "50.0 %"
    assert row.verdict == "misses, within the spread"  # the median is 2.5, the best round 4
    runs["peer"][1] = Run(2, 1, 49, 100)
    with pytest.raises(MeasurementError, match="50 tokens, peer through 49"):
        compared(runs, "ours", "peer", "work")


@pytest.mark.parametrize(
    ("values", "less", "verdict"),
    [
        ([2.0], False, "reaches the aim"),
        ([1.5], False, "reaches the least"),
        ([1.0], False, "misses"),
        ([0.9], True, "reaches the least"),
        ([1.3], True, "misses"),
    ],
)
def test_verdicts(values, less, verdict):
    goal = Goal(1.2, 0.5, less=True) if less else Goal(1.2, 2.0)
    assert Row("work", "peer", values, goal).verdict == verdict


def test_tables_are_written_between_the_marks_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n")
    table = Table("Work", [Row("this", "that", [1.0, 2.0, 4.0], Goal(1.5, 3))], absent=["more: no files"])
    report.written([table], page, ["A machine."])
    text = page.read_text()
    assert text.startswith(f"above\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nbelow\n")
    assert "| this | that | 2.00 | 1.00 to 4.00 | >= 1.5, aim 3 | reaches the least |" in text
    assert "Not measured: more: no files." in text
    assert "old" not in text
    page.write_text("no marks")
    with pytest.raises(ValueError, match="once each"):
        report.written([table], page, [])


def test_the_page_of_results_has_the_marks():
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert text.index(report.BEGIN) < text.index(report.END)


def test_invented_pairs_are_as_long_as_they_should_be(setting):
    wanted = json.loads((ROOT / "benchmarks" / "mnli_lengths.json").read_text())["lengths"]
    lengths = lengths_of(setting)
    assert {str(length) for length in lengths} <= set(wanted)
    assert [len(example["input_ids"]) for example in encoded(setting)] == lengths
    assert {row["label"] for row in setting.pool.rows} == set(PAIRS.labels)


def test_ours_and_the_peers_go_through_the_same_tokens_and_leave_out_the_first_batch(setting):
    batches, lengths, examples = [[0, 1], [2, 3], [4, 5]], lengths_of(setting), encoded(setting)
    real = sum(lengths[2:6])
    padded = 2 * max(lengths[2:4]) + 2 * max(lengths[4:6])
    run, module = train(setting, batches)
    assert (run.real, run.computed) == (real, real)
    assert len(module.encoder.active.weight) == 400
    run, module = train(setting.but(packing=False, active=False), batches)
    assert (run.real, run.computed) == (real, padded)
    assert module.encoder.active is None
    for peer in (by_trainer, by_loop):
        run = peer(setting, examples, batches)
        assert (run.real, run.computed) == (real, padded)
        assert run.cpu > 0
    run = by_trainer(setting, examples, batches, whole=True)
    assert run.computed == 4 * 128


def test_an_optimiser_without_gradients_is_not_timed():
    with pytest.raises(MeasurementError, match="2 parameters have no gradient, first weight"):
        check_gradients(torch.nn.Linear(2, 2), steps=0)


def test_memory_is_counted_from_the_tensors():
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    found = count(layer.parameters(), optimizer, [torch.zeros(5, dtype=torch.int32)])
    # 8 numbers of 4 bytes; two moments of each, and two counters of steps
    assert found == {"weights": 32, "gradients": 32, "optimiser": 72, "others": 20}


def test_the_loop_over_spans_finds_the_best_answer():
    torch.manual_seed(0)
    logits = torch.randn(40, 2)
    offsets = [(2 * i, 2 * i + 1) for i in range(30)]
    meta = {"first": 8, "offsets": offsets, "own": list(range(20)), "text": "x" * 60}
    inside, starts = torch.zeros(40, dtype=torch.bool), torch.zeros(40, dtype=torch.bool)
    inside[8:38], starts[8:28] = True, True
    expected = best_spans(logits[:, 0], logits[:, 1], inside, starts)[0][2]
    assert max(spans_of({"meta": meta}, logits.numpy()))[0] == pytest.approx(expected, rel=1e-6)


def test_scoring_is_the_same_work_for_all(tiny_encoder, tmp_path):
    """That all variants find the same answers is checked on the way: `check_scores` refuses other scores."""
    scale = evaluate.Scale({"XQuAD": 3, "UDPOS": 3, "Tatoeba": 3}, rounds=1, encoder=str(tiny_encoder))
    for name in scale.rows:
        rows = evaluate.measure_task(name, ROOT / "tests" / "data", tmp_path, scale, languages=["de"])
        assert rows[0].peer == ("dynamic, 8, all layers" if name == "Tatoeba" else "dynamic, 8")
        assert all(row.told["real tokens, ours"] == "100.0 %" for row in rows)


def test_tokenising_comes_to_the_same_tokens(tmp_path, monkeypatch):
    """It is checked on the way."""
    pool = synthetic_pairs(40, 300, 600)
    monkeypatch.setattr(tokenise, "synthetic_pairs", lambda *_: pool)
    monkeypatch.setattr(tokenise, "word_tokenizer", lambda _: word_tokenizer(600))
    (row,) = tokenise.measure(None, tmp_path, rounds=1).rows
    assert (row.peer, len(row.values)) == ("map", 1)


def test_other_scores_are_refused():
    with pytest.raises(MeasurementError, match="not the same work"):
        evaluate.check_scores("XQuAD", {"ours": 50.0, "dynamic, 8": 51.0})


def test_the_gpu_script_runs_on_a_cpu(tmp_path):
    assert gpu.main(["--tiny", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["train tiny: ours"]["real tokens/s"] > 0
    assert found["train tiny: ours"]["real tokens"] == "100.0%"
    assert found["profile tiny"]["kernels"]
    assert "gradients by" in found["packed against padded"]["one_by_one, float32"]
    assert "tiny: trainer, grouped" in (tmp_path / "gpu.md").read_text()


def test_hours_follow_from_the_measured_speed(capsys):
    options = argparse.Namespace(tokens=3.6e9, shape="large", batch=32)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    lines = hours.told(options, 250.0, 2e9, 1e12, cpu)  # half of the products; 312e12 / 2 / 2e9 = 78,000
    assert "250 tokens trained on in a second, that is 500 GFLOP/s, 50% of the 1,000 GFLOP/s" in lines[0]
    assert lines[-2] == "| A100 | 78,000 | 12.8 | 15,600 | 64.1 |"
    assert hours.told(options, 10_000.0, 2e9, 1e14, cuda)[-1] == "- 3.6e+09 tokens: **100.0 hours** on this GPU."
    assert hours.main(["--shape", "tiny", "--steps", "2", "--batch", "4"]) == 0
    assert "XLM-R tiny, batches of 4" in capsys.readouterr().out


def test_a_part_that_fails_or_has_no_time_takes_nothing_else_with_it(tmp_path):
    found = gpu.Report(tmp_path, seconds=60)
    found.part("broken", 0, lambda: 1 / 0)
    found.part("long", 600, lambda: {"a": 1})
    found.part("good", 0, lambda: {"a": 1.5})
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["broken"]["failed"] == "ZeroDivisionError: division by zero"
    assert "600 s" in written["long"]["skipped"]
    assert written["good"] == {"a": 1.5}
