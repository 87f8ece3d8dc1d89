"""The inference function under SnapStart: the unmodified runtime client, its snapshot hooks, and what a restore meets.

As in tests/test_lambda.py, what runs is the package that `sam build` makes, where the template's Python is installed,
elsewhere this checkout; the store is a real S3 API, behind a wire that can be cut.
"""

import base64
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.registry.stores import open_store
from tests.aliases import point_alias
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.gateway import infer_body, rest_event, tensor
from tests.interpreters import ROOT, find_python
from tests.servers.container_credentials import running_credentials
from tests.servers.runtime_api import SnapshottedFunction, running_snapshot
from tests.servers.s3 import S3Server
from tests.servers.wire import Wire, open_wire

Start = Callable[[Mapping[str, str]], AbstractContextManager[SnapshottedFunction]]
INPUT = np.array([[1, 2, 3]], np.float32)
ONE, TWO = [3, 5, 7], [10, 20, 30]
"""What versions 1 and 2 make of the input."""


@pytest.fixture
def wire(s3_server: S3Server) -> Iterator[Wire]:
    """What lies between the function and the store."""
    with open_wire(int(s3_server.endpoint.rpartition(":")[2])) as wire:
        yield wire


@pytest.fixture
def url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a store in which version 1 of `affine` is live, and version 2 is there."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    url = f"s3://{s3_server.make_bucket()}/lambdaserve"
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": INPUT}])
    publish_graphs(url, "affine", {"fp32": affine(10, 0)}, [{"x": INPUT}], alias=None)
    return url


@pytest.fixture
def start(request: pytest.FixtureRequest, s3_server: S3Server, wire: Wire) -> Start:
    """Starts the function with some settings beside those that lead to the store over the wire."""
    python = find_python("3.13")
    if python is None:
        function = partial(running_snapshot, ROOT, Path(sys.executable))
    else:
        package = request.getfixturevalue("artifact")
        function = partial(running_snapshot, package, python, runtime_client=ROOT / ".venv-runtime")
    environment = s3_server.environment | {"AWS_ENDPOINT_URL_S3": wire.url, "LAMBDASERVE_MODELS": "affine"}
    return lambda settings: function(environment | dict(settings))


def infer(function: SnapshottedFunction) -> tuple[int, Any]:
    """Return the status and the values of a prediction, or its error."""
    body = json.dumps(infer_body(tensor("x", "FP32", INPUT.shape, INPUT.ravel().tolist()))).encode()
    answer = function.invoke(rest_event("POST", "/v2/models/affine/infer", body))
    text = base64.b64decode(answer["body"]).decode() if answer["isBase64Encoded"] else answer["body"]
    said = json.loads(text)
    return answer["statusCode"], said["outputs"][0]["data"] if "outputs" in said else said["error"]


def messages(function: SnapshottedFunction) -> list[str]:
    return [line["message"] for line in function.log_lines() if "message" in line]


def move_alias(url: str, version: str) -> None:
    point_alias(open_store(url), "affine", "live", version, "test")


def test_all_is_loaded_and_all_connections_are_closed_when_the_snapshot_is_taken(
    start: Start, url: str, wire: Wire
) -> None:
    with start({"LAMBDASERVE_STORE": url, "LAMBDASERVE_INIT_WAIT_S": "0"}) as function:
        function.await_snapshot()

        assert messages(function) == ["model loaded", "ready for a snapshot"]
        assert function.log_lines()[-1]["models"] == {"affine": "1"}
        assert wire.requests
        assert wire.open_connections == 0


def test_a_restore_where_nothing_has_changed_asks_for_the_alias_and_loads_nothing(
    start: Start, url: str, wire: Wire
) -> None:
    with start({"LAMBDASERVE_STORE": url}) as function:
        function.await_snapshot()
        wire.forget()
        function.restore()

        assert infer(function) == (200, ONE)
        assert infer(function) == (200, ONE)
        assert [request.rpartition("/")[2] for request in wire.requests] == ["aliases.json"]
        assert messages(function) == ["model loaded", "ready for a snapshot", "restored from a snapshot"]
        restored = next(line for line in function.log_lines() if line.get("message") == "restored from a snapshot")
        assert restored["models"] == {"affine": "1"}
        assert [line for line in function.log_lines() if line.get("Restores") == 1]


