"""Aliases that move while a process lives: noticed beside requests, and followed without an error or a mixture."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.errors import ModelNotReady, VersionNotFound
from handlers.registry.models import Models
from handlers.settings import Settings
from tests.handlers.registry.recorder import Gatekeeper, Recorder
from tests.handlers.registry.versions import (
    MB,
    WAIT_S,
    answer,
    ask,
    move,
    publish_version,
    remove,
    retire_version,
    settle,
    split,
)
from tests.servers.s3 import S3Server
from tests.servers.wire import Wire, open_wire

SOON_S = 0.02
STRICT, NEVER = 0.0, float("inf")


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    """Settings for a store of either kind, in which version 1 is live, that have it looked at soon again."""
    publish_version(store_url, alias="live")
    return Settings(store_url, scratch_dir=tmp_path, alias_check_s=SOON_S, model_memory_bytes=50 * MB)


@pytest.fixture
def local(tmp_path: Path) -> Settings:
    """The same, in a folder."""
    url = (tmp_path / "store").as_uri()
    publish_version(url, alias="live")
    return Settings(url, scratch_dir=tmp_path, alias_check_s=SOON_S, model_memory_bytes=50 * MB)


def model_folder(settings: Settings) -> Path:
    return Path(settings.store_url.removeprefix("file://")) / "models" / "m"


def spoil(file: Path) -> bytes:
    """Take a file's last bytes away, and return what was in it."""
    content = file.read_bytes()
    mend(file, content[:-9])
    return content


def mend(file: Path, content: bytes) -> None:
    file.unlink()
    file.write_bytes(content)


def test_requests_go_over_to_what_the_alias_names_by_now(settings: Settings, recorder: Recorder) -> None:
    models = Models(settings, recorder)
    assert ask(models) == "1"
    publish_version(settings.store_url, alias="live")

    settle(lambda: ask(models) == "2")

    settle(lambda: recorder.dropped == [("m", "1")])
    assert recorder.moved == [("m", "live", "1", "2")]
    assert [model.version for model in models.loaded] == ["2"]
    assert (recorder.failed, recorder.checks_failed) == ([], [])


def test_under_load_no_answer_is_an_error_or_a_mixture(settings: Settings, recorder: Recorder) -> None:
    publish_version(settings.store_url)
    models = Models(replace(settings, alias_check_s=0.001), recorder)
    assert ask(models) == "1"
    counts: Counter[str] = Counter()
    failures: list[BaseException] = []
    over = threading.Event()

    def ask_without_pause() -> None:
        try:
            while not over.is_set():
                counts[ask(models)] += 1  # which checks that the answer is the version's own
        except BaseException as error:  # noqa: BLE001 - for the assertion below
            failures.append(error)

    threads = [threading.Thread(target=ask_without_pause) for _ in range(4)]
    for thread in threads:
        thread.start()

    def settled_on(version: str) -> None:
        move(settings.store_url, version)
        settle(lambda: failures or ask(models) == version)

    for version in "21" * 10:
        settled_on(version)
    settled_on("2")
    settle(lambda: failures or [model.version for model in models.loaded] == ["2"])
    old = counts["1"]
    settle(lambda: failures or counts["2"] > 100)
    over.set()
    for thread in threads:
        thread.join(WAIT_S)

    assert failures == []
    assert counts["1"] <= old + len(threads)  # after those that had begun with it
    assert len(recorder.moved) >= 21
    assert recorder.failed == []


def test_a_request_keeps_the_version_that_it_began_with(settings: Settings, recorder: Recorder) -> None:
    models = Models(settings, recorder)
    held = models.await_and_hold("m", None, WAIT_S)
    publish_version(settings.store_url, alias="live")
    settle(lambda: ask(models) == "2")

    assert answer(held) == [1, 2, 3]
    assert recorder.dropped == []
    models.release("m", "1")
    assert recorder.dropped == [("m", "1")]


