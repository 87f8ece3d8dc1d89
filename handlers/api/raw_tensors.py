"""Raw tensors <-> numpy arrays: the bytes of the binary extension of the Open Inference Protocol.

Little-endian, row-major, without padding; BOOL is a byte, 0 or 1; an element of BYTES is its length (uint32) and then
the text in UTF-8.
"""

import math
import struct
from typing import TYPE_CHECKING

import numpy as np

from handlers.errors import InvalidInput
from handlers.tasks.datatypes import NUMPY_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.registry.manifest import Datatype

__all__ = ["decode_binary", "encode_binary", "least_bytes"]

_LENGTH = struct.Struct("<I")


def least_bytes(datatype: "Datatype", shape: "Sequence[int]") -> int:
    """Return how many bytes a raw tensor takes; of BYTES, how many at least."""
    element = _LENGTH.size if datatype == "BYTES" else NUMPY_TYPES[datatype].itemsize
    return math.prod(shape) * element


def decode_binary(name: str, datatype: "Datatype", shape: "Sequence[int]", data: memoryview) -> np.ndarray:
    """Return the array that a raw tensor describes; a view of `data`, but for BYTES.

    Raises:
        InvalidInput: The data is not as long as the shape needs, or an element is none of the datatype.
    """
    expected = least_bytes(datatype, shape)
    if len(data) < expected if datatype == "BYTES" else len(data) != expected:
        least = "at least " if datatype == "BYTES" else ""
        msg = f"input {name!r}: {len(data)} bytes of data, expected {least}{expected} for {datatype} of {list(shape)}"
        raise InvalidInput(msg)
    if datatype == "BYTES":
        array = _decode_texts(name, math.prod(shape), data)
    else:
        array = np.frombuffer(data, NUMPY_TYPES[datatype].newbyteorder("<"))
    if datatype == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        msg = f"input {name!r}: a byte above 1, expected 0 or 1 as elements of BOOL"
        raise InvalidInput(msg)
    try:
        return array.reshape(shape)
    except ValueError as error:  # it holds nothing, and yet has an axis that no array can have
        msg = f"input {name!r}: shape {list(shape)} ({error}), expected one that an array can have"
        raise InvalidInput(msg) from error


def encode_binary(array: np.ndarray, datatype: "Datatype") -> bytes:
    """Return the array's elements as a raw tensor."""
    if datatype == "BYTES":
        texts = [text.encode() for text in array.reshape(-1).tolist()]
        return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
    return array.astype(NUMPY_TYPES[datatype].newbyteorder("<"), copy=False).tobytes()


def _decode_texts(name: str, count: int, data: memoryview) -> np.ndarray:
    texts = np.empty(count, dtype=object)
    end = 0
    for index in range(count):
        start = end + _LENGTH.size
        length = _LENGTH.unpack_from(data, end)[0] if start <= len(data) else len(data)
        end = start + length
        try:
            texts[index] = str(data[start:end], "utf-8") if end <= len(data) else None
        except UnicodeDecodeError as error:
            msg = f"input {name!r}: text {index}: {error.reason} at byte {error.start}, expected UTF-8"
            raise InvalidInput(msg) from error
        if end > len(data):
            msg = f"input {name!r}: data ends within text {index}, expected {count} texts"
            raise InvalidInput(msg)
    if end != len(data):
        msg = f"input {name!r}: {len(data) - end} bytes after the last text, expected none"
        raise InvalidInput(msg)
    return texts
