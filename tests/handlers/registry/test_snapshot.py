"""Models in a snapshot: loaded before it, handed out after it only as their aliases say by then."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handlers.errors import ModelNotReady
from handlers.registry.models import Models
from handlers.registry.stores import open_store
from handlers.settings import Settings
from tests.aliases import point_alias
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.registry.recorder import Recorder

WAIT_S = 60.0
MB = 2**20
EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}


def publish_version(settings: Settings, name: str, scale: float, alias: str | None = "live", size_mb: int = 10) -> None:
    memory = {"fp32": (size_mb * MB, None)}
    publish_graphs(settings.store_url, name, {"fp32": affine(scale)}, [EXAMPLE], alias=alias, memory=memory)


@pytest.fixture
def suspended(settings: Settings, recorder: Recorder) -> Callable[..., Models]:
    """Returns models as they are in a snapshot that was taken with version 1, when version 2 was there already."""

    def suspend(*names: str) -> Models:
        for name in names:
            publish_version(settings, name, 2)
            publish_version(settings, name, 3, alias=None)
        models = Models(replace(settings, pinned=names, model_memory_bytes=15 * MB * len(names)), recorder)
        found = models.suspend(WAIT_S)
        assert [(model.name, model.version, model.state) for model in found] == [(name, "1", "READY") for name in names]
        return models

    return suspend


def move_alias(settings: Settings, name: str, version: str = "2") -> None:
    point_alias(open_store(settings.store_url), name, "live", version, "test")


def aliases_file(settings: Settings, name: str) -> Path:
    return Path(settings.store_url.removeprefix("file://")) / "models" / name / "aliases.json"


def test_nothing_of_a_snapshot_is_handed_out_before_its_alias_was_read(suspended: Callable[..., Models]) -> None:
    models = suspended("m")

    assert models.find("m") is None
    assert models.hold("m") is None
    assert models.loaded == []
    assert not models.complete
    assert [state.state for state in models.index()] == ["UNAVAILABLE"]


def test_a_model_whose_alias_has_stayed_is_handed_out_as_it_was(
    suspended: Callable[..., Models], recorder: Recorder
) -> None:
    models = suspended("m")

    (state,) = models.resume(WAIT_S)

    assert (state.version, state.state) == ("1", "READY")
    assert models.complete
    assert models.find("m") is recorder.loaded[0]
    assert len(recorder.loaded) == 1


def test_of_several_only_those_are_loaded_whose_aliases_have_moved(
    suspended: Callable[..., Models], settings: Settings, recorder: Recorder
) -> None:
    models = suspended("a", "b", "c")
    move_alias(settings, "b")

    found = models.resume(WAIT_S)

    assert [(state.name, state.version) for state in found] == [("a", "1"), ("b", "2"), ("c", "1")]
    assert sorted((model.name, model.version) for model in recorder.loaded[3:]) == [("b", "2")]
    assert recorder.dropped == [("b", "1")]
    assert models.make_room(0) == 15 * MB


def test_a_request_reads_the_alias_where_the_restore_has_not(
    suspended: Callable[..., Models], settings: Settings
) -> None:
    models = suspended("m")
    move_alias(settings, "m")

    assert models.await_model("m", None, WAIT_S).version == "2"


def test_without_an_alias_to_read_nothing_is_handed_out_until_there_is_one(
    suspended: Callable[..., Models], settings: Settings, recorder: Recorder
) -> None:
    models = suspended("m")
    file = aliases_file(settings, "m")
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])

    (state,) = models.resume(WAIT_S)
    assert state.state == "UNAVAILABLE"
    assert "aliases.json" in state.reason
    assert models.find("m") is None
    with pytest.raises(ModelNotReady, match=r"aliases\.json"):
        models.await_model("m", None, WAIT_S)

    file.write_bytes(whole)
    models.await_all(WAIT_S)
    assert models.find("m") is recorder.loaded[0]


def test_a_snapshot_is_refused_while_a_model_is_missing(settings: Settings, recorder: Recorder) -> None:
    publish_version(settings, "m", 2)
    models = Models(replace(settings, pinned=("m", "missing")), recorder)

    with pytest.raises(ModelNotReady, match="'missing'"):
        models.suspend(WAIT_S)


def test_models_that_were_published_after_the_snapshot_are_found(
    suspended: Callable[..., Models], settings: Settings
) -> None:
    models = suspended("m")
    models.resume(WAIT_S)
    publish_version(settings, "later", 2, size_mb=5)

    assert models.await_model("later", None, WAIT_S).version == "1"