def test_nobody_waits_for_the_look_or_for_what_is_loaded_then(settings: Settings) -> None:
    gatekeeper = Gatekeeper()
    models = Models(settings, gatekeeper)
    assert ask(models) == "1"
    publish_version(settings.store_url, alias="live", slow=True)

    def is_loading() -> bool:
        model = models.hold("m")  # which waits for nothing
        assert model is not None
        assert model.version == "1"
        models.release("m", "1")
        return models._renewal.watch("m").loading == "2"  # noqa: SLF001 - nobody else is told

    settle(is_loading)
    for _ in range(100):
        assert is_loading()
    gatekeeper.gate.set()
    settle(lambda: ask(models) == "2")


def test_both_versions_of_a_split_are_there_before_it_is_made(settings: Settings) -> None:
    gatekeeper = Gatekeeper()
    models = Models(settings, gatekeeper)
    assert ask(models) == "1"
    publish_version(settings.store_url, slow=True)
    split(settings.store_url, "2", 10)
    settle(lambda: ask(models, share=0.0) == "1" and models._renewal.watch("m").loading == "2")  # noqa: SLF001

    gatekeeper.gate.set()

    settle(lambda: ask(models, share=0.0) == "2")
    assert ask(models, share=10.0) == "1"
    assert gatekeeper.moved == [("m", "live", "1", "1 and 10 % 2")]
    move(settings.store_url, "1")
    settle(lambda: ask(models, share=0.0) == "1")
    settle(lambda: gatekeeper.dropped == [("m", "2")])


def test_an_alias_that_was_asked_for_is_followed_and_no_other(settings: Settings, recorder: Recorder) -> None:
    publish_version(settings.store_url, alias="next")
    publish_version(settings.store_url, alias="other")
    models = Models(settings, recorder)
    assert (ask(models), ask(models, "next")) == ("1", "2")

    move(settings.store_url, "3", "next")
    move(settings.store_url, "2", "other")

    settle(lambda: ask(models, "next") == "3")
    settle(lambda: [model.version for model in models.loaded] == ["1", "3"])
    assert recorder.moved == [("m", "next", "2", "3")]
    remove(settings.store_url, "next")
    with pytest.raises(VersionNotFound, match=r"no alias 'next' here, expected one of: live \(1\), other \(2\)"):
        settle(lambda: ask(models, "next") == "never")


def test_where_the_default_alias_is_removed_all_others_are_followed_still(
    settings: Settings, recorder: Recorder
) -> None:
    publish_version(settings.store_url, alias="next")
    models = Models(settings, recorder)
    assert (ask(models), ask(models, "next")) == ("1", "2")

    remove(settings.store_url, "live")
    with pytest.raises(VersionNotFound, match=r"no alias 'live' here, expected one of: next \(2\)"):
        settle(lambda: not ask(models, "next") or not ask(models))
    publish_version(settings.store_url, alias="next")
    settle(lambda: ask(models, "next") == "3")
    assert {str(error).partition(",")[0] for _, error in recorder.checks_failed} <= {"model 'm': no alias 'live'"}

    move(settings.store_url, "1")
    assert models.load("m", WAIT_S).version == "1"
    assert ask(models) == "1"


@pytest.mark.parametrize("check_s", [SOON_S, STRICT, NEVER])
def test_without_the_default_alias_a_new_process_answers_by_number_and_by_other_aliases(
    settings: Settings, recorder: Recorder, check_s: float
) -> None:
    publish_version(settings.store_url, alias="next")
    remove(settings.store_url, "live")
    models = Models(replace(settings, alias_check_s=check_s, pinned=("m",)), recorder)

    with pytest.raises(ModelNotReady, match="no alias 'live', expected one of: next"):
        models.await_all(WAIT_S)
    assert (ask(models, "1"), ask(models, "next")) == ("1", "2")
    with pytest.raises(VersionNotFound, match=r"no alias 'live' here, expected one of: next \(2\)"):
        ask(models)
    assert not models.complete


def test_what_was_asked_for_by_number_stays(settings: Settings, recorder: Recorder) -> None:
    publish_version(settings.store_url)
    models = Models(settings, recorder)
    assert (ask(models), ask(models, "2")) == ("1", "2")

    publish_version(settings.store_url, alias="live")

    settle(lambda: ask(models) == "3")
    settle(lambda: [model.version for model in models.loaded] == ["2", "3"])


