"""The functions under the real runtime client, fed with the files in events/, a fresh process per cold start.

What runs is the package that `sam build` makes, where the template's Python is installed; elsewhere this checkout, with
this Python. The store is a real S3 API over a socket.
"""

import base64
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.progress import Progress
from export.publish import publish
from export.source import load_source
from handlers.registry.stores import open_store
from tests.artifacts import publish_graphs
from tests.demo import Demo
from tests.graphs import affine
from tests.handlers.api.gateway import rest_event
from tests.interpreters import ROOT, find_python
from tests.servers.lambda_runtime import Function, running_function
from tests.servers.s3 import S3Server

EVENTS = ROOT / "events"
EXPECTED: dict[str, dict[str, Any]] = json.loads((EVENTS / "expected.json").read_text(encoding="utf-8"))
Start = Callable[..., AbstractContextManager[Function]]
HANDLERS = {"InferenceFunction": "handlers.inference.handler", "ManagementFunction": "handlers.management.handler"}


@pytest.fixture(scope="session")
def start(request: pytest.FixtureRequest, s3_server: S3Server) -> Start:
    """Starts a function with some settings beside those of the S3 API."""
    python = find_python("3.13")

    def run(settings: Mapping[str, str], function: str = "InferenceFunction") -> AbstractContextManager[Function]:
        environ, handler = s3_server.environment | dict(settings), HANDLERS[function]
        if python is None:
            return running_function(ROOT, Path(sys.executable), environ, handler=handler)
        package = request.getfixturevalue("artifact").parent / function
        return running_function(package, python, environ, handler=handler, runtime_client=ROOT / ".venv-runtime")

    return run


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, which this process can reach too."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.make_bucket()


@pytest.fixture
def store_with_model(bucket: str, demo: Demo) -> str:
    """URL of a store in which the demo's model is live."""
    url = f"s3://{bucket}/lambdaserve"
    publish(demo.artifact, open_store(url), "live", Progress())
    return url


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EVENTS / name).read_text(encoding="utf-8"))
    return loaded


def text_of(answer: Mapping[str, Any]) -> str:
    body: str = answer["body"]
    return base64.b64decode(body).decode() if answer["isBase64Encoded"] else body


@pytest.mark.parametrize("name", EXPECTED)
def test_each_event_is_answered_as_documented_after_a_cold_start(
    name: str, start: Start, store_with_model: str
) -> None:
    with start({"LAMBDASERVE_STORE": store_with_model}, EXPECTED[name]["function"]) as function:
        answer = function.invoke(event(name))

    assert answer["statusCode"] == EXPECTED[name]["status"], answer
    assert EXPECTED[name]["body"] in text_of(answer)


def test_the_prediction_is_pytorchs(start: Start, store_with_model: str, demo: Demo) -> None:
    infer = event("infer.json")
    sent = json.loads(base64.b64decode(infer["body"]))["inputs"][0]
    image = np.array(sent["data"], np.float32).reshape(sent["shape"])
    network = load_source(f"{demo.folder / 'mnist-cnn' / 'source.py'}:source").module
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()

    with start({"LAMBDASERVE_STORE": store_with_model}) as function:
        answer = json.loads(text_of(function.invoke(infer)))

    logits = np.array(answer["outputs"][0]["data"]).reshape(1, 10)
    assert logits.argmax() == expected.argmax() == EXPECTED["infer.json"]["largest"]
    # int8 moves logits by some per cent of their range; the gate has shown that this changes no answer that counts
    assert np.abs(logits - expected).max() <= 0.05 * np.abs(expected).max()


def test_logs_and_metrics_of_a_cold_start_and_a_call_carry_model_version_and_request(
    start: Start, store_with_model: str
) -> None:
    with start({"LAMBDASERVE_STORE": store_with_model}) as function:
        function.invoke(event("infer.json"))
        refused = json.loads(text_of(function.invoke(event("infer-bad-shape.json"))))
        lines = function.log_lines()

    loaded = next(line for line in lines if line.get("message") == "model loaded")
    assert (loaded["model"], loaded["version"]) == ("mnist-cnn", "1")
    assert loaded["phases_ms"].keys() >= {"alias", "manifest", "fetch", "session", "goldens"}
    latency = next(line for line in lines if "Latency" in line)
    assert (latency["model"], latency["version"]) == ("mnist-cnn", "1")
    assert latency["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "lambdaserve"
    failed = next(line for line in lines if "Errors" in line)
    assert failed["request_id"] == refused["request_id"] != latency["request_id"]


def test_a_cold_answer_carries_its_phases_and_the_log_has_them_as_metrics(start: Start, bucket: str) -> None:
    url = f"s3://{bucket}/lambdaserve"
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}])
    body = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0, 1, 2]}]}
    infer = rest_event("POST", "/v2/models/affine/infer", json.dumps(body).encode())
    with start({"LAMBDASERVE_STORE": url}) as function:
        cold, warm = (function.invoke(infer) for _ in range(2))
        lines = function.log_lines()

    phases = ("interpreter", "settings", "store", "fetch", "runtime-import", "web-import", "session", "goldens")
    for phase in ("cold", *(f"cold-{phase}" for phase in phases)):
        assert f"{phase};dur=" in cold["headers"]["server-timing"]
    assert "infer;dur=" in warm["headers"]["server-timing"]
    assert "cold" not in warm["headers"]["server-timing"]
    [loaded] = [line for line in lines if "ColdStart" in line]
    [started] = [line for line in lines if "ColdStartInterpreter" in line]
    assert loaded["model"] == "affine"
    assert loaded["ColdStart"] > loaded["ColdStartFetch"] + started["ColdStartInterpreter"] > 0
    [directive] = loaded["_aws"]["CloudWatchMetrics"]
    assert {"Name": "ColdStart", "Unit": "Milliseconds"} in directive["Metrics"]


