"""Measures on a GPU, in one call: speed of training and scoring, memory, where time goes, packed against padded.

    python -m benchmarks.gpu --out DIR                  # XLM-R base and large, random weights; at most ten minutes
    python -m benchmarks.gpu --out DIR --tiny           # the same on a CPU with tiny models: that it runs

It reads no file but those beside it: pairs are of invented words, as long as MNLI's. ``gpu.json`` and ``gpu.md`` are
written anew after every part, so that one that fails, or the end of the time, takes nothing else with it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_parts
from benchmarks.examples import random_encoder, synthetic_pairs, word_tokenizer
from benchmarks.ours import Setting
from benchmarks.report import quiet
from xtransfer.attention import flash_available

Part = Callable[[], Any]


class Report:
    """What was found so far, on disk after each part.

    Args:
        folder: Where it is written.
        seconds: Time there is for everything.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.ends, self.seconds = folder, time.monotonic() + seconds, seconds
        self.found: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def part(self, name: str, needs: float, work: Part) -> None:
        """Do a part if there is time for it, and write what came of it.

        Args:
            name: Its name.
            needs: Seconds it is expected to take at most.
            work: Does it.
        """
        left = self.ends - time.monotonic()
        if left < needs:
            self.found[name] = {"skipped": f"it needs some {needs:.0f} s, {left:.0f} s are left"}
        else:
            began = time.monotonic()
            try:
                self.found[name] = work()
            except Exception as error:  # whatever one part dies of, the others are wanted
                self.found[name] = {"failed": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
            print(f"{name}: {time.monotonic() - began:.0f} s, {self.ends - time.monotonic():.0f} s left", flush=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.write()

    def write(self) -> None:
        """Write what there is."""
        (self.folder / "gpu.json").write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        (self.folder / "gpu.md").write_text(markdown(self.found), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu-report")))
    parser.add_argument("--seconds", type=float, default=540, help="time there is for everything")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=40, help="steps that are timed, each time")
    parser.add_argument("--sizes", nargs="+", default=["base", "large"])
    parser.add_argument("--tiny", action="store_true", help="tiny models, on the CPU if there is no GPU")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available() and not options.tiny:
        parser.error("there is no GPU; --tiny runs on a CPU")
    if options.tiny:
        options.sizes, options.batch, options.steps = ["tiny"], 4, 3
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
    report = Report(options.out, options.seconds)
    with tempfile.TemporaryDirectory(prefix="xtransfer-gpu-") as folder:
        measure(report, options, Path(folder))
    print(markdown(report.found))
    return int(any("failed" in found for found in report.found.values()))


def measure(report: Report, options: argparse.Namespace, folder: Path) -> None:
    """Do all parts, what matters most first."""
    words, vocabulary = (500, 1_000) if options.tiny else (32_000, 250_002)
    pool = synthetic_pairs(200 * options.batch, words, vocabulary)
    tokenizer = word_tokenizer(vocabulary)
    cuda = torch.cuda.is_available()
    report.part("machine", 0, machine)
    report.part("packed against padded", 20, gpu_parts.equality)
    settings = {
        size: Setting(
            random_encoder(folder / size, size, tokenizer),
            pool,
            folder / "cache",
            words=words,
            device="cuda" if cuda else "cpu",
            bf16=cuda,
        )
        for size in options.sizes
    }
    work = {size: gpu_parts.Training(setting, options.batch, options.steps) for size, setting in settings.items()}
    for names, needs in ((("ours", "trainer, grouped"), 40), (("ours, compiled", "trainer, grouped, compiled"), 90)):
        for size, training in work.items():
            for name in names:
                if cuda or "compiled" not in name:
                    report.part(f"train {size}: {name}", needs, lambda t=training, n=name: t.measure(n))
    for size, training in work.items():
        report.part(f"profile {size}", 40, training.profile)
        report.part(f"score {size}", 40, lambda s=settings[size]: gpu_parts.scoring(s, options.batch))
    for size, training in work.items():
        flash = ["trainer, flash"] if flash_available() else []
        for name in ("ours, all words", "ours, padded", "trainer, dynamic", *flash, "ours, CUDA graphs"):
            if cuda or "CUDA" not in name:
                report.part(f"train {size}: {name}", 40, lambda t=training, n=name: t.measure(n))


def machine() -> dict[str, Any]:
    """Describe the machine."""
    import transformers

    cuda = torch.cuda.is_available()
    return {
        "gpu": torch.cuda.get_device_name() if cuda else "none",
        "gpu memory, GiB": round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1) if cuda else 0,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


def markdown(found: dict[str, Any]) -> str:
    """Write what was found: a table of trainings, and the rest as lists."""
    columns = list(dict.fromkeys(key for name, of in found.items() if name.startswith("train ") for key in of))
    columns = [column for column in columns if column != "trace"]
    lines = ["# On a GPU", "", f"| training | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name.removeprefix('train ')} | {' | '.join(cell(of.get(column, '')) for column in columns)} |"
        for name, of in found.items()
        if name.startswith("train ")
    ]
    for name, of in found.items():
        if not name.startswith("train "):
            lines += ["", f"## {name}", "", *(f"- {key}: {cell(value)}" for key, value in of.items() if key != "trace")]
    return "\n".join(lines) + "\n"


def cell(value: Any) -> str:
    """Write a value for people."""
    text = (
        f"{value:,.4g}"
        if isinstance(value, float)
        else json.dumps(value)
        if isinstance(value, dict | list)
        else str(value)
    )
    return text.replace("|", "/").replace("\n", " ")


if __name__ == "__main__":
    quiet()
    sys.exit(main())
