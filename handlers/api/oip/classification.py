"""The classification extension: the largest elements of an output, with their labels, in place of all of them.

Specification: triton-inference-server/server, docs/protocol/extension_classification.md.
"""

import math
from collections.abc import Sequence

import numpy as np

from handlers.errors import InvalidInput
from handlers.registry.manifest import Manifest

__all__ = ["classify", "labels_of"]


def labels_of(manifest: Manifest, output: str) -> tuple[str, ...]:
    """Return what the elements of an output are called, nothing where the task does not say."""
    task = manifest.task
    if getattr(task, "output", None) != output:
        return ()
    labels: tuple[str, ...] = getattr(task, "labels", ())
    return labels


def classify(name: str, array: np.ndarray, most: int, labels: Sequence[str]) -> np.ndarray:
    """Return the largest elements of each sample as text, `<value>:<index>[:<label>]`, the largest first.

    Args:
        name: Of the output, for errors.
        array: Numbers [batch, ...]; one axis is a single sample. Further axes count as one.
        most: How many elements to name; where a sample has fewer, all are.
        labels: Used where there is one for each element of a sample.

    Returns:
        `str` [batch, min(most, classes)], without the first axis where `array` is a single sample. Of equal elements
        the first comes first, NaN comes last.

    Raises:
        InvalidInput: The output holds no numbers, or is no list of them.
    """
    if array.dtype.kind not in "iuf" or array.ndim == 0:
        msg = f"output {name!r}: {array.dtype} {list(array.shape)}, expected numbers of classes to classify by"
        raise InvalidInput(msg)
    samples = array.reshape(array.shape[0], math.prod(array.shape[1:])) if array.ndim > 1 else array.reshape(1, -1)
    classes = samples.shape[1]
    ranked = np.where(np.isnan(samples), -np.inf, samples) if array.dtype.kind == "f" else samples
    # ascending from the end on, turned round: descending, and stable
    order = classes - 1 - np.argsort(ranked[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :most]
    named = labels if len(labels) == classes else ()
    texts = [
        [f"{row[i]}:{i}:{named[i]}" if named else f"{row[i]}:{i}" for i in indices]
        for row, indices in zip(samples, order.tolist(), strict=True)
    ]
    found = np.empty(order.shape, dtype=object)
    found[:] = texts if found.size else ""
    return found if array.ndim > 1 else found[0]
