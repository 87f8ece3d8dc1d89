"""Chooses the goldens of a version, small enough to travel with it."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from export.errors import OutputError
from handlers.registry.manifest import Goldens, TensorSpec
from handlers.runtime.goldens import Golden, write_goldens
from handlers.tasks.arrays import Arrays

__all__ = ["MAX_GOLDEN_BYTES", "make_goldens"]

MAX_GOLDEN_BYTES = 256 * 1024
_SAMPLES = 4
_TRIES = 3
_REPLAY_S = 0.1  # that PyTorch takes for all of them: they are run before the first answer of every cold start
_STRIDES = (1, 7, 61, 509, 4093)  # odd: a stride that divides the length of an axis would sample one column only


def make_goldens(
    path: Path,
    samples: Sequence[Arrays],
    answer: Callable[[Arrays], Arrays],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> tuple[Goldens, list[Golden]]:
    """Write goldens to `path` and return their entry in the manifest and what is in them.

    The first four samples, fewer where the model is slow, are taken as they are if they fit into `MAX_GOLDEN_BYTES`
    with their answers, compressed. If not, one is taken; if that does not fit, its values are coarsened (each that is
    kept stands for those that follow it) and only every n-th element of the answers is kept: it still goes through
    every kernel of the model.

    Args:
        path: The `.npz` file to write.
        samples: Inputs of the model, one sample each.
        answer: PyTorch's answer to a sample.
        inputs: The model's inputs, in its order.
        outputs: The model's outputs, in its order.

    Raises:
        OutputError: Not even the coarsest fits.
    """
    size = 0
    counts = dict.fromkeys([_affordable(samples[0], answer), 1])
    for count, stride in [*((count, 1) for count in counts), *((1, stride) for stride in _STRIDES[1:])]:
        goldens = [_golden(sample, answer, stride) for sample in samples[:count]]
        write_goldens(path, goldens, inputs, outputs)
        size = path.stat().st_size
        if size <= MAX_GOLDEN_BYTES:
            return Goldens(file=path.name, count=len(goldens), output_stride=stride), goldens
    msg = f"goldens: {size} bytes at the smallest, expected at most {MAX_GOLDEN_BYTES}; give smaller example inputs"
    raise OutputError(msg)


def _affordable(sample: Arrays, answer: Callable[[Arrays], Arrays]) -> int:
    """Return how many samples are replayed in `_REPLAY_S`, at least one."""
    fastest_s = math.inf  # the first run sets up what the others find, and others may be at work here
    for _ in range(_TRIES):
        start = time.perf_counter()
        answer(sample)
        fastest_s = min(fastest_s, time.perf_counter() - start)
    return min(_SAMPLES, max(1, int(_REPLAY_S / fastest_s)))


def _golden(sample: Arrays, answer: Callable[[Arrays], Arrays], stride: int) -> Golden:
    given = {name: _coarse(value, stride) for name, value in sample.items()}
    return given, {name: value.reshape(-1)[::stride] for name, value in answer(given).items()}


def _coarse(value: np.ndarray, stride: int) -> np.ndarray:
    return np.repeat(value.reshape(-1)[::stride], stride)[: value.size].reshape(value.shape)
