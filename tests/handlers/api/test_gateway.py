"""The application behind API Gateway as it really behaves: events of both payload formats, stages, domains, headers."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from handlers.api.app import create_app
from handlers.api.compression import LEAST_BYTES
from handlers.api.service import Service
from tests.handlers.api.gateway import Gateway, http_event, infer_body, rest_event, tensor

Json = Any
MakeEvent = Callable[..., Json]

ROW = json.dumps(infer_body(tensor("x", "FP32", [1, 3], [0, 1, 2]))).encode()
LARGE = json.dumps(infer_body(tensor("x", "INT64", [1, 8000], list(range(8000))))).encode()
SMALL = json.dumps(infer_body(tensor("x", "INT64", [1, 80], list(range(80))))).encode()
INFER = "/v2/models/affine/infer"
PAGE = "https://page.example"


def function_url_event(*arguments: Any, **named: Any) -> Json:  # noqa: ANN401 - as http_event
    return http_event(*arguments, domain="a1b2c3d4e5.lambda-url.us-east-1.on.aws", **named)


def http_event_of_format_1(method: str, path: str, body: bytes = b"", **named: Any) -> Json:  # noqa: ANN401
    return rest_event(method, path, body, **named) | {"version": "1.0"}


FORMATS = pytest.mark.parametrize("event", [rest_event, http_event, http_event_of_format_1, function_url_event])


def headers_of(answer: Json) -> Json:
    several = {name: ", ".join(values) for name, values in (answer.get("multiValueHeaders") or {}).items()}
    return several | answer["headers"]


def body_of(answer: Json) -> bytes:
    body = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
    return gzip.decompress(body) if headers_of(answer).get("content-encoding") == "gzip" else body


@pytest.fixture(scope="module")
def open_gateway(service: Service, gateway: Gateway) -> Iterator[Gateway]:  # noqa: ARG001 - its models are loaded then
    """A service with CORS, below a base path."""
    opened = Gateway(create_app(service, cors_origins=(PAGE, "http://localhost:3000"), base_path="/ml"))
    yield opened
    opened.close()


@FORMATS
def test_a_request_is_answered_in_every_format(gateway: Gateway, event: MakeEvent) -> None:
    answer = gateway.invoke(event("POST", INFER, ROW))

    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"] == "application/json"
    assert json.loads(body_of(answer))["outputs"][0]["data"] == [1, 3, 5]


@FORMATS
def test_a_body_in_base64_is_the_same_body(gateway: Gateway, event: MakeEvent) -> None:
    sent = event("POST", INFER, ROW) | {"body": base64.b64encode(ROW).decode(), "isBase64Encoded": True}

    assert json.loads(body_of(gateway.invoke(sent)))["outputs"][0]["data"] == [1, 3, 5]


@FORMATS
@pytest.mark.parametrize("absent", [None, ""])
def test_an_empty_body_is_refused(gateway: Gateway, event: MakeEvent, absent: str | None) -> None:
    sent = event("POST", INFER) | {"body": absent}

    answer = gateway.invoke(sent)

    assert answer["statusCode"] == 400
    assert json.loads(body_of(answer))["error"].startswith("body: ")


@pytest.mark.parametrize("stage", ["prod", "v2", "v2.models"])
@pytest.mark.parametrize("domain", ["a1b2c3d4e5.execute-api.us-east-1.amazonaws.com", "api.example.com"])
def test_a_named_stage_of_an_http_api_is_no_part_of_the_path(gateway: Gateway, stage: str, domain: str) -> None:
    event = http_event("POST", f"/{stage}{INFER}", ROW, stage=stage, domain=domain)

    assert json.loads(body_of(gateway.invoke(event)))["outputs"][0]["data"] == [1, 3, 5]


def test_the_stage_of_a_rest_api_may_be_named_like_a_path(gateway: Gateway) -> None:
    event = rest_event("POST", INFER, ROW)
    event["requestContext"] |= {"stage": "v2", "path": f"/v2{INFER}"}

    assert gateway.invoke(event)["statusCode"] == 200


def test_only_a_whole_segment_is_a_stage(gateway: Gateway) -> None:
    answer = gateway.invoke(http_event("GET", "/v2/health/live", stage="v2/h"))

    assert answer["statusCode"] == 200


def test_the_base_path_of_a_custom_domain_is_no_part_of_the_path(open_gateway: Gateway) -> None:
    rest = rest_event("POST", f"/ml{INFER}", ROW)
    rest["requestContext"] |= {"domainName": "api.example.com", "path": f"/ml{INFER}"}

    assert open_gateway.invoke(rest)["statusCode"] == 200
    assert open_gateway.send_raw({"path": "/ml/v2/health/live", "query_string": b""}).status == 200
    for path in ("/mlx/v2/health/live", "/ml/ml/v2/health/live"):
        assert open_gateway.send_raw({"path": path, "query_string": b""}).status == 404


def test_an_unknown_path_is_named_without_the_stage(gateway: Gateway) -> None:
    answer = gateway.invoke(http_event("GET", "/prod/nowhere", stage="prod"))

    assert answer["statusCode"] == 404
    assert json.loads(body_of(answer))["error"].startswith("GET /nowhere: Not Found, expected ")


@FORMATS
def test_percent_encoded_paths_are_read(gateway: Gateway, event: MakeEvent) -> None:
    sent = event("POST", INFER, ROW)
    place = sent if "path" in sent else sent["requestContext"]["http"]
    place["path"] = place["path"].replace("affine", "%61ffine")

    assert gateway.invoke(sent)["statusCode"] == 200


@FORMATS
def test_queries_change_nothing(gateway: Gateway, event: MakeEvent) -> None:
    assert gateway.invoke(event("POST", f"{INFER}?a=1&a=2&b=%C3%A4&c", ROW))["statusCode"] == 200


@FORMATS
@pytest.mark.parametrize("path", ["/v2/models/affine/infer/", "/v2//models/affine/infer", "/v2/models/affine%2Finfer/"])
def test_a_path_with_another_slash_is_not_found_and_not_redirected(
    gateway: Gateway, event: MakeEvent, path: str
) -> None:
    assert gateway.invoke(event("POST", path, ROW))["statusCode"] == 404


@FORMATS
def test_header_names_may_have_any_case(gateway: Gateway, event: MakeEvent) -> None:
    answer = gateway.invoke(
        event("POST", "/v2/models/identity-int64/infer", LARGE, headers={"ACCEPT-Encoding": "gzip"})
    )

    assert headers_of(answer)["content-encoding"] == "gzip"


@FORMATS
@pytest.mark.parametrize(
    "path",
    ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/affine", "/v2/models/affine/ready", "/v1/models/affine"],
)
def test_head_is_answered_like_get_without_a_body(gateway: Gateway, event: MakeEvent, path: str) -> None:
    get, head = gateway.invoke(event("GET", path)), gateway.invoke(event("HEAD", path))

    assert (head["statusCode"], head["headers"]) == (200, get["headers"])
    assert get["body"]
    assert head["body"] == ""


def test_head_of_what_is_not_there_has_no_body_either(gateway: Gateway) -> None:
    answer = gateway.invoke(rest_event("HEAD", "/nowhere"))

    assert (answer["statusCode"], answer["body"]) == (404, "")


@FORMATS
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (INFER, "OPTIONS, POST"),
        ("/v2/models/affine", "GET, HEAD, OPTIONS"),
        ("/v1/models/affine", "GET, HEAD, OPTIONS"),
        ("/v1/models/affine:predict", "OPTIONS, POST"),
    ],
)
def test_options_tells_the_methods(gateway: Gateway, event: MakeEvent, path: str, allowed: str) -> None:
    answer = gateway.invoke(event("OPTIONS", path, headers={"Origin": PAGE}))
    other = gateway.invoke(event("PATCH", path))

    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert headers_of(answer)["allow"] == headers_of(other)["allow"] == allowed
    assert other["statusCode"] == 405
    assert not [name for name in headers_of(answer) if name.startswith("access-control")]  # CORS is off


def test_options_of_an_unknown_path_is_not_found(gateway: Gateway) -> None:
    for path in ("/nowhere", "*"):
        assert gateway.invoke(http_event("OPTIONS", path))["statusCode"] == 404


@FORMATS
def test_a_preflight_allows_what_it_asks_for(open_gateway: Gateway, event: MakeEvent) -> None:
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-api-key,x-stainless-os",
    }

    answer = open_gateway.invoke(event("OPTIONS", INFER, headers=asked))

    assert (answer["statusCode"], answer["body"]) == (204, "")
    found = headers_of(answer)
    assert found["access-control-allow-origin"] == PAGE
    assert found["access-control-allow-methods"] == "OPTIONS, POST"
    assert found["access-control-allow-headers"] == "content-type,x-api-key,x-stainless-os"
    assert found["access-control-max-age"] == "7200"
    assert found["vary"] == "Origin"


@FORMATS
@pytest.mark.parametrize(("body", "status"), [(ROW, 200), (b"{", 400)])
def test_an_allowed_page_may_read_answers_and_errors(
    open_gateway: Gateway, event: MakeEvent, body: bytes, status: int
) -> None:
    answer = open_gateway.invoke(event("POST", INFER, body, headers={"Origin": PAGE}))

    found = headers_of(answer)
    assert answer["statusCode"] == status
    assert found["access-control-allow-origin"] == PAGE
    assert "Inference-Header-Content-Length" in found["access-control-expose-headers"]
    assert "Server-Timing" in found["access-control-expose-headers"]
    assert found["vary"] == "Origin"


@pytest.mark.parametrize("headers", [{"Origin": "https://other.example"}, {"Origin": f"{PAGE}.evil.example"}, {}])
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_another_page_may_not(open_gateway: Gateway, headers: Mapping[str, str], method: str) -> None:
    found = headers_of(open_gateway.invoke(rest_event(method, INFER, ROW, headers=headers)))

    assert not [name for name in found if name.startswith("access-control")]
    assert found["vary"] == "Origin"


def test_any_page_may_where_the_operator_says_so(service: Service) -> None:
    gateway = Gateway(create_app(service, cors_origins=("*",)))
    try:
        found = headers_of(gateway.invoke(rest_event("POST", INFER, ROW, headers={"Origin": PAGE})))
        assert found["access-control-allow-origin"] == "*"
        assert "vary" not in found
    finally:
        gateway.close()


@FORMATS
@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5", "*", "GZIP", "identity;q=0.1,*;q=1"])
def test_a_large_answer_is_compressed_for_who_takes_it(gateway: Gateway, event: MakeEvent, accepted: str) -> None:
    sent = event("POST", "/v2/models/identity-int64/infer", LARGE, headers={"Accept-Encoding": accepted})

    answer = gateway.invoke(sent)

    assert answer["isBase64Encoded"]
    found = headers_of(answer)
    assert found["content-type"] == "application/json"
    assert found["vary"] == "Accept-Encoding"
    assert int(found["content-length"]) == len(base64.b64decode(answer["body"])) < len(body_of(answer)) / 2
    assert json.loads(body_of(answer))["outputs"][0]["data"] == list(range(8000))


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "x-gzip"])
def test_a_large_answer_is_not_compressed_for_others(gateway: Gateway, accepted: str) -> None:
    sent = rest_event("POST", "/v2/models/identity-int64/infer", LARGE, headers={"Accept-Encoding": accepted})

    answer = gateway.invoke(sent)

    assert not answer["isBase64Encoded"]
    assert "content-encoding" not in headers_of(answer)
    assert headers_of(answer)["vary"] == "Accept-Encoding"
    assert len(answer["body"]) > LEAST_BYTES


def test_a_small_answer_is_not_compressed(gateway: Gateway) -> None:
    sent = rest_event("POST", "/v2/models/identity-int64/infer", SMALL, headers={"Accept-Encoding": "gzip"})

    answer = gateway.invoke(sent)

    assert not answer["isBase64Encoded"]
    assert headers_of(answer).keys() == {"content-type", "content-length", "server-timing", "x-model-version"}


def test_the_accept_header_may_be_there_twice(gateway: Gateway) -> None:
    event = rest_event("POST", "/v2/models/identity-int64/infer", LARGE)
    event["headers"]["Accept-Encoding"] = "gzip"
    event["multiValueHeaders"] |= {"Accept": ["application/json", "*/*"], "Accept-Encoding": ["br", "gzip"]}

    assert headers_of(gateway.invoke(event))["content-encoding"] == "gzip"
