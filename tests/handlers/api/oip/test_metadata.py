import numpy as np
import pytest

from handlers import __version__
from handlers.api.app import create_app
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway, infer_body, invocation_context, tensor

ROW = infer_body(tensor("x", "FP32", [1, 3], [0, 1, 2]))


def test_the_server_is_live(gateway: Gateway) -> None:
    answer = gateway.send("GET", "/v2/health/live")

    assert (answer.status, answer.body) == (200, {"live": True})
    assert answer.headers["content-type"] == "application/json"


def test_the_server_is_ready_when_all_models_are(gateway: Gateway) -> None:
    answer = gateway.send("GET", "/v2/health/ready")

    assert (answer.status, answer.body) == (200, {"ready": True, "live": True})


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_describes_itself(gateway: Gateway, path: str) -> None:
    answer = gateway.send("GET", path)

    extensions = ["binary_tensor_data", "classification", "statistics"]  # model_repository: test_repository.py
    described = {"name": "lambdaserve", "version": __version__, "extensions": extensions}
    assert (answer.status, answer.body) == (200, described)


@pytest.mark.parametrize("path", ["/v2/models/pair", "/v2/models/pair/versions/1"])
def test_a_model_describes_itself(gateway: Gateway, path: str) -> None:
    answer = gateway.send("GET", path)

    assert answer.status == 200
    assert answer.body == {
        "name": "pair",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": name, "datatype": "FP32", "shape": [-1, 2]} for name in ("a", "b")],
        "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, 2]} for name in ("sum", "difference")],
        "properties": {"task": "tensor", "variant": "fp32"},
    }


@pytest.mark.parametrize("path", ["/v2/models/pair/ready", "/v2/models/pair/versions/1/ready"])
def test_a_model_is_ready(gateway: Gateway, path: str) -> None:
    answer = gateway.send("GET", path)

    assert (answer.status, answer.body) == (200, {"name": "pair", "ready": True})


@pytest.mark.parametrize("version", [None, "1"])
def test_a_model_answers(gateway: Gateway, version: str | None) -> None:
    answer = gateway.infer("affine", ROW, version=version)

    assert answer.status == 200
    assert answer.body == {
        "model_name": "affine",
        "model_version": "1",
        "outputs": [{"name": "y", "shape": [1, 3], "datatype": "FP32", "data": [1, 3, 5]}],
    }


@pytest.mark.parametrize("call", [("GET", ""), ("GET", "/ready"), ("POST", "/infer")])
@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("unknown", "model 'unknown': not served here, expected one of: affine, cube, gather, identity-bf16, "),
        ("AFFINE", "model 'AFFINE': not served here, expected one of: "),
        ("..", "model '..': not served here, expected one of: "),
        ("affine/versions/2", "model 'affine': no version '2' here, expected one of: live (1)"),
        ("affine/versions/01", "model 'affine': no version '01' here, expected one of: live (1)"),
        ("affine/versions/draft", "model 'affine': no alias 'draft' here, expected one of: live (1)"),
    ],
)
def test_an_unknown_model_or_version_is_not_found(
    gateway: Gateway, call: tuple[str, str], model: str, error: str
) -> None:
    method, suffix = call
    answer = gateway.send(method, f"/v2/models/{model}{suffix}", ROW)

    assert answer.status == 404
    assert answer.body["error"].startswith(error)


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v2/nothing", "/v2/models", "/v2/models/", "/v2/models/affine/", "/docs/", "/openapi.json/", "/v2//"],
)
def test_an_unknown_path_is_not_found_and_not_redirected(gateway: Gateway, path: str) -> None:
    answer = gateway.send("GET", path)

    assert answer.status == 404
    assert answer.body["error"] == f"GET {path}: Not Found, expected a path that docs/service.md lists"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/models/affine/infer", {"POST", "OPTIONS"}),
        ("DELETE", "/v2/models/affine", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/v2/health/live", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/v2", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_refused_with_the_right_ones(
    gateway: Gateway, method: str, path: str, allowed: set[str]
) -> None:
    answer = gateway.send(method, path, ROW)

    assert answer.status == 405
    expected = ", ".join(sorted(allowed))
    assert answer.body["error"] == f"{method} {path}: Method Not Allowed, expected one of {expected}"
    assert answer.headers["allow"] == expected


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models/unknown", 404),
        ("PUT", "/v2", 405),
        ("POST", "/v2/models/affine/infer", 400),
    ],
)
def test_errors_carry_the_request_id_of_lambda(gateway: Gateway, method: str, path: str, status: int) -> None:
    request_id = "8f5c8e5e-0000-4000-8000-00000000beef"

    answer = gateway.send(method, path, b"{}", context=invocation_context(request_id))

    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.body.keys() == {"error", "request_id"}
    assert answer.body["request_id"] == request_id


def test_whatever_the_host_and_the_query_say_an_unknown_path_is_not_found(gateway: Gateway) -> None:
    for headers in ([(b"host", b"[")], [(b"host", b"a b:c")], []):
        answer = gateway.send_raw({"path": "//nowhere", "query_string": b"\xff\xfe=%", "headers": headers})

        assert answer.status == 404
        assert answer.body["error"].startswith("GET //nowhere: Not Found")


def test_while_nothing_is_published_the_server_is_live_and_not_ready_and_says_why(empty_store: Settings) -> None:
    gateway = Gateway(create_app(make_service(empty_store)))
    try:
        live = gateway.send("GET", "/v2/health/live")
        ready = gateway.send("GET", "/v2/health/ready", context=invocation_context("r-1"))
        infer = gateway.infer("affine", ROW)
        model = gateway.send("GET", "/v2/models/affine/ready")
        assert (live.status, ready.status, infer.status, model.status) == (200, 503, 503, 503)
        why = "store: no model with the alias 'live', expected at least one; publish one"
        assert ready.body == {"ready": False, "live": True, "error": why, "request_id": "r-1"}
        assert infer.body["error"] == model.body["error"] == why

        publish_graphs(empty_store.store_url, "affine", {"fp32": affine()}, [{"x": np.ones((1, 3), np.float32)}])

        assert (
            gateway.send("GET", "/v2/health/ready").status == 200
        )  # which looks at once, as requests for names do not
        assert gateway.infer("affine", ROW).status == 200
    finally:
        gateway.close()


def test_settings_that_make_no_sense_are_answered_with_503() -> None:
    gateway = Gateway(create_app(make_service(Settings.from_environ({"LAMBDASERVE_STORE": "nowhere"}))))
    try:
        answer = gateway.send("GET", "/v2/health/ready")
        assert answer.status == 503
        assert answer.body["error"].startswith("LAMBDASERVE_STORE: 'nowhere', expected ")
        assert gateway.send("GET", "/v2/health/live").status == 200
    finally:
        gateway.close()


def test_an_invocation_that_is_out_of_time_is_told_to_try_again(empty_store: Settings) -> None:
    publish_graphs(empty_store.store_url, "affine", {"fp32": affine()}, [{"x": np.ones((1, 3), np.float32)}])
    gateway = Gateway(create_app(make_service(empty_store)))
    try:
        answer = gateway.send("GET", "/v2/health/ready", context=invocation_context(seconds_left=0.5))
        assert answer.status == 503
        assert answer.body["error"] == "models: still loading after 0.0 s, expected them sooner; try again"
        assert gateway.infer("affine", ROW).status == 200
    finally:
        gateway.close()
