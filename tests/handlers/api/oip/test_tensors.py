"""JSON tensors by themselves; test_inference.py and test_refusals.py send them to a model."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from handlers.api.oip.tensors import decode_tensor as decode_view
from handlers.api.oip.tensors import encode_tensor
from handlers.errors import InvalidInput
from handlers.registry.manifest import Datatype
from handlers.tasks import bfloat16
from handlers.tasks.datatypes import FLOATS, NUMPY_TYPES

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)  # JSON cannot hold half a surrogate pair
DATATYPES: list[Datatype] = list(NUMPY_TYPES)


def decode_tensor(name: str, datatype: Datatype, shape: Sequence[int], data: bytes) -> np.ndarray:
    return decode_view(name, datatype, shape, memoryview(data))


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Datatype, np.ndarray]:
    """Arrays of every datatype and of up to four axes, extremes and NaN among their elements, infinities not."""
    datatype = draw(st.sampled_from(DATATYPES))
    shape = draw(SHAPES)
    if datatype == "BYTES":
        texts = draw(st.lists(TEXT, min_size=math.prod(shape), max_size=math.prod(shape)))
        flat = np.empty(len(texts), dtype=object)
        flat[:] = texts
        return datatype, flat.reshape(shape)
    dtype = NUMPY_TYPES[datatype]
    if datatype == "BF16":
        bits = draw(arrays.arrays(np.uint16, shape))
        return datatype, np.nan_to_num(bfloat16.widen(bits), nan=np.nan, posinf=0, neginf=0)
    elements = arrays.from_dtype(dtype, allow_infinity=False)
    return datatype, draw(arrays.arrays(dtype, shape, elements=elements))


def extremes(datatype: Datatype) -> np.ndarray:
    dtype = NUMPY_TYPES[datatype]
    if datatype == "BF16":
        bits = [0x7F7F, 0xFF7F, 0x0080, 0x0001, 0x3C00, 0x8000, 0x7FC0]
        return bfloat16.widen(np.array(bits, np.uint16))
    if datatype in FLOATS:
        limits = np.finfo(dtype)
        values = [limits.max, limits.min, limits.tiny, limits.smallest_subnormal, limits.eps, -0.0, np.nan]
        return np.array(values, dtype)
    if datatype == "BYTES":
        return np.array(["", "\0", "\U0010ffff", '"\\\n', "[1]", "null", "x" * 10_000], dtype=object)
    if datatype == "BOOL":
        return np.array([True, False])
    return np.array([np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if expected.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        np.testing.assert_array_equal(found, expected)  # NaN equals NaN here
        np.testing.assert_array_equal(np.signbit(found[found == 0]), np.signbit(expected[expected == 0]))


@settings(max_examples=300, deadline=None)
@given(tensors())
@example(("FP32", np.zeros((2, 0, 3), np.float32)))
@example(("BYTES", np.empty((3, 0), dtype=object)))
@example(("FP64", np.array(1e308)))
def test_what_is_encoded_is_decoded_to_the_same_flat_and_nested(tensor: tuple[Datatype, np.ndarray]) -> None:
    datatype, array = tensor
    flat = msgspec.json.encode(encode_tensor(array))
    nested = msgspec.json.encode(array.tolist())

    assert_same(decode_tensor("x", datatype, array.shape, flat), array)
    assert_same(decode_tensor("x", datatype, array.shape, nested), array)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_extremes_survive(datatype: Datatype) -> None:
    array = extremes(datatype)

    text = msgspec.json.encode(encode_tensor(array))

    assert_same(decode_tensor("x", datatype, array.shape, text), array)


def test_nan_and_infinities_are_written_as_null() -> None:
    assert msgspec.json.encode(encode_tensor(np.array([[1, np.nan], [np.inf, -np.inf]]))) == b"[1.0,null,null,null]"


def test_data_is_row_major() -> None:
    array = np.array([[1, 2, 3], [4, 5, 6]], np.int8)

    assert encode_tensor(array.T) == [1, 4, 2, 5, 3, 6]
    assert decode_tensor("x", "INT8", [2, 3], b"[1,2,3,4,5,6]").tolist() == array.tolist()


def test_white_space_is_allowed_wherever_json_allows_it() -> None:
    assert decode_tensor("x", "INT8", [2, 1], b" \n[\t[ 1 ] ,\r[ 2 ]\n] ").tolist() == [[1], [2]]


@pytest.mark.parametrize("data", ["[1.5]", "[1.0]", "[1e2]", "[true]", "[null]", '["1"]', "[[]]", "[{}]"])
@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name.startswith(("INT", "UINT"))])
def test_only_integers_are_integers(datatype: Datatype, data: str) -> None:
    with pytest.raises(InvalidInput, match=r"^input 'x': data"):
        decode_tensor("x", datatype, [1], data.encode())


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name.startswith(("INT", "UINT"))])
def test_integers_out_of_range_are_refused(datatype: Datatype) -> None:
    limits = np.iinfo(NUMPY_TYPES[datatype])
    for value in (int(limits.min) - 1, int(limits.max) + 1, 2**64, -(2**64), 10**300):
        with pytest.raises(InvalidInput, match=rf"^input 'x': data.* {datatype}|of {datatype} "):
            decode_tensor("x", datatype, [1], f"[{value}]".encode())


@pytest.mark.parametrize(
    ("datatype", "data"),
    [("FP16", "65520"), ("FP16", "-1e5"), ("FP32", "3.5e38"), ("FP32", "-1e39"), ("FP64", "1e309"), ("FP64", "-1e999")],
)
def test_numbers_that_would_become_infinite_are_refused(datatype: Datatype, data: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^input 'x': .*{datatype}"):
        decode_tensor("x", datatype, [2], f"[0, {data}]".encode())


@pytest.mark.parametrize(("datatype", "data"), [("FP16", "65519"), ("FP32", "3.4028235e38"), ("FP64", "1.797e308")])
def test_the_largest_numbers_are_taken(datatype: Datatype, data: str) -> None:
    assert np.isfinite(decode_tensor("x", datatype, [1], f"[{data}]".encode()))


def test_null_is_nan_in_floating_tensors_only() -> None:
    for datatype in FLOATS:
        assert np.isnan(decode_tensor("x", datatype, [2], b"[null, 1]")).tolist() == [True, False]
    for datatype in NUMPY_TYPES.keys() - FLOATS:
        with pytest.raises(InvalidInput, match="got `null`"):
            decode_tensor("x", datatype, [1], b"[null]")


RAGGED = ("[[1],[2,3]]", "[[1,2],[3]]", "[[1],[]]", "[[],[1]]", "[[1,2]]", "[[1],[2],[3]]", "[[]]")


@pytest.mark.parametrize("data", RAGGED)
@pytest.mark.parametrize("shape", [(2, 1), (2, 3), (3, 2), (2, 2)])
@pytest.mark.parametrize("datatype", ["INT32", "FP32", "BYTES"])
def test_nested_data_that_is_not_of_its_shape_is_refused(datatype: Datatype, shape: Sequence[int], data: str) -> None:
    text = data.translate({ord(digit): f'"{digit}"' for digit in "123"}) if datatype == "BYTES" else data

    with pytest.raises(InvalidInput, match=r"^input 'x': data .*expected .*shape|expected \["):
        decode_tensor("x", datatype, shape, text.encode())


@pytest.mark.parametrize(
    ("shape", "data", "message"),
    [
        ([2], "[1]", "input 'x': 1 elements in data, expected 2 for shape [2]"),
        ([], "[1, 2]", "input 'x': 2 elements in data, expected 1 for shape []"),
        ([0], "[1]", "input 'x': 1 elements in data, expected 0 for shape [0]"),
        ([2, 2], "[[[1]]]", "input 'x': data nested 3 deep, expected 1 (flat) or 2 (as its shape)"),
        ([2, 2], "1", "input 'x': data nested 0 deep, expected 1 (flat) or 2 (as its shape)"),
        ([1], "[" * 50_000, "input 'x': data nested more than 32 deep, expected 1 (flat) or 1 (as its shape)"),
        (
            [2**33, 2**33],
            "[1]",
            "input 'x': 1 elements in data, expected 73786976294838206464 for shape [8589934592, 8589934592]",
        ),
    ],
)
def test_refusals_say_what_was_found_and_expected(shape: list[int], data: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decode_tensor("x", "FP32", shape, data.encode())

    assert str(refusal.value) == message


@pytest.mark.parametrize("shape", [[2**62, 0], [0, 2**63], [2**70, 0], [10**400, 0]])
def test_an_empty_tensor_with_an_axis_that_no_array_can_have_is_refused(shape: list[int]) -> None:
    with pytest.raises(InvalidInput, match=r"^input 'x': shape .*expected one that an array can have"):
        decode_tensor("x", "FP32", shape, b"[]")


@pytest.mark.parametrize(
    "data", [b'["\xff"]', b'["\xc3"]', b'["\\ud800"]', b'["\\x"]', b'["a]', b"[NaN]", b"[1,]", b""]
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^input 'x': data"):
        decode_tensor("x", "BYTES", [1], data)


def test_text_is_taken_as_it_is() -> None:
    values: list[Any] = ["", "\0", "[1]", "null", "é", "e\u0301", "\U0001f600"]

    decoded = decode_tensor("x", "BYTES", [7], msgspec.json.encode(values))

    assert decoded.tolist() == values
