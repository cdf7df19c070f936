"""Checkpoint files: whole or not at all, on any disk, and a damaged one is never taken for a good one."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from xtransfer.checkpoints import CheckedFiles, check, sweep, write
from xtransfer.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "last.ckpt"
    CheckedFiles().save_checkpoint({"weights": torch.arange(50_000.0), "step": 3}, path)
    return path


def test_what_is_written_is_read(saved):
    found = CheckedFiles().load_checkpoint(saved)
    assert found["step"] == 3
    assert torch.equal(found["weights"], torch.arange(50_000.0))
    assert sorted(path.name for path in saved.parent.iterdir()) == ["last.ckpt", "last.ckpt.sha256"]
    CheckedFiles().remove_checkpoint(saved)
    assert not list(saved.parent.iterdir())


def test_the_digest_is_that_of_the_file(saved):
    import hashlib

    digest, size = saved.with_name("last.ckpt.sha256").read_text().split()
    assert digest == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert int(size) == saved.stat().st_size


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_told(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(kept * len(content))])
    told = "is empty" if not kept else rf"is cut short \({int(kept * len(content))} of {len(content)} bytes\)"
    with pytest.raises(DataError, match=f"last.ckpt: the checkpoint {told}; take an older one"):
        CheckedFiles().load_checkpoint(saved)


def test_a_flipped_byte_is_told(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    torch.load(saved, weights_only=True)  # would not notice
    with pytest.raises(DataError, match="last.ckpt: the checkpoint is damaged"):
        CheckedFiles().load_checkpoint(saved)


def test_objects_are_not_brought_to_life(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    path = tmp_path / "bomb.ckpt"
    write(path, lambda stream: stream.write(pickle.dumps(Bomb())))
    with pytest.raises(DataError, match="no checkpoint of tensors and plain values"):
        CheckedFiles().load_checkpoint(path)
    assert not (tmp_path / "exploded").exists()


def test_addresses_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="not from an address"):
        CheckedFiles().load_checkpoint("https://example.org/a.ckpt")
    with pytest.raises(DataError, match="no such checkpoint"):
        CheckedFiles().load_checkpoint(tmp_path / "none.ckpt")
    torch.save({}, tmp_path / "foreign.ckpt")
    with pytest.raises(DataError, match="no digest beside it"):
        CheckedFiles().load_checkpoint(tmp_path / "foreign.ckpt")


def test_at_every_moment_the_file_fits_a_digest(saved, monkeypatch):
    """Stopped before the exchange or right after it, the file that lies there is known to be whole."""
    from xtransfer import checkpoints

    original, seen = os.replace, []

    def watched(source, target):
        check(saved)
        original(source, target)
        check(saved)
        seen.append(Path(target).name)

    monkeypatch.setattr(checkpoints.os, "replace", watched)
    CheckedFiles().save_checkpoint({"step": 4}, saved)
    assert seen == ["last.ckpt.sha256", "last.ckpt", "last.ckpt.sha256"]
    assert CheckedFiles().load_checkpoint(saved)["step"] == 4


def test_a_full_disk_leaves_the_old_file_and_says_what_is_needed(saved):
    """The limit on the size of files stands for the disk: it works without any right."""
    code = f"""
import resource, signal, torch
from xtransfer.checkpoints import CheckedFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
CheckedFiles().save_checkpoint({{"weights": torch.zeros(1_000_000)}}, {str(saved)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "last.ckpt: the checkpoint cannot be written" in last
    assert "bytes are free there, at least" in last
    assert CheckedFiles().load_checkpoint(saved)["step"] == 3
    assert sorted(path.name for path in saved.parent.iterdir()) == ["last.ckpt", "last.ckpt.sha256"]


def test_a_disk_that_is_nearly_full_is_told_of_once_before_it_is(saved, monkeypatch, caplog):
    from xtransfer import checkpoints

    usage, size = shutil.disk_usage(saved), saved.stat().st_size
    for free, told in ((2 * size, 0), (2 * size - 1, 1)):
        monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda folder, free=free: usage._replace(free=free))
        files = CheckedFiles("mnli")
        for step in (4, 5):
            files.save_checkpoint({"weights": torch.arange(50_000.0), "step": step}, saved)
        assert len(caplog.records) == told
    assert caplog.messages == [
        f"stage 'mnli': the disk of {saved.parent} is nearly full: {2 * size - 1} bytes are free there, two "
        f"checkpoints take {2 * size}; make room while training goes on"
    ]
    monkeypatch.undo()
    CheckedFiles("first").save_checkpoint({"step": 1}, saved.parent / "new" / "a.ckpt")  # none to go by
    assert len(caplog.records) == 1


def test_a_refused_write_is_not_swallowed(tmp_path, monkeypatch):
    from xtransfer import checkpoints

    def refused(source, target):
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(checkpoints.os, "replace", refused)
    with pytest.raises(DataError, match=r"a.ckpt: the checkpoint cannot be written \(.*Permission denied"):
        CheckedFiles().save_checkpoint({"step": 1}, tmp_path / "a.ckpt")
    assert not list(tmp_path.iterdir())


def test_of_several_processes_all_are_told(tmp_path, monkeypatch):
    from xtransfer import checkpoints

    monkeypatch.setattr(checkpoints, "_together", lambda: True)
    (tmp_path / "file").write_text("")
    files = CheckedFiles()
    files.save_checkpoint({"step": 1}, tmp_path / "file" / "a.ckpt")  # does not raise: the others wait
    with pytest.raises(DataError, match="cannot be written"):
        files.raise_together(lambda fault: fault)
    files.raise_together(lambda fault: fault)  # told once
    with pytest.raises(DataError, match="of the first process"):
        CheckedFiles().raise_together(lambda fault: "of the first process")


def test_what_the_killed_left_is_swept_up(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (dead.pid, os.getpid()):
        (tmp_path / f".last.ckpt.{process}.tmp").write_bytes(b"half")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".last.ckpt.{os.getpid()}.tmp"]


def test_killed_while_writing_every_file_left_is_whole(tmp_path):
    """The temporary folder lies elsewhere, where it can: a file must not come into its place by being copied."""
    code = f"""
import torch
from pathlib import Path
from xtransfer.checkpoints import CheckedFiles
files, number = CheckedFiles(), 0
while True:
    weights = torch.full((400_000,), float(number))
    files.save_checkpoint({{"weights": weights, "step": number}}, {str(tmp_path)!r} + "/last.ckpt")
    number += 1
    if number == 1: print("ready", flush=True)
"""
    environment = {**os.environ, "TMPDIR": "/dev/shm" if Path("/dev/shm").is_dir() else str(tmp_path)}
    steps = []
    for attempt in range(2):
        child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(0.05 + 0.013 * attempt)
        child.kill()
        child.wait()
        found = CheckedFiles().load_checkpoint(tmp_path / "last.ckpt")
        assert torch.equal(found["weights"], torch.full((400_000,), float(found["step"])))
        steps.append(found["step"])
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "last.ckpt.sha256"]
