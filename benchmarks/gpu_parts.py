"""The parts of what is measured on a GPU."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForSequenceClassification, XLMRobertaConfig, XLMRobertaModel

from benchmarks.examples import PAIRS
from benchmarks.harness import Run
from benchmarks.orders import Batches, grouped, in_batches, shuffled, typical
from benchmarks.ours import Setting, lengths_of, module_of, pairs, train
from benchmarks.peers import Examples, by_trainer, collator, encoded
from xtransfer import attention
from xtransfer.packing import Packing
from xtransfer.pretrained import CompileMode

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12, "4090": 165e12}
"""Dense bfloat16 products a second by the makers' data sheets, by a part of the GPU's name."""
UNSEEN = 4
"""Steps that are not profiled, and steps that are: in the first, memory is taken and kernels are chosen."""


class Training:
    """Ways to train on the same examples.

    Args:
        setting: With what.
        batch: Examples in a batch.
        steps: Steps that are timed.
    """

    def __init__(self, setting: Setting, batch: int, steps: int) -> None:
        self.setting, self.batch, self.steps = setting, batch, steps
        self._drawn: tuple[list[int], Examples, Batches] | None = None

    def drawn(self) -> tuple[list[int], Examples, Batches]:
        """Return the lengths of all pairs, their tokens, and the batches by length that are timed."""
        if self._drawn is None:
            lengths, examples = lengths_of(self.setting), encoded(self.setting)
            self._drawn = lengths, examples, typical(grouped(lengths, self.batch), lengths, self.steps)
        return self._drawn

    def measure(self, name: str) -> dict[str, Any]:
        """Train in a way, and say how fast it was; the batches are gone through twice, timed the second time.

        Args:
            name: The way.
        """
        lengths, examples, chosen = self.drawn()
        compiled: bool | CompileMode = "reduce-overhead" if "CUDA graphs" in name else "compiled" in name
        setting = self.setting.but(compiled=compiled, warm=self.steps)
        batches = chosen if "grouped" in name or "flash" in name else shuffled(chosen, 1)
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        # Lengths that are new are slow: kernels are chosen, memory is taken, layers are compiled.
        run = self._once(name, setting, examples, batches + batches)
        memory = {"peak memory, GiB": torch.cuda.max_memory_allocated() / 2**30} if cuda else {}
        return self.told(run, [lengths[i] for batch in chosen for i in batch]) | memory

    def _once(self, name: str, setting: Setting, examples: Examples, batches: Batches) -> Run:
        if name.startswith("trainer"):
            return by_trainer(setting, examples, batches, attention="flash_attention_2" if "flash" in name else "sdpa")
        setting = setting.but(active="all words" not in name, packing="padded" not in name)
        return train(setting, batches)[0]

    def told(self, run: Run, lengths: list[int]) -> dict[str, Any]:
        """Return tokens a second and the share of the GPU's peak."""
        flops = flops_of(self.setting, lengths)
        found: dict[str, Any] = {
            "real tokens/s": run.real / run.wall,
            "ms a step": 1000 * run.wall / self.steps,
            "real tokens": f"{run.share:.1%}",
        }
        peak = peak_of()
        return found | ({"MFU": f"{flops / run.wall / peak:.1%}"} if peak else {})

    def profile(self) -> dict[str, Any]:
        """Say where the time of our steps goes, and how often the program waits for the GPU."""
        batches = (shuffled(self.drawn()[2], 1) * (2 * UNSEEN))[: 2 * UNSEEN]
        watching = Profiling(UNSEEN)
        train(self.setting, batches, [watching])
        return watching.found(len(batches) - UNSEEN)


