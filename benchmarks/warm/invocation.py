"""Invocations as API Gateway makes them: through Mangum, the body in base64."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mangum import Mangum
from starlette.applications import Starlette

__all__ = ["Answer", "Invoker", "Request", "binary_request", "json_request", "time_ms"]


class _Context:
    """What awslambdaric hands over, as far as it is read."""

    aws_request_id = "8f507cfc-0000-4000-8000-000000000000"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 29_000


@dataclass(frozen=True)
class Request:
    """A POST with a body."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def event(self) -> dict[str, Any]:
        """Return it as a REST API hands it on."""
        headers = {"Accept": "*/*", "Host": "api.example.com", "Content-Length": str(len(self.body)), **self.headers}
        return {
            "resource": "/{proxy+}",
            "path": self.path,
            "httpMethod": "POST",
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "pathParameters": {"proxy": self.path[1:]},
            "stageVariables": None,
            "requestContext": {
                "identity": {"sourceIp": "203.0.113.7"},
                "stage": "prod",
                "requestId": "1",
                "path": f"/prod{self.path}",
            },
            "body": base64.b64encode(self.body).decode(),
            "isBase64Encoded": True,
        }


class Answer:
    """An answer that must be 200."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        """Take what Mangum returned."""
        body: str = answer["body"]
        self.body = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
        self.headers: Mapping[str, str] = answer["headers"]
        if answer["statusCode"] != 200:  # noqa: PLR2004 - a refusal is no result
            msg = f"{answer['statusCode']}: {self.body[:500]!r}"
            raise RuntimeError(msg)


class Invoker:
    """An application behind Mangum."""

    def __init__(self, app: Starlette) -> None:
        """Wrap the application."""
        self._handler = Mangum(app, lifespan="off")

    def __call__(self, event: dict[str, Any]) -> Mapping[str, Any]:
        """Invoke it."""
        return self._handler(event, _Context())  # type: ignore[arg-type]


def json_request(model: str, name: str, array: np.ndarray) -> Request:
    """Return an inference request with one tensor in JSON, flat."""
    tensor = {"name": name, "datatype": "FP32", "shape": array.shape, "data": array.ravel().tolist()}
    body = json.dumps({"id": "1", "inputs": [tensor]}).encode()
    return Request(f"/v2/models/{model}/infer", {"Content-Type": "application/json"}, body)


def binary_request(model: str, name: str, array: np.ndarray) -> Request:
    """Return an inference request with one tensor in the binary extension, which asks for binary outputs too."""
    parameters = {"binary_data_size": array.nbytes}
    tensor = {"name": name, "datatype": "FP32", "shape": array.shape, "parameters": parameters}
    header = json.dumps({"id": "1", "inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(header)),
    }
    return Request(f"/v2/models/{model}/infer", headers, header + array.tobytes())


def time_ms(call: Callable[[], object]) -> float:
    """Return how long a call took."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000
