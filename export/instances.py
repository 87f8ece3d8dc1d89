"""Instances of a task, as users have them, made into a model's inputs by the code that serves it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.errors import DataError, SourceError
from export.reference import Reference
from export.source import ModelSource
from handlers.errors import CorruptFile, InvalidInput, UnsupportedManifest
from handlers.registry.manifest import TensorSpec
from handlers.tasks.arrays import Arrays
from handlers.tasks.datatypes import datatype_of
from handlers.tasks.opening import open_task
from handlers.tasks.task import Task

__all__ = ["open_source_task", "to_inputs"]


def open_source_task(source: ModelSource, example: Arrays, reference: Reference) -> Task | None:
    """Return the task of a source, None if it has none.

    Args:
        source: Says what the task is.
        example: Its example inputs; with PyTorch's answer to them, they say what the model takes and returns.
        reference: Gives that answer.

    Raises:
        SourceError: The task does not fit the model, or lacks its tokenizer.
    """
    if source.task is None:
        return None
    inputs = _specs(example, source.dynamic_axes)
    answers = reference.run(example)
    outputs = _specs(answers, {name: {0: "batch"} for name, value in answers.items() if value.ndim})
    try:
        return open_task(source.task, inputs, outputs, source.tokenizer)
    except (UnsupportedManifest, CorruptFile) as error:
        raise SourceError(str(error)) from error


def to_inputs(task: Task, instances: Sequence[object], subject: str) -> Arrays:
    """Return a batch of instances as the model takes it.

    Args:
        task: Makes arrays of them, one by one: what bounds a request does not bound a data set.
        instances: JSON values, bytes of files, or paths of files.
        subject: What to call the batch in errors.

    Raises:
        DataError: There is none, one cannot be used, or they make no batch.
    """
    if not instances:
        msg = f"{subject}: no instances, expected at least one; leave empty batches out"
        raise DataError(msg)
    prepared = []
    for number, instance in enumerate(instances):
        try:
            prepared += task.prepare([instance.read_bytes() if isinstance(instance, Path) else instance])
        except (InvalidInput, OSError) as error:
            msg = f"{subject}: instance {number}: {error}"
            raise DataError(msg) from error
    try:
        return task.collate(prepared)
    except InvalidInput as error:
        msg = f"{subject}: {error}"
        raise DataError(msg) from error


def _specs(arrays: Arrays, variable: dict[str, dict[int, str]]) -> list[TensorSpec]:
    """Return what arrays say of inputs or outputs; those of types that the protocol lacks are left out."""
    return [
        TensorSpec(name=name, datatype=datatype, shape=_shape(array, variable.get(name, {})))
        for name, array in arrays.items()
        if (datatype := datatype_of(array.dtype)) is not None
    ]


def _shape(array: np.ndarray, variable: dict[int, str]) -> tuple[int, ...]:
    return tuple(-1 if axis in variable else length for axis, length in enumerate(array.shape))
