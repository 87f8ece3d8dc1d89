"""Binary tensors, sent to a model through Mangum and back, base64 both ways."""

import numpy as np
import pytest

from handlers.registry.manifest import Datatype
from tests.handlers.api.gateway import Gateway, binary_tensor, infer_body, tensor
from tests.handlers.api.oip.test_binary import GOLDEN
from tests.handlers.api.oip.test_tensors import DATATYPES

BINARY = {"binary_data_output": True}
AFFINE = binary_tensor("x", "FP32", [1, 3], 12)
ROW = np.array([0, 1, 2], np.float32).tobytes()
X = tensor("x", "FP32", [1, 3], [0, 1, 2])
ALONE = "body: tensor data alone (Inference-Header-Content-Length: 0), expected a model of one input with at most one"
SIZE = "input 'x': parameters: "


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_goes_to_a_model_and_back(gateway: Gateway, datatype: Datatype) -> None:
    _, data = GOLDEN[datatype]
    header = infer_body(binary_tensor("x", datatype, [2, 1], len(data)), id="7", parameters=BINARY)

    answer = gateway.infer_binary(f"identity-{datatype.lower()}", header, data)

    size = {"binary_data_size": len(data)}
    assert answer.body == {
        "model_name": f"identity-{datatype.lower()}",
        "model_version": "1",
        "outputs": [{"name": "y", "shape": [2, 1], "datatype": datatype, "parameters": size}],
        "id": "7",
    }
    assert answer.tensors == data


@pytest.mark.parametrize("datatype", DATATYPES)
@pytest.mark.parametrize("shape", [(0, 2), (2, 0)])
def test_empty_tensors_are_tensors(gateway: Gateway, datatype: Datatype, shape: tuple[int, int]) -> None:
    header = infer_body(binary_tensor("x", datatype, shape, 0), parameters=BINARY)

    answer = gateway.infer_binary(f"identity-{datatype.lower()}", header)

    assert answer.status == 200
    assert answer.body["outputs"][0]["shape"] == list(shape)
    assert (answer.body["outputs"][0]["parameters"], answer.tensors) == ({"binary_data_size": 0}, b"")


def test_a_tensor_at_any_offset_is_read_right(gateway: Gateway) -> None:
    for spaces in range(8):
        header = str(infer_body(AFFINE)).replace("'", '"').encode() + b" " * spaces

        assert gateway.infer_binary("affine", header, ROW).body["outputs"][0]["data"] == [1, 3, 5]


def test_tensors_in_json_and_in_binary_go_together_both_ways(gateway: Gateway) -> None:
    a, b = np.array([3, 4], np.float32), np.array([1, 1], np.float32)
    in_json, in_binary = tensor("a", "FP32", [1, 2], [3, 4]), binary_tensor("b", "FP32", [1, 2], 8)
    outputs = [{"name": "difference", "parameters": {"binary_data": True}}, {"name": "sum"}]

    answer = gateway.infer_binary("pair", infer_body(in_json, in_binary, outputs=outputs), b.tobytes())

    assert answer.body["outputs"] == [
        {"name": "difference", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
        {"name": "sum", "shape": [1, 2], "datatype": "FP32", "data": [4, 5]},
    ]
    assert answer.tensors == (a - b).tobytes()


def test_binary_data_lies_in_the_order_of_the_tensors(gateway: Gateway) -> None:
    a, b = np.array([3, 4], np.float32), np.array([1, 1], np.float32)
    header = infer_body(
        binary_tensor("b", "FP32", [1, 2], 8),
        binary_tensor("a", "FP32", [1, 2], 8),
        outputs=[{"name": "difference"}, {"name": "sum"}],
        parameters=BINARY,
    )

    answer = gateway.infer_binary("pair", header, b.tobytes(), a.tobytes())

    assert answer.tensors == (a - b).tobytes() + (a + b).tobytes()


@pytest.mark.parametrize(
    ("of_all", "of_this", "binary"),
    [
        ({"binary_data_output": True}, {"binary_data": False}, False),
        ({"binary_data_output": False}, {"binary_data": True}, True),
        ({"binary_data_output": True}, {}, True),
        ({}, {"binary_data": True}, True),
        ({}, {}, False),
    ],
)
def test_what_one_output_says_comes_before_what_the_request_says(
    gateway: Gateway, of_all: dict[str, bool], of_this: dict[str, bool], *, binary: bool
) -> None:
    answer = gateway.infer("affine", infer_body(X, parameters=of_all, outputs=[{"name": "y", "parameters": of_this}]))

    assert answer.status == 200
    assert ("data" in answer.body["outputs"][0]) is not binary
    assert (answer.tensors == np.array([1, 3, 5], np.float32).tobytes()) is binary


def test_json_alone_may_say_how_long_it_is(gateway: Gateway) -> None:
    assert gateway.infer_binary("affine", infer_body(X)).body["outputs"][0]["data"] == [1, 3, 5]


def test_a_raw_request_is_the_only_input_and_is_answered_in_binary(gateway: Gateway) -> None:
    answer = gateway.infer_binary("affine", b"", ROW * 2)

    assert answer.body["outputs"] == [
        {"name": "y", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}}
    ]
    assert answer.tensors == np.array([1, 3, 5] * 2, np.float32).tobytes()


