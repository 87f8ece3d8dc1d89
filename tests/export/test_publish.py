"""Publishing into both kinds of store: numbers are claimed for ever, and a version is there whole or not at all."""

import json
import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from export.catalogue import list_models, show_version
from export.errors import OutputError
from export.package import read_artifact
from export.publish import Published, publish
from handlers.errors import CorruptFile, InvalidName, LambdaserveError, ObjectNotFound, StoreUnavailable
from handlers.registry.aliases import read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.names import aliases_key, file_key, versions_prefix
from handlers.registry.stores import Store, open_store
from tests.aliases import resolve_alias
from tests.downloads import download
from tests.export.conftest import Built
from tests.export.sources import contents, silent
from tests.faults import FailingStore

PUBLISHERS = 2
EACH = 5


def published(folder: Path, store: Store, alias: str | None = None) -> Published:
    return publish(folder, store, alias, silent())


def versions(store: Store) -> list[str]:
    """Return the versions that a reader sees."""
    return next((model.versions for model in list_models(store)), [])


def assert_complete(store: Store, version: str, folder: Path) -> None:
    """Fetch every file of a version, hashed, and compare it with the artifact that was published."""
    manifest = fetch_manifest(store, "tiny", version)
    folder.mkdir(parents=True)
    download(store, manifest, list(manifest.files), folder)
    assert {path.name for path in folder.iterdir()} == set(manifest.files)


def test_versions_count_from_one_and_each_is_complete(store_url: str, small: Built, tmp_path: Path) -> None:
    store = open_store(store_url)
    results = [published(small.folder, store) for _ in range(3)]
    assert results == [Published("tiny", version, None, store_url) for version in ("1", "2", "3")]
    assert versions(store) == ["1", "2", "3"]
    for version in versions(store):
        assert_complete(store, version, tmp_path / version)


def test_published_files_are_those_of_the_artifact_and_held_out_inputs_stay_behind(
    store_url: str, small: Built
) -> None:
    store = open_store(store_url)
    published(small.folder, store)
    manifest = read_artifact(small.folder)
    for name in manifest.files:
        assert store.read(file_key("tiny", "1", name)).data == (small.folder / name).read_bytes()
    assert json.loads(store.read(file_key("tiny", "1", "claim")).data)["id"]
    with pytest.raises(ObjectNotFound):
        store.read(file_key("tiny", "1", "held-out.npz"))
    numbered = show_version(store, "tiny", "1")
    assert numbered.version == "1"
    assert (numbered.files, numbered.variants) == (manifest.files, manifest.variants)


def test_alias_names_the_new_version_and_keeps_its_history(store_url: str, small: Built) -> None:
    store = open_store(store_url)
    published(small.folder, store, "live")
    published(small.folder, store)
    assert resolve_alias(store, "tiny", "live") == "1"
    assert published(small.folder, store, "live").version == "3"
    assert resolve_alias(store, "tiny", "live") == "3"
    aliases, _ = read_aliases(store, "tiny")
    assert [change.after and change.after.version for change in aliases.history] == ["1", "3"]


@pytest.mark.parametrize("after_writing", [False, True])
def test_store_that_fails_in_the_middle_shows_no_version_and_its_number_is_never_used_again(
    store_url: str, small: Built, tmp_path: Path, *, after_writing: bool
) -> None:
    store = open_store(store_url)
    files = len(read_artifact(small.folder).files)
    for n in range(1, files + 2):  # the claim, then each file
        with pytest.raises(StoreUnavailable, match="connection lost"):
            published(small.folder, FailingStore(store, n, "create", after_doing=after_writing), "live")
        assert versions(store) == []
        with pytest.raises(ObjectNotFound):
            store.read(aliases_key("tiny"))
    claimed = list(store.list_folders(versions_prefix("tiny")))
    assert len(claimed) == files + after_writing  # a claim that was never written claims nothing
    assert published(small.folder, store).version == str(len(claimed) + 1)
    assert_complete(store, versions(store)[0], tmp_path / "fetched")


def test_manifest_that_was_not_written_leaves_the_version_invisible(store_url: str, small: Built) -> None:
    store = open_store(store_url)
    manifest = len(read_artifact(small.folder).files) + 2
    with pytest.raises(StoreUnavailable):
        published(small.folder, FailingStore(store, manifest, "create"), "live")
    assert versions(store) == []
    assert published(small.folder, store).version == "2"
    assert versions(store) == ["2"]


def test_failure_at_the_alias_says_that_the_version_is_there(store_url: str, small: Built) -> None:
    store = open_store(store_url)
    alias = len(read_artifact(small.folder).files) + 3
    with pytest.raises(StoreUnavailable, match="version 1 is published all the same, only the alias 'live' does not"):
        published(small.folder, FailingStore(store, alias, "create"), "live")
    assert versions(store) == ["1"]


@pytest.mark.parametrize(
    ("alias", "damage", "error"),
    [("live", True, CorruptFile), ("Live!", False, InvalidName)],
    ids=["altered artifact", "no alias"],
)
def test_what_cannot_be_published_claims_nothing(
    store_url: str, small_copy: Path, alias: str, error: type[LambdaserveError], *, damage: bool
) -> None:
    if damage:
        with (small_copy / "fp32.onnx").open("r+b") as file:
            file.write(b"\xff")
    store = open_store(store_url)
    with pytest.raises(error):
        published(small_copy, store, alias)
    assert list(store.list_folders("models/")) == []


def test_folder_without_an_artifact_claims_nothing(store_url: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    store = open_store(store_url)
    with pytest.raises(OutputError, match=r"no manifest\.json"):
        published(tmp_path / "empty", store)
    assert list(store.list_folders("models/")) == []


def race(folder: Path, url: str, barrier: Barrier, result: Path) -> None:
    """Publish several times, with an alias that nobody else moves; runs in a process of its own."""
    store = open_store(url)
    barrier.wait(60)
    result.write_text(json.dumps([published(folder, store, result.stem).version for _ in range(EACH)]))


def test_publishers_that_race_get_versions_of_their_own_each_complete(
    store_url: str, small: Built, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PUBLISHERS)
    results = [tmp_path / f"versions-{i}.json" for i in range(PUBLISHERS)]
    racers = [context.Process(target=race, args=(small.folder, store_url, barrier, result)) for result in results]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
    assert [racer.exitcode for racer in racers] == [0] * PUBLISHERS

    given = [json.loads(result.read_text()) for result in results]
    everything = [str(number) for number in range(1, PUBLISHERS * EACH + 1)]
    assert sorted((version for one in given for version in one), key=int) == everything
    store = open_store(store_url)
    assert versions(store) == everything
    for version in everything:
        assert_complete(store, version, tmp_path / "fetched" / version)

    aliases, _ = read_aliases(store, "tiny")
    assert sorted((change.after.version for change in aliases.history if change.after), key=int) == everything
    named = {result.stem: one[-1] for result, one in zip(results, given, strict=True)}
    assert {name: alias.version for name, alias in aliases.aliases.items()} == named


def test_artifact_is_untouched_by_publishing(small: Built, tmp_path: Path) -> None:
    before = contents(small.folder)
    published(small.folder, open_store((tmp_path / "store").as_uri()), "live")
    assert contents(small.folder) == before
