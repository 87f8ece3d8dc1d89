"""Inputs like the example, with other lengths and other values: what an ONNX file must answer as PyTorch does."""

from collections.abc import Iterator, Mapping

import numpy as np

from handlers.tasks.arrays import Arrays

__all__ = ["noisy", "vary"]


def vary(example: Arrays, axes: Mapping[str, Mapping[int, str]]) -> Iterator[Arrays]:
    """Yield the example with noise, for several lengths of its variable axes.

    Axes of one name are one axis and keep one length. What is an axis 0 anywhere is 1, 2 and 5 long; the others as in
    the example, one longer, and half as long; at last all of them are 1. Exporters take a 1 for a constant, and what
    has the same length in the example for the same.
    """
    random = np.random.default_rng(0)
    lengths = {word: example[name].shape[axis] for name, by_axis in axes.items() for axis, word in by_axis.items()}
    first = {word for by_axis in axes.values() for axis, word in by_axis.items() if axis == 0}
    for batch, other in ((1, lambda n: n), (2, lambda n: n + 1), (5, lambda n: max(1, n // 2)), (1, lambda _: 1)):
        wanted = {word: batch if word in first else other(length) for word, length in lengths.items()}
        yield {
            name: noisy(_resized(value, {axis: wanted[word] for axis, word in axes[name].items()}), random)
            for name, value in example.items()
        }


def _resized(value: np.ndarray, lengths: Mapping[int, int]) -> np.ndarray:
    for axis, length in lengths.items():
        value = np.take(value, np.arange(length) % value.shape[axis], axis=axis)
    return value


def noisy(value: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Add noise to numbers; what counts or indexes is left alone, since no other value need be legal."""
    if value.dtype.kind != "f":
        return value
    noise: np.ndarray = random.standard_normal(value.size).astype(value.dtype).reshape(value.shape)
    return np.asarray(value + noise)  # numpy adds arrays without axes to something that is no array
