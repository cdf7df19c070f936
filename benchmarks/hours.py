"""Estimates the hours of a GPU that training XLM-R large takes, from tokens a second that are measured here.

    python -m benchmarks.hours                       # the tokens of docs/study.md; a few minutes on two cores
    python -m benchmarks.hours --tokens 35e6         # others

On a GPU the hours follow from its own speed. On a CPU the speed is compared with that of the bare products of matrices
of the same shape, and a GPU is taken to reach the same share of the products that its data sheet names, or a fifth of
it: small batches leave a GPU waiting. Texts are as long as MNLI's, weights are random, the precision is bfloat16 where
the device has it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import report
from benchmarks.examples import SHAPES, random_encoder, synthetic_pairs, word_tokenizer
from benchmarks.gpu_parts import PEAKS, flops_of
from benchmarks.orders import in_batches
from benchmarks.ours import Setting, lengths_of, train
from xtransfer.hardware import native_bf16

STUDY = 1.46e9
"""Tokens of the study of docs/study.md, one seed."""
GPUS = ("A100", "H100")
LESS = 5
"""How much less of its products a GPU may reach than a CPU does, in the worse case."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the estimate."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--tokens", type=float, default=STUDY, help="tokens to train on")
    parser.add_argument("--shape", choices=list(SHAPES), default="large")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8, help="steps that are timed")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory(prefix="xtransfer-hours-") as folder:
        speed, flops = measured(Path(folder), options.shape, options.batch, options.steps, device)
    print("\n".join(f"- {line}" for line in report.machine()))
    print("\n".join(told(options, speed, flops, products(device, options.shape), device)))
    return 0


def measured(folder: Path, shape: str, batch: int, steps: int, device: torch.device) -> tuple[float, float]:
    """Train on random batches, the first of which is not timed.

    Returns:
        Tokens trained on in a second, and floating-point operations a token.
    """
    words, vocabulary = (500, 1_000) if shape == "tiny" else (32_000, 250_002)
    pool = synthetic_pairs((steps + 1) * batch, words, vocabulary)
    encoder = random_encoder(folder / shape, shape, word_tokenizer(vocabulary))
    setting = Setting(encoder, pool, folder / "cache", words=words, device=device.type, bf16=native_bf16(device))
    lengths = lengths_of(setting)
    run, _ = train(setting, in_batches(range(len(lengths)), batch))
    timed = lengths[batch:]
    if run.real != sum(timed):
        raise AssertionError(f"{run.real} tokens were trained on, {sum(timed)} expected")
    return run.real / run.wall, flops_of(setting, timed) / sum(timed)


def products(device: torch.device, shape: str, seconds: float = 5.0) -> float:
    """Return the floating-point operations a second of products of matrices as large as a layer's."""
    width, _, _, inner = SHAPES[shape]
    dtype = torch.bfloat16 if native_bf16(device) else torch.float32
    states, weights = (torch.randn(n, width, device=device, dtype=dtype) for n in (1_024, inner))
    done, began = 0, time.perf_counter()
    with torch.inference_mode():
        while time.perf_counter() - began < seconds:
            for _ in range(10):
                states @ weights.T
            if device.type == "cuda":
                torch.cuda.synchronize()
            done += 10
    return done * 2.0 * len(states) * width * inner / (time.perf_counter() - began)


def told(options: argparse.Namespace, speed: float, flops: float, most: float, device: torch.device) -> list[str]:
    """Return the lines of the estimate."""
    share = speed * flops / most
    lines = [
        f"- XLM-R {options.shape}, batches of {options.batch}: {speed:,.0f} tokens trained on in a second, that is "
        f"{speed * flops / 1e9:,.0f} GFLOP/s, {share:.0%} of the {most / 1e9:,.0f} GFLOP/s of bare products.",
    ]
    if device.type == "cuda":
        return [*lines, f"- {options.tokens:.3g} tokens: **{options.tokens / speed / 3600:.1f} hours** on this GPU."]
    lines += [
        "",
        "| GPU | tokens/s at that share | hours | tokens/s at a fifth of it | hours |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in GPUS:
        speeds = [PEAKS[name] * part / flops for part in (share, share / LESS)]
        lines.append(f"| {name} | " + " | ".join(f"{s:,.0f} | {options.tokens / s / 3600:.1f}" for s in speeds) + " |")
    return lines


if __name__ == "__main__":
    report.quiet()
    sys.exit(main())