class Profiling(Callback):
    """Profiles all but the first steps of a training.

    Args:
        first: Steps that are left out.
    """

    def __init__(self, first: int) -> None:
        self.first, self.syncs = first, Counter[str]()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        self.profiler: Any = profile(activities=activities)
        self._warned: Any = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begin."""
        if batch_idx == self.first:
            self._warned = warned_syncs(self.syncs)
            self._warned.__enter__()
            self.profiler.__enter__()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """End with the last step, before what follows an epoch."""
        if batch_idx + 1 == trainer.num_training_batches and self._warned is not None:
            self.profiler.__exit__(None, None, None)
            self._warned.__exit__(None, None, None)
            self._warned = None

    def found(self, steps: int) -> dict[str, Any]:
        """Return the kernels that took most of the time, and what waited."""
        events = self.profiler.key_averages()
        on_gpu = torch.cuda.is_available()
        key = "self_device_time_total" if on_gpu else "self_cpu_time_total"
        top = sorted(events, key=lambda event: getattr(event, key), reverse=True)[:12]
        whole = sum(getattr(event, key) for event in events) or 1
        waiting = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "aten::_local_scalar_dense", "cudaMemcpyAsync")
        return {
            "ms a step, all kernels": whole / 1000 / steps,
            "kernels": {event.key[:90]: f"{getattr(event, key) / whole:.1%}" for event in top},
            "calls a step": {event.key: event.count / steps for event in events if event.key in waiting},
            "waits for the GPU, by torch's count, a step": sum(self.syncs.values()) / steps,
            "where": dict(self.syncs.most_common(8)),
        }


@contextmanager
def warned_syncs(counted: Counter[str]) -> Iterator[None]:
    """Count by place how often the program waits for the GPU."""
    if not torch.cuda.is_available():
        yield
        return

    def note(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        if "synchroniz" in str(message):
            counted[f"{filename.split('site-packages/')[-1]}:{lineno}"] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        before, warnings.showwarning = warnings.showwarning, note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
            warnings.showwarning = before


def flops_of(setting: Setting, lengths: list[int]) -> float:
    """Return the operations of training on texts: 6 a weight and token, and those of attention; look-ups are none.

    Args:
        setting: Names the encoder.
        lengths: Tokens of each text.
    """
    config = XLMRobertaConfig.from_pretrained(setting.encoder)
    width, layers, inner = config.hidden_size, config.num_hidden_layers, config.intermediate_size
    weights = layers * (4 * width * width + 2 * width * inner)
    return 6.0 * weights * sum(lengths) + 12.0 * layers * width * sum(length * length for length in lengths)


def peak_of() -> float | None:
    """Return the dense bfloat16 products a second that the GPU's data sheet names; None where it is not known."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def scoring(setting: Setting, batch: int, rows: int = 1024) -> dict[str, Any]:
    """Measure forward passes: ours, packed and longest first; transformers' dynamic padding and sorted.

    Args:
        setting: With what.
        batch: Rows of a batch; transformers' default of 8 besides.
        rows: Texts, a second time round.
    """
    examples = encoded(setting)[: rows if torch.cuda.is_available() else 16]
    ordered = sorted(range(len(examples)), key=lambda i: -len(examples[i]["input_ids"]))
    data = pairs(setting, [])
    module = module_of(setting, data).eval().to(setting.device)
    peer = AutoModelForSequenceClassification.from_pretrained(setting.encoder, num_labels=len(PAIRS.labels))
    peer = peer.eval().to(setting.device)
    pad = collator(setting.but(bf16=False))

    def ours(places: list[int]) -> Any:
        padded = pad([examples[i] for i in places])
        packing = Packing.of_mask(padded["attention_mask"]) if module.encoder.packs else None
        moved = None if packing is None else _moved(packing, setting.device)
        on = {name: values.to(setting.device, non_blocking=True) for name, values in padded.items()}
        given = {"task": PAIRS.name, "input_ids": on["input_ids"], "attention_mask": on["attention_mask"]}
        return module(given | {"packing": moved}).logits

    def theirs(places: list[int]) -> Any:
        padded = pad([{k: v for k, v in examples[i].items() if k != "labels"} for i in places])
        return peer(**{name: values.to(setting.device, non_blocking=True) for name, values in padded.items()}).logits

    found = {}
    plain = list(range(len(examples)))
    for name, work, order, size in (
        ("ours, longest first", ours, ordered, batch),
        ("dynamic, 8", theirs, plain, 8),
        ("sorted", theirs, ordered, batch),
    ):
        found[f"sentences/s, {name}"] = len(examples) / timed(work, in_batches(order, size), setting)
    return found


def _moved(packing: Packing, device: str) -> Packing:
    places = {name: getattr(packing, name).to(device) for name in ("tokens", "positions", "bounds")}
    return packing._replace(**places)


def timed(work: Any, batches: Batches, setting: Setting) -> float:
    """Return the seconds of the second pass over batches."""
    seconds = 0.0
    with torch.inference_mode(), torch.autocast(setting.device, torch.bfloat16, enabled=setting.bf16):
        for _ in range(2):
            began = time.perf_counter()
            for places in batches:
                work(places)
            if setting.device == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - began
    return seconds


def equality() -> dict[str, Any]:
    """Compare states and gradients of packed batches with padded ones, for each kernel and precision that runs here."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = XLMRobertaConfig(vocab_size=1000, hidden_size=256, num_hidden_layers=4, num_attention_heads=4)
    config.intermediate_size, config.max_position_embeddings, config.type_vocab_size = 512, 514, 1
    torch.manual_seed(1)
    model = XLMRobertaModel(config, add_pooling_layer=False).to(device).eval()
    lengths = torch.tensor([37, 128, 5, 64, 1, 90])
    mask = (torch.arange(128) < lengths[:, None]).long().to(device)
    ids = torch.randint(5, 999, mask.shape, device=device).where(mask.bool(), torch.tensor(1, device=device))
    packing = Packing.of_mask(mask)
    found: dict[str, Any] = {}
    for precision in (torch.float32, torch.bfloat16) if device == "cuda" else (torch.float32,):
        model = model.to(precision)
        expected = _states_and_gradient(model, lambda m: m(ids, attention_mask=mask).last_hidden_state[mask.bool()])
        attention.register()
        for name in ("one_by_one", "padded", "varlen", "flash"):
            backend, label = getattr(attention, name), f"{name}, {str(precision).removeprefix('torch.')}"
            try:
                found[label] = _difference(model, ids, packing, backend, expected)
            except Exception as error:  # a kernel that does not take a precision or is not installed
                found[label] = f"does not run: {type(error).__name__}: {str(error).splitlines()[0]:.120}"
        model.set_attn_implementation("sdpa")
    return found


def _difference(model: Any, ids: torch.Tensor, packing: Packing, backend: Any, expected: Any) -> str:
    chosen, before = attention.choose, model.config._attn_implementation
    attention.choose = lambda query, settings: backend
    try:
        model.set_attn_implementation(attention.NAME)
        run = attention.run_packed
        states, gradient = _states_and_gradient(model, lambda m: run(m, ids, packing, None, False).last_hidden_state[0])
    finally:
        attention.choose = chosen
        model.set_attn_implementation(before)
    apart = (states - expected[0]).abs().max().item()
    relative = ((gradient - expected[1]).norm() / expected[1].norm()).item()
    return f"states differ by {apart:.1e} at most, gradients by {relative:.1e} of their length"


def _states_and_gradient(model: Any, run: Any) -> tuple[torch.Tensor, torch.Tensor]:
    model.zero_grad()
    states = run(model)
    states.float().square().mean().backward()
    gradient = torch.cat([p.grad.float().flatten() for p in model.parameters() if p.grad is not None])
    return states.detach().float(), gradient
