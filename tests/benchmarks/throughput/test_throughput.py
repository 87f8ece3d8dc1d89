"""What `bench-throughput` compares answers alike, its load counts what it should, and wrong answers are no result."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
from starlette.types import ASGIApp

from benchmarks.throughput.bare_app import create_bare_app
from benchmarks.throughput.goldens import AskedGoldens, WrongAnswer
from benchmarks.throughput.load import Load, LoadResult
from benchmarks.warm.invocation import Request
from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.registry.models import Models
from handlers.runtime.session import Session
from handlers.settings import Settings
from handlers.telemetry import Telemetry
from tests.artifacts import make_artifact, publish_graphs
from tests.graphs import affine

GOLDENS = [{"x": np.array([[0, 1, 2]], np.float32)}, {"x": np.array([[5, 0, -1]], np.float32)}]


@pytest.fixture
def asked(tmp_path: Path) -> AskedGoldens:
    folder = tmp_path / "artifact"
    manifest = make_artifact(folder, "affine", {"fp32": affine()}, GOLDENS)
    return AskedGoldens.of(folder, manifest, manifest.variants[0])


def post(app: ASGIApp, request: Request) -> str:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post(request.path, content=request.body, headers=request.headers)

    return asyncio.run(send()).raise_for_status().text


def test_the_bare_application_answers_as_ours_does(asked: AskedGoldens, tmp_path: Path) -> None:
    settings = Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=tmp_path)
    publish_graphs(settings.store_url, "affine", {"fp32": affine()}, GOLDENS)
    telemetry = Telemetry("INFO", log_stream=sys.stderr, emit_metrics=False)
    ours = create_app(Service(Models(settings, telemetry), telemetry, settings.max_body_bytes))
    file = tmp_path / "artifact" / asked.variant.file
    bare = create_bare_app(Session(file, threads=1), asked.requests[0].path)

    for number, request in enumerate(asked.requests):
        answers = [post(app, request) for app in (ours, bare)]
        asked.check("both", number, answers)
        assert json.loads(answers[0])["outputs"] == json.loads(answers[1])["outputs"]


def test_an_answer_that_is_not_pytorchs_is_refused_with_both_numbers(asked: AskedGoldens) -> None:
    wrong = json.dumps({"outputs": [{"name": "y", "data": [1.0, 3.0, 5.5]}]})

    with pytest.raises(WrongAnswer, match=r"fast: y of golden 0: .*5\.5.*, expected PyTorch's .*5\.0.* within 0"):
        asked.check("fast", 0, [wrong])


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500 if body == b"fail" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_address[1]
        server.shutdown()


def run_load(port: int, bodies: list[str]) -> "subprocess.CompletedProcess[bytes]":
    load = Load(port, "/", bodies, connections=3, warm_up_s=0.05, duration_s=0.2)
    command = [sys.executable, "-m", "benchmarks.throughput.load"]
    return subprocess.run(command, input=msgspec.json.encode(load), capture_output=True, check=False)


def test_the_load_keeps_every_different_answer_to_each_body(echo_port: int) -> None:
    done = run_load(echo_port, ["one", "x" * 200_000])

    result = msgspec.json.decode(done.stdout, type=LoadResult)
    assert result.answers == [{"one"}, {"x" * 200_000}]
    assert 0 < len(result.latencies_ms) <= result.sent
    assert min(result.latencies_ms) > 0


def test_the_load_fails_where_an_answer_is_not_200(echo_port: int) -> None:
    done = run_load(echo_port, ["fail"])

    assert done.returncode == 1
    assert b"500" in done.stderr
    assert b"expected 200" in done.stderr
