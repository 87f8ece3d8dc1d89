"""Deleting: what is refused, what is left, and that it can stop at any step and go on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from handlers.errors import (
    ChangeRefused,
    InvalidName,
    ObjectNotFound,
    OperationReused,
    StoreUnavailable,
    VersionInUse,
    VersionNotFound,
    VersionRetired,
)
from handlers.registry.aliases import read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE, decode_manifest
from handlers.registry.names import file_key, versions_prefix
from handlers.registry.stores import Store, open_store
from handlers.versions.aliasing import canary, promote, retire, rollback
from handlers.versions.listing import list_versions
from handlers.versions.publishing import finish
from handlers.versions.removal import delete_version
from tests.faults import FailingStore
from tests.published import ada, claimed, published, uploaded

ROOT = Path(__file__).parents[3]
STEPS = 6  # retire, tombstone, and three files; the sixth never comes
WRITES = ("create", "replace", "delete")


def names(store: Store, version: str) -> list[str]:
    prefix = file_key("m", version, "")
    return [info.key.removeprefix(prefix) for info in store.list_objects(prefix)]


def assert_deleted(store: Store, version: str) -> None:
    assert names(store, version) == ["claim", MANIFEST_FILE]
    assert read_aliases(store, "m")[0].retired == (version,)
    with pytest.raises(VersionNotFound, match="deleted"):
        fetch_manifest(store, "m", version)
    assert next(found.state for found in list_versions(store, "m") if found.version == version) == "deleted"


def test_a_deleted_version_leaves_claim_tombstone_and_an_entry_in_the_history(store: Store, artifact: Path) -> None:
    published(store, artifact, 2)
    promote(store, "m", "live", "2", ada())

    change = delete_version(store, "m", "1", ada("too old", "a" * 32))

    assert_deleted(store, "1")
    assert (change.action, change.version, change.by, change.reason) == ("retire", "1", "ada@host", "too old")
    assert read_aliases(store, "m")[0].history[-1] == change
    with pytest.raises(VersionNotFound, match=rf"closed at {change.at[:10]}.* by ada@host \(deleted: too old\)"):
        fetch_manifest(store, "m", "1")
    with pytest.raises(VersionRetired):
        promote(store, "m", "live", "1", ada())
    assert claimed(store).version == "3"
    assert fetch_manifest(store, "m", "2").version == "2"


def test_what_an_alias_names_is_not_deleted(store: Store, artifact: Path) -> None:
    published(store, artifact, 2)
    promote(store, "m", "live", "1", ada())
    canary(store, "m", "live", "2", 10, ada())

    for version in ("1", "2"):
        with pytest.raises(VersionInUse, match=f"version {version} named by 'live'"):
            delete_version(store, "m", version, ada())
        assert fetch_manifest(store, "m", version).version == version
    assert read_aliases(store, "m")[0].retired == ()


def test_a_version_that_is_not_there_is_not_deleted(store: Store, artifact: Path) -> None:
    published(store, artifact)

    with pytest.raises(VersionNotFound, match="no version '2'"):
        delete_version(store, "m", "2", ada())
    with pytest.raises(InvalidName):
        delete_version(store, "m", "../1", ada())
    assert read_aliases(store, "m")[0].history == ()


def test_deleting_again_changes_nothing_whoever_asks(store: Store, artifact: Path) -> None:
    published(store, artifact)
    first = delete_version(store, "m", "1", ada("", "a" * 32))

    assert delete_version(store, "m", "1", ada("", "a" * 32)) == first
    assert delete_version(store, "m", "1", ada("once more")) == first
    assert len(read_aliases(store, "m")[0].history) == 1
    published(store, artifact)
    with pytest.raises(OperationReused):
        delete_version(store, "m", "2", ada("", "a" * 32))
    assert fetch_manifest(store, "m", "2").version == "2"


@pytest.mark.parametrize("after_doing", [False, True])
def test_it_can_stop_at_any_step_and_go_on(store: Store, artifact: Path, *, after_doing: bool) -> None:
    for step in range(1, STEPS):
        [version] = published(store, artifact)

        with pytest.raises(StoreUnavailable):
            delete_version(FailingStore(store, step, *WRITES, after_doing=after_doing), "m", version, ada())
        half = names(store, version)
        retired = version in read_aliases(store, "m")[0].retired
        assert retired or MANIFEST_FILE in half  # no file goes while somebody may still ask for it
        assert retired == (step > 1 or after_doing)

        delete_version(store, "m", version, ada())
        assert names(store, version) == ["claim", MANIFEST_FILE]
        with pytest.raises(VersionNotFound):
            fetch_manifest(store, "m", version)


DELETE_AND_DIE = """
import os, signal, sys
from handlers.registry.stores import open_store
from handlers.versions.changes import Operation
from handlers.versions.removal import delete_version
from tests.faults import FailingStore
store = FailingStore(
    open_store(sys.argv[1]), int(sys.argv[2]), after_doing=True, fail=lambda: os.kill(os.getpid(), signal.SIGKILL)
)
delete_version(store, "m", sys.argv[3], Operation("ada@host"))
"""


def test_it_can_be_killed_at_any_step_and_go_on(store_url: str, artifact: Path) -> None:
    store = open_store(store_url)
    for step in range(1, STEPS):
        [version] = published(store, artifact)
        done = subprocess.run(
            [sys.executable, "-c", DELETE_AND_DIE, store_url, str(step), version],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
        assert done.returncode == -signal.SIGKILL

        delete_version(store, "m", version, ada())
        assert names(store, version) == ["claim", MANIFEST_FILE]
        assert version in read_aliases(store, "m")[0].retired


def test_an_unfinished_version_is_deleted_and_its_publisher_refused(store: Store, artifact: Path) -> None:
    late = uploaded(store, artifact)

    delete_version(store, "m", late.version, ada())

    assert_deleted(store, "1")
    with pytest.raises(VersionRetired, match="publish again"):
        finish(store, late, decode_manifest((artifact / MANIFEST_FILE).read_bytes(), "artifact"))


def test_a_version_whose_manifest_is_damaged_is_deleted(store: Store, artifact: Path) -> None:
    uploaded(store, artifact)
    store.create(file_key("m", "1", MANIFEST_FILE), b"damaged")

    delete_version(store, "m", "1", ada())

    assert_deleted(store, "1")


def test_a_rollback_passes_over_what_was_deleted(store: Store, artifact: Path) -> None:
    for version in published(store, artifact, 3):
        promote(store, "m", "live", version, ada())
    delete_version(store, "m", "2", ada())

    after = rollback(store, "m", "live", ada()).after

    assert after is not None
    assert after.version == "1"


def attempt(start: Barrier, change: Callable[[], object]) -> bool:
    start.wait()
    try:
        change()
    except ChangeRefused:
        return False
    return True


def test_of_a_deletion_and_a_promotion_at_the_same_time_one_is_done(store: Store, artifact: Path) -> None:
    published(store, artifact)
    promote(store, "m", "live", "1", ada())
    for version in published(store, artifact, 8):
        start = Barrier(2)

        with ThreadPoolExecutor(2) as pool:
            deletes = pool.submit(attempt, start, partial(delete_version, store, "m", version, ada()))
            promotes = pool.submit(attempt, start, partial(promote, store, "m", "next", version, ada()))
            outcomes = [deletes.result(), promotes.result()]

        assert sorted(outcomes) == [False, True]
        there = MANIFEST_FILE in names(store, version) and len(names(store, version)) > 2
        assert there == outcomes[1]
        if outcomes[1]:
            fetch_manifest(store, "m", version)


def test_two_deletions_at_the_same_time_are_one(store: Store, artifact: Path) -> None:
    [version] = published(store, artifact)
    start = Barrier(4)

    def delete(_: int) -> str:
        start.wait()
        return delete_version(store, "m", version, ada()).id

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(delete, range(4)))

    assert ids == {change.id for change in read_aliases(store, "m")[0].history}
    assert_deleted(store, version)


def test_a_retired_version_of_which_nothing_was_removed_yet_is_brought_to_its_end(store: Store, artifact: Path) -> None:
    published(store, artifact)
    retired = retire(store, "m", "1", ada("by hand"))

    assert delete_version(store, "m", "1", ada()) == retired
    assert_deleted(store, "1")


def test_nothing_of_a_deleted_version_can_be_had(store: Store, artifact: Path) -> None:
    published(store, artifact)
    delete_version(store, "m", "1", ada())

    with pytest.raises(ObjectNotFound):
        store.read(file_key("m", "1", "fp32.onnx"))
    assert list(store.list_folders(versions_prefix("m"))) == ["1"]
