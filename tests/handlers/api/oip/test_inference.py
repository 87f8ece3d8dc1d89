from typing import Any

import numpy as np
import pytest

from handlers.registry.manifest import Datatype
from handlers.tasks.datatypes import FLOATS, NUMPY_TYPES
from tests.handlers.api.gateway import Gateway, infer_body, tensor

INT_RANGES = {
    name: [int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)]
    for name, dtype in NUMPY_TYPES.items()
    if dtype.kind in "iu"
}
VALUES: dict[str, list[Any]] = {name: [*limits, 0, 1] for name, limits in INT_RANGES.items()} | {
    "BOOL": [True, False, False, True],
    "FP16": [65504, -65504, 5.960464477539063e-08, 0.333251953125],
    "BF16": [3.3895313892515355e38, -9.183549615799121e-41, 0.10009765625, None],
    "FP32": [3.4028234663852886e38, -1.401298464324817e-45, 0.10000000149011612, None],
    "FP64": [1.7976931348623157e308, -5e-324, 0.1, None],
    "BYTES": ["", "a\0b", "\U0001f600 ä", '["x"]'],
}
A = tensor("a", "FP32", [1, 2], [3, 4])
B = tensor("b", "FP32", [1, 2], [1, 1])
SUM = {"name": "sum", "shape": [1, 2], "datatype": "FP32", "data": [4, 5]}
DIFFERENCE = {"name": "difference", "shape": [1, 2], "datatype": "FP32", "data": [2, 3]}


@pytest.mark.parametrize("layout", ["flat", "nested"])
@pytest.mark.parametrize("datatype", NUMPY_TYPES)
def test_values_of_every_datatype_come_back_as_they_were_sent(
    gateway: Gateway, datatype: Datatype, layout: str
) -> None:
    values = VALUES[datatype]
    data = [values[:2], values[2:]] if layout == "nested" else values

    answer = gateway.infer(f"identity-{datatype.lower()}", infer_body(tensor("x", datatype, [2, 2], data)))

    assert answer.status == 200
    [output] = answer.body["outputs"]
    assert output == {"name": "y", "shape": [2, 2], "datatype": datatype, "data": values}
    assert [type(value) for value in output["data"]] == [
        float if datatype in FLOATS and value is not None else type(value) for value in values
    ]


@pytest.mark.parametrize("datatype", NUMPY_TYPES)
@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (0, 0)])
def test_empty_tensors_are_tensors(gateway: Gateway, datatype: Datatype, shape: tuple[int, int]) -> None:
    for data in (list[object](), [list[object]()] * shape[0]):
        answer = gateway.infer(f"identity-{datatype.lower()}", infer_body(tensor("x", datatype, shape, data)))

        assert answer.status == 200
        assert answer.body["outputs"] == [{"name": "y", "shape": list(shape), "datatype": datatype, "data": []}]


@pytest.mark.parametrize("data", [5, [5]])
def test_a_scalar_is_a_tensor(gateway: Gateway, data: object) -> None:
    answer = gateway.infer("scalar", infer_body(tensor("x", "FP32", [], data)))

    assert answer.body["outputs"] == [{"name": "y", "shape": [], "datatype": "FP32", "data": [5]}]


def test_data_is_row_major_flat_or_nested(gateway: Gateway) -> None:
    flat = tensor("x", "FP32", [2, 2, 3], list(range(12)))
    nested = tensor("x", "FP32", [2, 2, 3], np.arange(12).reshape(2, 2, 3).tolist())

    answers = [gateway.infer("cube", infer_body(given)) for given in (flat, nested)]

    assert answers[0].status == 200
    assert answers[0].body["outputs"][0]["data"] == list(range(12))
    assert answers[1].body == answers[0].body


@pytest.mark.parametrize("identifier", ["42", "", "ä\0\n\"'", "x" * 10_000])
def test_an_id_is_echoed(gateway: Gateway, identifier: str) -> None:
    answer = gateway.infer("pair", infer_body(A, B, id=identifier))

    assert answer.status == 200
    assert answer.body["id"] == identifier


@pytest.mark.parametrize("members", [{}, {"id": None}])
def test_without_an_id_none_is_sent(gateway: Gateway, members: dict[str, Any]) -> None:
    assert "id" not in gateway.infer("pair", infer_body(A, B, **members)).body


@pytest.mark.parametrize("members", [{}, {"outputs": None}, {"outputs": []}])
def test_all_outputs_are_sent_unless_some_are_asked_for(gateway: Gateway, members: dict[str, Any]) -> None:
    answer = gateway.infer("pair", infer_body(A, B, **members))

    assert answer.body["outputs"] == [SUM, DIFFERENCE]


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (["sum"], [SUM]),
        (["difference"], [DIFFERENCE]),
        (["sum", "difference"], [SUM, DIFFERENCE]),
        (["difference", "sum"], [DIFFERENCE, SUM]),
    ],
)
def test_the_outputs_asked_for_are_sent_in_that_order(
    gateway: Gateway, requested: list[str], expected: list[dict[str, Any]]
) -> None:
    answer = gateway.infer("pair", infer_body(A, B, outputs=[{"name": name} for name in requested]))

    assert answer.status == 200
    assert answer.body["outputs"] == expected


@pytest.mark.parametrize(
    ("requested", "found"),
    [
        (["sum", "product"], "'sum', 'product'"),
        (["sum", "sum"], "'sum', 'sum'"),
        (["SUM"], "'SUM'"),
        (["a"], "'a'"),
        ([""], "''"),
    ],
)
def test_unknown_and_repeated_outputs_are_refused(gateway: Gateway, requested: list[str], found: str) -> None:
    answer = gateway.infer("pair", infer_body(A, B, outputs=[{"name": name} for name in requested]))

    assert answer.status == 400
    assert answer.body["error"] == f"outputs: {found}, expected each at most once of: sum, difference"


def test_inputs_are_found_by_name_in_any_order(gateway: Gateway) -> None:
    assert gateway.infer("pair", infer_body(B, A)).body == gateway.infer("pair", infer_body(A, B)).body


def test_parameters_and_unknown_members_are_let_pass(gateway: Gateway) -> None:
    parameters = {"priority": 1, "sequence_start": True, "triton_x": "y", "ratio": 0.5}
    body = infer_body(
        {**A, "parameters": parameters, "surprise": 1}, B, parameters=parameters, surprise={"deep": [1, {"er": None}]}
    )
    body["outputs"] = [{"name": "sum", "parameters": parameters}]

    answer = gateway.infer("pair", body)

    assert (answer.status, answer.body["outputs"]) == (200, [SUM])


def test_members_may_come_in_any_order_and_with_any_white_space(gateway: Gateway) -> None:
    body = b' {"id" : "1",\n"inputs":[{"data":[1,2,3] ,"datatype":"FP32","shape":[ 1,3],\t"name":"x"}]}\r\n'

    assert gateway.infer("affine", body).body["outputs"][0]["data"] == [3, 5, 7]


def test_the_content_type_of_a_request_does_not_matter(gateway: Gateway) -> None:
    for content_type in ("application/octet-stream", "text/plain; charset=latin-1", ""):
        path = "/v2/models/pair/infer"
        answer = gateway.send("POST", path, infer_body(A, B), headers={"Content-Type": content_type})

        assert answer.status == 200
