"""What clients see of faults of ours: a status, a request id, and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.errors import RuntimeFailure
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway, infer_body, invocation_context, tensor
from tests.handlers.faulty_models import FaultyModels

ROW = infer_body(tensor("x", "FP32", [1, 3], [0, 1, 2]))
SECRET = "not-for-clients"  # noqa: S105 - what must not get out
INTERNAL = "internal error: the log has it under this request's id"


@pytest.fixture
def models(tmp_path: Path) -> FaultyModels:
    settings = Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=tmp_path)
    publish_graphs(settings.store_url, "affine", {"fp32": affine()}, [{"x": np.ones((1, 3), np.float32)}])
    models = FaultyModels(settings, make_service(settings).telemetry)
    models.await_all(60)
    return models


@pytest.fixture
def faulty(models: FaultyModels, service: Service) -> Iterator[Gateway]:
    gateway = Gateway(create_app(Service(models, service.telemetry, service.max_body_bytes)))
    yield gateway
    gateway.close()


@pytest.mark.parametrize(
    "error", [KeyError(SECRET), ValueError(SECRET), MemoryError(SECRET), RecursionError(SECRET), AssertionError(SECRET)]
)
def test_a_crash_is_answered_with_500_and_the_request_id_and_nothing_else(
    models: FaultyModels, faulty: Gateway, error: Exception
) -> None:
    models.error = error

    answer = faulty.send("POST", "/v2/models/affine/infer", ROW, context=invocation_context("r-500"))

    assert answer.status == 500
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == {"error": INTERNAL, "request_id": "r-500"}


def test_after_a_crash_the_service_still_answers(models: FaultyModels, faulty: Gateway) -> None:
    models.error = KeyError(SECRET)
    assert faulty.infer("affine", ROW).status == 500

    models.error = None

    answer = faulty.infer("affine", ROW)
    assert (answer.status, answer.body["outputs"][0]["data"]) == (200, [1, 3, 5])


def test_a_crash_over_a_plain_server_is_answered_alike(models: FaultyModels, faulty: Gateway) -> None:
    models.error = KeyError(SECRET)

    answer = faulty.stream("/v2/models/affine/infer", [json.dumps(ROW).encode()])

    assert answer.status == 500
    assert answer.body["error"] == INTERNAL
    assert len(answer.body["request_id"]) == 32  # made up, as there is no Lambda here


def test_a_failure_that_we_foresaw_is_500_with_its_message(models: FaultyModels, faulty: Gateway) -> None:
    models.error = RuntimeFailure("model: not enough memory for this input: Failed to allocate 1 TB")

    answer = faulty.send("POST", "/v2/models/affine/infer", ROW, context=invocation_context("r-501"))

    assert answer.status == 500
    assert answer.body == {"error": str(models.error), "request_id": "r-501"}


def test_requests_without_an_id_of_lambda_get_one_each(gateway: Gateway) -> None:
    answers = [gateway.stream("/v2/models/affine/infer", [b"{"]) for _ in range(3)]

    assert len({answer.body["request_id"] for answer in answers}) == 3
