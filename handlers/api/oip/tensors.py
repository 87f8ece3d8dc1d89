"""JSON tensors of the Open Inference Protocol <-> numpy arrays.

Specification: kserve/open-inference-protocol, specification/protocol/inference_rest.md, "Tensor Data".
"""

import functools
import itertools
import math
import struct
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from handlers.errors import InvalidInput
from handlers.tasks import bfloat16
from handlers.tasks.datatypes import FLOATS, NUMPY_TYPES, largest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.registry.manifest import Datatype

__all__ = ["decode_tensor", "encode_tensor", "shaped"]

_MAX_NESTING = 32  # numpy's arrays have at most 64 axes, OIP's rarely more than 5
_SPACES = b" \t\r\n"


def decode_tensor(name: str, datatype: "Datatype", shape: "Sequence[int]", data: memoryview) -> np.ndarray:
    """Return the array that a JSON tensor describes; it may be read-only.

    Args:
        name: Of the tensor, for errors.
        datatype: Decides the array's dtype; every element is checked against it.
        shape: Non-negative lengths of the axes.
        data: The JSON text of the tensor's `data`: row-major, flat or nested as `shape` says.

    Raises:
        InvalidInput: The data is no JSON array of such elements, or their number or nesting is not the shape's.
    """
    nesting = _nesting(data)
    axes = shape.index(0) + 1 if 0 in shape else len(shape)  # below an axis of length 0 there is nothing to nest
    if nesting not in (1, axes):
        levels = f"{nesting}" if nesting <= _MAX_NESTING else f"more than {_MAX_NESTING}"
        msg = f"input {name!r}: data nested {levels} deep, expected 1 (flat) or {axes} (as its shape)"
        raise InvalidInput(msg)
    try:
        values = _decoder(datatype, nesting).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"input {name!r}: data: {error}, expected {datatype} elements"
        raise InvalidInput(msg) from error
    count = math.prod(shape)
    if nesting == 1 and len(values) != count:
        msg = f"input {name!r}: {len(values)} elements in data, expected {count} for shape {list(shape)}"
        raise InvalidInput(msg)
    packed = _pack(datatype, shape, values, nesting)
    array = _to_array(name, datatype, shape, values, nesting) if packed is None else packed
    return shaped(name, array, shape)


def shaped(name: str, array: np.ndarray, shape: "Sequence[int]") -> np.ndarray:
    """Return the array in a shape that it has elements for.

    Raises:
        InvalidInput: It holds nothing, and yet the shape has an axis that no array can have.
    """
    try:
        return array.reshape(shape)
    except ValueError as error:
        msg = f"input {name!r}: shape {list(shape)} ({error}), expected one that an array can have"
        raise InvalidInput(msg) from error


def _pack(datatype: "Datatype", shape: "Sequence[int]", values: list[Any], nesting: int) -> np.ndarray | None:
    """Return the elements as a flat array, None where `_to_array` has to see to them: it is slower, and says why.

    `struct` takes a list of numbers in half the time of numpy, which looks at every element twice; it rounds as numpy
    does, and refuses what it would have to make infinite.
    """
    code = _CODES.get(datatype)
    if code is None or nesting == 0 or (nesting > 1 and len(values) != shape[0]):
        return None
    for length in shape[1:nesting]:
        if any(len(inner) != length for inner in values):
            return None
        values = list(itertools.chain.from_iterable(values))
    try:
        packed = struct.pack(f"={len(values)}{code}", *values)
    except (struct.error, OverflowError):  # null among them, or a number beyond the datatype
        return None
    return np.frombuffer(packed, NUMPY_TYPES[datatype])


def _to_array(name: str, datatype: "Datatype", shape: "Sequence[int]", values: list[Any], nesting: int) -> np.ndarray:
    try:
        if datatype in FLOATS:
            # by way of float64: a number that JSON can hold and the datatype cannot becomes infinite, and is refused
            wide = np.array(values, dtype=np.float64)
            with np.errstate(over="ignore"):
                array = wide.astype(NUMPY_TYPES[datatype])
            if datatype == "BF16":
                array = bfloat16.widen(bfloat16.narrow(array))
            if np.isinf(array).any():
                msg = f"input {name!r}: a number beyond {datatype}, expected at most {largest(datatype)}"
                raise InvalidInput(msg)
        else:
            array = np.array(values, dtype=NUMPY_TYPES[datatype])
    except (ValueError, OverflowError, TypeError) as error:
        msg = f"input {name!r}: data cannot be an array of {datatype} ({error}), expected shape {list(shape)}"
        raise InvalidInput(msg) from error
    if nesting > 1 and array.shape != tuple(shape[:nesting]):  # where text is ragged, numpy makes an array of lists
        msg = f"input {name!r}: data of shape {list(array.shape)}, expected {list(shape)}"
        raise InvalidInput(msg)
    return array


def encode_tensor(array: np.ndarray) -> list[Any]:
    """Return the array's elements as a flat row-major list; JSON writes NaN and infinities in it as null."""
    values: list[Any] = array.reshape(-1).tolist()
    return values


def _nesting(data: memoryview) -> int:
    """Count how many arrays open before the first element."""
    depth = 0
    for byte in data:
        if byte == ord("["):
            depth += 1
        elif byte not in _SPACES or depth > _MAX_NESTING:
            break
    return depth


_ELEMENTS: dict[str, Any] = {
    "BOOL": bool,
    "UINT64": Annotated[int, Meta(ge=0)],  # the rest of its range is checked by numpy: msgspec's bounds are int64
    "INT64": int,
    "FP16": float | None,
    "BF16": float | None,
    "FP32": float | None,
    "FP64": float | None,
    "BYTES": str,
} | {
    name: Annotated[int, Meta(ge=int(np.iinfo(NUMPY_TYPES[name]).min), le=int(np.iinfo(NUMPY_TYPES[name]).max))]
    for name in ("UINT8", "UINT16", "UINT32", "INT8", "INT16", "INT32")
}
"""What JSON may hold as an element; null stands for NaN, which JSON lacks."""

_CODES: dict["Datatype", str] = {
    name: NUMPY_TYPES[name].char.replace("l", "q").replace("L", "Q")
    for name in NUMPY_TYPES
    if name not in {"BYTES", "BF16"}
}
"""How `struct` writes an element. BF16, which it lacks, is rounded by `handlers.tasks.bfloat16`."""


@functools.lru_cache(maxsize=256)
def _decoder(datatype: "Datatype", nesting: int) -> msgspec.json.Decoder[Any]:
    kind = _ELEMENTS[datatype]
    for _ in range(nesting):
        kind = list.__class_getitem__(kind)  # list[kind], spelled so that type checkers do not read it as a type
    return msgspec.json.Decoder(kind)
