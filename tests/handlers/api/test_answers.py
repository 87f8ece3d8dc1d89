"""Answers that Lambda would not hand on are refused, counted as they travel."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from handlers.api.answers import AnswerLimit
from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.errors import AnswerTooLarge
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.graphs import identity
from tests.handlers.api.gateway import Gateway, infer_body, tensor

LIMIT = 2000


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    settings = Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=tmp_path)
    publish_graphs(settings.store_url, "text", {"fp32": identity("BYTES", ["n"])}, [{"x": np.array(["a"], object)}])
    telemetry = Telemetry("ERROR", log_stream=io.StringIO(), emit_metrics=False)
    app = create_app(Service(Models(settings, telemetry), telemetry, 1_000_000, AnswerLimit(LIMIT)))

    async def stream(_: object) -> Response:
        return StreamingResponse(iter([b"[1", b",2]"]), media_type="application/json")

    app.router.routes.append(Route("/stream", stream))
    gateway = Gateway(app)
    yield gateway
    gateway.close()


@pytest.mark.parametrize(("media_type", "body", "compressed"), [
    ("application/json", b'{"a": [1.0, "b\\n", 2]}' * 40, False),
    ("text/plain; charset=utf-8", b"line\nline\n" * 50, False),
    ("application/octet-stream", bytes(range(256)), False),
    ("application/json", b"\x1f\x8b" * 301, True),
])  # fmt: skip
def test_a_body_is_counted_as_it_travels(media_type: str, body: bytes, compressed: bool) -> None:  # noqa: FBT001
    text = not compressed and "octet" not in media_type
    travelling = json.dumps(body.decode(), ensure_ascii=False)[1:-1] if text else base64.b64encode(body).decode()
    limit = AnswerLimit(10**6)

    assert limit.travels(media_type, body, compressed=compressed) == len(travelling.encode())


@pytest.mark.parametrize(("media_type", "byte"), [("application/json", b'"'), ("application/octet-stream", b"\xff")])
def test_what_is_promised_to_fit_does_and_one_more_does_not(media_type: str, byte: bytes) -> None:
    limit = AnswerLimit(1000)
    largest = limit.largest(media_type)
    assert largest is not None

    limit.check(media_type, byte * largest)
    with pytest.raises(AnswerTooLarge, match=r"^answer: 100\d bytes as it travels, expected at most 1000; "):
        limit.check(media_type, byte * (largest + 1))


def test_without_a_limit_everything_fits() -> None:
    assert AnswerLimit().largest("application/json") is None
    AnswerLimit().check("application/json", b'"' * 10**7)


def test_an_answer_that_is_too_large_is_413(gateway: Gateway) -> None:
    fits = gateway.infer("text", infer_body(tensor("x", "BYTES", [1], ["a" * 1000])))
    refused = gateway.infer("text", infer_body(tensor("x", "BYTES", [1], ["a" * 2000])))
    quotes = gateway.infer("text", infer_body(tensor("x", "BYTES", [1], ['"' * 1000])))

    assert (fits.status, fits.body["outputs"][0]["data"]) == (200, ["a" * 1000])
    assert (refused.status, quotes.status) == (413, 413)
    assert refused.body["error"].startswith("answer: at least 21")
    assert refused.headers["content-type"] == "application/json"
    assert int(refused.headers["content-length"]) == len(json.dumps(refused.body, separators=(",", ":")))


def test_an_answer_in_parts_arrives_whole(gateway: Gateway) -> None:
    assert gateway.send("GET", "/stream").body == [1, 2]
