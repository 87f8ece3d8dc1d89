"""How much a warm invocation adds to `session.run`, for a [1, 10] tensor in OIP JSON.

The body goes in as API Gateway sends it (base64), through Mangum and the whole application, with logs and metrics on;
the reference is the same session's run on the same array, in turns with it. Bar: 0.25 ms.
"""

import base64
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mangum import Mangum

from benchmarks.models import publish_linear
from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry

_ROUNDS = 5000
_BAR_MS = 0.25


class _Context:
    """What awslambdaric hands over, as far as it is read."""

    aws_request_id = "8f507cfc-0000-4000-8000-000000000000"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 29_000


def main() -> int:
    """Measure and print; return the exit status: 1 beyond the bar."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(store_url=publish_linear(Path(folder)))
        with Path(os.devnull).open("w", encoding="utf-8") as sink, contextlib.redirect_stdout(sink):
            invocations, runs = _measure(settings)
    added = statistics.median(invocations) - statistics.median(runs)
    print("warm invocation, [1, 10] FP32 as OIP JSON, medians of", _ROUNDS)
    print(f"  session.run          {statistics.median(runs):.3f} ms   (5 to 95 %: {_spread(runs)})")
    print(f"  whole invocation     {statistics.median(invocations):.3f} ms   (5 to 95 %: {_spread(invocations)})")
    print(f"  overhead             {added:.3f} ms   (bar: {_BAR_MS} ms)")
    return 0 if added <= _BAR_MS else 1


def _measure(settings: Settings) -> tuple[list[float], list[float]]:
    telemetry = Telemetry("INFO")
    models = Models(settings, telemetry)
    models.await_all(30)
    handler = Mangum(create_app(Service(models, telemetry, settings.max_body_bytes)), lifespan="off")
    session = models.loaded[0].session
    x = np.random.default_rng(0).standard_normal((1, 10)).astype(np.float32)
    event = _event(x)
    invocations, runs = [], []
    for _ in range(_ROUNDS):
        runs.append(_time_ms(lambda: session.run({"x": x})))
        invocations.append(_time_ms(lambda: handler(event, _Context())))  # type: ignore[arg-type]
    answer = json.loads(handler(event, _Context())["body"])  # type: ignore[arg-type]
    np.testing.assert_allclose(answer["outputs"][0]["data"], session.run({"x": x})["y"].ravel())
    return invocations, runs


def _event(x: np.ndarray) -> dict[str, object]:
    tensor = {"name": "x", "datatype": "FP32", "shape": x.shape, "data": x.ravel().tolist()}
    body = json.dumps({"id": "1", "inputs": [tensor]}).encode()
    path = "/v2/models/linear/infer"
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json", "Accept": "*/*", "Host": "api.example.com"},
        "multiValueHeaders": {
            "Content-Type": ["application/json"],
            "Accept": ["*/*"],
            "Host": ["api.example.com"],
        },
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path[1:]},
        "stageVariables": None,
        "requestContext": {"identity": {"sourceIp": "203.0.113.7"}, "stage": "prod", "requestId": "1", "path": path},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def _time_ms(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def _spread(values: list[float]) -> str:
    low, *_, high = statistics.quantiles(values, n=20)
    return f"{low:.3f} to {high:.3f} ms"


if __name__ == "__main__":
    sys.exit(main())