def test_the_first_answer_after_a_restore_tells_what_that_took_and_nothing_from_before_the_snapshot(
    start: Start, url: str
) -> None:
    body = json.dumps(infer_body(tensor("x", "FP32", INPUT.shape, INPUT.ravel().tolist()))).encode()
    with start({"LAMBDASERVE_STORE": url}) as function:
        function.await_snapshot()
        function.restore()
        first, second = (function.invoke(rest_event("POST", "/v2/models/affine/infer", body)) for _ in range(2))

    assert "cold-restore;dur=" in first["headers"]["server-timing"]
    assert "cold-interpreter" not in first["headers"]["server-timing"]
    assert "cold-fetch" not in first["headers"]["server-timing"]
    assert "cold" not in second["headers"]["server-timing"]


def test_the_first_answer_is_the_new_versions_where_the_alias_has_moved_since_the_snapshot(
    start: Start, url: str
) -> None:
    with start({"LAMBDASERVE_STORE": url}) as function:
        function.await_snapshot()
        move_alias(url, "2")
        function.restore()

        assert infer(function) == (200, TWO)
        loaded = [line["version"] for line in function.log_lines() if line.get("message") == "model loaded"]
        assert loaded == ["1", "2"]


def test_a_restore_that_does_not_wait_leaves_the_new_version_to_the_first_request(start: Start, url: str) -> None:
    with start({"LAMBDASERVE_STORE": url, "LAMBDASERVE_INIT_WAIT_S": "0"}) as function:
        function.await_snapshot()
        move_alias(url, "2")
        function.restore()

        assert infer(function) == (200, TWO)


def test_nothing_is_answered_while_the_alias_cannot_be_read_and_the_next_request_tries_again(
    start: Start, url: str, wire: Wire
) -> None:
    with start({"LAMBDASERVE_STORE": url}) as function:
        function.await_snapshot()
        wire.cut()
        function.restore()

        status, error = infer(function)
        assert status == 503
        assert "'affine': store_unavailable" in error
        wire.mend()
        assert infer(function) == (200, ONE)


def test_an_old_version_is_not_served_where_the_new_one_cannot_be_loaded(
    start: Start, url: str, s3_server: S3Server
) -> None:
    bucket = url.split("/")[2]
    key = "lambdaserve/models/affine/versions/2/fp32.onnx"
    client = s3_server.client()
    whole = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    with start({"LAMBDASERVE_STORE": url}) as function:
        function.await_snapshot()
        client.put_object(Bucket=bucket, Key=key, Body=whole[:-1])
        move_alias(url, "2")
        function.restore()

        status, error = infer(function)
        assert status == 503
        assert "fp32.onnx" in error
        client.put_object(Bucket=bucket, Key=key, Body=whole)
        assert infer(function) == (200, TWO)


def test_connections_that_died_meanwhile_are_not_used(start: Start, url: str, wire: Wire) -> None:
    """A restored environment has them still, and nobody at the other end."""
    with start({"LAMBDASERVE_STORE": url}) as function:
        function.await_snapshot()
        wire.lose()
        function.restore()

        assert infer(function) == (200, ONE)
        assert wire.lost == b""


def test_credentials_are_read_again(start: Start, url: str, wire: Wire, s3_server: S3Server) -> None:
    """Lambda hands them out over an endpoint, so that a snapshot holds none that the environment has to live with."""
    old = {
        "accessKey": s3_server.environment["AWS_ACCESS_KEY_ID"],
        "secretKey": s3_server.environment["AWS_SECRET_ACCESS_KEY"],
    }
    with running_credentials(old) as endpoint:
        settings = {"LAMBDASERVE_STORE": url, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        with start(settings | endpoint.environment) as function:
            function.await_snapshot()
            assert wire.access_keys == {old["accessKey"]}
            wire.forget()
            asked = endpoint.asked
            endpoint.key = s3_server.reader
            move_alias(url, "2")
            function.restore()

            assert infer(function) == (200, TWO)
            assert wire.access_keys == {s3_server.reader["accessKey"]}
            assert endpoint.asked > asked


def test_no_snapshot_is_taken_of_a_function_without_its_model(start: Start, s3_server: S3Server) -> None:
    with start({"LAMBDASERVE_STORE": f"s3://{s3_server.make_bucket()}/lambdaserve"}) as function:
        assert function.await_end() != 0

        (report,) = function.reports
        assert (report.where, report.kind) == ("init/error", "Runtime.BeforeSnapshotError")
        assert "snapshot: model 'affine': no alias 'live'" in report.message
        assert "publish the model" in report.message
