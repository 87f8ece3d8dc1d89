"""Binary tensors by themselves; test_binary_requests.py sends them to a model."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.api.oip.binary import decode_binary, encode_binary
from handlers.errors import InvalidInput
from handlers.registry.manifest import Datatype
from handlers.tasks import bfloat16
from handlers.tasks.datatypes import FLOATS, NUMPY_TYPES
from tests.handlers.api.oip.test_tensors import DATATYPES, assert_same, extremes, tensors

GOLDEN: dict[Datatype, tuple[list[Any], bytes]] = {
    "BOOL": ([True, False], b"\1\0"),
    "UINT8": ([1, 255], b"\x01\xff"),
    "UINT16": ([1, 65535], b"\1\0\xff\xff"),
    "UINT32": ([1, 2**32 - 1], b"\1\0\0\0\xff\xff\xff\xff"),
    "UINT64": ([1, 2**64 - 1], b"\1\0\0\0\0\0\0\0" + b"\xff" * 8),
    "INT8": ([1, -2], b"\x01\xfe"),
    "INT16": ([1, -2], b"\1\0\xfe\xff"),
    "INT32": ([1, -2], b"\1\0\0\0\xfe\xff\xff\xff"),
    "INT64": ([1, -2], b"\1\0\0\0\0\0\0\0\xfe" + b"\xff" * 7),
    "FP16": ([1, -2], b"\x00\x3c\x00\xc0"),
    "BF16": ([1, -2], b"\x80\x3f\x00\xc0"),
    "FP32": ([1, -2], b"\0\0\x80\x3f\0\0\0\xc0"),
    "FP64": ([1, -2], b"\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\xc0"),
    "BYTES": (["ä", ""], b"\2\0\0\0\xc3\xa4\0\0\0\0"),
}


def decode(datatype: Datatype, shape: list[int], data: bytes) -> np.ndarray:
    return decode_binary("x", datatype, shape, memoryview(data))


@settings(max_examples=300, deadline=None)
@given(tensors())
def test_what_is_encoded_is_decoded_to_the_same(given_: tuple[Datatype, np.ndarray]) -> None:
    datatype, array = given_

    data = encode_binary(array, datatype)

    assert_same(decode(datatype, list(array.shape), bytes(data)), array)
    assert_same(decode(datatype, list(array.T.shape), bytes(encode_binary(array.T, datatype))), array.T)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_the_bytes_are_those_of_the_specification(datatype: Datatype) -> None:
    values, data = GOLDEN[datatype]

    assert decode(datatype, [2], data).tolist() == values
    assert bytes(encode_binary(np.array(values, NUMPY_TYPES[datatype]), datatype)) == data


@pytest.mark.parametrize("datatype", DATATYPES)
def test_extremes_survive(datatype: Datatype) -> None:
    array = extremes(datatype)

    assert_same(decode(datatype, list(array.shape), bytes(encode_binary(array, datatype))), array)


@pytest.mark.parametrize("datatype", sorted(FLOATS))
def test_infinities_and_nan_are_numbers_like_others(datatype: Datatype) -> None:
    array = np.array([np.inf, -np.inf, np.nan], NUMPY_TYPES[datatype])

    assert_same(decode(datatype, [3], bytes(encode_binary(array, datatype))), array)


def test_a_tensor_is_a_view_of_the_body_and_only_one_that_lies_askew_is_copied() -> None:
    body = np.zeros(17, np.uint8)
    aligned, askew = body.data[:16], body.data[1:]

    assert np.shares_memory(decode_binary("x", "FP32", [2, 2], aligned), body)
    copied = decode_binary("x", "FP32", [2, 2], askew)
    assert copied.flags.aligned
    assert not np.shares_memory(copied, body)


def test_an_array_is_sent_from_where_it_lies() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)

    assert np.shares_memory(np.frombuffer(encode_binary(array, "FP32"), np.uint8), array)


def test_every_bf16_is_a_float32_and_comes_back() -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    wide = bfloat16.widen(bits)
    nan = np.isnan(wide)

    assert np.array_equal(bfloat16.narrow(wide)[~nan], bits[~nan])
    assert np.isnan(bfloat16.widen(bfloat16.narrow(wide)))[nan].all()


def test_float32_is_rounded_to_bf16_as_ml_dtypes_rounds() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)
    halves = (np.arange(2**16, dtype=np.uint32) << 16) | 0x8000  # each just between two
    array = np.concatenate([bits, halves, halves - 1, halves + 1]).view(np.float32)
    array = array[~np.isnan(array)]

    assert np.array_equal(bfloat16.narrow(array), array.astype(ml_dtypes.bfloat16).view(np.uint16))
    assert float(ml_dtypes.finfo(ml_dtypes.bfloat16).max) == bfloat16.LARGEST


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "error"),
    [
        ("FP32", [2], b"\0" * 7, "7 bytes of data, expected 8 for FP32 of shape [2]"),
        ("FP32", [2], b"\0" * 9, "9 bytes of data, expected 8 for FP32 of shape [2]"),
        ("FP32", [], b"", "0 bytes of data, expected 4 for FP32 of shape []"),
        ("FP32", [2**62, 4], b"\0" * 16, "16 bytes of data, expected 73786976294838206464 for FP32"),
        ("FP32", [2**62, 0], b"", "shape [4611686018427387904, 0] ("),
        ("BOOL", [2], b"\1\2", "a byte above 1 in data, expected 0 or 1 as elements of BOOL"),
        ("BYTES", [1], b"", "0 bytes of data, expected at least 4 for 1 texts"),
        ("BYTES", [2**62], b"\0" * 8, "8 bytes of data, expected at least 18446744073709551616 for"),
        ("BYTES", [1], b"\1\0\0\0", "text 0 of 1 bytes, expected at most 0, which are left"),
        ("BYTES", [1], b"\xff\xff\xff\xffa", "text 0 of 4294967295 bytes, expected at most 1, which are left"),
        ("BYTES", [2], b"\1\0\0\0a\0\0\0", "data ends before text 1, expected 2 texts"),
        ("BYTES", [1], b"\1\0\0\0ab", "1 bytes after the last text, expected none"),
        ("BYTES", [0], b"a", "1 bytes after the last text, expected none"),
        ("BYTES", [1], b"\2\0\0\0a\xff", "text 0: invalid start byte at byte 1, expected UTF-8"),
        ("BYTES", [1], b"\3\0\0\0\xed\xa0\x80", "text 0: invalid continuation byte at byte 0, expected UTF-8"),
    ],
)
def test_bytes_that_are_not_such_a_tensor_are_refused(
    datatype: Datatype, shape: list[int], data: bytes, error: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decode(datatype, shape, data)

    assert str(refusal.value).startswith(f"input 'x': {error}")
    assert "expected" in str(refusal.value)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(DATATYPES), st.lists(st.integers(0, 3) | st.integers(0, 2**63 - 1), max_size=5), st.binary())
def test_any_bytes_are_a_tensor_of_that_shape_or_refused(datatype: Datatype, shape: list[int], data: bytes) -> None:
    try:
        array = decode(datatype, shape, data)
    except InvalidInput:
        return
    assert array.shape == tuple(shape)
    assert array.dtype == NUMPY_TYPES[datatype]
    assert math.prod(shape) <= len(data)


def test_lengths_of_texts_are_unsigned() -> None:
    data = struct.pack("<I", 2**31) + b"a"

    with pytest.raises(InvalidInput, match="text 0 of 2147483648 bytes"):
        decode("BYTES", [1], data)
