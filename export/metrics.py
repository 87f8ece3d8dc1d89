"""Scores of outputs: against targets, and against PyTorch's own outputs. Needs no torch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from export.errors import DataError
from export.report import Confusion, OutputError
from handlers.tasks.arrays import Arrays

__all__ = ["AGREEMENT", "COSINE", "METRICS", "Metric", "agreement", "confusion", "first_output", "output_errors"]

AGREEMENT, COSINE = "agreement", "cosine"
"""Metrics without targets: how far a variant answers as PyTorch does; "cosine" leaves the best class out of it."""

_MOST_CLASSES = 1000  # of a confusion matrix

Score = Callable[[Arrays, np.ndarray], float]


@dataclass(frozen=True)
class Metric:
    """A score of outputs against targets, and which way is better."""

    name: str
    score: Score
    larger_is_better: bool = True


def agreement(found: Arrays, expected: Arrays, classes: frozenset[str]) -> float:
    """Return how far outputs agree with the reference's: 1 is perfect.

    It is the least, over all outputs, of the mean cosine of each sample and, for outputs in `classes` (last axis), of
    the share of samples with the same class. Of integers and text it is the share of equal elements.
    """
    with np.errstate(all="ignore"):  # infinities, as above
        # not min(): it would pass over a NaN
        scores = [_agreement_of(found[name], right, name in classes) for name, right in expected.items()]
        return float(np.min(scores))


def _agreement_of(found: np.ndarray, expected: np.ndarray, classes: bool) -> float:  # noqa: FBT001 - private
    if expected.dtype.kind != "f":
        return float(np.mean(found == expected))
    scores = [mean_cosine(found, expected)]
    if classes and expected.ndim > 1 and expected.size:
        scores.append(float(np.mean(_predicted(found) == _predicted(expected))))
    return float(np.min(scores))


def mean_cosine(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the mean cosine over axis 0; over all elements at once where a sample has only one."""
    rows = len(expected) if expected.ndim > 1 and expected[0].size > 1 else 1
    left = found.astype(np.float64).reshape(rows, -1)
    right = expected.astype(np.float64).reshape(rows, -1)
    product = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    both_zero = (product == 0) & (left == right).all(axis=1)
    cosine = np.where(both_zero, 1.0, (left * right).sum(axis=1) / np.where(product == 0, 1.0, product))
    return float(cosine.mean())


def accuracy(outputs: Arrays, targets: np.ndarray) -> float:
    """Return the share of right classes: argmax over the last axis of the first output, or > 0.5 where that is 1 long.

    Args:
        outputs: First output float [batch, classes].
        targets: int [batch].

    Raises:
        DataError: The targets are no classes of the output.
    """
    scores = first_output(outputs)
    found = _predicted(scores)
    if targets.size != found.size:
        msg = f"evaluation: targets of shape {list(targets.shape)}, expected {list(found.shape)}, one class each"
        raise DataError(msg)
    classes = max(2, scores.shape[-1] if scores.ndim > 1 else 1)
    labels = targets.reshape(found.shape)
    fractions = labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels), equal_nan=True)
    if fractions or labels.dtype.kind not in "iubf":
        msg = f"evaluation: targets of type {labels.dtype} that are no whole numbers, expected classes"
        raise DataError(msg)
    if not (labels.min() >= 0 and labels.max() < classes):
        msg = f"evaluation: targets from {labels.min()} to {labels.max()}, expected classes 0 to {classes - 1}"
        raise DataError(msg)
    return float(np.mean(found == labels))


def mse(outputs: Arrays, targets: np.ndarray) -> float:
    """Return the mean squared error of the first output.

    Raises:
        DataError: The targets have another number of elements.
    """
    values = first_output(outputs)
    if values.size != targets.size:
        msg = f"evaluation: targets of shape {list(targets.shape)}, expected {list(values.shape)} as the output"
        raise DataError(msg)
    return float(np.mean((values.astype(np.float64) - targets.reshape(values.shape)) ** 2))


METRICS = {"accuracy": Metric("accuracy", accuracy), "mse": Metric("mse", mse, larger_is_better=False)}


def first_output(outputs: Arrays) -> np.ndarray:
    """Return the output that is scored against targets."""
    return next(iter(outputs.values()))


def output_errors(found: Arrays, expected: Arrays) -> list[OutputError]:
    """Return how far each output of numbers is from the reference's."""
    errors = []
    for name, right in expected.items():
        if right.dtype.kind not in "fiub":
            continue
        with np.errstate(all="ignore"):  # infinities: they are an answer too, and a bad one
            difference = found[name].astype(np.float64) - right
            scale = float(np.sqrt(np.mean(np.square(right, dtype=np.float64))))
            rms = float(np.sqrt(np.mean(np.square(difference))))
            cosine = mean_cosine(found[name], right)
            largest = float(np.abs(difference).max(initial=0.0))
        errors.append(OutputError(name, *map(_finite, (cosine, largest, rms / scale if scale else rms))))
    return errors


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def confusion(reference: Arrays, found: Arrays, targets: np.ndarray) -> Confusion | None:
    """Return the confusion matrices of the reference and of another; None where there are more than 1,000 classes.

    Args:
        reference: PyTorch's outputs, the first of them float [batch, classes].
        found: The other's.
        targets: Classes [batch].
    """
    scores = first_output(reference)
    classes = max(2, scores.shape[-1] if scores.ndim > 1 else 1)
    if classes > _MOST_CLASSES:
        return None

    def counted(outputs: Arrays) -> list[list[int]]:
        matrix = np.zeros((classes, classes), np.int64)
        np.add.at(matrix, (targets.ravel().astype(np.int64), _predicted(first_output(outputs)).ravel()), 1)
        rows: list[list[int]] = matrix.tolist()
        return rows

    return Confusion(counted(reference), counted(found))


def _predicted(scores: np.ndarray) -> np.ndarray:
    """Return the class of each sample: argmax over the last axis, or > 0.5 where that is 1 long."""
    if scores.ndim == 1:
        scores = scores[:, np.newaxis]  # a probability for each sample
    classes: np.ndarray = scores.argmax(-1) if scores.shape[-1] > 1 else (scores[..., 0] > 0.5).astype(np.int64)  # noqa: PLR2004 - a probability
    return classes
