"""What the process says of the calls that it has answered."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from handlers.api.app import create_app
from handlers.api.call import Call
from handlers.api.service import Service
from tests.handlers.api.gateway import Gateway, infer_body, tensor

TWO_ROWS = infer_body(tensor("x", "FP32", [2, 3], [0, 1, 2, 3, 4, 5]))
NEVER = {"count": 0, "ns": 0}


@pytest.fixture
def fresh(gateway: Gateway, service: Service) -> Service:
    """A service with the same models that has answered nothing yet."""
    del gateway  # which has loaded the models
    return Service(service.models, service.telemetry, service.max_body_bytes)


@pytest.fixture
def counted(fresh: Service) -> Iterator[Gateway]:
    gateway = Gateway(create_app(fresh))
    yield gateway
    gateway.close()


def stats_of(gateway: Gateway, path: str = "/v2/models/affine/stats") -> dict[str, Any]:
    answer = gateway.send("GET", path)
    assert answer.status == 200
    assert answer.body["scope"] == "environment"
    [stats] = answer.body["model_stats"]
    found: dict[str, Any] = stats
    return found


def test_a_model_that_was_not_called_has_zeros(counted: Gateway) -> None:
    kinds = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
    assert stats_of(counted) == {
        "name": "affine",
        "version": "1",
        "last_inference": 0,
        "inference_count": 0,
        "execution_count": 0,
        "inference_stats": dict.fromkeys(kinds, NEVER),
        "batch_stats": [],
    }


def test_calls_samples_and_times_are_counted(counted: Gateway) -> None:
    before = time.time_ns() // 1_000_000
    for _ in range(3):
        assert counted.infer("affine", TWO_ROWS).status == 200

    found = stats_of(counted)

    times = found["inference_stats"]
    assert (found["inference_count"], found["execution_count"]) == (6, 3)
    assert before <= found["last_inference"] <= time.time_ns() // 1_000_000
    phases = [times[name] for name in ("compute_input", "compute_infer", "compute_output")]
    assert [phase["count"] for phase in phases] == [3, 3, 3]
    assert all(phase["ns"] > 0 for phase in phases)
    assert times["success"]["ns"] >= sum(phase["ns"] for phase in phases)
    assert (times["success"]["count"], times["queue"], times["fail"]) == (3, {"count": 3, "ns": 0}, NEVER)


def test_calls_that_are_refused_count_as_failed_and_nothing_else(counted: Gateway) -> None:
    assert counted.infer("affine", b"{}").status == 400
    assert counted.infer("unknown", TWO_ROWS).status == 404  # no model's call

    found = stats_of(counted)

    assert (found["inference_count"], found["execution_count"]) == (0, 0)
    times = found["inference_stats"]
    assert times.pop("fail")["count"] == 1
    assert list(times.values()) == [NEVER] * 7
    assert found["last_inference"] > 0


def test_calls_through_other_protocols_count(counted: Gateway) -> None:
    assert counted.send("POST", "/v1/models/affine:predict", {"instances": [[0, 1, 2], [3, 4, 5]]}).status == 200

    assert stats_of(counted)["inference_count"] == 2


def test_each_version_counts_for_itself_and_all_are_listed(counted: Gateway, fresh: Service) -> None:
    counted.infer("affine", TWO_ROWS)

    answer = counted.send("GET", "/v2/models/stats")

    found = {stats["name"]: stats["inference_count"] for stats in answer.body["model_stats"]}
    assert list(found) == [model.name for model in fresh.models.loaded]
    assert found.pop("affine") == 2
    assert set(found.values()) == {0}
    assert stats_of(counted, "/v2/models/affine/versions/1/stats")["inference_count"] == 2


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v2/models/unknown/stats", "model 'unknown': not served here, expected one of: "),
        ("/v2/models/affine/versions/2/stats", "model 'affine': no version '2' here, expected one of: live (1)"),
    ],
)
def test_of_what_is_not_served_there_are_no_statistics(counted: Gateway, path: str, error: str) -> None:
    counted.infer("affine", TWO_ROWS)

    answer = counted.send("GET", path)

    assert answer.status == 404
    assert answer.body["error"].startswith(error)


def test_counts_of_many_threads_add_up(fresh: Service) -> None:
    model = fresh.models.await_model("affine", None, 60)

    def answer(call: Call) -> None:
        with call.clock.phase("infer"):
            call.samples += 2

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: asyncio.run(fresh.call(model, answer)), range(2000)))

    [counts] = fresh.counters.snapshot()
    assert (counts.samples, counts.success.count, counts.phases["infer"].count) == (4000, 2000, 2000)
