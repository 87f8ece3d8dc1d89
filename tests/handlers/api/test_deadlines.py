"""No work that cannot end in time: what is refused, what is stopped, and what the caller is told."""

import io
import re
import time
from collections.abc import Iterator

import numpy as np
import pytest

from handlers.api.app import create_app
from handlers.api.call import Call
from handlers.api.service import Service
from handlers.clock import Deadline
from handlers.errors import DeadlineExceeded
from handlers.registry.manifest import Batching
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.graphs import affine, count_up
from tests.handlers.api.gateway import Gateway, infer_body, invocation_context, tensor

ENDLESS = 10**12
ROW = infer_body(tensor("x", "FP32", [1, 3], [0, 1, 2]))


@pytest.fixture
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("deadlines")
    settings = Settings(store_url=(folder / "store").as_uri(), scratch_dir=folder, pinned=("affine", "count"))
    row = {"x": np.array([[0, 1, 2]], np.float32)}
    publish_graphs(settings.store_url, "affine", {"fp32": affine()}, [row], batching=Batching(length=1))
    publish_graphs(settings.store_url, "count", {"fp32": count_up()}, [{"n": np.array([3])}])
    publish_graphs(settings.store_url, "other", {"fp32": affine()}, [row])
    models = Models(settings, Telemetry("ERROR", log_stream=io.StringIO(), emit_metrics=False))
    models.await_all(60)
    models.timeline.tell(waited=False, failed=False)  # as the first answer did
    return models


@pytest.fixture
def gateway(models: Models) -> Iterator[Gateway]:
    telemetry = Telemetry("ERROR", log_stream=io.StringIO(), emit_metrics=False)
    gateway = Gateway(create_app(Service(models, telemetry, 1_000_000)))
    yield gateway
    gateway.close()


def count_to(n: int, **members: object) -> dict[str, object]:
    return infer_body(tensor("n", "INT64", [1], [n]), **members)


def send(gateway: Gateway, body: object, *, seconds_left: float, model: str = "count") -> tuple[int, str, str]:
    context = invocation_context(seconds_left=seconds_left)
    answer = gateway.send("POST", f"/v2/models/{model}/infer", body, context=context)
    return answer.status, str(answer.body.get("error")), answer.headers.get("server-timing", "")


def test_a_run_that_outlasts_the_invocation_is_stopped_and_answered(gateway: Gateway) -> None:
    status, error, timing = send(gateway, count_to(ENDLESS), seconds_left=1.5)

    assert status == 504
    spent = r"[\d.]+ s are spent \(decode [\d.e-]+ s, infer [\d.]+ s\)"
    assert re.fullmatch(
        rf"model 'count': a run stopped after [\d.]+ s, expected it done by then \(1 samples\); {spent}; "
        r"send fewer samples at once, or allow more time",
        error,
    )
    assert re.fullmatch(r"decode;dur=[\d.]+, infer;dur=[\d.]+", timing)
    assert send(gateway, count_to(5), seconds_left=30)[0] == 200  # the session is as good as before


def test_a_run_that_would_not_end_in_time_is_not_begun(models: Models) -> None:
    model = models.await_model("count", None, 60)
    for _ in range(5):
        model.pace.observe(1, 5.0)
    call = Call(model, deadline=Deadline(time.monotonic() + 2.0))

    with pytest.raises(
        DeadlineExceeded, match=r"model 'count': [12][\d.]* s left, expected at least [34][\d.]* s for the "
    ):
        call.run({"n": np.array([1])})

    assert (call.runs, call.clock.phases_ms) == (0, {})


def test_a_wrong_estimate_refuses_some_but_not_for_ever(models: Models) -> None:
    model = models.await_model("count", None, 60)
    for _ in range(5):
        model.pace.observe(1, 5.0)
    refused = 0
    for _ in range(20):
        try:
            Call(model, deadline=Deadline(time.monotonic() + 2.0)).run({"n": np.array([1])})
        except DeadlineExceeded:
            refused += 1
        else:
            break

    assert 0 < refused < 20


def test_between_the_pieces_of_a_batch_time_is_looked_at(models: Models) -> None:
    model = models.await_model("affine", None, 60)

    class Hourglass(Deadline):
        looks = 0

        @property
        def left_s(self) -> float:
            object.__setattr__(self, "looks", self.looks + 1)
            return 10.0 if self.looks <= 4 else 0.0  # once before the first

    call = Call(model, deadline=Hourglass())

    with pytest.raises(DeadlineExceeded, match=r"'affine': 0 s left after 3 samples, expected at least "):
        call.run({"x": np.ones((10, 3), np.float32)})
    assert call.runs == 3


@pytest.mark.parametrize("where", ["affine", "count"])
def test_the_timeout_of_a_request_is_obeyed(gateway: Gateway, where: str) -> None:
    body = (
        count_to(ENDLESS, parameters={"timeout": 300_000}) if where == "count" else ROW | {"parameters": {"timeout": 1}}
    )

    status, error, _ = send(gateway, body, seconds_left=60, model=where)

    assert (status, error[:7]) == (504, "model '")


@pytest.mark.parametrize("timeout_s", [60.0, 1e9, None])
def test_a_timeout_that_is_long_enough_changes_nothing(models: Models, timeout_s: float | None) -> None:
    call = Call(models.await_model("affine", None, 60))

    call.limit(timeout_s)

    assert call.run({"x": np.ones((1, 3), np.float32)})["y"].tolist() == [[3, 3, 3]]


def test_loading_that_outlasts_the_invocation_is_504_and_goes_on(gateway: Gateway) -> None:
    status, error, timing = send(gateway, ROW, seconds_left=0.9, model="other")

    assert status == 504
    assert error.startswith("model 'other': still loading when the request's time ended, after ")
    assert timing.startswith("load;dur=")
    assert send(gateway, ROW, seconds_left=30, model="other")[0] == 200


def test_a_504_of_a_cold_start_carries_its_phases_so_far(gateway: Gateway, models: Models) -> None:
    with models.timeline.span("fetch"):
        status, _, timing = send(gateway, ROW, seconds_left=0.9, model="other")

    assert status == 504
    assert re.search(r"cold;dur=[\d.]+, .*cold-fetch;dur=", timing)


def test_a_prediction_tells_its_phases_and_nothing_else_does(gateway: Gateway) -> None:
    status, _, timing = send(gateway, ROW, seconds_left=30, model="affine")

    assert status == 200
    assert re.fullmatch(r"decode;dur=[\d.]+, infer;dur=[\d.]+, encode;dur=[\d.]+", timing)
    assert "server-timing" not in gateway.send("GET", "/v2/models/affine").headers


def test_pieces_that_cannot_all_be_run_in_time_are_not_begun(models: Models) -> None:
    model = models.await_model("affine", None, 60)
    for _ in range(5):
        model.pace.observe(3, 0.5)
    call = Call(model, deadline=Deadline(time.monotonic() + 2.0))

    with pytest.raises(DeadlineExceeded, match=r"s left, expected at least [34][\d.]* s for the next 10 samples"):
        call.run({"x": np.ones((10, 3), np.float32)})
    assert call.runs == 0


def test_a_large_batch_is_not_refused_for_what_a_small_one_took(models: Models) -> None:
    model = models.await_model("affine", None, 60)
    call = Call(model, deadline=Deadline(time.monotonic() + 20.0))
    call.run({"x": np.ones((1, 3), np.float32)})

    assert call.run({"x": np.ones((2, 3), np.float32)})["y"].shape == (2, 3)
