"""Inference takes no way through the framework's routes, and yet the same paths lead to it."""

import pytest

from tests.handlers.api.gateway import Gateway

ROW = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0, 1, 2]}]}


@pytest.mark.parametrize("path", ["/v2/models/affine/infer", "/v2/models/affine/versions/1/infer"])
def test_inference_is_answered(gateway: Gateway, path: str) -> None:
    answer = gateway.send("POST", path, ROW)

    assert answer.status == 200
    assert answer.body["outputs"][0]["data"] == [1, 3, 5]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models//infer",
        "/v2/models/infer",
        "/v2/models/affine/infer/",
        "/v2/models/affine/more/infer",
        "/v2/models/affine/versions//infer",
        "/v2/models//versions/1/infer",
        "/v2/models/affine/versions/1/more/infer",
        "/other/v2/models/affine/infer",
    ],
)
def test_no_other_path_leads_there(gateway: Gateway, path: str) -> None:
    answer = gateway.send("POST", path, ROW)

    assert answer.status in {404, 405}
    assert "expected a path that" in answer.body["error"] or "expected one of" in answer.body["error"]


def test_other_methods_are_for_the_routes(gateway: Gateway) -> None:
    answer = gateway.send("GET", "/v2/models/affine/infer")

    assert answer.status == 405
    assert answer.headers["allow"] == "OPTIONS, POST"
