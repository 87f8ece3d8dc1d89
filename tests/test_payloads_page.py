"""The clients in docs/payloads.md, run as they stand there against the service over a socket."""

import io
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from uuid import uuid4

import httpx
import numpy as np
import pytest
import uvicorn

from handlers.api.answers import AnswerLimit
from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.payloads.payloads import Payloads
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.export.command import command, environment, lambdaserve
from tests.graphs import identity
from tests.interpreters import ROOT
from tests.servers.s3 import S3Server

PAGE = (ROOT / "docs" / "payloads.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(bash|python)\n(.*?)```", PAGE, re.DOTALL))
LAMBDA_BYTES = 6 * 1024 * 1024


@pytest.fixture
def url(s3_environment: S3Server, s3_bucket: str, tmp_path: Path) -> Iterator[str]:
    """The address of a service with the page's model, a payload bucket, and Lambda's limit for answers."""
    assert s3_environment.endpoint
    settings = Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=tmp_path)
    publish_graphs(
        settings.store_url, "my-model", {"fp32": identity("FP32", ["n", "m"])}, [{"x": np.ones((1, 2), "f4")}]
    )
    telemetry = Telemetry("INFO", log_stream=io.StringIO(), emit_metrics=False)
    models = Models(settings, telemetry)
    models.await_all(60)
    payloads = Payloads(f"s3://{s3_bucket}/{uuid4().hex}", 64 << 20)
    with serving(
        Service(models, telemetry, settings.max_body_bytes, payloads=payloads, answer_limit=AnswerLimit(LAMBDA_BYTES))
    ) as address:
        yield address


@contextmanager
def serving(service: Service) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(create_app(service), port=0, lifespan="off", log_level="error"))
    thread = Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("language", ["bash", "python"])
def test_the_clients_of_the_page_get_eight_megabytes_there_and_back(language: str, url: str, tmp_path: Path) -> None:
    if language == "bash" and shutil.which("jq") is None:
        pytest.skip("no jq here")
    x = np.random.default_rng(0).standard_normal((2048, 1024), np.float32)
    x.tofile(tmp_path / "x.bin")
    code = BLOCKS[language].replace("http://127.0.0.1:8000", url)
    assert url in code
    command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "y.bin").read_bytes() == x.tobytes()
    assert x.nbytes > LAMBDA_BYTES


@pytest.mark.parametrize(("bucket", "status"), [("s3://payloads-bucket/payloads", 200), ("", 501)])
def test_the_command_serve_takes_a_bucket(bucket: str, status: int, s3_environment: S3Server, tmp_path: Path) -> None:
    assert s3_environment.endpoint
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["serve", "--store", (tmp_path / "store").as_uri(), "--port", port, "--payloads", bucket]
    process = subprocess.Popen(command(*arguments), env=environment(), stderr=subprocess.DEVNULL)
    try:
        answer = None
        while answer is None:
            assert process.poll() is None
            try:
                body = {"size": 1, "sha256": "0" * 64}
                answer = httpx.post(f"http://127.0.0.1:{port}/v1/payloads", json=body, timeout=30, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
    finally:
        process.kill()
        process.wait()

    assert answer.status_code == status
    assert ("/payloads-bucket/payloads/" in answer.text) == bool(bucket)


def test_the_command_serve_refuses_what_is_no_bucket(tmp_path: Path) -> None:
    done = lambdaserve("serve", "--store", tmp_path.as_uri(), "--payloads", "file:///folder")

    assert done.returncode == 1
    assert "LAMBDASERVE_PAYLOADS: 'file:///folder', expected s3://bucket[/prefix]" in done.stderr
