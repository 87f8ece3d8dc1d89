"""The data of a source, sorted: what calibrates, and what judges. Nothing does both."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from export.errors import DataError, users_line
from export.judge import AGREEMENT, METRICS, HeldOut, Metric
from export.reference import Reference, to_arrays
from export.source import Batch, ModelSource
from handlers.tasks.arrays import Arrays

__all__ = ["Samples", "sort_samples"]

T = TypeVar("T")


@dataclass(frozen=True)
class Samples:
    """What the export step feeds to the model.

    Attributes:
        calibration: Batches that set the ranges of quantised activations; empty if the source brings none.
        held_out: Batches that judge, with PyTorch's answers.
        metric: How they judge; None: by agreement with PyTorch.
        singles: A few inputs of one sample each, from what judges.
    """

    calibration: list[Arrays]
    held_out: HeldOut
    metric: Metric | None
    singles: list[Arrays]


def sort_samples(source: ModelSource, reference: Reference) -> Samples:
    """Read the data of a source once, and let PyTorch answer what judges.

    Without an evaluation the second half of the calibration batches judges, and does not calibrate; without either,
    the example inputs do, and nothing is calibrated.

    Raises:
        DataError: The data is empty, or its names, datatypes or shapes are not the model's.
    """
    example = to_arrays(source)
    calibration = _read(source.calibration, "calibration") if source.calibration is not None else []
    calibration = [_checked(batch, example, source, "calibration") for batch in calibration]
    if source.calibration is not None and not calibration:
        msg = "calibration: no batches, expected at least one, or None"
        raise DataError(msg)
    targets: list[np.ndarray] | None = None
    metric: Metric | None = None
    if source.evaluation is not None:
        batches, targets = _evaluation(source, example)
        metric = _metric(source)
    elif len(calibration) > 1:
        half = len(calibration) // 2
        calibration, batches = calibration[:half], calibration[half:]
    else:
        batches = [example]
    held_out = HeldOut(
        inputs=batches,
        outputs=[reference.run(inputs) for inputs in batches],
        targets=targets,
        held_out=source.evaluation is not None or batches[0] is not example,
    )
    return Samples(calibration, held_out, metric, _singles(batches, source))


def _evaluation(source: ModelSource, example: Arrays) -> tuple[list[Arrays], list[np.ndarray] | None]:
    assert source.evaluation is not None  # noqa: S101 - the caller has looked
    pairs: list[Batch] = _read(source.evaluation.batches, "evaluation")
    if not pairs:
        msg = "evaluation: no batches, expected at least one, or no evaluation"
        raise DataError(msg)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):  # noqa: PLR2004 - a pair
        msg = "evaluation: batches that are no pairs, expected (inputs, target) tuples"
        raise DataError(msg)
    inputs = [_checked(pair[0], example, source, "evaluation") for pair in pairs]
    targets = [np.atleast_1d(pair[1]) for pair in pairs if pair[1] is not None]
    if targets and len(targets) != len(pairs):
        msg = f"evaluation: {len(targets)} of {len(pairs)} batches have a target, expected all or none"
        raise DataError(msg)
    return inputs, targets or None


def _metric(source: ModelSource) -> Metric:
    assert source.evaluation is not None  # noqa: S101 - the caller has looked
    metric = source.evaluation.metric
    if callable(metric):
        name = getattr(metric, "__name__", "custom")
        # `verify` knows ours by name: a function of the user's must not be taken for one of them
        return Metric(f"custom {name}" if name in {*METRICS, AGREEMENT} else name, metric)
    if metric not in METRICS:
        msg = f"evaluation: metric {metric!r}, expected one of {', '.join(METRICS)}, or a function of (outputs, target)"
        raise DataError(msg)
    return METRICS[metric]


def _read(batches: Iterable[T], what: str) -> list[T]:
    try:
        return list(batches)
    except Exception as error:  # what yields them is the user's code
        msg = f"{what}: {type(error).__name__}: {error}{users_line(error)}, expected an iterable of batches"
        raise DataError(msg) from error


def _checked(batch: object, example: Arrays, source: ModelSource, what: str) -> Arrays:
    if not isinstance(batch, dict) or set(batch) != set(example):
        found = sorted(map(str, batch)) if isinstance(batch, dict) else type(batch).__name__
        msg = f"{what}: a batch with {found}, expected a dict of arrays named {sorted(example)}"
        raise DataError(msg)
    arrays = {name: np.asarray(batch[name]) for name in example}
    for name, array in arrays.items():
        expected = example[name]
        variable = source.dynamic_axes[name]
        fits = array.ndim == expected.ndim and all(
            axis in variable or found == wanted
            for axis, (found, wanted) in enumerate(zip(array.shape, expected.shape, strict=True))
        )
        if array.dtype != expected.dtype or not fits:
            shape = [-1 if axis in variable else length for axis, length in enumerate(expected.shape)]
            msg = f"{what}: {name!r} is {array.dtype} {list(array.shape)}, expected {expected.dtype} {shape}"
            raise DataError(msg)
        if not array.size:
            msg = f"{what}: {name!r} is {list(array.shape)}, expected no empty batches"
            raise DataError(msg)
    return arrays


def _singles(batches: Sequence[Arrays], source: ModelSource, count: int = 4) -> list[Arrays]:
    """Return up to `count` inputs of one sample each; whole batches where axis 0 is not that of the samples."""
    if not all(0 in axes for axes in source.dynamic_axes.values()):
        return list(batches[:count])
    first = batches[0]
    length = min(len(value) for value in first.values())
    return [{name: value[i : i + 1] for name, value in first.items()} for i in range(min(count, length))]
