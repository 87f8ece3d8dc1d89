"""Schemas and examples of tensors, as the Open Inference Protocol writes them in JSON."""

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from handlers.api.openapi.operations import MOST_EXAMPLE_BYTES, Json, ref
from handlers.errors import LambdaserveError
from handlers.registry.manifest import Datatype, TensorSpec
from handlers.tasks.arrays import Arrays
from handlers.tasks.datatypes import FLOATS, zeros

if TYPE_CHECKING:
    from handlers.registry.loading import LoadedModel

__all__ = ["TENSOR_SCHEMAS", "example_tensors", "input_schema", "one_of", "output_schema"]

_AXES = (1, 16, 256)
"""Lengths to try where an axis is variable: there are models that cannot do with one step."""

_SHAPE: Json = {"type": "array", "items": {"type": "integer", "minimum": 0}}

TENSOR_SCHEMAS: Json = {
    "Parameters": {
        "type": "object",
        "additionalProperties": {"anyOf": [{"type": "boolean"}, {"type": "number"}, {"type": "string"}]},
    },
    "Datatype": {"type": "string", "enum": [*get_args(Datatype)]},
    "InputTensor": {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": _SHAPE,
            "datatype": ref("Datatype"),
            "parameters": ref("Parameters"),
            "data": {
                "type": "array",
                "items": {},
                "description": "Row-major: flat, or nested as `shape` says. Not there where a parameter says so.",
            },
        },
    },
    "OutputTensor": {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": _SHAPE,
            "datatype": ref("Datatype"),
            "parameters": ref("Parameters"),
            "data": {
                "type": "array",
                "items": {},
                "description": "Row-major and flat; null is NaN. Not there where a parameter says so.",
            },
        },
    },
    "ClassesTensor": {
        "type": "object",
        "description": "Of an output that was asked for with the parameter `classification`: `value:index:label`.",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": _SHAPE,
            "datatype": {"type": "string", "enum": ["BYTES"]},
            "data": {"type": "array", "items": {"type": "string"}},
        },
    },
    "TensorMetadata": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": ref("Datatype"),
            "shape": {
                "type": "array",
                "items": {"type": "integer", "minimum": -1},
                "description": "-1: any length.",
            },
        },
    },
}


def input_schema(spec: TensorSpec) -> Json:
    """Return the schema of a tensor that the model takes."""
    return _tensor(spec, {"anyOf": [_element(spec.datatype), {"type": "array", "items": {}}]})


def output_schema(spec: TensorSpec) -> Json:
    """Return the schema of a tensor that the model returns."""
    return _tensor(spec, _element(spec.datatype))


def example_tensors(model: "LoadedModel") -> tuple[list[Json], list[Json]] | None:
    """Return inputs and the outputs that the model answers with, None where no inputs were found.

    Zeros and empty texts; of integers rather ones, as a mask of zeros makes NaN of a mean. The shortest are taken that
    the model can be run on: it is asked.
    """
    specs = model.inputs
    for length, integer in itertools.product(_AXES, (1, 0)):
        shapes = {spec.name: _shape(spec, length) for spec in specs}
        if 2 * sum(math.prod(shape) for shape in shapes.values()) > MOST_EXAMPLE_BYTES:
            return None
        inputs = {spec.name: zeros(spec.datatype, shapes[spec.name]) for spec in specs}
        for array in inputs.values():
            if array.dtype.kind in "iu":
                array.fill(integer)
        try:
            outputs = model.session.run(inputs)
        except LambdaserveError:
            continue
        return _written(specs, inputs), _written(model.outputs, outputs)
    return None


def _written(specs: Sequence[TensorSpec], arrays: Arrays) -> list[Json]:
    return [
        {
            "name": spec.name,
            "shape": arrays[spec.name].shape,
            "datatype": spec.datatype,
            "data": arrays[spec.name].reshape(-1).tolist(),
        }
        for spec in specs
    ]


def _shape(spec: TensorSpec, length: int) -> list[int]:
    """Return a shape with `length` along the variable axes, but for one sample along the first."""
    return [(length if number else 1) if axis == -1 else axis for number, axis in enumerate(spec.shape)]


def _tensor(spec: TensorSpec, items: Json) -> Json:
    axes = ", ".join("any" if axis == -1 else str(axis) for axis in spec.shape)
    return {
        "type": "object",
        "description": f"`{spec.name}`: {spec.datatype} [{axes}].",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string", "enum": [spec.name]},
            "shape": {**_SHAPE, "minItems": len(spec.shape), "maxItems": len(spec.shape)},
            "datatype": {"type": "string", "enum": [spec.datatype]},
            "parameters": ref("Parameters"),
            "data": {"type": "array", "items": items},
        },
    }


def _element(datatype: Datatype) -> Json:
    if datatype in FLOATS:
        return {"type": "number", "nullable": True}
    return {"type": {"BOOL": "boolean", "BYTES": "string"}.get(datatype, "integer")}


def one_of(schemas: Sequence[Json]) -> Json:
    """Return the schema of what is one of several kinds."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": [*schemas]}
