"""The task `tensor`, one sample at a time: an instance is the inputs' values for it, an answer the outputs' values."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from handlers.errors import InvalidInput
from handlers.tasks.arrays import Arrays
from handlers.tasks.datatypes import FLOATS, zeros
from handlers.tasks.elements import nested_type, to_array
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

    def memory_bytes(self, instances: Sequence[object]) -> int:  # noqa: ARG002
        """See `Task.memory_bytes`: nothing worth mentioning."""
        return 0

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        """See `Task.prepare`. An instance is a nested list, or with several inputs an object of them by name."""
        named = [self._named(number, instance) for number, instance in enumerate(instances)]
        columns = [_to_arrays(spec, [values[name] for values in named]) for name, spec in self._specs.items()]
        return [_Row(dict(zip(self._specs, row, strict=True))) for row in zip(*columns, strict=True)]

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
        schemas: dict[str, Schema] = {spec.name: _schema(spec, {"nullable": True}) for spec in self._inputs}
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

    def _named(self, number: int, instance: object) -> dict[str, object]:
        """Return an instance as an object of the inputs' values by name."""
        if len(self._specs) == 1:
            only = next(iter(self._specs))
            if not (isinstance(instance, dict) and instance.keys() == {only}):
                return {only: instance}
        if not isinstance(instance, dict) or instance.keys() != self._specs.keys():
            found = sorted(map(str, instance))[:10] if isinstance(instance, dict) else type(instance).__name__
            msg = f"instances[{number}]: {found}, expected an object with {', '.join(self._specs)}"
            raise InvalidInput(msg)
        return instance


def _to_arrays(spec: "TensorSpec", values: list[object]) -> Sequence[np.ndarray]:
    """Return the values of an input, one for each instance: all at once where they are alike, else one by one."""
    elements = _read(spec, values)
    if elements:
        shape = _shape_of(elements[0], len(spec.shape[1:]))
        if _fits(shape, spec):
            whole = [len(elements), *shape]
            with suppress(InvalidInput):  # is told below, of the instance that it is about
                array = to_array("instances", spec.datatype, whole, elements, len(whole)).reshape(whole)
                return [array[number, ...] for number in range(len(array))]  # arrays, also where they have no axis
    return [_to_array(f"instances[{number}]", spec, value) for number, value in enumerate(elements)]


def _read(spec: "TensorSpec", values: list[object]) -> list[Any]:
    """Check that every element is what the datatype takes, before numpy sees it: it would turn numbers into text."""
    try:
        elements: list[Any] = msgspec.convert(values, nested_type(spec.datatype, 1 + len(spec.shape[1:])))
    except msgspec.ValidationError as error:
        reason, _, place = str(error).rstrip("`").rpartition(" - at `$")
        number, _, inner = place.removeprefix("[").partition("]")
        where = f" at {inner}" if inner else ""
        msg = f"instances[{number}]: no array of {spec.datatype} ({reason}{where}), expected shape {[*spec.shape[1:]]}"
        raise InvalidInput(msg) from error
    return elements


def _to_array(subject: str, spec: "TensorSpec", value: object) -> np.ndarray:
    axes = spec.shape[1:]
    shape = _shape_of(value, len(axes))
    if not _fits(shape, spec):
        msg = f"{subject}: shape {shape}, expected {list(axes)} where -1 is any length"
        raise InvalidInput(msg)
    return to_array(subject, spec.datatype, shape, value, len(shape)).reshape(shape)


def _shape_of(value: Any, nesting: int) -> list[int]:  # noqa: ANN401 - an element, or lists of them
    """Return the lengths of nested lists, by the first in each."""
    shape: list[int] = []
    while len(shape) < nesting and (not shape or shape[-1]):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _fits(shape: list[int], spec: "TensorSpec") -> bool:
    axes = spec.shape[1:]
    return len(shape) == len(axes) and all(want in (-1, have) for have, want in zip(shape, axes, strict=True))


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
