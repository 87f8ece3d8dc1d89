"""What is generated from the document is answered as the document says, by schemathesis and its checks."""

import base64
import gzip
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from tests.handlers.api.gateway import Gateway, http_event, rest_event
from tests.handlers.api.watch import EXAMPLES

load_all_checks()
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
SERVED = {"model": "affine", "version": "1"}
PER_OPERATION = max(16, EXAMPLES // 16)
CONFORM = settings(
    max_examples=PER_OPERATION,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def ask(gateway: Gateway, case: "Case[Any]", payload_format: int) -> Response:
    """Send a case through Mangum, as API Gateway sends it."""
    arguments = case.as_transport_kwargs(base_url="https://api.example.com")
    prepared = requests.Request(**{name: value for name, value in arguments.items() if name != "verify"}).prepare()
    body = prepared.body or b""
    content = body.encode() if isinstance(body, str) else body
    assert isinstance(content, bytes)
    target = urlsplit(str(prepared.url))
    headers = {str(name): str(value) for name, value in prepared.headers.items()}
    event = (rest_event if payload_format == 1 else http_event)(str(prepared.method), "/", content, headers=headers)
    place = event if payload_format == 1 else event["requestContext"]["http"]
    place["path"] = target.path
    answer = gateway.invoke(event)
    raw = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
    if answer["headers"].get("content-encoding") == "gzip":
        raw = gzip.decompress(raw)
    found = {name: [value] for name, value in answer["headers"].items()}
    return Response(answer["statusCode"], found, raw, prepared, elapsed=0.0, verify=False)


@pytest.mark.timeout(3600)  # in a long run
def test_answers_are_as_the_document_says(fuzzed: Gateway) -> None:
    document = fuzzed.send("GET", "/openapi.json").body
    schema = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        conform(fuzzed, result.ok())


def conform(gateway: Gateway, operation: Any) -> None:  # noqa: ANN401 - generic over what schemathesis does not export
    """Send cases of an operation, valid and invalid ones, in both formats of payload."""
    cases = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    if named := {name: value for name, value in SERVED.items() if f"{{{name}}}" in operation.path}:
        # what is made up is never the name of a model that is here
        cases += [operation.as_strategy(generation_mode=mode, path_parameters=named) for mode in GenerationMode]

    @CONFORM
    @given(st.one_of(cases), st.sampled_from([1, 2]))
    def ask_and_check(case: "Case[Any]", payload_format: int) -> None:
        response = ask(gateway, case, payload_format)
        # what is not done here by design says so with a status that is no fault, and has to be in the document
        case.validate_response(
            response, checks=CHECKS if response.status_code == 501 else [*CHECKS, not_a_server_error]
        )

    ask_and_check()
