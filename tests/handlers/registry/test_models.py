import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handlers.errors import InvalidSetting, ModelNotFound, ModelNotReady, VersionNotFound
from handlers.registry.models import Models
from handlers.registry.stores import open_store
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.registry.recorder import Gatekeeper, Recorder

WAIT_S = 60.0
EXAMPLE = np.array([[0, 1, 2]], np.float32)
GOLDENS = [{"x": EXAMPLE}]
RIGHT, WRONG, WORSE = affine(2.0, 1.0), affine(2.0, 1.5), affine(3.0, 1.0)


def version_folder(settings: Settings, model: str, version: str) -> Path:
    return Path(settings.store_url.removeprefix("file://")) / "models" / model / "versions" / version


def replace_file(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_models_of_both_stores_are_loaded_and_answer(store_url: str, settings: Settings, recorder: Recorder) -> None:
    publish_graphs(store_url, "a", {"fp32": RIGHT}, GOLDENS)
    publish_graphs(store_url, "b", {"fp32": WORSE}, GOLDENS)
    models = Models(replace(settings, store_url=store_url, pinned=("a", "b")), recorder)

    models.await_all(WAIT_S)

    assert [model.name for model in models.loaded] == ["a", "b"]
    assert models.complete
    np.testing.assert_array_equal(models.loaded[0].session.run({"x": EXAMPLE})["y"], [[1, 3, 5]])
    np.testing.assert_array_equal(models.loaded[1].session.run({"x": EXAMPLE})["y"], [[1, 4, 7]])
    assert sorted(recorder.loaded, key=lambda model: model.name) == models.loaded
    assert (recorder.failed, recorder.passed_over) == ([], [])


def test_a_file_that_is_mended_is_served_at_the_next_try(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "m", {"fp32": RIGHT}, GOLDENS)
    path = version_folder(settings, "m", "1") / "fp32.onnx"
    original = path.read_bytes()
    replace_file(path, original[:-1])
    models = Models(settings, recorder)
    with pytest.raises(ModelNotReady):
        models.await_all(WAIT_S)

    replace_file(path, original)

    assert models.await_model("m", None, WAIT_S).variant.name == "fp32"
    models.await_all(WAIT_S)


def test_an_empty_store_is_a_problem_until_something_is_published(settings: Settings, recorder: Recorder) -> None:
    models = Models(settings, recorder)
    models.start()
    assert models.wait(WAIT_S)
    assert [(name, str(error)) for name, error in recorder.failed] == [
        ("", "store: no model with the alias 'live', expected at least one; publish one")
    ]
    with pytest.raises(ModelNotReady, match="no model with the alias 'live'"):
        models.await_model("m", None, WAIT_S)

    publish_graphs(settings.store_url, "m", {"fp32": RIGHT}, GOLDENS)

    models.await_all(WAIT_S)
    assert [model.name for model in models.loaded] == ["m"]


def test_a_model_without_the_alias_is_not_served(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "draft", {"fp32": RIGHT}, GOLDENS, alias="canary")
    publish_graphs(settings.store_url, "m", {"fp32": RIGHT}, GOLDENS)
    models = Models(settings, recorder)

    models.await_all(WAIT_S)

    assert [model.name for model in models.loaded] == ["m"]
    with pytest.raises(ModelNotFound, match="model 'draft': not served here, expected one of: m"):
        models.await_model("draft", None, WAIT_S)


def test_the_version_is_the_one_that_the_alias_names(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "m", {"fp32": RIGHT}, GOLDENS)
    publish_graphs(settings.store_url, "m", {"fp32": WORSE}, GOLDENS)
    publish_graphs(settings.store_url, "m", {"fp32": WRONG}, GOLDENS, alias=None)
    models = Models(settings, recorder)

    models.await_all(WAIT_S)

    assert models.loaded[0].version == "2"
    assert models.await_model("m", "2", WAIT_S) is models.loaded[0]
    assert [models.await_model("m", version, WAIT_S).version for version in ("1", "3")] == ["1", "3"]
    for version in ("9", "0", "007", "9" * 30):
        with pytest.raises(VersionNotFound, match=rf"model 'm': no version '{version}' here, expected .*: live \(2\)"):
            models.await_model("m", version, WAIT_S)
    for alias in ("canary", "No_Alias", "٣"):
        with pytest.raises(VersionNotFound, match=rf"model 'm': no alias '{alias}' here, expected .*: live \(2\)"):
            models.await_model("m", alias, WAIT_S)
    assert recorder.failed == []


@pytest.mark.parametrize("named", [(), ("broken", "good", "other")])
def test_a_broken_model_does_not_take_the_others_down(
    settings: Settings, recorder: Recorder, named: tuple[str, ...]
) -> None:
    for name in ("broken", "good", "other"):
        publish_graphs(settings.store_url, name, {"fp32": RIGHT}, GOLDENS)
    replace_file(version_folder(settings, "broken", "1") / "manifest.json", b"{}")
    models = Models(replace(settings, models=named), recorder)

    assert models.await_model("good", None, WAIT_S).name == "good"
    assert models.await_model("other", "1", WAIT_S).name == "other"
    with pytest.raises(ModelNotReady, match=r"models/broken/versions/1/manifest\.json: 2 bytes"):
        models.await_model("broken", None, WAIT_S)
    models.await_all(WAIT_S)  # nothing is loaded at the start
    with pytest.raises(ModelNotFound, match="model 'unknown': not served here, expected one of: broken, good, other"):
        models.await_model("unknown", None, WAIT_S)


def test_altered_aliases_of_one_model_do_not_take_the_others_down(settings: Settings, recorder: Recorder) -> None:
    for name in ("broken", "good"):
        publish_graphs(settings.store_url, name, {"fp32": RIGHT}, GOLDENS)
    replace_file(version_folder(settings, "broken", "1").parent.parent / "aliases.json", b"{}")
    models = Models(settings, recorder)

    assert models.await_model("good", None, WAIT_S).name == "good"
    with pytest.raises(ModelNotReady, match=r"models/broken/aliases\.json"):
        models.await_model("broken", None, WAIT_S)
    assert {name for name, _ in recorder.failed} == {"broken"}


def test_a_folder_that_can_be_no_model_does_not_take_the_others_down(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "good", {"fp32": RIGHT}, GOLDENS)
    open_store(settings.store_url).create("models/No_Model/note.txt", b"put here by hand")
    models = Models(settings, recorder)

    assert models.await_model("good", None, WAIT_S).name == "good"


def test_only_the_models_that_the_settings_name_are_served(settings: Settings, recorder: Recorder) -> None:
    for name in ("a", "b"):
        publish_graphs(settings.store_url, name, {"fp32": RIGHT}, GOLDENS)
    models = Models(replace(settings, models=("b",)), recorder)

    models.await_all(WAIT_S)

    assert [model.name for model in models.loaded] == ["b"]


def test_a_named_model_that_is_not_there_is_not_ready(settings: Settings, recorder: Recorder) -> None:
    models = Models(replace(settings, models=("absent",)), recorder)

    with pytest.raises(ModelNotReady, match="model 'absent': no alias 'live', expected one of: none; promote"):
        models.await_all(WAIT_S)


def test_settings_that_make_no_sense_are_the_reason_for_not_being_ready(recorder: Recorder) -> None:
    settings = Settings.from_environ({"LAMBDASERVE_STORE": "ftp://host", "LAMBDASERVE_THREADS": "none"})
    models = Models(settings, recorder)
    models.start()
    assert models.wait(WAIT_S)

    with pytest.raises(ModelNotReady, match=r"LAMBDASERVE_STORE: 'ftp://host', .*; LAMBDASERVE_THREADS: 'none', "):
        models.await_all(WAIT_S)
    with pytest.raises(ModelNotReady, match="LAMBDASERVE_STORE"):
        models.await_model("m", None, WAIT_S)
    assert all(isinstance(error, InvalidSetting) for _, error in recorder.failed)


def test_whoever_cannot_wait_is_told_to_try_again(settings: Settings) -> None:
    publish_graphs(settings.store_url, "m", {"int8-static": WRONG, "fp32": RIGHT}, GOLDENS)
    gatekeeper = Gatekeeper()
    models = Models(settings, gatekeeper)

    with pytest.raises(ModelNotReady, match=r"still loading after 0\.0 s, expected them sooner; try again"):
        models.await_all(0.0)

    gatekeeper.gate.set()
    models.await_all(WAIT_S)


def test_requests_that_meet_while_loading_load_once(settings: Settings) -> None:
    publish_graphs(settings.store_url, "m", {"int8-static": WRONG, "fp32": RIGHT}, GOLDENS)
    gatekeeper = Gatekeeper()
    models = Models(settings, gatekeeper)
    before = set(threading.enumerate())  # a thread of an earlier test may not be quite gone
    models.start()

    for _ in range(8):
        with pytest.raises(ModelNotReady, match="still loading"):
            models.await_model("m", None, 0.0)
    loading = [thread for thread in set(threading.enumerate()) - before if thread.name == "load-models"]
    gatekeeper.gate.set()
    models.await_all(WAIT_S)

    assert len(loading) == 1
    assert gatekeeper.loaded == models.loaded


def test_another_try_leaves_alone_what_is_loaded(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "good", {"fp32": RIGHT}, GOLDENS)
    models = Models(replace(settings, pinned=("absent", "good")), recorder)
    with pytest.raises(ModelNotReady, match="model 'absent': no alias 'live'"):
        models.await_all(WAIT_S)
    [good] = models.loaded

    publish_graphs(settings.store_url, "absent", {"fp32": RIGHT}, GOLDENS)
    models.await_all(WAIT_S)

    assert models.loaded[1] is good
    assert [model.name for model in recorder.loaded] == ["good", "absent"]
    assert models.complete


def test_a_model_that_is_ready_is_handed_out_while_others_are_loading(settings: Settings) -> None:
    publish_graphs(settings.store_url, "a", {"fp32": RIGHT}, GOLDENS)
    publish_graphs(settings.store_url, "b", {"int8-static": WRONG, "fp32": RIGHT}, GOLDENS)
    gatekeeper = Gatekeeper()
    models = Models(replace(settings, pinned=("b",)), gatekeeper)
    models.start()

    assert models.await_model("a", None, WAIT_S).name == "a"
    assert not models.wait(0.0)  # the other one is held up

    gatekeeper.gate.set()
    models.await_all(WAIT_S)


def test_a_name_that_is_not_there_is_not_found_while_others_are_loading(settings: Settings) -> None:
    publish_graphs(settings.store_url, "a", {"fp32": RIGHT}, GOLDENS)
    publish_graphs(settings.store_url, "b", {"int8-static": WRONG, "fp32": RIGHT}, GOLDENS)
    gatekeeper = Gatekeeper()
    models = Models(replace(settings, pinned=("b",)), gatekeeper)
    models.start()

    with pytest.raises(ModelNotFound, match="model 'nonsense': not served here, expected one of: a, b"):
        models.await_model("nonsense", None, 5.0)
    assert not models.wait(0.0)

    gatekeeper.gate.set()
    models.await_all(WAIT_S)


def test_asking_for_nonsense_makes_nobody_list_a_store_with_nothing_in_it(
    settings: Settings, recorder: Recorder
) -> None:
    models = Models(settings, recorder)

    for name in ("nonsense", "other", "third"):
        with pytest.raises(ModelNotReady, match="no model with the alias 'live'"):
            models.await_model(name, None, WAIT_S)
    assert len(recorder.failed) == 1

    with pytest.raises(ModelNotReady):  # but to be ready is tried at every request
        models.await_all(WAIT_S)
    assert len(recorder.failed) == 2


def test_asking_for_nonsense_makes_nobody_load(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "good", {"fp32": RIGHT}, GOLDENS)
    models = Models(replace(settings, models=("absent", "good"), pinned=("absent",)), recorder)
    with pytest.raises(ModelNotReady):
        models.await_all(WAIT_S)
    tries = len(recorder.failed)

    for name in ("nonsense", "other"):
        with pytest.raises(ModelNotFound):
            models.await_model(name, None, WAIT_S)
    assert len(recorder.failed) == tries

    with pytest.raises(ModelNotReady):
        models.await_model("absent", None, WAIT_S)
    assert len(recorder.failed) == tries + 1


@pytest.mark.usefixtures("s3_environment")
def test_what_a_store_says_of_itself_stays_in_the_log(recorder: Recorder) -> None:
    models = Models(Settings(store_url="s3://bucket-that-is-not-there/prefix"), recorder)

    with pytest.raises(ModelNotReady) as refusal:
        models.await_all(WAIT_S)

    assert str(refusal.value) == "store: store_unavailable, expected an answer of the store; the log says more"
    assert "bucket-that-is-not-there" in str(recorder.failed[0][1])