def test_a_raw_request_may_hold_one_scalar_or_nothing_or_one_text(gateway: Gateway) -> None:
    assert gateway.infer_binary("scalar", b"", b"\0\0\x80\x3f").tensors == b"\0\0\x80\x3f"
    assert gateway.infer_binary("affine", b"").body["outputs"][0]["shape"] == [0, 3]
    text = gateway.infer_binary("identity-bytes", b"", "ä\0".encode())
    assert (text.body["outputs"][0]["shape"], text.tensors) == ([1, 1], b"\3\0\0\0\xc3\xa4\0")


@pytest.mark.parametrize(
    ("model", "body", "error"),
    [
        ("affine", b"\0" * 13, "input 'x': 13 bytes of data, expected 12 for FP32 of shape [1, 3]"),
        ("scalar", b"\0" * 8, "input 'x': 8 bytes of data, expected 4 for FP32 of shape []"),
        ("pair", b"\0" * 16, ALONE),
        ("identity-fp32", b"\0" * 4, ALONE),
        ("identity-bytes", b"\xff", "input 'x': text 0: invalid start byte at byte 0, expected UTF-8"),
    ],
)
def test_a_raw_request_that_is_not_the_input_is_refused(gateway: Gateway, model: str, body: bytes, error: str) -> None:
    answer = gateway.infer_binary(model, b"", body)

    assert answer.status == 400
    assert answer.body["error"].startswith(error)


