"""Models that are loaded when they are asked for, and go when others need their memory."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from handlers.errors import InsufficientMemory, ModelNotFound, ModelNotReady, NotSupported, StillLoading
from handlers.registry.models import Models, ModelState
from handlers.registry.served import ServedModels
from handlers.registry.stores import open_store
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.registry.recorder import Recorder

WAIT_S = 60.0
MB = 2**20
EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}
NOT_LOADED = "not loaded: the first request for it loads it"


def publish_models(settings: Settings, **sizes_mb: int) -> None:
    for name, size_mb in sizes_mb.items():
        publish_graphs(settings.store_url, name, {"fp32": affine()}, [EXAMPLE], memory={"fp32": (size_mb * MB, None)})


def names(models: Models) -> list[str]:
    return [model.name for model in models.loaded]


def ask(models: Models, *asked: str) -> None:
    for name in asked:
        assert models.await_model(name, None, WAIT_S).name == name


def test_of_several_models_none_is_loaded_before_it_is_asked_for(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=1, b=1)
    models = Models(settings, recorder)
    models.await_all(WAIT_S)
    assert names(models) == []

    ask(models, "b")

    assert names(models) == ["b"]
    assert models.index() == [ModelState("a", None, "UNAVAILABLE", NOT_LOADED), ModelState("b", "1", "READY")]


@pytest.mark.parametrize("named", [(), ("a",)])
def test_a_model_that_is_alone_is_loaded_at_the_start(
    settings: Settings, recorder: Recorder, named: tuple[str, ...]
) -> None:
    publish_models(settings, a=1)
    models = Models(replace(settings, models=named), recorder)

    models.await_all(WAIT_S)

    assert names(models) == ["a"]


@pytest.mark.parametrize("named", [(), ("a", "b", "c")])
def test_pinned_models_are_loaded_at_the_start(settings: Settings, recorder: Recorder, named: tuple[str, ...]) -> None:
    publish_models(settings, a=1, b=1, c=1)
    models = Models(replace(settings, models=named, pinned=("a", "c")), recorder)

    models.await_all(WAIT_S)

    assert names(models) == ["a", "c"]
    ask(models, "b")


def test_named_models_need_no_list_but_a_store(settings: Settings, recorder: Recorder) -> None:
    models = Models(replace(settings, store_url="s3://Not_A_Bucket", models=("a", "b")), recorder)

    with pytest.raises(ModelNotReady, match="Not_A_Bucket"):
        models.await_all(WAIT_S)


def test_the_model_that_was_used_longest_ago_goes_first(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=10, b=10, c=10, d=25)
    models = Models(replace(settings, model_memory_bytes=30 * MB), recorder)
    ask(models, "a", "b", "c", "a")
    assert names(models) == ["a", "b", "c"]

    ask(models, "d")  # needs room for two and a half

    assert names(models) == ["d"]
    assert [name for name, _ in recorder.dropped] == ["b", "c", "a"]
    ask(models, "b")
    assert names(models) == ["b"]


def test_no_more_goes_than_has_to(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=10, b=10, c=10)
    models = Models(replace(settings, model_memory_bytes=20 * MB), recorder)

    ask(models, "a", "b", "c")

    assert names(models) == ["b", "c"]
    assert recorder.dropped == [("a", "1")]


def test_pinned_models_stay(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=10, b=10, c=10)
    models = Models(replace(settings, model_memory_bytes=20 * MB, pinned=("a",)), recorder)
    models.await_all(WAIT_S)

    ask(models, "b", "c", "b")

    assert names(models) == ["a", "b"]
    assert {name for name, _ in recorder.dropped} == {"b", "c"}


def test_a_model_that_can_never_fit_is_refused_and_takes_nobodys_place(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, small=10, large=50, middle=25)
    models = Models(replace(settings, model_memory_bytes=30 * MB, pinned=("small",)), recorder)
    models.await_all(WAIT_S)

    with pytest.raises(InsufficientMemory) as alone:
        ask(models, "large")
    with pytest.raises(InsufficientMemory) as beside:
        ask(models, "middle")

    refusal = (
        "model '{}': needs {} MB, expected at most 20 MB: models may take 30 MB beside the pinned models small (10 MB)"
        "; give the function more memory, or raise LAMBDASERVE_MODEL_MEMORY_MB, or pin fewer models"
    )
    assert [str(alone.value), str(beside.value)] == [refusal.format("large", 50), refusal.format("middle", 25)]
    assert names(models) == ["small"]
    assert [state.reason for state in models.index() if state.name == "large"] == [str(alone.value)]


def test_a_model_in_use_is_waited_for(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=10, b=10)
    models = Models(replace(settings, model_memory_bytes=15 * MB), recorder)
    held = models.await_and_hold("a", None, WAIT_S)
    with pytest.raises(StillLoading):
        models.await_model("b", None, 0.2)
    assert names(models) == ["a"]
    assert [state.state for state in models.index()] == ["READY", "LOADING"]
    np.testing.assert_array_equal(held.session.run(EXAMPLE)["y"], [[1, 3, 5]])

    models.release("a", "1")

    ask(models, "b")
    assert names(models) == ["b"]


def test_a_model_is_not_dropped_before_it_was_handed_out(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=10, b=10, c=10)
    models = Models(replace(settings, model_memory_bytes=10 * MB), recorder)
    failures: list[BaseException] = []

    def rotate(order: Sequence[str]) -> None:
        try:
            for name in order:
                model = models.await_and_hold(name, None, WAIT_S)
                model.session.run(EXAMPLE)
                models.release(name, "1")
        except BaseException as error:  # noqa: BLE001 - for the assertion below
            failures.append(error)

    threads = [threading.Thread(target=rotate, args=(order * 4,)) for order in ("abc", "cab", "bca")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert failures == []
    assert len(models.loaded) == 1


def test_requests_that_meet_load_a_model_once(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=1, b=1)
    models = Models(settings, recorder)
    threads = [threading.Thread(target=ask, args=(models, "a")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert [model.name for model in recorder.loaded] == ["a"]


def test_a_variant_that_does_not_fit_is_passed_over_for_one_that_does(settings: Settings, recorder: Recorder) -> None:
    memory = {"int8-dynamic": (50 * MB, None), "int8-static": (20 * MB, None), "fp32": (20 * MB, None)}
    graphs = {"int8-dynamic": affine(), "int8-static": affine(3.0), "fp32": affine()}
    publish_graphs(settings.store_url, "m", graphs, [EXAMPLE], memory=memory)
    models = Models(replace(settings, model_memory_bytes=30 * MB), recorder)

    assert models.await_model("m", None, WAIT_S).variant.name == "fp32"

    assert [(variant, error.code) for _, _, variant, error in recorder.passed_over] == [
        ("int8-dynamic", "insufficient_memory"),
        ("int8-static", "golden_mismatch"),
    ]


def test_where_only_what_is_wrong_would_fit_memory_is_the_reason(settings: Settings, recorder: Recorder) -> None:
    memory = {"int8-static": (20 * MB, None), "fp32": (50 * MB, None)}
    graphs = {"int8-static": affine(3.0), "fp32": affine()}
    publish_graphs(settings.store_url, "m", graphs, [EXAMPLE], memory=memory)
    models = Models(replace(settings, model_memory_bytes=30 * MB), recorder)

    with pytest.raises(InsufficientMemory, match="model 'm': needs 50 MB, expected at most 30 MB"):
        models.await_model("m", None, WAIT_S)

    publish_models(settings, other=30)  # and nothing is left set aside
    assert models.make_room(0) == 30 * MB


def test_an_unloaded_model_stays_away_until_it_is_loaded(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=1, b=1)
    models = Models(settings, recorder)
    ask(models, "a")

    models.unload("a")

    assert names(models) == []
    with pytest.raises(ModelNotReady, match="model 'a': unloaded, expected a model that is loaded; load it again"):
        models.await_model("a", None, WAIT_S)
    assert models.index()[0] == ModelState("a", None, "UNAVAILABLE", "unloaded")
    assert len(recorder.loaded) == 1
    assert models.load("a", WAIT_S).name == "a"
    ask(models, "a")
    assert len(recorder.loaded) == 2


def test_a_model_that_is_unloaded_in_use_goes_when_it_is_released(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=1, b=1)
    models = Models(settings, recorder)
    model = models.await_and_hold("a", None, WAIT_S)

    models.unload("a")

    assert models.find("a") is None
    assert recorder.dropped == []
    np.testing.assert_array_equal(model.session.run(EXAMPLE)["y"], [[1, 3, 5]])
    models.release("a", "1")
    assert recorder.dropped == [("a", "1")]


def test_the_only_model_may_be_unloaded_and_the_service_is_ready_still(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=1)
    models = Models(settings, recorder)
    models.await_all(WAIT_S)

    models.unload("a")

    models.await_all(WAIT_S)
    assert names(models) == []


def test_pinned_and_unknown_models_cannot_be_unloaded(settings: Settings, recorder: Recorder) -> None:
    publish_models(settings, a=1, b=1)
    models = Models(replace(settings, pinned=("a",)), recorder)
    models.await_all(WAIT_S)

    with pytest.raises(NotSupported, match="model 'a': pinned, expected one that is not; take it out of LAMBDASERVE_"):
        models.unload("a")
    calls: tuple[Callable[[], object], ...] = (lambda: models.unload("x"), lambda: models.load("x", WAIT_S))
    for call in calls:
        with pytest.raises(ModelNotFound, match="model 'x': not served here, expected one of: a, b"):
            call()
    assert names(models) == ["a"]


def test_what_was_published_since_is_found_but_not_looked_for_at_every_request(
    settings: Settings, recorder: Recorder
) -> None:
    publish_models(settings, a=1)
    store = open_store(settings.store_url)
    eager, patient = ServedModels(settings, reread_s=0.0), ServedModels(settings)
    for served in (eager, patient):
        assert served.may_have_changed()
        served.read(store)
    publish_models(settings, b=1)

    assert eager.may_have_changed()
    assert not patient.may_have_changed()
    eager.read(store)
    assert eager.names == ["a", "b"]
    models = Models(settings, recorder)
    models.await_all(WAIT_S)
    publish_models(settings, c=1)
    with pytest.raises(ModelNotFound):  # the list is fresh
        models.await_model("c", None, WAIT_S)


def test_a_store_that_could_not_be_read_is_tried_again_sooner(settings: Settings) -> None:
    store = open_store(settings.store_url)
    hasty, patient = ServedModels(settings, retry_s=0.0), ServedModels(settings)
    for served in (hasty, patient):
        with pytest.raises(ModelNotReady, match="no model with the alias 'live'"):
            served.read(store)

    assert hasty.may_have_changed()
    assert not patient.may_have_changed()
