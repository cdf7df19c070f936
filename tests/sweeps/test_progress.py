"""What is told while a sweep runs: read off logs, a line a change, how long the rest takes."""

from __future__ import annotations

import io

from xtransfer.sweeps.cells import cells_of
from xtransfer.sweeps.progress import Progress, duration, totals
from xtransfer.sweeps.records import Record
from xtransfer.sweeps.schedule import Item
from xtransfer.sweeps.watching import Seen, look

LOG = """\
=== attempt on node1, 2026-01-01T00:00:00+00:00
[1/2] mnli: MNLI, from tiny
=== attempt on node1, 2026-01-01T00:01:00+00:00
[1/2] mnli: done before, nothing to do
[2/2] qa: TyDiQA, from mnli
"""


def test_stage_step_and_score_are_those_of_the_last_attempt(tmp_path):
    (tmp_path / "cell.log").write_text(LOG)
    assert look(tmp_path, tmp_path / "cell.log") == Seen("2/2 qa")
    log = tmp_path / "2-qa" / "csv" / "metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text(
        "epoch,step,train/tydiqa/loss,val/mean,val/tydiqa/f1/en\n0,9,1.5,,\n0,19,,61.25,61.25\n0,29,1.0,,\n0,3"
    )
    assert look(tmp_path, tmp_path / "cell.log") == Seen("2/2 qa", 30, "val/tydiqa/f1/en 61.2")
    with (tmp_path / "cell.log").open("a") as stream:
        stream.write("qa: the very same stage is being trained by run 'x'; waiting for it\n")
    assert look(tmp_path, tmp_path / "cell.log").waits
    assert look(tmp_path, tmp_path / "none.log") == Seen()


def test_lines_and_the_time_left(tmp_path):
    cells = cells_of({"data": "XNLI"}, {"seed_everything": [1, 2, 3]}, tmp_path)
    items = [Item(cell, Record()) for cell in cells]
    stream = io.StringIO()
    show = Progress(1, stream)
    show(items)
    assert stream.getvalue() == ""
    items[0].record = Record(state="done", seconds=100)
    items[0].tries = 1
    items[1].record = Record(state="failed", reason="no room", seconds=3)
    show(items)
    show(items)
    told = [line.split(": ", 1)[-1] for line in stream.getvalue().splitlines()]
    assert told[0] == "seed1, done, 1 min 40 s"
    assert "seed2, failed, 3 s, no room" in told
    assert len(told) == 4  # each change once, each with the totals
    assert totals(items, 1) == "1 failed, 1 waiting, 1 done; about 1 min 40 s left"
    assert [duration(seconds) for seconds in (59, 61, 7260)] == ["59 s", "1 min 01 s", "2 h 01 min"]
