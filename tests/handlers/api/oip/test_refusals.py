"""Bad input: a status of 4xx, a message that names what was found and what was expected, and a service that goes on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from handlers.tasks.datatypes import FLOATS
from tests.handlers.api.gateway import Gateway, infer_body, tensor

X = tensor("x", "FP32", [1, 3], [0, 1, 2])
A = tensor("a", "FP32", [1, 2], [3, 4])
B = tensor("b", "FP32", [1, 2], [1, 1])
FLAT_OR_NESTED = "expected 1 (flat) or 2 (as its shape)"


@pytest.fixture(autouse=True)
def _goes_on(gateway: Gateway) -> Iterator[None]:
    before = gateway.infer("affine", infer_body(X))
    yield
    after = gateway.infer("affine", infer_body(X))
    assert before.status == after.status == 200
    assert before.body == after.body


def nested(depth: int) -> Any:  # noqa: ANN401 - no type says how deep
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def x(**members: object) -> dict[str, Any]:
    """A right body, but for these members of its tensor."""
    return infer_body(X | members)


def identity(datatype: str, data: object, shape: tuple[int, ...] = (1, 1)) -> tuple[str, dict[str, Any]]:
    return f"identity-{datatype.lower()}", infer_body(tensor("x", datatype, shape, data))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(x(name="y"), "inputs: 'y', expected each once of: x", id="another name"),
        pytest.param(infer_body(X, X), "inputs: 'x', 'x', expected each once of: x", id="twice"),
        pytest.param(infer_body(*[X] * 1000), "inputs: " + "'x', " * 10 + "..., expected each once of: x", id="many"),
        pytest.param(infer_body(), "inputs: none, expected each once of: x", id="none"),
        pytest.param(x(datatype="FP64"), "input 'x': datatype 'FP64', expected 'FP32'", id="another datatype"),
        pytest.param(x(datatype="fp32"), "input 'x': datatype 'fp32', expected 'FP32'", id="lower case"),
        pytest.param(x(datatype="BF16"), "input 'x': datatype 'BF16', expected 'FP32'", id="BF16"),
        pytest.param(
            x(shape=[1, 2]), "input 'x': shape [1, 2], expected [-1, 3] where -1 is any length", id="another shape"
        ),
        pytest.param(x(shape=[3]), "input 'x': shape [3], expected [-1, 3] where -1 is any length", id="fewer axes"),
        pytest.param(x(shape=[]), "input 'x': shape [], expected [-1, 3] where -1 is any length", id="no axes"),
        pytest.param(
            x(shape=[1, 3, 1]), "input 'x': shape [1, 3, 1], expected [-1, 3] where -1 is any length", id="more axes"
        ),
        pytest.param(
            x(shape=[2, 3]), "input 'x': 3 elements in data, expected 6 for shape [2, 3]", id="too few elements"
        ),
        pytest.param(
            x(data=[1, 2, 3, 4]), "input 'x': 4 elements in data, expected 3 for shape [1, 3]", id="too many elements"
        ),
        pytest.param(x(data=[]), "input 'x': 0 elements in data, expected 3 for shape [1, 3]", id="no elements"),
        pytest.param(
            x(shape=[0, 3]), "input 'x': 3 elements in data, expected 0 for shape [0, 3]", id="elements of nothing"
        ),
        pytest.param(x(data=[[1, 2], [3]]), "input 'x': data cannot be an array of FP32 (", id="ragged"),
        pytest.param(x(data=[[1], [2], [3]]), "input 'x': data of shape [3, 1], expected [1, 3]", id="transposed"),
        pytest.param(x(data=5), f"input 'x': data nested 0 deep, {FLAT_OR_NESTED}", id="no array"),
        pytest.param(x(data=None), f"input 'x': data nested 0 deep, {FLAT_OR_NESTED}", id="null data"),
        pytest.param(x(data={"0": 1}), f"input 'x': data nested 0 deep, {FLAT_OR_NESTED}", id="data in an object"),
        pytest.param(x(data=nested(30)), f"input 'x': data nested 30 deep, {FLAT_OR_NESTED}", id="30 levels in data"),
        pytest.param(x(data=[1, 2, nested(30)]), "input 'x': data: Expected `float | null`", id="30 levels later on"),
        pytest.param(x(shape=nested(30)), "body: Expected `int`, got `array` - at `$.inputs[0].shape", id="in shape"),
        pytest.param(x(name=nested(30)), "body: Expected `str`, got `array` - at `$.inputs[0].name", id="in a name"),
        pytest.param(x(parameters={"a": nested(30)}), "body: Expected `bool | int | float | str`", id="in parameters"),
        pytest.param({**x(), "id": nested(30)}, "body: Expected `str | null`, got `array` - at `$.id`", id="in id"),
        pytest.param({**x(), "outputs": nested(30)}, "body: Expected `object`, got `array`", id="in outputs"),
        pytest.param({"inputs": nested(30)}, "body: Expected `object`, got `array`", id="in inputs"),
        pytest.param(nested(30), "body: Expected `object`, got `array`", id="in the body"),
        pytest.param(x(shape=[-1, 3]), "body: Expected `int` >= 0 - at `$.inputs[0].shape", id="negative axis"),
        pytest.param(x(shape=[-(2**70), 3]), "body: Expected `int` >= 0", id="very negative axis"),
        pytest.param(x(shape=[1.0, 3]), "body: Expected `int`, got `float`", id="axis no integer"),
        pytest.param(x(shape=[True, 3]), "body: Expected `int`, got `bool`", id="axis a bool"),
        pytest.param(x(shape=[10**9, 3]), "input 'x': 3 elements in data, expected 3000000000 for", id="huge"),
        pytest.param(x(shape=[2**63 - 1, 3]), "input 'x': 3 elements in data, expected 27670116110564", id="product"),
        pytest.param(x(shape=[2**63, 3]), "body: Expected `int` <= 9223372036854775807", id="overflow"),
        pytest.param(x(shape=[10**4000, 3]), "body: Expected `int` <= 9223372036854775807", id="4001 digits"),
        pytest.param(x(shape=[1, 3] * 100_000), "input 'x': shape [1, 3, 1, ", id="200000 axes"),
        pytest.param({"id": "1"}, "body: Object missing required field `inputs`", id="no inputs"),
        pytest.param({"inputs": None}, "body: Expected `array`, got `null` - at `$.inputs`", id="inputs null"),
        pytest.param({"inputs": [{}]}, "body: Object missing required field `name` - at `$.inputs[0]`", id="empty"),
        pytest.param({**x(), "id": 5}, "body: Expected `str | null`, got `int` - at `$.id`", id="id a number"),
        pytest.param({**x(), "outputs": [{"name": 1}]}, "body: Expected `str`, got `int`", id="output a number"),
    ],
)
def test_a_body_that_the_model_cannot_take_is_refused(gateway: Gateway, body: object, error: str) -> None:
    answer = gateway.infer("affine", body)

    assert answer.status == 400
    assert answer.body["error"].startswith(error)
    assert "expected" in answer.body["error"]
    assert len(answer.body["error"]) < 500


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b"", "body: Input data was truncated", id="empty"),
        pytest.param(b"x=1&y=2", "body: JSON is malformed", id="a form"),
        pytest.param(b'"text"', "body: Expected `object`, got `str`", id="text"),
        pytest.param(json.dumps(x()).encode()[:-1], "body: Input data was truncated", id="cut short"),
        pytest.param(json.dumps(x()).encode() + b"]", "body: JSON is malformed", id="too long"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(x()).encode(), "body: JSON is malformed", id="byte order mark"),
        pytest.param(json.dumps(x()).encode("utf-16"), "body: JSON is malformed", id="UTF-16"),
        pytest.param(b"\xff\xfe\xfd", "body: JSON is malformed", id="no text"),
        pytest.param(b'{"inputs":[],"id":"\xff"}', "body: 'utf-8' codec can't decode byte 0xff", id="Latin-1"),
        pytest.param(b'{"inputs":[],"id":"\\ud800"}', "body: ", id="half a surrogate pair"),
        pytest.param(b"[" * 100_000, "body: Expected `object`, got `array`", id="100000 levels"),
        pytest.param(b'{"a":' * 100_000, "body: nested too deep", id="100000 objects"),
        pytest.param(b'{"inputs":[],"a":' + b"[" * 100_000, "body: nested too deep", id="100000 levels unknown"),
        pytest.param(
            json.dumps(x(data=0)).encode().replace(b"0}", b"[" * 100_000 + b"]" * 100_000 + b"}"),
            "body: nested too deep",
            id="100000 levels in data",
        ),
        pytest.param(
            json.dumps(x(data=0)).encode().replace(b"0}", b"[" * 300 + b"]" * 300 + b"}"),
            f"input 'x': data nested more than 32 deep, {FLAT_OR_NESTED}",
            id="300 levels in data",
        ),
        pytest.param(json.dumps(x(data=[float("nan")] * 3)).encode(), "body: JSON is malformed", id="NaN"),
        pytest.param(json.dumps(x(data=[float("inf")] * 3)).encode(), "body: JSON is malformed", id="Infinity"),
        pytest.param(
            json.dumps(x(shape=[0])).encode().replace(b"[0]", b"[" + b"9" * 5000 + b"]"),
            "body: Integer value out of range",
            id="5000 digits",
        ),
    ],
)
def test_a_body_that_is_no_json_is_refused(gateway: Gateway, body: bytes, error: str) -> None:
    answer = gateway.infer("affine", body)

    assert answer.status == 400
    assert answer.body["error"].startswith(error)
    assert answer.body["error"].endswith(("expected an inference request in JSON", FLAT_OR_NESTED))


@pytest.mark.parametrize(
    ("datatype", "data", "error"),
    [
        ("INT32", [1.5], "Expected `int`, got `float` - at `$[0]`, expected INT32 elements"),
        ("INT64", [1.0], "Expected `int`, got `float` - at `$[0]`, expected INT64 elements"),
        ("INT8", [128], "Expected `int` <= 127 - at `$[0]`, expected INT8 elements"),
        ("UINT8", [-1], "Expected `int` >= 0 - at `$[0]`, expected UINT8 elements"),
        ("INT64", [2**63], "data cannot be an array of INT64"),
        ("UINT64", [2**64], "data cannot be an array of UINT64"),
        ("INT32", [True], "Expected `int`, got `bool` - at `$[0]`, expected INT32 elements"),
        ("FP32", [True], "Expected `float | null`, got `bool` - at `$[0]`, expected FP32 elements"),
        ("BOOL", [1], "Expected `bool`, got `int` - at `$[0]`, expected BOOL elements"),
        ("INT32", [None], "Expected `int`, got `null` - at `$[0]`, expected INT32 elements"),
        ("BYTES", [None], "Expected `str`, got `null` - at `$[0]`, expected BYTES elements"),
        ("BYTES", [1], "Expected `str`, got `int` - at `$[0]`, expected BYTES elements"),
        ("FP32", ["1"], "Expected `float | null`, got `str` - at `$[0]`, expected FP32 elements"),
        ("FP16", [70000], "a number beyond FP16, expected at most 65504.0"),
        ("BF16", [3.4e38], "a number beyond BF16, expected at most 3.3895313892515355e+38"),
        ("FP32", [1e39], "a number beyond FP32, expected at most 3.4028234663852886e+38"),
        ("FP64", [10**400], "Number out of range - at `$[0]`, expected FP64 elements"),
    ],
)
def test_an_element_that_the_datatype_cannot_hold_is_refused(
    gateway: Gateway, datatype: str, data: list[object], error: str
) -> None:
    answer = gateway.infer(*identity(datatype, data))

    assert answer.status == 400
    assert answer.body["error"].startswith("input 'x': ")
    assert error in answer.body["error"]


def test_null_is_nan_where_the_datatype_has_it(gateway: Gateway) -> None:
    for datatype in FLOATS:
        answer = gateway.infer(*identity(datatype, [None]))

        assert (answer.status, answer.body["outputs"][0]["data"]) == (200, [None])


def test_ragged_text_is_refused_and_not_taken_for_lists(gateway: Gateway) -> None:
    for shape in ((2, 1), (2, 3)):
        answer = gateway.infer(*identity("BYTES", [["a"], ["b", "c"]], shape))

        assert answer.status == 400
        assert answer.body["error"] == f"input 'x': data of shape [2], expected {list(shape)}"


def test_an_empty_tensor_with_an_impossible_axis_is_refused(gateway: Gateway) -> None:
    for shape in ((2**62, 0), (0, 2**63 - 1)):
        answer = gateway.infer(*identity("FP32", [], shape))

        assert answer.status == 400
        assert answer.body["error"].startswith(f"input 'x': shape {list(shape)} (")


@pytest.mark.parametrize("inputs", [[A], [A, A], [A, B, X], [B, X]])
def test_inputs_other_than_the_models_are_refused(gateway: Gateway, inputs: list[dict[str, Any]]) -> None:
    answer = gateway.infer("pair", infer_body(*inputs))

    found = ", ".join(repr(given["name"]) for given in inputs)
    assert answer.status == 400
    assert answer.body["error"] == f"inputs: {found}, expected each once of: a, b"


@pytest.mark.parametrize("index", [3, -4, 2**40, -(2**63), 2**63 - 1])
def test_an_index_outside_the_models_table_is_refused(gateway: Gateway, index: int) -> None:
    answer = gateway.infer("gather", infer_body(tensor("index", "INT64", [1], [index])))

    assert answer.status == 400
    assert answer.body["error"].startswith("inputs: the model cannot be run on them: ")
    assert "within the inclusive range [-3,2]" in answer.body["error"]


def test_axes_that_do_not_fit_each_other_are_refused(gateway: Gateway) -> None:
    three = tensor("a", "FP32", [3, 2], [0] * 6)
    two = tensor("b", "FP32", [2, 2], [0] * 4)

    answer = gateway.infer("pair", infer_body(three, two))

    assert answer.status == 400
    assert answer.body["error"].startswith("inputs: the model cannot be run on them: ")


def test_long_names_are_quoted_only_in_part(gateway: Gateway) -> None:
    answer = gateway.infer("affine", x(name="n" * 100_000, datatype="d" * 100_000))

    assert answer.status == 400
    assert len(answer.body["error"]) < 500
