"""The gate: how good a variant is on inputs whose right answers are known. Needs no torch."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from export.errors import DataError
from export.metrics import AGREEMENT, COSINE, METRICS, Metric, agreement, confusion, first_output
from export.report import Confusion
from handlers.registry.manifest import Gate
from handlers.tasks.arrays import Arrays

__all__ = ["HeldOut", "Judge"]


@dataclass(frozen=True)
class HeldOut:
    """Inputs that judge, what PyTorch answers to them, and (unless agreement is the metric) what is right.

    `inputs` are batches as they came; `outputs` are PyTorch's for each of them; `targets` too, or None.
    `held_out` is false where they are not data but made up from the source's example inputs. `classes` are the outputs
    whose last axis holds scores of classes.
    """

    inputs: Sequence[Arrays]
    outputs: Sequence[Arrays]
    targets: Sequence[np.ndarray] | None
    held_out: bool
    classes: frozenset[str] = frozenset()

    @property
    def samples(self) -> int:
        """How many inputs there are, counted along axis 0 of the first output."""
        return sum(len(next(iter(outputs.values()))) if first_output(outputs).ndim else 1 for outputs in self.outputs)


class Judge:
    """Measures variants with one metric on one set of inputs."""

    def __init__(self, data: HeldOut, metric: Metric | None, max_loss: float) -> None:
        """Take the reference's score.

        Args:
            data: What judges.
            metric: How; None, or where `data` has no targets: by agreement with PyTorch.
            max_loss: The largest loss that passes, relative to the reference's score.

        Raises:
            DataError: The data is empty, or does not fit the metric.
        """
        if not data.inputs:
            msg = "evaluation: no batches, expected at least one"
            raise DataError(msg)
        self.data = data
        self._max_loss = max_loss
        self.targets = _concatenated(data.targets, "targets") if data.targets is not None else None
        self._compared = next(iter(data.outputs[0])) if self.targets is not None else None
        self.reference = _joined(data.outputs, self._compared)
        self._metric = metric if self.targets is not None else None
        self.reference_score = self._score(self.reference)
        if not np.isfinite(self.reference_score):
            msg = f"evaluation: PyTorch's own {self.metric_name} is {self.reference_score}, expected a finite number"
            raise DataError(msg)

    def with_classes(self, classes: frozenset[str]) -> "Judge":
        """Return a judge that knows which outputs hold scores of classes; PyTorch agrees with itself as before."""
        other = copy(self)
        other.data = replace(self.data, classes=classes)
        return other

    def judge(self, run: Callable[[Arrays], Arrays]) -> Gate:
        """Return the gate's verdict on what `run` answers."""
        return self.verdict(self.answers(run))

    def answers(self, run: Callable[[Arrays], Arrays]) -> Arrays:
        """Return what `run` answers to all inputs that judge, joined as `reference` is."""
        return _joined([run(inputs) for inputs in self.data.inputs], self._compared)

    def verdict(self, answers: Arrays) -> Gate:
        """Return the gate's verdict on answers to all inputs that judge."""
        score = self._score(answers)
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
    def class_answers(self) -> int:
        """How many answers have a class that counts: the fewest of any output; 0 where none has."""
        if self.metric_name == METRICS["accuracy"].name and self.targets is not None:
            return self.targets.size
        scores = [self.reference[name] for name in self.data.classes] if self._metric is None else []
        return min((score.size // score.shape[-1] for score in scores if score.ndim > 1 and score.size), default=0)

    def confusion(self, answers: Arrays) -> Confusion | None:
        """Return which classes PyTorch and these answers take for which; None where classes are not what judges."""
        if self.targets is None or self.metric_name != METRICS["accuracy"].name:
            return None
        return confusion(self.reference, answers, self.targets)

    @property
    def metric_name(self) -> str:
        """Name of the metric; where there is none, "agreement", or "cosine" if no output has classes."""
        if self._metric:
            return self._metric.name
        return AGREEMENT if self.data.classes else COSINE

    def _score(self, outputs: Arrays) -> float:
        if self._metric is None or self.targets is None:
            return agreement(outputs, self.reference, self.data.classes)
        try:
            with np.errstate(all="ignore"):  # a broken variant answers NaN, which is a verdict and no warning
                return float(self._metric.score(outputs, self.targets))
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


def _joined(batches: Sequence[Arrays], first: str | None) -> Arrays:
    """Join the outputs of all batches along axis 0.

    Where other axes differ, as lengths of sequences do, rows along the last axis are joined, or single elements. The
    output `first` is compared with targets, element by element, and must fit.

    Raises:
        DataError: It does not.
    """
    return {
        name: _concatenated([batch[name] for batch in batches], f"outputs {name!r}")
        if name == first
        else _concatenated_rows([batch[name] for batch in batches])
        for name in batches[0]
    }


def _concatenated_rows(arrays: Sequence[np.ndarray]) -> np.ndarray:
    if len({array.shape[1:] for array in arrays}) == 1 and arrays[0].ndim:
        return np.concatenate(arrays)
    if len({array.shape[-1:] for array in arrays}) == 1 and arrays[0].ndim:
        return np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])
    return np.concatenate([array.reshape(-1) for array in arrays])


def _concatenated(arrays: Sequence[np.ndarray], what: str) -> np.ndarray:
    try:
        return np.concatenate([np.atleast_1d(array) for array in arrays])
    except ValueError as error:
        shapes = sorted({array.shape for array in arrays})
        msg = f"evaluation: {what} of shapes {shapes}, expected shapes that differ in axis 0 only; pad the batches"
        raise DataError(msg) from error