@pytest.mark.parametrize(
    ("header", "tensors", "error"),
    [
        (infer_body(AFFINE), ROW[:-1], "input 'x': binary_data_size 12, expected at most 11, which are left of the"),
        (infer_body(AFFINE), ROW + b"\0", "body: 1 bytes after the last binary tensor, expected none"),
        (infer_body(X), ROW, "body: 12 bytes after the last binary tensor, expected none"),
        (
            infer_body({**X, **AFFINE}),
            ROW,
            "input 'x': `data` and binary_data_size, expected either ",
        ),
        (
            infer_body({**AFFINE, "parameters": {}}),
            ROW,
            "input 'x': neither, expected either `data` or one ",
        ),
        (infer_body(binary_tensor("x", "FP32", [1, 3], -1)), ROW, SIZE + "Expected `int` >= 0 - at `$.binary_data_si"),
        (infer_body(binary_tensor("x", "FP32", [1, 3], 12.5)), ROW, SIZE + "Expected `int | null`, got `float`"),
        (infer_body(binary_tensor("x", "FP32", [1, 3], "12")), ROW, SIZE + "Expected `int | null`, got `str`"),
        (infer_body(binary_tensor("x", "FP32", [1, 3], size=True)), ROW, SIZE + "Expected `int | null`, got `bool`"),
        (infer_body(binary_tensor("x", "FP32", [1, 3], 2**63)), ROW, "input 'x': binary_data_size 9223372036854775808"),
        (infer_body(binary_tensor("x", "FP32", [1, 3], 8)), ROW[:8], "input 'x': 8 bytes of data, expected 12 for"),
        (infer_body(binary_tensor("x", "FP64", [1, 3], 24)), ROW * 2, "input 'x': datatype 'FP64', expected 'FP32'"),
        (
            infer_body(binary_tensor("x", "FP32", [3], 12)),
            ROW,
            "input 'x': shape [3], expected [-1, 3] where -1 is any",
        ),
        (infer_body(AFFINE, AFFINE), ROW * 2, "inputs: 'x', 'x', expected each once of: x"),
        (infer_body(AFFINE, parameters={"binary_data_output": 1}), ROW, "request: parameters: Expected `bool`, got `i"),
        (infer_body(AFFINE, parameters={"timeout": -1}), ROW, "request: parameters: Expected `int` >= 0 - at `$.timeo"),
        (infer_body(AFFINE, parameters={"timeout": "1s"}), ROW, "request: parameters: Expected `int`, got `str`"),
        (
            infer_body(AFFINE, outputs=[{"name": "y", "parameters": {"binary_data": "y"}}]),
            ROW,
            "output 'y': parameters",
        ),
        (b"\xff", ROW, "body: JSON is malformed"),
        (b"{", ROW, "body: Input data was truncated"),
        (b"[" * 100_000, ROW, "body: Expected `object`, got `array`"),
        (b'{"inputs":[],"a":' + b"[" * 100_000, ROW, "body: nested too deep, expected an inference request in JSON"),
    ],
)
def test_a_body_that_contradicts_itself_is_refused(
    gateway: Gateway, header: object, tensors: bytes, error: str
) -> None:
    answer = gateway.infer_binary("affine", header, tensors)

    assert answer.status == 400
    assert answer.body["error"].startswith(error)
    assert "expected" in answer.body["error"]
    assert len(answer.body["error"]) < 500


@pytest.mark.parametrize("length", ["-1", "1e3", "", "0x10", " ", "²", "9" * 19, "9" * 5000, "12, 12"])
def test_a_length_of_the_json_that_is_no_number_is_refused(gateway: Gateway, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}

    answer = gateway.send("POST", "/v2/models/affine/infer", infer_body(X), headers=headers)

    assert answer.status == 400
    assert answer.body["error"].startswith("Inference-Header-Content-Length: ")
    assert len(answer.body["error"]) < 200


def test_a_length_beyond_the_body_and_binary_data_without_one_are_refused(gateway: Gateway) -> None:
    headers = {"Inference-Header-Content-Length": "999"}
    beyond = gateway.send("POST", "/v2/models/affine/infer", infer_body(X), headers=headers)
    without = gateway.infer("affine", infer_body(AFFINE))

    assert (beyond.status, without.status) == (400, 400)
    assert beyond.body["error"].startswith("Inference-Header-Content-Length: 999, expected at most the body's ")
    assert without.body["error"].startswith("input 'x': binary data, expected the header Inference-Header-Content-Len")


def test_shared_memory_is_not_supported_and_the_answer_says_so(gateway: Gateway) -> None:
    region = {"shared_memory_region": "r", "shared_memory_byte_size": 12}
    given = gateway.infer("affine", infer_body({**AFFINE, "parameters": region}))
    wanted = gateway.infer("affine", infer_body(X, outputs=[{"name": "y", "parameters": region}]))

    assert (given.status, wanted.status) == (501, 501)
    assert given.body["error"].startswith("input 'x': shared_memory_region, expected the tensor in the body")
