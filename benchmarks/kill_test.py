"""Kills a run at random moments, lets it go on each time, and compares its end with that of a run left alone.

    python benchmarks/kill_test.py --kills 30
    python benchmarks/kill_test.py --kills 30 --temporary /dev/shm --signals KILL TERM INT
    python benchmarks/kill_test.py --kills 30 --config small/multitask.yaml --data.data_dir DIR

Without `--config` it makes a small run of its own: a mix of the two demonstration tasks, then question answering, with
a random encoder, dropout, two workers and two accumulated batches. Settings that follow `--config` are handed on to
`xtransfer fit`.

A run is interrupted up to `--in-a-row` times and then left to finish. Compared are the digests of all weights it
leaves, and all its scores. After every interruption each checkpoint that lies in the run's folder is read. Every run is
a process of its own, forked from this one, so that the imports are paid once; a signal goes to it and to its workers,
as from a scheduler or a terminal.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STATUS = {"KILL": -signal.SIGKILL, "TERM": 128 + signal.SIGTERM, "INT": 128 + signal.SIGINT}
"""What a run ends with after a signal; a negative number: it was killed by it."""

Outcome = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the test; return 0 if every run ended as the undisturbed one."""
    options, settings = _options(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that is forked must have no threads
    if options.temporary:
        os.environ["TMPDIR"] = tempfile.tempdir = str(options.temporary)
    import xtransfer.pipeline
    import xtransfer.run_cli  # noqa: F401

    folder = options.folder or Path(tempfile.mkdtemp(prefix="kill-test-", dir=Path.cwd()))
    folder.mkdir(parents=True, exist_ok=True)
    words = ["--config", options.config, *settings] if options.config else own_run(folder)
    status = wait(started(folder, "alone", words))  # it also fills the cache of features
    expected = outcome(folder / "alone")
    if status or not expected["weights"]:
        print(f"the undisturbed run ended with {status}: see {folder / 'alone.log'}", file=sys.stderr)
        return 2
    began = time.monotonic()
    if wait(started(folder, "again", words)) or outcome(folder / "again") != expected:
        print("two undisturbed runs differ: there is nothing to compare with", file=sys.stderr)
        return 2
    length = time.monotonic() - began
    print(f"undisturbed: {length:.1f} s, {len(expected['weights'])} files of weights", flush=True)
    good = interrupted_runs(options, folder, words, length, expected)
    if good and not options.folder:
        shutil.rmtree(folder)
    return 0 if good else 1


def interrupted_runs(
    options: argparse.Namespace, folder: Path, words: list[str], length: float, expected: Outcome
) -> bool:
    """Interrupt runs until there were enough interruptions; say whether all ended as expected."""
    chance, kills, runs, equal, faults = random.Random(options.seed), 0, 0, 0, []
    while kills < options.kills:
        name, runs, done = f"run-{runs + 1}", runs + 1, []
        while len(done) < min(options.in_a_row, options.kills - kills):
            which, after = chance.choice(options.signals), chance.uniform(0, length)
            status = wait(started(folder, name, words), which, after)
            if status is None:  # it was faster
                break
            done.append(f"{which} after {after:.1f} s")
            unreadable = [str(error) for error in damaged(folder / name)]
            faults += [f"{name}, {done[-1]}: {error}" for error in unreadable]
            if status != STATUS[which] and not (which != "KILL" and status == -signal.Signals[f"SIG{which}"]):
                faults.append(f"{name}, {done[-1]}: ended with {status}, not {STATUS[which]}")
        status = wait(started(folder, name, words))
        same = not status and outcome(folder / name) == expected
        kills, equal = kills + len(done), equal + same
        told = "equal" if same else f"DIFFERENT (status {status}; see {folder / name}.log)"
        print(f"{name}: {'; '.join(done) or 'not interrupted'}: {told}", flush=True)
        if same:
            shutil.rmtree(folder / name)
    print(
        f"{kills} interruptions in {runs} runs: {equal} runs ended with the weights and scores of the undisturbed one"
    )
    logs = (path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("run-*.log"))
    print(f"went on from a snapshot: {sum(log.count(': going on from ') for log in logs)} times")
    print(f"faults on the way: {len(faults)}", *faults, sep="\n  ")
    return equal == runs and not faults


def started(folder: Path, name: str, words: list[str]) -> int:
    """Fork a process that runs ``xtransfer fit``; return its number."""
    process = os.fork()
    if process:
        return process
    os.setsid()
    log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = 1
    try:
        from xtransfer.cli import main

        status = main(["fit", *words, "--out_dir", str(folder), "--name", name])
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(process: int, which: str = "", after: float = 0.0) -> int | None:
    """Wait for a process, and send it a signal after so many seconds; None: it had ended before."""
    if which:
        end = time.monotonic() + after
        while time.monotonic() < end:
            if os.waitpid(process, os.WNOHANG)[0]:
                return None
            time.sleep(0.005)
        try:
            os.killpg(process, signal.Signals[f"SIG{which}"])
        except (ProcessLookupError, PermissionError):  # before it made its group, or after its end
            os.kill(process, signal.Signals[f"SIG{which}"])
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def damaged(folder: Path) -> list[Exception]:
    """Read every checkpoint of a run; return what is wrong with them."""
    from xtransfer.checkpoints import CheckedFiles

    found: list[Exception] = []
    for path in folder.rglob("*.ckpt"):
        try:
            CheckedFiles().load_checkpoint(path)
        except Exception as error:
            found.append(error)
    return found


def outcome(folder: Path) -> Outcome:
    """Return the digests of all weights of a run, and its scores."""
    files = sorted(folder.rglob("*.safetensors"))
    weights = {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    rows = [json.loads(line) for file in sorted(folder.glob("*/results.jsonl")) for line in file.open(encoding="utf-8")]
    names = ("stage", "task", "language", "split", "metric", "value", "n", "steps", "selected")
    return {"weights": weights, "scores": [[row.get(name) for name in names] for row in rows]}


def own_run(folder: Path) -> list[str]:
    """Write the configuration of a small run and a random encoder for it; return the options that name it."""
    process = os.fork()  # this process is to have no threads, and what builds a model may start some
    if not process:
        try:
            random_encoder(folder / "encoder")
        finally:
            os._exit(0)
    os.waitpid(process, 0)
    data = {"batch_size": 4, "limit": 40, "languages": ["en"], "num_workers": 2}
    few = {"batch_size": 4, "max_length": 64, "languages": ["en"]}
    mix = {"tasks": [{"class_path": name, "init_args": few} for name in ("DemoNLI", "DemoQA")], "steps": 160}
    config = {
        "seed_everything": 3,
        "checkpoint": {"every_steps": 5},
        "model": {"encoder": str(folder / "encoder"), "lr": 1e-3, "dropout": 0.2},
        "trainer": {"accelerator": "cpu", "accumulate_grad_batches": 2, "enable_progress_bar": False},
        "stages": {
            "mixed": {
                "data": {"class_path": "MultiTask", "init_args": {"limit": 40, "num_workers": 2, **mix}},
                "trainer": {"max_epochs": 1, "val_check_interval": 30},
            },
            "qa": {
                "data": {"class_path": "DemoQA", "init_args": {**data, "max_length": 96}},
                "trainer": {"max_epochs": 20},
            },
        },
    }
    path = folder / "killed.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    os.environ["XTRANSFER_CACHE"] = str(folder / "cache")
    return ["--config", str(path)]


def random_encoder(folder: Path) -> None:
    """Save a random XLM-R of 2 layers, 32 wide, with a tokenizer of the words of the demonstration."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    from xtransfer.demo import DATA_DIR

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    texts = [path.read_text(encoding="utf-8") for path in sorted(DATA_DIR.glob("*.en.*"))]
    splitter = pre_tokenizers.Whitespace()
    words = dict.fromkeys(word for text in texts for word, _ in splitter.pre_tokenize_str(text))
    tokenizer = Tokenizer(models.WordLevel({text: i for i, text in enumerate([*special, *words])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{role}_token": text for role, text in names.items()},
    ).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=514, type_vocab_size=1, **shape
    )
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)


def _options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=30, help="interruptions in all")
    parser.add_argument("--in-a-row", type=int, default=3, help="interruptions of one run at most")
    parser.add_argument("--signals", nargs="+", default=["KILL"], choices=sorted(STATUS), help="what is sent")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--temporary", type=Path, help="temporary folder, e.g. one on another file system")
    parser.add_argument("--folder", type=Path, help="where the runs go; default a new one, removed if all is well")
    parser.add_argument("--config", help="a configuration in place of the small run of this script")
    return parser.parse_known_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
