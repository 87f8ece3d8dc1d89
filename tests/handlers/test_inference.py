"""The composition root in a process of its own: init never raises, and what cannot be served is answered for."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.gateway import rest_event
from tests.handlers.function_process import Run, run_function

READY = rest_event("GET", "/v2/health/ready")
LIVE = rest_event("GET", "/v2/health/live")
INFER = rest_event(
    "POST",
    "/v2/models/affine/infer",
    b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0, 1, 2]}]}',
)


def ask(environ: dict[str, str]) -> Run:
    return run_function(environ, [("live", LIVE), ("ready", READY), ("infer", INFER)])


def phases(answer: Mapping[str, Any]) -> set[str]:
    """Return the names in an answer's `Server-Timing`."""
    return set(re.findall(r"([a-z-]+);dur=\d", answer["headers"].get("server-timing", "")))


def statuses(run: Run) -> list[int]:
    return [answer["statusCode"] for answer in run.answers]


def test_a_published_model_is_served(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}])

    run = ask({"LAMBDASERVE_STORE": url})

    assert statuses(run) == [200, 200, 200]
    assert run.bodies[2]["outputs"][0]["data"] == [1, 3, 5]


def test_what_was_not_loaded_in_the_init_phase_is_loaded_in_the_first_invocation(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}])

    run = run_function({"LAMBDASERVE_STORE": url, "LAMBDASERVE_INIT_WAIT_S": "0"}, [("infer", INFER)])

    assert statuses(run) == [200]


OF_PROCESS = {"cold", "cold-interpreter", "cold-settings", "cold-registry-import", "cold-web-import"}
OF_MODEL = {f"cold-{phase}" for phase in ("alias", "manifest", "fetch", "runtime-import", "session", "goldens", "task")}


@pytest.mark.parametrize("init_wait_s", ["7", "0"])
def test_the_first_answer_carries_the_phases_of_the_cold_start_and_no_other_does(
    tmp_path: Path, init_wait_s: str
) -> None:
    url = (tmp_path / "store").as_uri()
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}])

    run = run_function(
        {"LAMBDASERVE_STORE": url, "LAMBDASERVE_INIT_WAIT_S": init_wait_s}, [("one", INFER), ("two", INFER)]
    )

    first, second = map(phases, run.answers)
    assert first - {"load"} == OF_PROCESS | OF_MODEL | {"cold-store", "cold-list", "decode", "infer", "encode"}
    assert second == {"decode", "infer", "encode"}


def test_answers_that_fail_carry_the_phases_known_so_far(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}])
    (tmp_path / "store/models/affine/versions/1/fp32.onnx").unlink()

    run = run_function({"LAMBDASERVE_STORE": url}, [("one", INFER), ("two", INFER)])

    assert statuses(run) == [503, 503]
    for answer in run.answers:
        assert phases(answer) >= OF_PROCESS | {"load", "cold-store", "cold-alias", "cold-manifest", "cold-fetch"}
        assert not phases(answer) & {"cold-session", "cold-goldens"}


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "LAMBDASERVE_STORE: nothing, expected file:///folder or s3://bucket/prefix"),
        ({"LAMBDASERVE_STORE": "file:///nowhere/at/all"}, "store: no model with the alias 'live'"),
        ({"LAMBDASERVE_STORE": "file:///nowhere", "LAMBDASERVE_MODELS": "affine"}, "model 'affine': no alias 'live'"),
        ({"LAMBDASERVE_STORE": "nowhere", "LAMBDASERVE_LOG_LEVEL": "loud"}, "LAMBDASERVE_STORE: 'nowhere', expected"),
        ({"LAMBDASERVE_STORE": "s3://Not_A_Bucket"}, "store URL: 's3://Not_A_Bucket', expected"),
    ],
)
def test_a_function_that_cannot_serve_is_live_and_not_ready_and_says_why(environ: dict[str, str], reason: str) -> None:
    run = ask(environ)

    assert statuses(run) == [200, 503, 503]
    for body, request_id in zip(run.bodies[1:], ("ready", "infer"), strict=True):
        assert body["error"].startswith(reason)
        assert body["request_id"] == request_id
    failures = [line for line in run.logs if line["message"] == "loading failed"]
    assert failures
    assert all(line["reason"].startswith(reason) for line in failures)
    assert run.stderr == ""
