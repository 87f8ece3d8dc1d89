"""Reads a source's data, once, and checks that it fits its model."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from export.errors import DataError, users_line
from export.instances import to_inputs
from export.source import Batch, ModelSource
from handlers.tasks.arrays import Arrays
from handlers.tasks.task import Task

__all__ = ["read_calibration", "read_evaluation"]

T = TypeVar("T")


def read_calibration(source: ModelSource, example: Arrays, task: Task | None) -> list[Arrays]:
    """Return the calibration batches of a source, none if it brings none; of instances, what `task` makes of them.

    Raises:
        DataError: They are empty, names, datatypes or shapes are not the model's, or the task cannot use an instance.
    """
    if source.calibration is None:
        return []
    read = _read(source.calibration, "calibration")
    batches = [_checked(batch, example, source, task, "calibration") for batch in read]
    if not batches:
        msg = "calibration: no batches, expected at least one, or None"
        raise DataError(msg)
    return batches


def read_evaluation(
    source: ModelSource, example: Arrays, task: Task | None
) -> tuple[list[Arrays], list[np.ndarray] | None]:
    """Return inputs and targets (None: there are none) of a source that has an evaluation.

    Raises:
        DataError: As above, or only some batches have targets.
    """
    assert source.evaluation is not None  # noqa: S101 - the caller has looked
    pairs: list[Batch] = _read(source.evaluation.batches, "evaluation")
    if not pairs:
        msg = "evaluation: no batches, expected at least one, or no evaluation"
        raise DataError(msg)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):  # noqa: PLR2004 - a pair
        msg = "evaluation: batches that are no pairs, expected (inputs, target) tuples"
        raise DataError(msg)
    inputs = [_checked(pair[0], example, source, task, "evaluation") for pair in pairs]
    targets = [np.atleast_1d(pair[1]) for pair in pairs if pair[1] is not None]
    if targets and len(targets) != len(pairs):
        msg = f"evaluation: {len(targets)} of {len(pairs)} batches have a target, expected all or none"
        raise DataError(msg)
    return inputs, targets or None


def _read(batches: Iterable[T], what: str) -> list[T]:
    try:
        return list(batches)
    except Exception as error:  # what yields them is the user's code
        msg = f"{what}: {type(error).__name__}: {error}{users_line(error)}, expected an iterable of batches"
        raise DataError(msg) from error


def _checked(batch: object, example: Arrays, source: ModelSource, task: Task | None, what: str) -> Arrays:
    if task is not None and isinstance(batch, list):
        batch = to_inputs(task, batch, f"{what}: a batch")
    if not isinstance(batch, dict) or set(batch) != set(example):
        found = sorted(map(str, batch)) if isinstance(batch, dict) else type(batch).__name__
        msg = f"{what}: a batch with {found}, expected a dict of arrays named {sorted(example)}"
        msg += "" if task is None else ", or a list of instances"
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
        if array.ndim and not len(array):  # other axes may be empty, as a cache is at first
            msg = f"{what}: {name!r} is {list(array.shape)}, expected no empty batches; leave them out"
            raise DataError(msg)
    return arrays
