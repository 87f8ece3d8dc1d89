import asyncio
import gc
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from handlers.errors import GoldenMismatch
from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.registry.packing import Scratch
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine, dense
from tests.handlers.api.conftest import make_service
from tests.handlers.registry.recorder import WAIT_S, Recorder

WIDTH = 4096  # a power of two: means of whole numbers are exact, in whatever order kernels add them
EXAMPLE = {"x": (np.arange(WIDTH) % 3).astype(np.float32).reshape(1, WIDTH)}
RIGHT = np.full((1, WIDTH), EXAMPLE["x"].mean())


@pytest.fixture(scope="module")
def large_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = (tmp_path_factory.mktemp("large") / "store").as_uri()
    publish_graphs(url, "m", {"fp32": dense(WIDTH, 1)}, [EXAMPLE])
    return url


@pytest.fixture
def on_demand(settings: Settings, large_store: str) -> Settings:
    """Settings of an environment that Lambda starts because a request waits for it."""
    return replace(settings, store_url=large_store, defers_packing=True)


def ask(models: Models) -> LoadedModel:
    model = models.await_and_hold("m", None, WAIT_S)
    models.prediction_comes(model)
    np.testing.assert_array_equal(model.session.run(EXAMPLE)["y"], RIGHT)
    models.release("m", "1")
    return model


def settle(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_weights_are_packed_beside_the_second_request(on_demand: Settings, recorder: Recorder) -> None:
    models = Models(on_demand, recorder)

    model = ask(models)
    assert not model.session.packed
    [folder] = on_demand.scratch_dir.iterdir()
    assert (folder / "fp32.onnx.data").exists()

    ask(models)
    settle(lambda: model.session.packed and not folder.exists())
    for _ in range(3):
        assert ask(models) is model
    assert recorder.passed_over == []


def test_predictions_over_the_service_are_what_counts(on_demand: Settings) -> None:
    service = make_service(on_demand)
    model = service.models.await_and_hold("m", None, WAIT_S)

    def predict() -> None:
        asyncio.run(service.call(model, lambda call: call.run(EXAMPLE, ["y"])))

    service.models.await_model("m", None, WAIT_S)  # asked for, as by whoever looks whether it is ready
    predict()
    assert len(list(on_demand.scratch_dir.iterdir())) == 1
    predict()
    settle(lambda: model.session.packed and not list(on_demand.scratch_dir.iterdir()))


def test_nothing_is_deferred_where_no_request_waits(on_demand: Settings, recorder: Recorder, large_store: str) -> None:
    models = Models(replace(on_demand, store_url=large_store, defers_packing=False), recorder)

    model = ask(models)

    assert (model.session.packed, model.packing) == (True, None)
    assert list(on_demand.scratch_dir.iterdir()) == []


def test_nothing_is_deferred_where_there_is_little_to_pack(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "m", {"fp32": affine()}, [{"x": np.zeros((1, 3), np.float32)}])
    models = Models(replace(settings, defers_packing=True), recorder)

    models.await_all(WAIT_S)

    assert models.loaded[0].session.packed
    assert list(settings.scratch_dir.iterdir()) == []


def test_a_packed_session_that_answers_wrong_is_not_taken(on_demand: Settings, recorder: Recorder) -> None:
    models = Models(on_demand, recorder)
    model = ask(models)
    [folder] = on_demand.scratch_dir.iterdir()
    wrong = np.full((WIDTH, WIDTH), 2 / WIDTH, np.float32)  # where they lie by now; what is in use is mapped
    (folder / "fp32.onnx.data").unlink()
    (folder / "fp32.onnx.data").write_bytes(wrong.tobytes())

    ask(models)
    settle(lambda: not folder.exists())

    assert not ask(models).session.packed
    [(_, _, variant, error)] = recorder.passed_over
    assert (variant, type(error)) == ("fp32, packed", GoldenMismatch)
    assert model is ask(models)


def test_a_session_that_cannot_be_packed_stays_as_it_is(on_demand: Settings, recorder: Recorder) -> None:
    models = Models(on_demand, recorder)
    ask(models)
    [folder] = on_demand.scratch_dir.iterdir()
    (folder / "fp32.onnx").unlink()

    ask(models)
    settle(lambda: not folder.exists())

    assert not ask(models).session.packed
    assert [entry[2] for entry in recorder.passed_over] == ["fp32, packed"]


def test_nothing_is_deferred_where_both_sessions_do_not_fit(on_demand: Settings, recorder: Recorder) -> None:
    models = Models(replace(on_demand, model_memory_bytes=1), recorder)  # the manifest says that it takes as much

    assert ask(models).session.packed


def test_folders_that_are_made_at_the_same_time_all_stay(tmp_path: Path) -> None:
    together = Barrier(4)

    def made(parent: Path) -> Scratch:
        together.wait()
        return Scratch(parent)

    with ThreadPoolExecutor(4) as pool:
        for number in range(300):  # the first ones in a folder look for old ones
            parent = tmp_path / str(number)
            parent.mkdir()
            scratches = list(pool.map(made, [parent] * 4))
            assert {scratch.folder for scratch in scratches} == set(parent.iterdir())


def test_what_a_killed_process_left_is_swept_away(on_demand: Settings, recorder: Recorder) -> None:
    with subprocess.Popen(["sleep", "60"]) as alive:
        dead = subprocess.Popen(["true"])
        dead.wait()
        for process in (alive.pid, dead.pid, os.getpid()):
            (on_demand.scratch_dir / f"lambdaserve-{process}-x").mkdir()
        (on_demand.scratch_dir / "lambdaserve-notes-x").mkdir()

        Models(replace(on_demand, defers_packing=False), recorder).await_all(WAIT_S)

        left = {path.name for path in on_demand.scratch_dir.iterdir()}
        assert left == {f"lambdaserve-{alive.pid}-x", "lambdaserve-notes-x"}
        alive.kill()


def test_files_go_with_a_model_that_is_dropped_before(on_demand: Settings, recorder: Recorder) -> None:
    models = Models(on_demand, recorder)
    models.await_model("m", None, WAIT_S)
    folders: list[Path] = list(on_demand.scratch_dir.iterdir())
    recorder.loaded.clear()

    models.unload("m")
    gc.collect()

    assert len(folders) == 1
    assert list(on_demand.scratch_dir.iterdir()) == []
