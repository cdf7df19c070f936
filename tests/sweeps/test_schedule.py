"""Cells are claimed one by one, tried again, stopped and taken up; in place of training there is a small script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from xtransfer.sweeps import schedule
from xtransfer.sweeps.cells import cells_of
from xtransfer.sweeps.claims import claim, holder
from xtransfer.sweeps.engines import Local
from xtransfer.sweeps.records import Record, write
from xtransfer.sweeps.schedule import Schedule, Stop

ROOT = Path(__file__).resolve().parents[2]
CELL = """\
set -u
name=$(basename "$1" .yaml); run="$(dirname "$1")/../runs/$name"
echo "$name" >> "$(dirname "$1")/../calls"
count=$(grep -cx "$name" "$(dirname "$1")/../calls")
finish() { for stage in "$@"; do mkdir -p "$run/$stage"; touch "$run/$stage/DONE"; done; }
"""
"""A stand-in for ``xtransfer fit --config CELL``; `count` is the number of the attempt."""


@pytest.fixture
def cell_runs(monkeypatch, tmp_path):
    """Let cells run a script."""

    def runs(text: str) -> Path:
        script = tmp_path / "cell.sh"
        script.write_text(CELL + text)
        monkeypatch.setattr(
            schedule, "fit_command", lambda config, resume: ("/bin/sh", str(script), str(config), resume)
        )
        return script

    monkeypatch.setattr(schedule, "PAUSE", 0.02)
    monkeypatch.setattr(schedule, "ELSEWHERE", 0.3)
    return runs


def planned(folder, seeds=(1, 2, 3), print_="x", retries=0) -> Schedule:
    cells = cells_of({"data": "XNLI"}, {"seed_everything": list(seeds)}, folder)
    return Schedule(folder, cells, {cell.name: print_ for cell in cells}, retries)


def work(found: Schedule, workers: int = 1, stop: Stop | None = None) -> dict[str, str]:
    found.work(Local(workers), stop or Stop(), lambda items: None)
    return {item.cell.name: item.record.state for item in found.items}


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().split()


def wait_for(path: Path) -> None:
    for _ in range(500):
        if path.exists():
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} did not come")


def test_a_second_call_runs_what_is_missing_or_has_failed_or_changed(cell_runs, tmp_path):
    cell_runs('[ "$name" != seed2 ] || [ "$count" -gt 1 ] || exit 1\nfinish 1-xnli')
    assert work(planned(tmp_path)) == {"seed1": "done", "seed2": "failed", "seed3": "done"}
    assert work(planned(tmp_path, seeds=(1, 2, 3, 4))) == dict.fromkeys(("seed1", "seed2", "seed3", "seed4"), "done")
    assert calls(tmp_path) == ["seed1", "seed2", "seed3", "seed2", "seed4"]
    (tmp_path / "runs/seed3/1-xnli/DONE").unlink()
    work(planned(tmp_path))
    assert calls(tmp_path)[5:] == ["seed3"]
    work(planned(tmp_path, print_="other data"))
    assert calls(tmp_path)[6:] == ["seed1", "seed2", "seed3"]


def test_a_failing_cell_stops_no_other_and_says_why(cell_runs, tmp_path):
    cell_runs(
        '[ "$name" != seed1 ] || { echo "Traceback (most recent call last):"; echo "torch.OutOfMemoryError: no room"; '
        'echo "some more"; exit 1; }\n[ "$name" != seed2 ] || { echo "xtransfer: stage \'xnli\': no rows"; exit 2; }\n'
        "finish 1-xnli"
    )
    found = planned(tmp_path, retries=2)
    assert work(found, workers=2) == {"seed1": "failed", "seed2": "failed", "seed3": "done"}
    reasons = [item.record.reason for item in found.items]
    assert reasons == ["torch.OutOfMemoryError: no room", "stage 'xnli': no rows", ""]
    assert [item.record.attempts for item in found.items] == [3, 1, 1]  # what has to be mended is not tried again
    assert Record.load(tmp_path / "cells/seed1.json").reason == "torch.OutOfMemoryError: no room"


def test_an_interrupted_cell_is_begun_anew_only_at_the_first_try(cell_runs, tmp_path):
    cell_runs('echo "$2" >> "$(dirname "$1")/../resume"\n[ "$count" -gt 1 ] || exit 1\nfinish 1-xnli')
    cells = cells_of({"data": "XNLI"}, {"seed_everything": [1]}, tmp_path)
    work(Schedule(tmp_path, cells, {"seed1": "x"}, 1, resume="never"))
    assert (tmp_path / "resume").read_text().split() == ["never", "auto"]


def test_a_message_of_several_lines_is_told_whole(cell_runs, tmp_path):
    cell_runs('echo "xtransfer: it was begun with another configuration:"; echo "  lr: 1 -> 2"; echo "undo it"; exit 2')
    found = planned(tmp_path, seeds=(1,))
    work(found)
    assert found.items[0].record.reason == "it was begun with another configuration: lr: 1 -> 2 undo it"


@pytest.mark.parametrize(("retries", "state"), [(1, "done"), (0, "failed")])
def test_a_cell_that_is_killed_is_tried_again(cell_runs, tmp_path, retries, state):
    cell_runs('[ "$count" -gt 1 ] || kill -9 $$\nfinish 1-xnli')
    found = planned(tmp_path, seeds=(1,), retries=retries)
    assert work(found) == {"seed1": state}
    assert found.items[0].record.reason.startswith("ended by SIGKILL") == (state == "failed")


def test_two_sweeps_on_one_folder_run_each_cell_once(cell_runs, tmp_path):
    cell_runs("sleep 0.1\nfinish 1-xnli")
    states = []
    threads = [threading.Thread(target=lambda: states.append(work(planned(tmp_path, range(6))))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(calls(tmp_path))) == [f"seed{i}" for i in range(6)]
    assert states == [dict.fromkeys((f"seed{i}" for i in range(6)), "done")] * 2
    assert len(calls(tmp_path)) == 6


def test_a_cell_that_another_sweep_has_is_waited_for(cell_runs, tmp_path):
    cell_runs("finish 1-xnli")
    lock = tmp_path / "cells/seed1.lock"
    descriptor = claim(lock)
    assert f"process {os.getpid()} on" in holder(lock)
    assert claim(lock) is None
    found = planned(tmp_path, seeds=(1, 2))
    threading.Timer(0.5, os.close, [descriptor]).start()
    assert work(found) == {"seed1": "done", "seed2": "done"}
    assert calls(tmp_path) == ["seed2", "seed1"]
    assert holder(lock) == ""


def test_what_another_sweep_ended_meanwhile_is_not_run_again(cell_runs, tmp_path):
    cell_runs("finish 1-xnli")
    descriptor = claim(tmp_path / "cells/seed1.lock")
    found = planned(tmp_path, seeds=(1, 2))

    def fail_elsewhere() -> None:
        Record(state="failed", fingerprint="x", reason="no room").save(tmp_path / "cells/seed1.json")
        os.close(descriptor)

    threading.Timer(0.3, fail_elsewhere).start()
    assert work(found) == {"seed1": "failed", "seed2": "done"}
    assert found.items[0].record.reason == "no room"
    assert calls(tmp_path) == ["seed2"]


SWEEP = """\
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from xtransfer.sweeps import schedule
from xtransfer.sweeps.cells import cells_of
from xtransfer.sweeps.engines import Local
folder = Path(sys.argv[1])
schedule.fit_command = lambda config, resume: ("/bin/sh", sys.argv[2], str(config))
cells = cells_of({"data": "XNLI"}, {"seed_everything": [1, 2, 3]}, folder)
found, stop = schedule.Schedule(folder, cells, dict.fromkeys((c.name for c in cells), "x"), 0), schedule.Stop()
with stop.heeded():
    found.work(Local(1), stop, lambda items: None)