def test_a_version_that_is_retired_is_not_found_any_more(settings: Settings, recorder: Recorder) -> None:
    publish_version(settings.store_url)
    models = Models(settings, recorder)
    assert (ask(models), ask(models, "2")) == ("1", "2")

    retire_version(settings.store_url, "2")

    with pytest.raises(VersionNotFound, match="version 2 was deleted"):
        settle(lambda: not ask(models) or not ask(models, "2"))


def test_a_new_version_that_is_broken_leaves_the_old_one_and_is_tried_again(
    local: Settings, recorder: Recorder
) -> None:
    models = Models(local, recorder)
    assert ask(models) == "1"
    publish_version(local.store_url)
    file = model_folder(local) / "versions/2/fp32.onnx"
    content = spoil(file)
    move(local.store_url, "2")

    settle(lambda: ask(models) == "1" and len(recorder.failed) >= 3)
    assert all("fp32.onnx" in str(error) for _, error in recorder.failed)
    assert recorder.moved == []

    mend(file, content)
    settle(lambda: ask(models) == "2")


def test_what_could_not_be_loaded_is_left_alone_longer_each_time(local: Settings, recorder: Recorder) -> None:
    publish_version(local.store_url)
    publish_version(local.store_url)
    spoil(model_folder(local) / "versions/2/fp32.onnx")
    models = Models(replace(local, alias_check_s=3600.0), recorder)
    assert ask(models) == "1"
    watch = models._renewal.watch("m")  # noqa: SLF001 - when the next try is shows nowhere else

    def look() -> None:
        watch.due_at_s = time.monotonic()  # as when the hour has passed
        assert ask(models) == "1"
        settle(lambda: not models._renewal.is_loading("m"))  # noqa: SLF001 - as above

    move(local.store_url, "2")
    rests_h = []
    for tries in range(1, 7):
        look()
        look()  # which comes too soon, and brings nothing
        assert len(recorder.failed) == tries
        assert watch.failed is not None
        rests_h.append(watch.failed.rest_s / 3600)
        watch.failed = replace(watch.failed, until_s=time.monotonic())
    assert rests_h == [1, 2, 4, 8, 16, 16]

    look()  # fails once more, and is to rest for 16 hours
    move(local.store_url, "3")
    look()
    assert ask(models) == "3"


def test_a_version_that_is_broken_is_not_ready_and_harms_no_other(local: Settings, recorder: Recorder) -> None:
    publish_version(local.store_url, alias="next")
    spoil(model_folder(local) / "versions/2/fp32.onnx")
    models = Models(local, recorder)

    for which in ("next", "2"):
        with pytest.raises(ModelNotReady, match=r"fp32\.onnx"):
            ask(models, which)
    assert ask(models) == "1"


def test_a_canary_that_is_broken_keeps_no_new_process_from_being_ready(local: Settings, recorder: Recorder) -> None:
    publish_version(local.store_url)
    publish_version(local.store_url, alias="next")
    split(local.store_url, "2", 10)
    spoil(model_folder(local) / "versions/2/fp32.onnx")
    models = Models(replace(local, alias_check_s=NEVER, pinned=("m",)), recorder)

    models.await_all(WAIT_S)
    models.await_all(WAIT_S)

    assert models.complete
    assert len(recorder.failed) == 1
    assert (ask(models), ask(models, "next")) == ("1", "3")
    with pytest.raises(ModelNotReady, match=r"fp32\.onnx"):
        ask(models, share=0.0)
    assert [(state.version, state.state) for state in models.suspend(WAIT_S)] == [("1", "READY"), ("3", "READY")]
    models.resume(WAIT_S)
    assert ask(models) == "1"


def test_aliases_that_cannot_be_read_leave_what_is_there_and_are_tried_again(
    local: Settings, recorder: Recorder
) -> None:
    models = Models(local, recorder)
    assert ask(models) == "1"
    publish_version(local.store_url, alias="live")
    content = spoil(model_folder(local) / "aliases.json")
    settle(lambda: ask(models) in "12" and len(recorder.checks_failed) >= 2)
    served = ask(models)

    assert {error.code for _, error in recorder.checks_failed} == {"corrupt_file"}
    assert recorder.failed == []
    mend(model_folder(local) / "aliases.json", content)
    settle(lambda: ask(models) == "2")
    assert served == "1"


