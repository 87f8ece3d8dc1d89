"""Binary tensors of the Open Inference Protocol <-> numpy arrays.

Specification: triton-inference-server/server, docs/protocol/extension_binary_data.md. Little-endian, row-major, without
padding; BOOL is a byte, 0 or 1; an element of BYTES is its length in bytes (uint32) and then the bytes.
"""

import math
import struct
from typing import TYPE_CHECKING

import numpy as np

from handlers.api.oip.tensors import shaped
from handlers.errors import InvalidInput
from handlers.tasks import bfloat16
from handlers.tasks.datatypes import NUMPY_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.registry.manifest import Datatype

__all__ = ["decode_binary", "element_bytes", "encode_binary"]

_LENGTH = struct.Struct("<I")


def element_bytes(datatype: "Datatype") -> int:
    """Return how many bytes an element takes; of BYTES, how many at least."""
    return _LENGTH.size if datatype == "BYTES" else _wire_type(datatype).itemsize


def decode_binary(name: str, datatype: "Datatype", shape: "Sequence[int]", data: memoryview) -> np.ndarray:
    """Return the array that a binary tensor describes.

    It is a view of `data`, and read-only if that is, unless its elements lie across the addresses that the CPU wants
    them at, or have to be converted (BF16, BYTES).

    Args:
        name: Of the tensor, for errors.
        datatype: Decides the array's dtype.
        shape: Non-negative lengths of the axes.
        data: The tensor's bytes and no others.

    Raises:
        InvalidInput: There are more or fewer bytes than the shape needs, a BOOL is neither 0 nor 1, or one of BYTES is
            no UTF-8.
    """
    if datatype == "BYTES":
        return shaped(name, _decode_texts(name, shape, data), shape)
    wire_type = _wire_type(datatype)
    expected = math.prod(shape) * wire_type.itemsize
    if len(data) != expected:
        msg = f"input {name!r}: {len(data)} bytes of data, expected {expected} for {datatype} of shape {list(shape)}"
        raise InvalidInput(msg)
    array = np.frombuffer(data, wire_type)
    if datatype == "BOOL":
        if array.view(np.uint8).max(initial=0) > 1:
            msg = f"input {name!r}: a byte above 1 in data, expected 0 or 1 as elements of BOOL"
            raise InvalidInput(msg)
    elif datatype == "BF16":
        array = bfloat16.widen(array)
    return shaped(name, np.require(array, NUMPY_TYPES[datatype], "A"), shape)


def encode_binary(array: np.ndarray, datatype: "Datatype") -> bytes | memoryview:
    """Return the array's elements as a binary tensor, without a copy where they lie in memory as they are sent."""
    if datatype == "BYTES":
        texts = [text.encode() for text in array.reshape(-1).tolist()]
        return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
    flat = (bfloat16.narrow(array) if datatype == "BF16" else array).reshape(-1)
    return np.ascontiguousarray(flat, _wire_type(datatype)).view(np.uint8).data


def _wire_type(datatype: "Datatype") -> np.dtype:
    native = np.dtype(np.uint16) if datatype == "BF16" else NUMPY_TYPES[datatype]
    return native.newbyteorder("<")


def _decode_texts(name: str, shape: "Sequence[int]", data: memoryview) -> np.ndarray:
    count = math.prod(shape)
    if count * _LENGTH.size > len(data):  # before anything of that length is made
        msg = f"input {name!r}: {len(data)} bytes of data, expected at least {count * _LENGTH.size} for {count} texts"
        raise InvalidInput(msg)
    texts = np.empty(count, dtype=object)
    end = 0
    for index in range(count):
        start = end + _LENGTH.size
        if start > len(data):
            msg = f"input {name!r}: data ends before text {index}, expected {count} texts"
            raise InvalidInput(msg)
        [length] = _LENGTH.unpack_from(data, end)
        end = start + length
        if end > len(data):
            msg = (
                f"input {name!r}: text {index} of {length} bytes, expected at most {len(data) - start}, which are left"
            )
            raise InvalidInput(msg)
        try:
            texts[index] = str(data[start:end], "utf-8")
        except UnicodeDecodeError as error:
            msg = f"input {name!r}: text {index}: {error.reason} at byte {error.start}, expected UTF-8"
            raise InvalidInput(msg) from error
    if end != len(data):
        msg = f"input {name!r}: {len(data) - end} bytes after the last text, expected none"
        raise InvalidInput(msg)
    return texts
