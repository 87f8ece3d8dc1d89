"""The embedded server: a long prediction holds nobody up, a short one is not worth a thread."""

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

from handlers.api.app import create_app
from handlers.api.call import Call
from handlers.api.service import Service
from handlers.errors import InvalidInput
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.graphs import affine, count_up
from tests.handlers.api.gateway import infer_body, tensor

ROW = {"x": np.ones((1, 3), np.float32)}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    settings = Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=tmp_path, pinned=("affine", "count"))
    publish_graphs(settings.store_url, "affine", {"fp32": affine()}, [ROW])
    publish_graphs(settings.store_url, "count", {"fp32": count_up()}, [{"n": np.array([3])}])
    telemetry = Telemetry("ERROR", log_stream=io.StringIO(), emit_metrics=False)
    models = Models(settings, telemetry)
    models.await_all(60)
    return Service(models, telemetry, 1_000_000, shares_loop=True)


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    config = uvicorn.Config(create_app(service), port=0, access_log=False, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def thread_of_a_run(service: Service, name: str, inputs: dict[str, np.ndarray]) -> threading.Thread:
    def answer(call: Call) -> threading.Thread:
        call.run(inputs)
        return threading.current_thread()

    model = service.models.await_model(name, None, 60)
    return asyncio.run(service.call(model, answer))


def test_health_is_answered_while_a_prediction_runs(url: str) -> None:
    endless = infer_body(tensor("n", "INT64", [1], [10**12]), parameters={"timeout": 3_000_000})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(httpx.post, f"{url}/v2/models/count/infer", json=endless, timeout=60)
        alive = [httpx.get(f"{url}/v2/health/live", timeout=60).status_code for _ in range(5)]
        assert not slow.done()
    assert alive == [200] * 5
    assert slow.result().status_code == 504


def test_a_first_run_and_a_long_one_go_to_a_thread_and_a_short_one_does_not(service: Service) -> None:
    here = threading.current_thread()
    first = thread_of_a_run(service, "affine", ROW)
    pace = service.models.await_model("affine", None, 60).pace
    for _ in range(50):
        pace.observe(3, 1e-5)
    assert first is not here
    assert thread_of_a_run(service, "affine", ROW) is here

    for _ in range(50):
        pace.observe(3, 0.006)

    assert thread_of_a_run(service, "affine", ROW) is not here


def test_where_nobody_shares_the_loop_nothing_goes_to_a_thread(service: Service) -> None:
    alone = Service(service.models, service.telemetry, 1_000_000)

    assert thread_of_a_run(alone, "affine", ROW) is threading.current_thread()


def test_what_is_refused_in_a_thread_is_refused(service: Service) -> None:
    model = service.models.await_model("affine", None, 60)

    def answer(call: Call) -> None:
        call.run(ROW)
        msg = "answer: nothing, expected something"
        raise InvalidInput(msg)

    with pytest.raises(Exception, match="answer: nothing"):
        asyncio.run(service.call(model, answer))


def test_a_large_body_is_decoded_in_a_thread_and_once(service: Service) -> None:
    model = service.models.await_model("affine", None, 60)
    model.pace.observe(3, 1e-4)
    seen: list[threading.Thread] = []

    def answer(call: Call) -> None:
        seen.append(threading.current_thread())
        call.run(ROW)

    asyncio.run(service.call(model, answer, body_bytes=40_000))
    asyncio.run(service.call(model, answer, body_bytes=100))

    large, small = seen
    assert large is not threading.current_thread()
    assert small is threading.current_thread()


def test_who_waits_for_models_takes_no_thread_from_predictions(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    model = service.models.await_model("count", None, 60)
    monkeypatch.setattr(service.models, "await_all", lambda _: held.wait(60))
    monkeypatch.setattr(Models, "complete", property(lambda _: False))

    async def crowd() -> int:
        waiting = [asyncio.create_task(service.await_all({})) for _ in range(40)]
        await asyncio.sleep(0)
        found = await asyncio.wait_for(service.call(model, lambda call: call.run({"n": np.array([3])}), 40_000), 30)
        held.set()
        await asyncio.gather(*waiting)
        return int(found["y"][0])

    assert asyncio.run(crowd()) == 3