@pytest.fixture
def wired(
    s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[Settings, Wire]]:
    """Settings for a store at the end of a wire, and the wire."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    url = f"s3://{s3_bucket}/{tmp_path.name}"
    publish_version(url, alias="live")
    publish_version(url)
    with open_wire(int(s3_server.endpoint.rpartition(":")[2])) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", wire.url)
        yield Settings(url, scratch_dir=tmp_path, alias_check_s=SOON_S), wire


def test_a_store_that_is_out_of_reach_harms_nobody_and_is_asked_again(
    wired: tuple[Settings, Wire], recorder: Recorder
) -> None:
    settings, wire = wired
    models = Models(settings, recorder)
    assert ask(models) == "1"

    wire.cut()
    settle(lambda: ask(models) == "1" and len(recorder.checks_failed) >= 2)
    assert {error.code for _, error in recorder.checks_failed} == {"store_unavailable"}
    wire.mend()
    move(settings.store_url, "2")
    settle(lambda: ask(models) == "2")


def test_a_look_that_finds_nothing_new_brings_no_document(wired: tuple[Settings, Wire], recorder: Recorder) -> None:
    settings, wire = wired
    models = Models(settings, recorder)
    assert ask(models) == "1"
    wire.forget()

    settle(lambda: ask(models) == "1" and len(wire.requests) >= 3)

    assert {request.partition("?")[0].rpartition("/")[2] for request in wire.requests} == {"aliases.json"}
    assert len(recorder.loaded) == 1


def test_strict_has_each_request_see_what_the_alias_names(settings: Settings, recorder: Recorder) -> None:
    models = Models(replace(settings, alias_check_s=STRICT), recorder)
    assert ask(models) == "1"
    publish_version(settings.store_url)

    for version in "2121":
        move(settings.store_url, version)
        assert [ask(models) for _ in range(3)] == [version] * 3


def test_strict_answers_nothing_while_nobody_knows_what_the_alias_names(
    wired: tuple[Settings, Wire], recorder: Recorder
) -> None:
    settings, wire = wired
    models = Models(replace(settings, alias_check_s=STRICT), recorder)
    assert ask(models) == "1"

    wire.cut()
    with pytest.raises(ModelNotReady, match="model 'm': store_unavailable"):
        ask(models)
    wire.mend()
    assert ask(models) == "1"


def test_strict_does_not_answer_with_what_the_alias_named_before(local: Settings, recorder: Recorder) -> None:
    models = Models(replace(local, alias_check_s=STRICT), recorder)
    assert ask(models) == "1"
    publish_version(local.store_url)
    spoil(model_folder(local) / "versions/2/fp32.onnx")
    move(local.store_url, "2")

    with pytest.raises(ModelNotReady, match=r"fp32\.onnx"):
        ask(models)
    move(local.store_url, "1")
    assert ask(models) == "1"


def test_never_looks_at_no_alias_until_it_is_told_to(settings: Settings, recorder: Recorder) -> None:
    models = Models(replace(settings, alias_check_s=NEVER), recorder)
    assert ask(models) == "1"
    publish_version(settings.store_url, alias="live")

    before = models._renewal.watch("m").read_at_s  # noqa: SLF001 - that nothing happens shows nowhere else
    for _ in range(100):
        assert ask(models) == "1"
    assert models._renewal.watch("m").read_at_s == before  # noqa: SLF001 - as above

    assert models.load("m", WAIT_S).version == "2"
    assert ask(models) == "2"


@pytest.mark.parametrize("pinned", [(), ("m",)])
def test_where_both_do_not_fit_requests_wait_for_the_new_one(
    settings: Settings, recorder: Recorder, pinned: tuple[str, ...]
) -> None:
    models = Models(replace(settings, model_memory_bytes=15 * MB, pinned=pinned), recorder)
    assert ask(models) == "1"
    publish_version(settings.store_url, alias="live")

    settle(lambda: ask(models) == "2")

    assert recorder.dropped == [("m", "1")]
    assert (recorder.failed, recorder.checks_failed) == ([], [])
    assert models.make_room(0) == 5 * MB


@pytest.mark.parametrize("pinned", [(), ("m",)])
def test_where_both_do_not_fit_and_the_new_one_fails_the_old_one_comes_back(
    local: Settings, recorder: Recorder, pinned: tuple[str, ...]
) -> None:
    models = Models(replace(local, model_memory_bytes=15 * MB, alias_check_s=3600.0, pinned=pinned), recorder)
    assert ask(models) == "1"
    publish_version(local.store_url)
    publish_version(local.store_url)
    spoil(model_folder(local) / "versions/2/fp32.onnx")
    move(local.store_url, "2")

    with pytest.raises(ModelNotReady, match=r"fp32\.onnx"):
        models.load("m", WAIT_S)

    assert ask(models) == "1"
    assert [model.version for model in recorder.loaded] == ["1", "1"]
    assert recorder.moved == [("m", "live", "1", "2"), ("m", "live", "2", "1")]
    assert len(recorder.failed) == 1
    move(local.store_url, "3")
    assert models.load("m", WAIT_S).version == "3"


class _Deleting(Recorder):
    """Deletes version 2 as soon as its loading has begun, after the alias was moved to version 3."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings

    def variant_passed_over(self, model: str, version: str, variant: str, error: Exception) -> None:
        del model, variant, error
        if version == "2":
            move(self.settings.store_url, "3")
            for file in (model_folder(self.settings) / "versions" / version).iterdir():
                file.unlink()


