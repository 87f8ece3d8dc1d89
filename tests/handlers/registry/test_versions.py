"""Several versions of a model at a time: by number, by alias, by neither, and weighted."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.errors import InsufficientMemory, ModelNotReady, StillLoading, VersionNotFound
from handlers.registry.models import Models, ModelState
from handlers.settings import Settings
from tests.handlers.registry.recorder import Gatekeeper, Recorder
from tests.handlers.registry.versions import MB, WAIT_S, ask, move, publish_version, retire_version, settle, split


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    """Settings for a store of either kind, in which versions 1, 2 and 3 are, and all but the first have an alias.

    Of two models none is loaded at the start.
    """
    for alias in (None, "live", "next"):
        publish_version(store_url, alias=alias)
    return Settings(store_url, ("m", "other"), scratch_dir=tmp_path, model_memory_bytes=50 * MB)


@pytest.fixture
def models(settings: Settings, recorder: Recorder) -> Models:
    return Models(settings, recorder)


def test_a_request_names_a_version_or_an_alias_or_neither(models: Models, recorder: Recorder) -> None:
    assert [ask(models, which) for which in ("1", "next", None, "live", "2", "3")] == ["1", "3", "2", "2", "2", "3"]

    assert [model.version for model in recorder.loaded] == ["1", "3", "2"]  # each once
    assert models.index()[:-1] == [ModelState("m", version, "READY") for version in ("1", "2", "3")]
    assert models.defaults == [("m", "2")]


def test_what_is_not_there_is_not_found_and_what_is_is_named(models: Models, recorder: Recorder) -> None:
    for which, found in (("4", "no version '4' here"), ("other", "no alias 'other' here")):
        with pytest.raises(VersionNotFound) as refusal:
            ask(models, which)
        assert str(refusal.value) == f"model 'm': {found}, expected one of: live (2), next (3)"
    assert recorder.failed == []
    assert ask(models) == "2"


def test_a_retired_version_is_not_found_even_where_it_is_loaded(models: Models, settings: Settings) -> None:
    assert ask(models, "1") == "1"
    retire_version(settings.store_url, "1")
    models.load("m", WAIT_S)

    with pytest.raises(VersionNotFound, match=r"version 1 was deleted, expected one of: live \(2\), next \(3\)"):
        ask(models, "1")


def test_a_new_alias_is_found_and_a_new_version(models: Models, settings: Settings) -> None:
    assert ask(models) == "2"
    models._renewal.watch("m").read_at_s -= 3.0  # noqa: SLF001 - as after some seconds; before, nonsense costs no read
    move(settings.store_url, "1", "first")
    publish_version(settings.store_url)

    assert [ask(models, which) for which in ("first", "4")] == ["1", "4"]


def test_of_versions_the_one_goes_that_was_used_longest_ago(settings: Settings, recorder: Recorder) -> None:
    models = Models(replace(settings, model_memory_bytes=20 * MB), recorder)

    assert [ask(models, which) for which in ("1", "2", "1", "3", "2")] == ["1", "2", "1", "3", "2"]

    assert recorder.dropped == [("m", "2"), ("m", "1")]


def test_of_a_pinned_model_those_versions_stay_that_are_served(settings: Settings, recorder: Recorder) -> None:
    models = Models(replace(settings, pinned=("m",), model_memory_bytes=20 * MB), recorder)
    models.await_all(WAIT_S)

    assert [ask(models, which) for which in ("1", "3", None)] == ["1", "3", "2"]

    assert recorder.dropped == [("m", "1")]
    publish_version(settings.store_url, size_mb=15)
    with pytest.raises(InsufficientMemory, match=r"needs 15 MB, expected at most 10 MB: .* beside the pinned models m"):
        ask(models, "4")


def test_both_versions_of_a_weighted_alias_are_loaded_at_the_start(settings: Settings, recorder: Recorder) -> None:
    split(settings.store_url, "3", 10)
    models = Models(replace(settings, pinned=("m",)), recorder)

    models.await_all(WAIT_S)

    assert [model.version for model in models.loaded] == ["2", "3"]
    assert [ask(models, share=share) for share in (0.0, 9.9, 10.0, 99.0)] == ["3", "3", "2", "2"]
    assert len(recorder.loaded) == 2


def test_an_answer_waits_for_the_version_that_it_needs_alone(settings: Settings) -> None:
    publish_version(settings.store_url, slow=True)
    split(settings.store_url, "4", 10)
    gatekeeper = Gatekeeper()
    models = Models(replace(settings, pinned=("m",)), gatekeeper)
    models.start()

    assert models.wait(WAIT_S)  # the init phase does not wait for the canary
    assert ask(models) == "2"
    with pytest.raises(StillLoading):
        models.await_and_hold("m", None, 0.1, 0.0)
    assert not models.complete

    gatekeeper.gate.set()
    models.await_all(WAIT_S)
    assert ask(models, share=0.0) == "4"


def test_the_canary_does_not_wait_for_the_other_version(settings: Settings) -> None:
    publish_version(settings.store_url, alias="live", slow=True)
    split(settings.store_url, "1", 10)
    gatekeeper = Gatekeeper()
    models = Models(settings, gatekeeper)
    models.start()

    assert ask(models, share=0.0) == "1"
    with pytest.raises(StillLoading):
        models.await_model("m", None, 0.1)

    gatekeeper.gate.set()
    assert ask(models) == "4"


def test_requests_for_versions_that_do_not_fit_together_take_turns(settings: Settings, recorder: Recorder) -> None:
    models = Models(replace(settings, model_memory_bytes=15 * MB), recorder)
    failures: list[BaseException] = []

    def rotate(order: str) -> None:
        try:
            for version in order * 4:
                assert ask(models, version) == version
        except BaseException as error:  # noqa: BLE001 - for the assertion below
            failures.append(error)

    threads = [threading.Thread(target=rotate, args=(order,)) for order in ("123", "312", "231")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert failures == []
    assert len(models.loaded) == 1


def test_all_versions_are_unloaded_and_the_served_ones_loaded_again(models: Models, settings: Settings) -> None:
    split(settings.store_url, "3", 10)
    assert [ask(models, which) for which in ("1", None)] == ["1", "2"]
    settle(lambda: len(models.loaded) == 3)

    models.unload("m")

    assert models.loaded == []
    for which in ("1", None):
        with pytest.raises(ModelNotReady, match="model 'm': unloaded"):
            ask(models, which)
    assert models.load("m", WAIT_S).version == "2"
    assert [model.version for model in models.loaded] == ["2", "3"]