def test_an_empty_bucket_is_live_and_not_ready_until_a_model_is_published(
    start: Start, bucket: str, demo: Demo
) -> None:
    url = f"s3://{bucket}/lambdaserve"
    with start({"LAMBDASERVE_STORE": url}) as function:
        assert function.invoke(event("health-live.json"))["statusCode"] == 200
        empty = function.invoke(event("health-ready.json"))
        assert empty["statusCode"] == 503
        assert "publish" in text_of(empty)

        publish(demo.artifact, open_store(url), "live", Progress())
        assert function.invoke(event("health-ready.json"))["statusCode"] == 200
        assert function.invoke(event("infer.json"))["statusCode"] == 200


def test_an_altered_file_is_never_served_and_the_log_names_it_with_both_hashes(
    start: Start, store_with_model: str, s3_server: S3Server
) -> None:
    bucket = store_with_model.split("/")[2]
    client = s3_server.client()
    files = [f"lambdaserve/models/mnist-cnn/versions/1/{name}.onnx" for name in ("fp32", "int8-static")]
    for key in files:
        try:
            data = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:  # the gate may have chosen fp32 alone
            continue
        client.put_object(Bucket=bucket, Key=key, Body=data[:-1] + bytes([data[-1] ^ 1]))

    with start({"LAMBDASERVE_STORE": store_with_model}) as function:
        assert function.invoke(event("health-live.json"))["statusCode"] == 200
        assert function.invoke(event("health-ready.json"))["statusCode"] == 503
        assert function.invoke(event("infer.json"))["statusCode"] == 503
        reason = next(line["reason"] for line in function.log_lines() if line.get("message") == "loading failed")

    assert ".onnx: " in reason
    assert reason.count("sha256") == 1
    assert len([word for word in reason.replace(",", " ").split() if len(word) == 64]) == 2


def test_settings_that_make_no_sense_leave_the_function_live_and_say_what_is_wrong(start: Start) -> None:
    with start({"LAMBDASERVE_STORE": "ftp://nowhere", "LAMBDASERVE_THREADS": "many"}) as function:
        assert function.invoke(event("health-live.json"))["statusCode"] == 200
        ready = function.invoke(event("health-ready.json"))

    assert ready["statusCode"] == 503
    assert "LAMBDASERVE_STORE" in text_of(ready)
    assert "LAMBDASERVE_THREADS" in text_of(ready)


def test_loading_that_outlasts_the_init_goes_on_in_the_first_invocation(start: Start, store_with_model: str) -> None:
    settings = {"LAMBDASERVE_STORE": store_with_model, "LAMBDASERVE_INIT_WAIT_S": "0"}
    with start(settings) as function:
        assert function.invoke(event("infer.json"))["statusCode"] == 200


def test_nothing_is_left_in_the_scratch_folder(start: Start, store_with_model: str, tmp_path: Path) -> None:
    settings = {"LAMBDASERVE_STORE": store_with_model, "LAMBDASERVE_SCRATCH_DIR": str(tmp_path)}
    with start(settings) as function:
        assert function.invoke(event("infer.json"))["statusCode"] == 200
        assert list(tmp_path.iterdir()) == []


def test_what_the_management_function_promotes_the_inference_function_serves(
    start: Start, store_with_model: str, demo: Demo
) -> None:
    publish(demo.artifact, open_store(store_with_model), None, Progress())
    promote = rest_event("POST", "/models/mnist-cnn/aliases/live/promote", b'{"version": "2"}')
    promote["requestContext"]["identity"] = event("management-promote.json")["requestContext"]["identity"]

    with start({"LAMBDASERVE_STORE": store_with_model}, "ManagementFunction") as function:
        promoted = function.invoke(promote)
        anonymous = function.invoke(rest_event("GET", "/models"))
        lines = function.log_lines()
    with start({"LAMBDASERVE_STORE": store_with_model}) as function:
        answer = json.loads(text_of(function.invoke(event("infer.json"))))

    assert promoted["statusCode"] == 200, promoted
    assert anonymous["statusCode"] == 403
    assert answer["model_version"] == "2"
    [change] = [line for line in lines if line.get("message") == "change asked for"]
    assert (change["action"], change["version"], change["outcome"]) == ("promote", "2", "done")
    assert change["caller"] == "arn:aws:sts::123456789012:assumed-role/operators/alice"
    assert sum(line.get("ManagementCalls", 0) for line in lines) == 2
    assert sum(line.get("ManagementErrors", 0) for line in lines) == 1
