"""docs/management.md: its examples run, as they stand, by curl over HTTP."""

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import uvicorn

from handlers.api.management.app import create_app
from tests.artifacts import make_artifact
from tests.graphs import affine
from tests.handlers.api.gateway import rest_event
from tests.handlers.api.management.conftest import EXAMPLE
from tests.handlers.api.management.manager import ALICE, Manager, signed_by
from tests.interpreters import ROOT
from tests.servers.s3 import S3Server

DOCUMENT = (ROOT / "docs" / "management.md").read_text(encoding="utf-8")
LISTING, MOVING, PUBLISHING = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
SIGNED = LISTING.replace('"$URL/models"', '"$@"')
CREDENTIALS = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture
def store_url(s3_environment: S3Server, s3_bucket: str) -> str:  # noqa: ARG001 - leads to the server
    return f"s3://{s3_bucket}/{uuid4().hex}"


@pytest.fixture
def url(manager: Manager) -> Iterator[str]:
    """Where the application answers over HTTP, as behind API Gateway: each request has its event, and is Alice's."""
    app = create_app(manager.management)

    async def behind_the_gateway(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        if scope["type"] == "http":
            event = signed_by(ALICE, rest_event(scope["method"], scope["path"]))
            scope = scope | {"aws.event": event}
        await app(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(behind_the_gateway, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def run(commands: str, url: str, folder: Path) -> str:
    """Run the commands with CURL as the document says, and return what they print."""
    if not shutil.which("jq") or not shutil.which("curl"):
        pytest.skip("no jq or no curl: the examples take both")
    session = {"AWS_SESSION_TOKEN": "token", "URL": url, "BUILD_ID": "build-0001", "PATH": "/usr/bin:/bin"}
    signed = SIGNED.replace("curl ", "curl --silent --fail-with-body ", 1)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"CURL() {{\n{signed}}}\n{commands}"],
        cwd=folder,
        env=CREDENTIALS | session,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_examples_of_looking_publishing_and_moving_work(url: str, tmp_path: Path) -> None:
    make_artifact(tmp_path / "build" / "my-model", "my-model", {"fp32": affine()}, [EXAMPLE])

    printed = run(PUBLISHING, url, tmp_path)
    published, end = json.JSONDecoder().raw_decode(printed)
    promoted = json.loads(printed[end:])
    listed = json.loads(run('CURL "$URL/models"', url, tmp_path))
    run(PUBLISHING.replace("BUILD_ID", "BUILD_ID-again"), url, tmp_path)
    moved = run(MOVING.replace("mnist-cnn", "my-model").replace('"4"', '"1"'), url, tmp_path)

    assert (published["version"], promoted["change"]["by"]) == ("1", ALICE)
    assert listed["models"][0]["aliases"]["live"]["version"] == "1"
    changes = [json.loads(part)["change"] for part in re.findall(r"\{\"operation.*?\]\}\}", moved)]
    assert [change["action"] for change in changes] == ["canary", "promote", "rollback"]
    assert changes[0]["id"] == "release-2024-11"
    assert changes[2]["after"]["version"] == "2"
