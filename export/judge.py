"""The gate: how good a variant is on inputs whose right answers are known. Needs no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from export.errors import DataError
from handlers.registry.manifest import Gate
from handlers.tasks.arrays import Arrays

__all__ = ["AGREEMENT", "METRICS", "HeldOut", "Judge", "Metric"]

AGREEMENT = "agreement"

Score = Callable[[Arrays, np.ndarray], float]


@dataclass(frozen=True)
class Metric:
    """A score of outputs against targets, and which way is better."""

    name: str
    score: Score
    larger_is_better: bool = True


@dataclass(frozen=True)
class HeldOut:
    """Inputs that judge, what PyTorch answers to them, and (unless agreement is the metric) what is right.

    `inputs` are batches as they came; `outputs` are PyTorch's for each of them; `targets` too, or None.
    `held_out` is false where they are not data but the source's example inputs.
    """

    inputs: Sequence[Arrays]
    outputs: Sequence[Arrays]
    targets: Sequence[np.ndarray] | None
    held_out: bool

    @property
    def samples(self) -> int:
        """How many inputs there are, counted along axis 0 of the first output."""
        return sum(len(next(iter(outputs.values()))) if _first(outputs).ndim else 1 for outputs in self.outputs)


class Judge:
    """Measures variants with one metric on one set of inputs."""

    def __init__(self, data: HeldOut, metric: Metric | None, max_loss: float) -> None:
        """Take the reference's score.

        Args:
            data: What judges.
            metric: How; None, or where `data` has no targets: agreement with PyTorch.
            max_loss: The largest loss that passes, relative to the reference's score.

        Raises:
            DataError: The data is empty, or does not fit the metric.
        """
        if not data.inputs:
            msg = "evaluation: no batches, expected at least one"
            raise DataError(msg)
        self.data = data
        self._max_loss = max_loss
        self._reference = _joined(data.outputs)
        self._targets = _concatenated(data.targets, "targets") if data.targets is not None else None
        self._metric = metric if self._targets is not None else None
        self.reference_score = self._score(self._reference)
        if not np.isfinite(self.reference_score):
            msg = f"evaluation: PyTorch's own {self.metric_name} is {self.reference_score}, expected a finite number"
            raise DataError(msg)

    def judge(self, run: Callable[[Arrays], Arrays]) -> Gate:
        """Return the gate's verdict on what `run` answers."""
        score = self._score(_joined([run(inputs) for inputs in self.data.inputs]))
        loss = self._loss(score)
        return Gate(
            metric=self.metric_name,
            reference=self.reference_score,
            score=score,
            loss=loss,
            allowed=self._max_loss,
            passed=bool(loss <= self._max_loss),
            samples=self.data.samples,
            held_out=self.data.held_out,
        )

    @property
    def metric_name(self) -> str:
        """Name of the metric, "agreement" where there is none."""
        return self._metric.name if self._metric else AGREEMENT

    def _score(self, outputs: Arrays) -> float:
        if self._metric is None or self._targets is None:
            return agreement(outputs, self._reference)
        try:
            with np.errstate(all="ignore"):  # a broken variant answers NaN, which is a verdict and no warning
                return float(self._metric.score(outputs, self._targets))
        except DataError:
            raise
        except Exception as error:  # a metric may be the user's own function
            msg = f"metric {self._metric.name}: {type(error).__name__}: {error}"
            raise DataError(msg) from error

    def _loss(self, score: float) -> float:
        """Return the loss relative to the reference's score: above 0 is worse. What is not a number is all lost."""
        lost = self.reference_score - score
        if self._metric is not None and not self._metric.larger_is_better:
            lost = -lost
        if lost == 0:
            return 0.0
        loss = lost / abs(self.reference_score) if self.reference_score else lost
        return float("inf") if np.isnan(loss) else loss


def agreement(found: Arrays, expected: Arrays) -> float:
    """Return how far outputs agree with the reference's: 1 is perfect.

    It is the least, over all outputs, of the mean cosine of each sample and, where an output has more than one class
    (last axis), of the share of samples with the same argmax.
    """
    with np.errstate(all="ignore"):  # infinities, as above
        # not min(): it would pass over a NaN
        return float(np.min([_agreement_of(found[name], right) for name, right in expected.items()]))


def _agreement_of(found: np.ndarray, expected: np.ndarray) -> float:
    if expected.dtype.kind not in "fiub":
        return float(np.mean(found == expected))
    scores = [_mean_cosine(found, expected)]
    if expected.ndim > 1 and expected.shape[-1] > 1 and expected.dtype.kind == "f":
        scores.append(float(np.mean(found.argmax(-1) == expected.argmax(-1))))
    return float(np.min(scores))


def _mean_cosine(found: np.ndarray, expected: np.ndarray) -> float:
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
    scores = _first(outputs)
    if scores.ndim == 1:
        scores = scores[:, np.newaxis]  # a probability for each sample
    found = scores.argmax(-1) if scores.shape[-1] > 1 else scores[..., 0] > 0.5  # noqa: PLR2004 - a probability
    if targets.size != found.size:
        msg = f"evaluation: targets of shape {list(targets.shape)}, expected {list(found.shape)}, one class each"
        raise DataError(msg)
    classes = max(2, scores.shape[-1])
    labels = targets.reshape(found.shape)
    if not (labels.min() >= 0 and labels.max() < classes):
        msg = f"evaluation: targets from {labels.min()} to {labels.max()}, expected classes 0 to {classes - 1}"
        raise DataError(msg)
    return float(np.mean(found == labels))


def mse(outputs: Arrays, targets: np.ndarray) -> float:
    """Return the mean squared error of the first output.

    Raises:
        DataError: The targets have another number of elements.
    """
    values = _first(outputs)
    if values.size != targets.size:
        msg = f"evaluation: targets of shape {list(targets.shape)}, expected {list(values.shape)} as the output"
        raise DataError(msg)
    return float(np.mean((values.astype(np.float64) - targets.reshape(values.shape)) ** 2))


METRICS = {"accuracy": Metric("accuracy", accuracy), "mse": Metric("mse", mse, larger_is_better=False)}


def _first(outputs: Arrays) -> np.ndarray:
    return next(iter(outputs.values()))


def _joined(batches: Sequence[Arrays]) -> Arrays:
    return {name: _concatenated([batch[name] for batch in batches], f"outputs {name!r}") for name in batches[0]}


def _concatenated(arrays: Sequence[np.ndarray], what: str) -> np.ndarray:
    try:
        return np.concatenate([np.atleast_1d(array) for array in arrays])
    except ValueError as error:
        shapes = sorted({array.shape for array in arrays})
        msg = f"evaluation: {what} of shapes {shapes}, expected shapes that differ in axis 0 only; pad the batches"
        raise DataError(msg) from error
