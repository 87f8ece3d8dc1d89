"""JSON tensors of the Open Inference Protocol <-> numpy arrays.

Specification: kserve/open-inference-protocol, specification/protocol/inference_rest.md, "Tensor Data".
"""

import functools
import math
from typing import TYPE_CHECKING, Any

import msgspec

from handlers.errors import InvalidInput
from handlers.tasks.elements import nested_type, to_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from handlers.registry.manifest import Datatype

__all__ = ["decode_tensor", "encode_tensor", "nesting_of", "shaped", "to_tensor"]

_MAX_NESTING = 32  # numpy's arrays have at most 64 axes, OIP's rarely more than 5
_SPACES = b" \t\r\n"


def decode_tensor(name: str, datatype: "Datatype", shape: "Sequence[int]", data: memoryview) -> "np.ndarray":
    """Return the array that a JSON tensor describes; it may be read-only.

    Args:
        name: Of the tensor, for errors.
        datatype: Decides the array's dtype; every element is checked against it.
        shape: Non-negative lengths of the axes.
        data: The JSON text of the tensor's `data`: row-major, flat or nested as `shape` says.

    Raises:
        InvalidInput: The data is no JSON array of such elements, or their number or nesting is not the shape's.
    """
    nesting = nesting_of(data)
    _check_nesting(name, shape, nesting)
    try:
        values = _decoder(datatype, nesting).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"input {name!r}: data: {error}, expected {datatype} elements"
        raise InvalidInput(msg) from error
    return to_tensor(name, datatype, shape, values, nesting)


def to_tensor(name: str, datatype: "Datatype", shape: "Sequence[int]", values: list[Any], nesting: int) -> "np.ndarray":
    """Return the array of elements that were decoded as `nested_type` of that nesting. Raises as `decode_tensor`."""
    _check_nesting(name, shape, nesting)
    count = math.prod(shape)
    if nesting == 1 and len(values) != count:
        msg = f"input {name!r}: {len(values)} elements in data, expected {count} for shape {list(shape)}"
        raise InvalidInput(msg)
    return shaped(name, to_array(f"input {name!r}", datatype, shape, values, nesting), shape)


def _check_nesting(name: str, shape: "Sequence[int]", nesting: int) -> None:
    axes = shape.index(0) + 1 if 0 in shape else len(shape)  # below an axis of length 0 there is nothing to nest
    if nesting not in (1, axes):
        levels = f"{nesting}" if nesting <= _MAX_NESTING else f"more than {_MAX_NESTING}"
        msg = f"input {name!r}: data nested {levels} deep, expected 1 (flat) or {axes} (as its shape)"
        raise InvalidInput(msg)


def shaped(name: str, array: "np.ndarray", shape: "Sequence[int]") -> "np.ndarray":
    """Return the array in a shape that it has elements for.

    Raises:
        InvalidInput: It holds nothing, and yet the shape has an axis that no array can have.
    """
    try:
        return array.reshape(shape)
    except ValueError as error:
        msg = f"input {name!r}: shape {list(shape)} ({error}), expected one that an array can have"
        raise InvalidInput(msg) from error


def encode_tensor(array: "np.ndarray") -> list[Any]:
    """Return the array's elements as a flat row-major list; JSON writes NaN and infinities in it as null."""
    values: list[Any] = array.reshape(-1).tolist()
    return values


def nesting_of(data: memoryview) -> int:
    """Return how many arrays open in JSON text before the first element."""
    depth = 0
    for byte in data:
        if byte == ord("["):
            depth += 1
        elif byte not in _SPACES or depth > _MAX_NESTING:
            break
    return depth


@functools.lru_cache(maxsize=256)
def _decoder(datatype: "Datatype", nesting: int) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(nested_type(datatype, nesting))