def test_where_a_version_is_deleted_while_it_is_loaded_the_alias_is_read_again(local: Settings) -> None:
    publish_version(local.store_url, alias="live", slow=True)
    publish_version(local.store_url)
    recorder = _Deleting(local)

    assert ask(Models(local, recorder)) == "3"


def test_where_the_alias_names_what_is_not_there_the_version_is_named(local: Settings, recorder: Recorder) -> None:
    models = Models(local, recorder)
    assert ask(models) == "1"
    move(local.store_url, "7")

    settle(lambda: ask(models) == "1" and len(recorder.checks_failed) >= 2)
    assert "versions/7/manifest.json: missing" in str(recorder.checks_failed[0][1])
    with pytest.raises(ModelNotReady, match=r"versions/7/manifest\.json: missing, expected the manifest of version 7"):
        ask(Models(local, Recorder()))


def test_what_was_dropped_is_found_by_its_alias_again_though_it_was_deleted(
    local: Settings, recorder: Recorder
) -> None:
    publish_version(local.store_url)
    models = Models(replace(local, alias_check_s=NEVER), recorder)
    assert ask(models) == "1"
    assert models.make_room(50 * MB) == 50 * MB
    move(local.store_url, "7")
    for _ in range(2):
        with pytest.raises(ModelNotReady, match=r"versions/7/manifest\.json: missing"):
            ask(models)
    assert {error.code for _, error in recorder.failed} == {"corrupt_file"}

    move(local.store_url, "2")
    assert ask(models) == "2"


def test_after_a_snapshot_both_versions_of_a_split_are_checked_and_followed(
    settings: Settings, recorder: Recorder
) -> None:
    publish_version(settings.store_url)
    publish_version(settings.store_url)
    split(settings.store_url, "2", 10)
    models = Models(replace(settings, pinned=("m",)), recorder)
    found = models.suspend(WAIT_S)
    assert [(state.version, state.state) for state in found] == [("1", "READY"), ("2", "READY")]
    assert (models.find("m"), models.find("m", "2"), models.loaded) == (None, None, [])
    split(settings.store_url, "3", 10)

    models.resume(WAIT_S)

    assert [ask(models, share=share) for share in (0.0, 10.0)] == ["3", "1"]
    models.await_all(WAIT_S)
    assert [model.version for model in models.loaded] == ["1", "3"]


def test_a_look_begins_when_it_is_time_to_and_not_before(local: Settings, recorder: Recorder) -> None:
    models = Models(replace(local, alias_check_s=3600.0), recorder)
    assert ask(models) == "1"
    watch = models._renewal.watch("m")  # noqa: SLF001 - whether a look has begun shows nowhere else
    read_at_s = watch.read_at_s

    for _ in range(1000):
        assert models.hold("m") is not None
    assert watch.read_at_s == read_at_s
    watch.due_at_s = time.monotonic()  # as when the hour has passed
    assert models.hold("m") is not None
    settle(lambda: watch.read_at_s > read_at_s)