sys.exit(130 if stop.times else 0)
"""


@contextmanager
def a_sweep(folder: Path, script: Path):
    """A sweep in a process of its own, its second cell running."""
    words = [sys.executable, "-c", SWEEP, str(folder), str(script), str(ROOT)]
    with subprocess.Popen(words, start_new_session=True) as process:
        wait_for(folder / "seed2-runs")
        yield process


def test_a_sweep_that_is_killed_goes_on(cell_runs, tmp_path):
    script = cell_runs('touch "$(dirname "$1")/../$name-runs"\n[ "$name" != seed2 ] || sleep 1\nfinish 1-xnli')
    with a_sweep(tmp_path, script) as process:
        process.kill()
        process.wait()
    assert holder(tmp_path / "cells/seed2.lock")  # the cell lives on, and nobody else may have it
    assert work(planned(tmp_path)) == {"seed1": "done", "seed2": "done", "seed3": "done"}
    assert calls(tmp_path).count("seed1") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_lets_its_cells_write_snapshots(cell_runs, tmp_path, number):
    script = cell_runs(
        'trap "touch $run.snapshot; exit 143" TERM\nmkdir -p "$run"\ntouch "$(dirname "$1")/../$name-runs"\n'
        '[ "$name" != seed2 ] || [ "$count" -gt 1 ] || while true; do sleep 0.1; done\nfinish 1-xnli'
    )
    with a_sweep(tmp_path, script) as process:
        process.send_signal(number)
        assert process.wait() == 130
    assert (tmp_path / "runs/seed2.snapshot").is_file()
    assert holder(tmp_path / "cells/seed2.lock") == ""
    records = [Record.load(tmp_path / f"cells/seed{i}.json").state for i in (1, 2, 3)]
    assert records == ["done", "stopped", "waiting"]
    assert work(planned(tmp_path)) == {"seed1": "done", "seed2": "done", "seed3": "done"}


def test_cells_that_share_a_stage_do_not_wait_for_each_other(cell_runs, tmp_path):
    """Of two workers, the second takes a cell with another first stage, until that of the first cell is trained."""
    cell_runs("finish 1-before\nsleep 0.2\nfinish 2-target")
    script = tmp_path / "cell.sh"
    script.write_text(script.read_text().replace("finish 1-before", "sleep 0.2\nfinish 1-before"))
    config = {"stages": {"before": "MNLI", "target": "XNLI"}}
    cells = cells_of(config, {"stages.before": ["MNLI", "QQP"], "stages.target": ["XNLI", "UDPOS"]}, tmp_path)
    found = Schedule(tmp_path, cells, dict.fromkeys((cell.name for cell in cells), "x"), 0)
    assert set(work(found, workers=2).values()) == {"done"}
    assert set(calls(tmp_path)[:2]) == {"MNLI-XNLI", "QQP-XNLI"}
    assert set(calls(tmp_path)[2:]) == {"MNLI-UDPOS", "QQP-UDPOS"}


def test_gpus_are_dealt_out(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    from xtransfer.sweeps.attempts import Attempt

    words = ("/bin/sh", "-c", 'echo "gpu $CUDA_VISIBLE_DEVICES"; sleep 0.2')
    attempts = [Attempt(words, tmp_path / f"{i}.lock", tmp_path / f"{i}.log", tmp_path) for i in range(3)]
    for number, job in enumerate(Local(3).start(attempts)):
        while job.status() is None:
            time.sleep(0.02)
        assert f"gpu {('3', '5', '3')[number]}" in (tmp_path / f"{number}.log").read_text()


def test_a_record_is_whole_or_not_there(tmp_path):
    write(tmp_path / "a" / "b.json", "{}")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]
