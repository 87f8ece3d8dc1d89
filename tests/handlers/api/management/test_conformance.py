"""What is generated from the document is answered as the document says, by schemathesis and its checks."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.gateway import rest_event
from tests.handlers.api.management.manager import ALICE, Manager, signed_by
from tests.handlers.api.watch import EXAMPLES

load_all_checks()
CHECKS = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
PRESENT = {"model": "m", "version": "1", "alias": "live"}
EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}


@pytest.mark.timeout(3600)  # in a long run
def test_answers_are_as_the_document_says(tmp_path: Path) -> None:
    manager = Manager.of((tmp_path / "store").as_uri(), tmp_path)
    for alias in ("live", None):
        publish_graphs(manager.store.url, "m", {"fp32": affine()}, [EXAMPLE], alias=alias)
    schema = schemathesis.openapi.from_dict(manager.get("/openapi.json").body)

    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    for operation in operations:
        conform(manager, operation)
    manager.gateway.close()

    assert len(operations) == 10


def conform(manager: Manager, operation: Any) -> None:  # noqa: ANN401 - generic over what schemathesis does not export
    """Send cases of an operation, valid and invalid ones, of a model that is there and of any."""
    cases = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    if named := {name: value for name, value in PRESENT.items() if f"{{{name}}}" in operation.path}:
        cases += [operation.as_strategy(generation_mode=mode, path_parameters=named) for mode in GenerationMode]

    @settings(
        max_examples=max(16, EXAMPLES // 16),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(cases))
    def ask_and_check(case: "Case[Any]") -> None:
        response = ask(manager, case)
        expected = CHECKS if response.status_code == 501 else [*CHECKS, not_a_server_error]  # a folder takes no uploads
        case.validate_response(response, checks=expected)

    ask_and_check()


def ask(manager: Manager, case: "Case[Any]") -> Response:
    """Send a case through Mangum, as API Gateway sends it."""
    arguments = case.as_transport_kwargs(base_url="https://api.example.com")
    prepared = requests.Request(**{name: value for name, value in arguments.items() if name != "verify"}).prepare()
    body = prepared.body or b""
    target = urlsplit(str(prepared.url))
    headers = {str(name): str(value) for name, value in prepared.headers.items()}
    content = body.encode() if isinstance(body, str) else body
    assert isinstance(content, bytes)
    event = rest_event(str(prepared.method), "/", content, headers=headers)
    event["path"] = target.path
    pairs = parse_qsl(target.query, keep_blank_values=True)
    event["queryStringParameters"] = dict(pairs) or None
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in pairs} or None
    answer = manager.gateway.invoke(signed_by(ALICE, event))
    found = {name: [value] for name, value in answer["headers"].items()}
    return Response(answer["statusCode"], found, answer["body"].encode(), prepared, elapsed=0.0, verify=False)
