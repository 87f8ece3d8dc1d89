"""Loading again what an alias names by now, beside the version that answers."""

import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest

from handlers.errors import InsufficientMemory, ModelNotReady, StillLoading
from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.runtime.session import Session
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.registry.recorder import Gatekeeper, Recorder

WAIT_S = 60.0
MB = 2**20
EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}
OLD, NEW, WRONG = affine(2.0, 1.0), affine(3.0, 1.0), affine(5.0, 1.0)


def publish_old(settings: Settings, size_mb: int = 10) -> None:
    publish_graphs(settings.store_url, "m", {"fp32": OLD}, [EXAMPLE], memory={"fp32": (size_mb * MB, None)})
    publish_graphs(settings.store_url, "other", {"fp32": OLD}, [EXAMPLE], memory={"fp32": (5 * MB, None)})


def publish_new(settings: Settings, size_mb: int = 10, *, wrong: bool = False) -> None:
    """Publish version 2, whose first variant is passed over, which a `Gatekeeper` waits for."""
    graphs = {"int8-static": WRONG, "fp32": WRONG if wrong else NEW}
    memory = dict.fromkeys(graphs, (size_mb * MB, None))
    publish_graphs(settings.store_url, "m", graphs, [EXAMPLE], memory=memory, proven=NEW)


def models_of(settings: Settings, observer: Recorder, size_mb: int) -> Models:
    models = Models(replace(settings, model_memory_bytes=size_mb * MB), observer)
    assert models.await_model("m", None, WAIT_S).version == "1"
    return models


def wait_until_loaded(models: Models) -> None:
    """Wait for a job that nobody waits for."""
    for thread in threading.enumerate():
        if thread.name == "load-models":
            thread.join(WAIT_S)
    assert [state.state for state in models.index() if state.name == "m"] == ["READY"]


def version(models: Models) -> str:
    return models.await_model("m", None, WAIT_S).version


class _Forgetful(Recorder):
    """Keeps no model alive, and remembers whether the first session was gone when it was told of a drop."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[weakref.ref[Session]] = []
        self.freed: list[bool] = []

    def model_loaded(self, model: LoadedModel) -> None:
        self.sessions.append(weakref.ref(model.session))

    def model_dropped(self, model: str, version: str) -> None:
        super().model_dropped(model, version)
        self.freed.append(self.sessions[0]() is None)


def test_the_new_version_takes_the_old_ones_place_and_its_memory_is_free(settings: Settings) -> None:
    publish_old(settings)
    forgetful = _Forgetful()
    models = models_of(settings, forgetful, 50)
    publish_new(settings, 15)

    assert models.load("m", WAIT_S).version == "2"

    assert (forgetful.dropped, forgetful.freed) == ([("m", "1")], [True])
    assert models.make_room(0) == 35 * MB
    assert models.load("m", WAIT_S).version == "2"
    assert len(forgetful.sessions) == 2


def test_a_new_version_that_is_too_large_leaves_the_old_one_alone(settings: Settings, recorder: Recorder) -> None:
    publish_old(settings)
    models = models_of(settings, recorder, 30)
    publish_new(settings, 40)

    with pytest.raises(InsufficientMemory, match="model 'm': needs 40 MB, expected at most 30 MB"):
        models.load("m", WAIT_S)

    assert version(models) == "1"
    assert models.make_room(0) == 20 * MB
    assert recorder.dropped == []


@pytest.mark.parametrize("wrong", [False, True])
def test_a_load_that_takes_long_goes_on_while_the_old_version_answers(settings: Settings, wrong: bool) -> None:  # noqa: FBT001
    publish_old(settings)
    gatekeeper = Gatekeeper()
    models = models_of(settings, gatekeeper, 50)
    publish_new(settings, 15, wrong=wrong)

    with pytest.raises(StillLoading):
        models.load("m", 0.2)

    assert version(models) == "1"
    assert gatekeeper.dropped == []
    gatekeeper.gate.set()
    wait_until_loaded(models)
    assert version(models) == ("1" if wrong else "2")
    assert models.make_room(0) == (40 if wrong else 35) * MB
    assert gatekeeper.dropped == ([] if wrong else [("m", "1")])


@pytest.mark.parametrize("pinned", [(), ("m",)])
def test_where_both_do_not_fit_the_old_version_goes_first(
    settings: Settings, recorder: Recorder, pinned: tuple[str, ...]
) -> None:
    publish_old(settings, 20)
    models = models_of(replace(settings, pinned=pinned), recorder, 30)
    publish_new(settings, 25)

    assert models.load("m", WAIT_S).version == "2"

    assert recorder.dropped == [("m", "1")]
    assert models.make_room(0) == 5 * MB


def test_where_it_went_first_for_nothing_strict_says_so_and_requests_try_again(
    settings: Settings, recorder: Recorder
) -> None:
    publish_old(settings, 20)
    models = models_of(replace(settings, alias_check_s=0.0), recorder, 30)
    publish_new(settings, 25, wrong=True)

    with pytest.raises(ModelNotReady, match=r"answers its goldens .*; version 1 had gone first, as both do not fit"):
        models.load("m", WAIT_S)

    assert models.find("m") is None
    assert models.make_room(0) == 30 * MB
    publish_new(settings, 25)
    assert version(models) == "3"


def test_an_old_version_that_is_in_use_goes_when_it_is_released(settings: Settings, recorder: Recorder) -> None:
    publish_old(settings)
    models = models_of(settings, recorder, 50)
    held = models.await_and_hold("m", None, WAIT_S)
    publish_new(settings, 15)

    assert models.load("m", WAIT_S).version == "2"

    np.testing.assert_array_equal(held.session.run(EXAMPLE)["y"], [[1, 3, 5]])
    assert version(models) == "2"
    assert models.make_room(0) == 25 * MB
    del held
    models.release("m", "1")
    assert models.make_room(0) == 35 * MB
    assert recorder.dropped == [("m", "1")]


def test_where_both_do_not_fit_one_that_is_in_use_is_waited_for(settings: Settings, recorder: Recorder) -> None:
    publish_old(settings, 20)
    models = models_of(settings, recorder, 30)
    models.await_and_hold("m", None, WAIT_S)
    publish_new(settings, 25)
    with pytest.raises(StillLoading):
        models.load("m", 0.2)
    assert len(recorder.loaded) == 1

    models.release("m", "1")

    assert version(models) == "2"


def test_what_is_unloaded_while_a_new_version_loads_goes_at_once_and_stays_away(settings: Settings) -> None:
    publish_old(settings)
    gatekeeper = Gatekeeper()
    models = models_of(settings, gatekeeper, 50)
    publish_new(settings)
    with pytest.raises(StillLoading):
        models.load("m", 0.2)

    models.unload("m")

    assert models.find("m") is None
    assert gatekeeper.dropped == [("m", "1")]
    gatekeeper.gate.set()
    for thread in threading.enumerate():
        if thread.name == "load-models":
            thread.join(WAIT_S)
    assert models.find("m") is None
    assert models.make_room(0) == 50 * MB


class _Unloading(Recorder):
    """Unloads a model when it has just been loaded, and the job has not quite ended."""

    models: Models

    def model_loaded(self, model: LoadedModel) -> None:
        self.models.unload(model.name)


def test_what_is_unloaded_as_its_job_ends_is_gone(settings: Settings) -> None:
    publish_old(settings)
    recorder = _Unloading()
    models = recorder.models = Models(settings, recorder)

    with pytest.raises(ModelNotReady, match="unloaded"):
        models.load("m", WAIT_S)

    assert models.find("m") is None
    assert recorder.dropped == [("m", "1")]
