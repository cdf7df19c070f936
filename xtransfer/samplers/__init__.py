"""The order of training batches: one pass over a task, or several tasks mixed. Needs torch alone; for any project."""

from xtransfer.samplers.expressions import Curve
from xtransfer.samplers.multitask import MultiTaskSampler
from xtransfer.samplers.order import Draw, EpochBatches, ShuffledBatches, permutation, seed_of
from xtransfer.samplers.sampling import Mix, Nested, Sampling

__all__ = [
    "Curve",
    "Draw",
    "EpochBatches",
    "Mix",
    "MultiTaskSampler",
    "Nested",
    "Sampling",
    "ShuffledBatches",
    "permutation",
    "seed_of",
]
