"""Descriptions of models: each is run once, one at a time, and held meanwhile."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from handlers.api.openapi.described import Descriptions
from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.registry.routing import MAIN
from handlers.runtime.session import Session
from handlers.settings import Settings
from handlers.tasks.arrays import Arrays
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.registry.recorder import Recorder

WAIT_S = 60.0
MB = 2**20
EXAMPLE = {"x": np.ones((1, 3), np.float32)}


class _Watched(Models):
    """Hands out sessions that tell whether their model could have been dropped while they ran, and how many ran."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Recorder())
        self.runs: list[tuple[str, bool]] = []
        self.running = 0
        self.most_running = 0

    def find(self, name: str, which: str | None = None, share: float = MAIN) -> LoadedModel | None:
        model = super().find(name, which, share)
        return None if model is None else replace(model, session=_WatchedSession(self, model))


class _WatchedSession(Session):
    def __init__(self, models: _Watched, model: LoadedModel) -> None:
        self._models = models
        self._model = model

    def run(
        self,
        inputs: Arrays,
        outputs: Sequence[str] | None = None,
        *,
        timeout_s: float | None = None,
        shrink: bool = False,
    ) -> Arrays:
        models, name = self._models, self._model.name
        models.running += 1
        models.most_running = max(models.most_running, models.running)
        models.make_room(1000 * MB)
        models.runs.append((name, name in [model.name for model in models.loaded]))
        found = self._model.session.run(inputs, outputs, timeout_s=timeout_s, shrink=shrink)
        models.running -= 1
        return found


@pytest.fixture
def models(empty_store: Settings) -> _Watched:
    for name in "ab":
        publish_graphs(empty_store.store_url, name, {"fp32": affine()}, [EXAMPLE], memory={"fp32": (10 * MB, None)})
    return _Watched(replace(empty_store, model_memory_bytes=15 * MB))


def test_a_model_is_held_while_it_is_run_and_run_once(models: _Watched) -> None:
    descriptions = Descriptions(models)
    models.await_model("a", None, WAIT_S)

    [first] = descriptions.read()

    runs = len(models.runs)
    assert {("a", True)} == set(models.runs)
    assert "/v2/models/a/infer" in first.paths
    models.await_model("b", None, WAIT_S)
    assert [model.name for model in descriptions.read()] == ["b"]
    models.await_model("a", None, WAIT_S)  # which "b" goes for
    assert descriptions.read() == [first]
    assert len(models.runs) == 2 * runs
    assert models.make_room(15 * MB) == 15 * MB


def test_requests_that_meet_describe_once(models: _Watched) -> None:
    models.await_model("a", None, WAIT_S)
    descriptions = Descriptions(models)
    threads = [threading.Thread(target=descriptions.read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    runs = len(models.runs)

    Descriptions(models).read()

    assert models.most_running == 1
    assert len(models.runs) == 2 * runs


def test_another_version_is_described_anew(models: _Watched, empty_store: Settings) -> None:
    descriptions = Descriptions(models)
    models.await_model("a", None, WAIT_S)
    assert [model.version for model in descriptions.read()] == ["1"]
    publish_graphs(empty_store.store_url, "a", {"fp32": affine()}, [EXAMPLE], memory={"fp32": (5 * MB, None)})

    models.load("a", WAIT_S)

    assert [model.version for model in descriptions.read()] == ["2"]
