"""What is written of payloads: how many came and went, that the bucket failed, and no key, address or account."""

import json
from typing import Any

import numpy as np
import pytest

from handlers.errors import StoreUnavailable
from handlers.payloads.identity import PayloadId
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.gateway import infer_body, rest_event
from tests.handlers.function_process import Run, run_function
from tests.handlers.payloads.buckets import Room, sha256

Json = dict[str, Any]
ROW = np.array([[0, 1, 2]], "<f4")


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = (tmp_path_factory.mktemp("payloads") / "store").as_uri()
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": ROW.astype(np.float32)}])
    return url


def run(room: Room, store_url: str, payloads_url: str, *requests: tuple[str, Json]) -> Run:
    """Start the function and make requests of it."""
    environ = room.server.environment | {"LAMBDASERVE_STORE": store_url, "LAMBDASERVE_PAYLOADS": payloads_url}
    events = []
    for number, (path, body) in enumerate(requests):
        events.append((f"00000000-0000-4000-8000-{number:012}", rest_event("POST", path, json.dumps(body).encode())))
    return run_function(environ, events)


def infer(payload: PayloadId) -> tuple[str, Json]:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"payload": str(payload)}}
    return "/v2/models/affine/infer", infer_body(x)


def counts(run: Run) -> dict[str, list[float]]:
    """Return the values of all metrics of payloads."""
    found: dict[str, list[float]] = {}
    for line in run.metrics:
        for name in line:
            if name.startswith("Payload"):
                found.setdefault(name, []).append(line[name])
    return found


def test_payloads_are_counted_and_not_named(room: Room, store_url: str) -> None:
    data = ROW.tobytes()
    payload, missing = PayloadId.new(len(data), sha256(data)), PayloadId.new(len(data), sha256(data))
    room.put(str(payload), data)
    announce = ("/v1/payloads", {"size": len(data), "sha256": sha256(data)})

    found = run(room, store_url, room.url, announce, infer(payload), infer(missing))

    assert [answer["statusCode"] for answer in found.answers] == [200, 200, 404]
    assert found.bodies[1]["outputs"][0]["data"] == [1, 3, 5]
    assert counts(found) == {"PayloadsIssued": [1], "PayloadsIn": [1]}
    issued = PayloadId.parse(found.bodies[0]["payload"])
    for name in (payload.random, missing.random, issued.random, payload.sha256, room.bucket, "X-Amz-Signature"):
        assert name not in found.stdout
    assert found.stderr == ""


def test_a_bucket_that_fails_is_logged_without_its_name(room: Room, store_url: str) -> None:
    payload = PayloadId.new(12, "0" * 64)

    found = run(room, store_url, "s3://no-such-bucket/payloads", infer(payload))

    assert [answer["statusCode"] for answer in found.answers] == [503]
    assert counts(found) == {"PayloadFailures": [1]}
    [line] = [line for line in found.logs if line["message"] == "payload bucket failed"]
    assert (line["level"], line["error"]) == ("ERROR", "store_unavailable")
    assert line["reason"] == "payload bucket: NoSuchBucket (HTTP 404), expected an answer to GetObject; try again"
    assert line["request_id"] == "00000000-0000-4000-8000-000000000000"
    for name in (payload.random, "no-such-bucket"):
        assert name not in found.stdout
    assert found.stderr == ""


def test_what_is_sent_is_counted_too(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = Telemetry("INFO")

    telemetry.payloads_moved(sent=2)
    telemetry.payload_failed(StoreUnavailable("payload bucket: x, expected y"))

    written = capsys.readouterr().out
    assert '"PayloadsOut":2' in written.replace(" ", "")
    assert '"PayloadFailures":1' in written.replace(" ", "")
