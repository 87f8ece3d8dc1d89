"""The task `tensor`, one sample at a time: an instance is the inputs' values for it, an answer the outputs' values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from handlers.errors import InvalidInput
from handlers.tasks.arrays import Arrays
from handlers.tasks.datatypes import FLOATS, NUMPY_TYPES, largest, zeros
from handlers.tasks.options import refuse_options
from handlers.tasks.task import Prepared, Schema

if TYPE_CHECKING:
    from handlers.registry.manifest import TensorSpec

__all__ = ["TensorRows"]


@dataclass(frozen=True)
class _Row:
    """One sample: each input without its batch axis."""

    values: Arrays
    length: int = 1


class TensorRows:
    """Implements `handlers.tasks.task.Task` for models whose axis 0 counts samples."""

    media_types: tuple[str, ...] = ()

    def __init__(self, inputs: "Sequence[TensorSpec]", outputs: "Sequence[TensorSpec]") -> None:
        """Take tensors as the model has them."""
        self._inputs = inputs
        self._specs = {spec.name: spec for spec in inputs}
        self._outputs = outputs
        self.outputs = tuple(spec.name for spec in outputs)

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        """See `Task.prepare`. An instance is a nested list, or with several inputs an object of them by name."""
        return [self._row(number, instance) for number, instance in enumerate(instances)]

    def collate(self, prepared: Sequence[Prepared]) -> Arrays:
        """See `Task.collate`."""
        rows = [row.values for row in prepared if isinstance(row, _Row)]
        try:
            return {name: np.stack([row[name] for row in rows]) for name in self._specs}
        except ValueError as error:
            msg = f"instances: of different shapes ({error}), expected one shape in a request"
            raise InvalidInput(msg) from error

    def check_options(self, options: dict[str, object]) -> object:
        """See `Task.check_options`: there are none."""
        refuse_options(options)
        return None

    def answer(self, prepared: Sequence[Prepared], outputs: Arrays, options: object) -> list[object]:  # noqa: ARG002
        """See `Task.answer`. Nested lists; with several outputs an object of them by name."""
        columns = {name: outputs[name].tolist() for name in self.outputs}
        for name, column in columns.items():
            if not isinstance(column, list) or len(column) != len(prepared):
                msg = f"output {name!r}: no axis that counts the instances, expected one; ask for tensors instead"
                raise InvalidInput(msg)
        if len(columns) == 1:
            return list(next(iter(columns.values())))
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def count_tokens(self, prepared: Sequence[Prepared]) -> int:  # noqa: ARG002
        """See `Task.count_tokens`: none."""
        return 0

    @property
    def instance_schema(self) -> Schema:
        """See `Task.instance_schema`."""
        schemas: dict[str, Schema] = {spec.name: _schema(spec) for spec in self._inputs}
        if len(schemas) == 1:
            return next(iter(schemas.values()))
        return {"type": "object", "properties": schemas, "required": [*schemas], "additionalProperties": False}

    @property
    def options_schema(self) -> Schema:
        """See `Task.options_schema`."""
        return {"type": "object", "additionalProperties": False}

    @property
    def prediction_schema(self) -> Schema:
        """See `Task.prediction_schema`."""
        schemas: dict[str, Schema] = {spec.name: _schema(spec, {"nullable": True}) for spec in self._outputs}
        return next(iter(schemas.values())) if len(schemas) == 1 else {"type": "object", "properties": schemas}

    @property
    def example(self) -> object:
        """See `Task.example`: zeros, one along each variable axis."""
        values = {spec.name: _zeros(spec).tolist() for spec in self._inputs}
        return next(iter(values.values())) if len(values) == 1 else values

    def _row(self, number: int, instance: object) -> _Row:
        if len(self._specs) == 1:
            only = next(iter(self._specs))
            if not (isinstance(instance, dict) and instance.keys() == {only}):
                instance = {only: instance}
        given = instance
        if not isinstance(given, dict) or given.keys() != self._specs.keys():
            found = sorted(map(str, given))[:10] if isinstance(given, dict) else type(given).__name__
            msg = f"instances[{number}]: {found}, expected an object with {', '.join(self._specs)}"
            raise InvalidInput(msg)
        return _Row({name: _to_array(f"instances[{number}]", given[name], spec) for name, spec in self._specs.items()})


def _to_array(subject: str, value: object, spec: "TensorSpec") -> np.ndarray:
    axes = spec.shape[1:]
    try:
        found = np.array(value, dtype=object) if spec.datatype == "BYTES" else np.array(value)
        array = found.astype(NUMPY_TYPES[spec.datatype], casting="unsafe" if _casts(found, spec) else "safe")
    except (ValueError, TypeError, OverflowError) as error:
        msg = f"{subject}: no array of {spec.datatype} ({error}), expected shape {list(axes)}"
        raise InvalidInput(msg) from error
    fits = array.ndim == len(axes) and all(want in (-1, have) for have, want in zip(array.shape, axes, strict=True))
    if not fits:
        msg = f"{subject}: shape {list(array.shape)}, expected {list(axes)} where -1 is any length"
        raise InvalidInput(msg)
    return array


def _casts(found: np.ndarray, spec: "TensorSpec") -> bool:
    """Tell whether numbers of JSON may become this datatype: floats of any number, integers of those in range."""
    if spec.datatype == "BYTES":
        return all(isinstance(value, str) for value in found.ravel())
    dtype = NUMPY_TYPES[spec.datatype]
    if spec.datatype in FLOATS:
        return found.dtype.kind in "iuf" and not np.any(np.abs(found[np.isfinite(found)]) > largest(spec.datatype))
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return found.dtype.kind in "iu" and not np.any((found < bounds.min) | (found > bounds.max))
    return found.dtype.kind == "b"


def _schema(spec: "TensorSpec", of_floats: Schema | None = None) -> Schema:
    element = {"BOOL": "boolean", "BYTES": "string"}.get(
        spec.datatype, "number" if spec.datatype in FLOATS else "integer"
    )
    schema: Schema = {"type": element} | ((of_floats or {}) if spec.datatype in FLOATS else {})
    for axis in reversed(spec.shape[1:]):
        schema = {"type": "array", "items": schema} | ({} if axis == -1 else {"minItems": axis, "maxItems": axis})
    return schema


def _zeros(spec: "TensorSpec") -> np.ndarray:
    shape = [max(1, axis) if axis == -1 else axis for axis in spec.shape[1:]]
    return zeros(spec.datatype, shape)
