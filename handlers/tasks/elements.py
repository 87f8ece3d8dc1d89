"""Elements of tensors, as JSON has them -> numpy arrays: for a tensor's `data` and for instances alike."""

import itertools
import struct
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from handlers.errors import InvalidInput
from handlers.tasks import bfloat16
from handlers.tasks.datatypes import FLOATS, NUMPY_TYPES, largest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.registry.manifest import Datatype

__all__ = ["nested_type", "to_array"]

_SHORT_ROW = 32  # of elements: rows shorter than that are packed together, longer ones each by itself

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


def nested_type(datatype: "Datatype", nesting: int) -> Any:  # noqa: ANN401 - a type that is made here
    """Return the type, for msgspec, of elements in `nesting` lists."""
    kind = _ELEMENTS[datatype]
    for _ in range(nesting):
        kind = list.__class_getitem__(kind)  # list[kind], spelled so that type checkers do not read it as a type
    return kind


def to_array(subject: str, datatype: "Datatype", shape: "Sequence[int]", values: Any, nesting: int) -> np.ndarray:  # noqa: ANN401 - an element where nothing is nested
    """Return elements as an array, flat or in that shape.

    Args:
        subject: What to call them in errors.
        datatype: Decides the array's dtype.
        shape: Of the tensor.
        values: Elements that were read as `nested_type` of that nesting; where flat, as many as the shape has.
        nesting: In how many lists they are: 1, or as many as the shape has axes.

    Raises:
        InvalidInput: One is beyond the datatype, or they are not nested as the shape says.
    """
    packed = _pack(datatype, shape, values, nesting)
    return _convert(subject, datatype, shape, values, nesting) if packed is None else packed


def _pack(datatype: "Datatype", shape: "Sequence[int]", values: list[Any], nesting: int) -> np.ndarray | None:
    """Return the elements as a flat array, None where `_convert` has to see to them: it is slower, and says why.

    `struct` takes a list of numbers in half the time of numpy, which looks at every element twice; it rounds as numpy
    does, and refuses what it would have to make infinite.
    """
    code = _CODES.get(datatype)
    if code is None or nesting == 0 or (nesting > 1 and len(values) != shape[0]):
        return None
    rows = [values]
    for length in shape[1:nesting]:
        rows = list(itertools.chain.from_iterable(rows))
        if any(len(row) != length for row in rows):
            return None
    if rows and len(rows[0]) < _SHORT_ROW:
        rows = [list(itertools.chain.from_iterable(rows))]
    try:
        packer = struct.Struct(f"={len(rows[0]) if rows else 0}{code}")
        packed = b"".join([packer.pack(*row) for row in rows])
    except (struct.error, OverflowError):  # null among them, or a number beyond the datatype
        return None
    return np.frombuffer(packed, NUMPY_TYPES[datatype])


def _convert(subject: str, datatype: "Datatype", shape: "Sequence[int]", values: list[Any], nesting: int) -> np.ndarray:
    try:
        if datatype in FLOATS:
            # by way of float64: a number that JSON can hold and the datatype cannot becomes infinite, and is refused
            wide = np.array(values, dtype=np.float64)
            with np.errstate(over="ignore"):
                array = wide.astype(NUMPY_TYPES[datatype])
            if datatype == "BF16":
                array = bfloat16.widen(bfloat16.narrow(array))
            if np.isinf(array).any():
                msg = f"{subject}: a number beyond {datatype}, expected at most {largest(datatype)}"
                raise InvalidInput(msg)
        else:
            array = np.array(values, dtype=NUMPY_TYPES[datatype])
    except (ValueError, OverflowError, TypeError) as error:
        msg = f"{subject}: data cannot be an array of {datatype} ({error}), expected shape {list(shape)}"
        raise InvalidInput(msg) from error
    if nesting > 1 and array.shape != tuple(shape[:nesting]):  # where text is ragged, numpy makes an array of lists
        msg = f"{subject}: data of shape {list(array.shape)}, expected {list(shape)}"
        raise InvalidInput(msg)
    return array
