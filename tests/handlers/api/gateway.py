"""The application as clients meet it: behind API Gateway and Mangum, and over plain ASGI where that shows more."""

import asyncio
import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from awslambdaric.lambda_context import LambdaContext  # type: ignore[import-untyped]
from mangum import Mangum
from mangum.types import ASGI

__all__ = [
    "Answer",
    "Gateway",
    "binary_tensor",
    "http_event",
    "infer_body",
    "invocation_context",
    "rest_event",
    "tensor",
]

Json = Any


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: `body` is the JSON in it, `tensors` the bytes after that, which OIP's binary extension adds."""

    status: int
    headers: dict[str, str]
    body: Json
    tensors: bytes = b""


class Gateway:
    """Hands requests to an application, one at a time, as a Lambda environment does."""

    def __init__(self, app: ASGI) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._handler = Mangum(app, lifespan="off")

    def send(
        self,
        method: str,
        path: str,
        body: "bytes | Json" = b"",
        *,
        headers: Mapping[str, str] | None = None,
        context: LambdaContext | None = None,
    ) -> Answer:
        """Send a request through Mangum, as an event of a REST API. A body other than bytes is encoded as JSON."""
        asyncio.set_event_loop(self._loop)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        event = rest_event(method, path, content, headers=headers)
        answer = self._handler(event, context or invocation_context())
        found = {name: values[0] for name, values in answer["multiValueHeaders"].items()} | answer["headers"]
        text, tensors = _split(answer, found)
        return Answer(answer["statusCode"], found, _read_json(text), tensors)

    def invoke(self, event: Json) -> Json:
        """Return what the function answers to an event."""
        asyncio.set_event_loop(self._loop)
        return self._handler(event, invocation_context())

    def infer(self, model: str, body: "bytes | Json", *, version: str | None = None) -> Answer:
        """Send an inference request."""
        path = f"/v2/models/{model}" if version is None else f"/v2/models/{model}/versions/{version}"
        return self.send("POST", f"{path}/infer", body)

    def infer_binary(self, model: str, header: "bytes | Json", *tensors: bytes) -> Answer:
        """Send an inference request of JSON and binary tensors after it; of `b""` and one tensor, a raw request."""
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
        return self.send("POST", f"/v2/models/{model}/infer", b"".join([text, *tensors]), headers=headers)

    def stream(self, path: str, chunks: Iterable[bytes]) -> Answer:
        """Send a request in chunks, so that nothing says beforehand how long it is."""

        async def send() -> httpx.Response:
            async def content() -> AsyncIterator[bytes]:
                for chunk in chunks:
                    yield chunk

            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.post(path, content=content())

        response = self._loop.run_until_complete(send())
        return Answer(response.status_code, dict(response.headers), response.json())

    def send_raw(self, scope: Mapping[str, object]) -> Answer:
        """Send an HTTP scope as a server might hand it on that is less strict than API Gateway."""
        messages: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            messages.append(message)

        whole = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "headers": [], **scope}
        self._loop.run_until_complete(self._app(whole, receive, send))
        start, *rest = messages
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers, _read_json(b"".join(part["body"] for part in rest)))

    def close(self) -> None:
        """End the threads and the loop."""
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        asyncio.set_event_loop(None)


def rest_event(method: str, path: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None) -> Json:
    """Return the event of a REST API whose binary media types are `*/*`; events/ holds whole ones."""
    sent = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Host": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    } | dict(headers or {})
    path, _, query = path.partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    return {
        "resource": "/v2/{proxy+}",
        "path": quote(path),
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in pairs} or None,
        "pathParameters": {"proxy": path.removeprefix("/v2/")},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/v2/{proxy+}",
            "httpMethod": method,
            "path": f"/prod{path}",
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "prod",
            "requestId": str(uuid.uuid4()),
            "identity": {"sourceIp": "203.0.113.7", "userAgent": "curl/8.5.0"},
            "domainName": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
            "apiId": "a1b2c3d4e5",
        },
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


def http_event(  # noqa: PLR0913 - the last three by name only, and rarely
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    stage: str = "$default",
    domain: str = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
) -> Json:
    """Return the event of an HTTP API or a function URL, payload 2.0; text is not base64 there.

    Args:
        method: As it was sent.
        path: As the event has it, a stage included; with its query.
        body: Of the request.
        headers: Beside those that every client sends.
        stage: "$default", or a name.
        domain: That the client has called: of the API, a function URL, or one's own.
    """
    sent = {
        "accept": "*/*",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "host": domain,
        "x-forwarded-for": "203.0.113.7",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    } | {name.lower(): value for name, value in (headers or {}).items()}
    path, _, query = path.partition("?")
    is_text = sent["content-type"].startswith(("text/", "application/json"))
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": sent,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": domain,
            "domainPrefix": domain.partition(".")[0],
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.5.0",
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": stage,
            "time": "14/Nov/2024:11:40:16 +0000",
            "timeEpoch": 1731584416005,
        },
        "isBase64Encoded": bool(body) and not is_text,
    }
    if body:
        event["body"] = body.decode(errors="replace") if is_text else base64.b64encode(body).decode()
    return event


def invocation_context(request_id: str | None = None, *, seconds_left: float = 30.0) -> LambdaContext:
    """Return what Lambda's runtime client hands to a handler beside the event."""
    deadline_ms = int((time.time() + seconds_left) * 1000)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:inference"
    return LambdaContext(request_id or str(uuid.uuid4()), None, None, deadline_ms, arn)


def tensor(name: str, datatype: str, shape: Iterable[int], data: Json) -> dict[str, Json]:
    """Return an input as the protocol writes it."""
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": data}


def infer_body(*inputs: dict[str, Json], **members: Json) -> dict[str, Json]:
    """Return the body of an inference request."""
    return {"inputs": list(inputs), **members}


def binary_tensor(name: str, datatype: str, shape: Iterable[int], size: object) -> dict[str, Json]:
    """Return an input whose data comes after the JSON."""
    parameters = {"binary_data_size": size}
    return {"name": name, "shape": list(shape), "datatype": datatype, "parameters": parameters}


def _split(answer: Json, headers: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return the JSON and the tensors of what Mangum hands to API Gateway, which decodes base64 as it is told to."""
    json_bytes = headers.get("inference-header-content-length")
    assert answer["isBase64Encoded"] == (json_bytes is not None)
    if json_bytes is None:
        return answer["body"].encode(), b""
    assert headers["content-type"] == "application/octet-stream"
    body = base64.b64decode(answer["body"], validate=True)
    assert int(headers["content-length"]) == len(body)
    return body[: int(json_bytes)], body[int(json_bytes) :]


def _read_json(text: str | bytes) -> Json:
    return json.loads(text, parse_constant=_refuse_constant) if text else None


def _refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python's parser would take."""
    msg = f"{name} is no JSON"
    raise ValueError(msg)
