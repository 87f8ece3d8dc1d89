"""Whether batches of a model may be cut along axis 0, as PyTorch proves it."""

from collections.abc import Sequence

import numpy as np

from export.errors import DataError
from export.reference import Reference
from export.source import ModelSource
from export.splits import cut
from export.variations import noisy
from handlers.registry.manifest import Batching, TensorSpec
from handlers.tasks.arrays import Arrays

__all__ = ["find_batching"]


def find_batching(
    source: ModelSource, reference: Reference, example: Arrays, inputs: Sequence[TensorSpec]
) -> Batching | None:
    """Return how batches may be cut: None where axis 0 of any input or output is not proven to count samples.

    Samples are put together that were answered apart; every output must be the same, wherever in a batch a sample is.
    A batch of exactly one needs no proof: each sample is answered by a run of its own, as it would be without us.

    Args:
        source: Says which axes vary.
        reference: PyTorch.
        example: The example inputs.
        inputs: What the exported file takes: an axis may have been fixed on the way.
    """
    words = {source.dynamic_axes[name].get(0) for name in example}
    lengths = {spec.shape[0] if spec.shape else 0 for spec in inputs}
    if len(words) != 1 or len(lengths) != 1:
        return None
    length = lengths.pop()
    try:
        if length == -1:
            one, other = (cut(_varied(example, seed), slice(0, 1)) for seed in (0, 1))
            pairs = [(_joined(one, other), [one, other])]
        elif length == 1:
            return Batching(length=1) if _counts(reference.run(example), 1) else None
        elif length > 1:
            one, other = _varied(example, 0), _varied(example, 1)
            mixed = _joined(cut(one, slice(1, None)), cut(other, slice(0, 1)))
            return Batching(length=length) if _mixes(reference, one, other, mixed) else None
        else:
            return None
        proven = all(_answers_alike(reference, together, apart) for together, apart in pairs)
    except DataError:  # a module that takes no two samples at once
        return None
    return Batching() if proven else None


def _varied(example: Arrays, seed: int) -> Arrays:
    """Return inputs like the example: numbers with noise, and what counts or indexes in another order."""
    random = np.random.default_rng(seed)
    return {
        name: noisy(value, random)
        if value.dtype.kind == "f"
        else random.permutation(value.ravel()).reshape(value.shape)
        for name, value in example.items()
    }


def _joined(one: Arrays, other: Arrays) -> Arrays:
    return {name: np.concatenate([one[name], other[name]]) for name in one}


def _answers_alike(reference: Reference, together: Arrays, apart: Sequence[Arrays]) -> bool:
    found = reference.run(together)
    right = [reference.run(inputs) for inputs in apart]
    return all(
        _counts(outputs, 1) and _equal(cut(found, slice(i, i + 1)), outputs) for i, outputs in enumerate(right)
    ) and _counts(found, len(apart))


def _mixes(reference: Reference, one: Arrays, other: Arrays, mixed: Arrays) -> bool:
    """Tell whether samples of two batches are answered in a third as in their own; none is in its own place there."""
    found, first, second = (reference.run(inputs) for inputs in (mixed, one, other))
    length = len(next(iter(one.values())))
    return (
        all(_counts(outputs, length) for outputs in (found, first, second))
        and _equal(cut(found, slice(0, length - 1)), cut(first, slice(1, None)))
        and _equal(cut(found, slice(length - 1, None)), cut(second, slice(0, 1)))
    )


def _counts(outputs: Arrays, length: int) -> bool:
    return all(value.ndim > 0 and len(value) == length for value in outputs.values())


def _equal(found: Arrays, right: Arrays) -> bool:
    return all(
        found[name].shape == value.shape and np.allclose(found[name], value, 1e-3, 1e-4, equal_nan=True)
        for name, value in right.items()
    )
