"""OIP datatypes and what numpy calls them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from handlers.tasks import bfloat16

if TYPE_CHECKING:
    from handlers.registry.manifest import Datatype

__all__ = ["FLOATS", "NUMPY_TYPES", "datatype_of", "largest", "zeros"]

NUMPY_TYPES: dict["Datatype", np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "BF16": np.dtype(np.float32),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
"""BYTES is text here, as JSON can hold no other: arrays of `object` with `str` in them. BF16, which numpy lacks, is
float32 with values that BF16 holds: see `handlers.tasks.bfloat16`."""

FLOATS: frozenset["Datatype"] = frozenset({"FP16", "BF16", "FP32", "FP64"})

_NAMES = {dtype: name for name, dtype in NUMPY_TYPES.items() if name != "BF16"}


def datatype_of(dtype: np.dtype) -> "Datatype | None":
    """Return the OIP datatype of arrays of `dtype`, None if the protocol has none."""
    return "BYTES" if dtype.kind == "U" else _NAMES.get(dtype)


def largest(datatype: "Datatype") -> float:
    """Return the largest finite number of a floating datatype."""
    return bfloat16.LARGEST if datatype == "BF16" else float(np.finfo(NUMPY_TYPES[datatype]).max)


def zeros(datatype: "Datatype", shape: Sequence[int]) -> np.ndarray:
    """Return an array of zeros, or of empty texts."""
    return np.full(shape, "", object) if datatype == "BYTES" else np.zeros(shape, NUMPY_TYPES[datatype])
