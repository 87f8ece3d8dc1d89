"""Cleaning up: what would go and why, and that nothing goes which somebody needs by then."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handlers.errors import StoreUnavailable, VersionNotFound, VersionRetired
from handlers.registry.aliases import read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE, decode_manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store, open_store
from handlers.versions.aliasing import canary, pin, promote, retire, rollback
from handlers.versions.claims import close
from handlers.versions.collection import Plan, Retention, collect, plan_collection
from handlers.versions.listing import list_versions
from handlers.versions.publishing import finish
from handlers.versions.removal import delete_version
from tests.faults import FailingStore
from tests.published import ada, claimed, published, uploaded

ROOT = Path(__file__).parents[3]
DAY_S = 86400
NOTHING_KEPT = Retention(keep=0, min_age_days=0, claim_hours=0)


def plan(store: Store, retention: Retention = NOTHING_KEPT, later_s: float = 60) -> Plan:
    return plan_collection(store, "m", retention, time.time() + later_s)


def steps(found: Plan) -> list[tuple[str, str | None]]:
    return [(removal.action, removal.version) for removal in found.removals]


def names(store: Store, version: str) -> list[str]:
    prefix = file_key("m", version, "")
    return [info.key.removeprefix(prefix) for info in store.list_objects(prefix)]


def assert_clean(store: Store) -> None:
    """Nothing would go any more, and no version is there in part."""
    assert plan(store).removals == ()
    for found in list_versions(store, "m"):
        if found.state == "complete":
            manifest = fetch_manifest(store, "m", found.version)
            assert set(names(store, found.version)) == {*manifest.files, "claim", MANIFEST_FILE}
        else:
            assert names(store, found.version) == ["claim", MANIFEST_FILE]


def test_what_is_needed_new_or_young_stays(store: Store, artifact: Path) -> None:
    for version in published(store, artifact, 6):
        promote(store, "m", "live", version, ada())
    promote(store, "m", "old", "1", ada())
    published(store, artifact, 3)  # 7, 8, 9

    assert steps(plan(store)) == [("delete", version) for version in ("2", "3", "4", "7", "8", "9")]
    assert steps(plan(store, Retention(keep=2, min_age_days=0))) == [("delete", v) for v in ("2", "3", "4", "7")]
    assert steps(plan(store, Retention(keep=3, min_age_days=7), 6.9 * DAY_S)) == []
    assert len(plan(store, Retention(keep=3, min_age_days=7), 7.1 * DAY_S).removals) == 3
    assert plan(store, Retention(keep=99, min_age_days=0)).removals == ()
    assert len(list_versions(store, "m")) == 9  # a plan changes nothing


def test_both_versions_of_a_canary_and_what_was_live_before_stay(store: Store, artifact: Path) -> None:
    published(store, artifact, 4)
    promote(store, "m", "live", "1", ada())
    promote(store, "m", "live", "2", ada())
    canary(store, "m", "live", "3", 10, ada())

    assert steps(plan(store)) == [("delete", "4")]
    collect(store, plan(store), ada())
    rollback(store, "m", "live", ada())  # of the canary
    after = rollback(store, "m", "live", ada()).after
    assert after is not None
    assert fetch_manifest(store, "m", after.version).version == "1"


def test_a_plan_says_why_and_how_many_bytes_go(store: Store, artifact: Path) -> None:
    published(store, artifact)
    size_bytes = sum(path.stat().st_size for path in artifact.iterdir() if path.name != MANIFEST_FILE)

    [removal] = plan(store).removals

    assert (removal.size_bytes, plan(store).size_bytes) == (size_bytes, size_bytes)
    assert removal.reason == "no alias names it, and it is none of the newest 0"


def test_what_goes_is_retired_with_its_reason_and_its_files_go(store: Store, artifact: Path) -> None:
    published(store, artifact, 2)
    promote(store, "m", "live", "2", ada())
    found = plan(store)
    freed: list[int] = []

    done = collect(store, found, ada(operation_id="a" * 32), freed.append)

    assert (done.removed, done.skipped) == (found.removals, ())
    assert sum(freed) == found.size_bytes
    change = read_aliases(store, "m")[0].history[-1]
    assert (change.action, change.version, change.id) == ("retire", "1", f"{'a' * 32}-1")
    assert change.reason == found.removals[0].reason
    assert_clean(store)


def test_a_claim_that_was_never_finished_is_closed_after_24_hours(store: Store, artifact: Path) -> None:
    taken = uploaded(store, artifact)
    claimed(store)
    manifest = decode_manifest((artifact / MANIFEST_FILE).read_bytes(), "artifact")

    assert plan(store, Retention(), 23.9 * 3600).removals == ()
    found = plan(store, Retention(), 24.1 * 3600)
    assert steps(found) == [("close", "1"), ("close", "2")]
    collect(store, found, ada())

    assert [state.state for state in list_versions(store, "m")] == ["closed", "closed"]
    with pytest.raises(VersionRetired, match="not finished within 24 hours"):
        finish(store, taken, manifest)
    assert_clean(store)
    assert read_aliases(store, "m")[0].history == ()


def test_a_version_that_is_finished_after_the_plan_is_left(store: Store, artifact: Path) -> None:
    taken = uploaded(store, artifact)
    found = plan(store)
    finish(store, taken, decode_manifest((artifact / MANIFEST_FILE).read_bytes(), "artifact"))

    done = collect(store, found, ada())

    assert done.removed == ()
    assert "version 1 of 'm': finished meanwhile" in done.skipped[0].reason
    assert fetch_manifest(store, "m", "1").version == "1"


def test_a_version_that_an_alias_names_after_the_plan_is_left(store: Store, artifact: Path) -> None:
    published(store, artifact, 3)
    found = plan(store)
    promote(store, "m", "live", "1", ada())
    promote(store, "m", "live", "2", ada())

    done = collect(store, found, ada())

    assert [removal.version for removal in done.removed] == ["3"]
    assert [skipped.removal.version for skipped in done.skipped] == ["1", "2"]
    assert "'live' would roll back to" in done.skipped[0].reason
    assert "named by 'live'" in done.skipped[1].reason
    for version in ("1", "2"):
        fetch_manifest(store, "m", version)


def test_nothing_goes_for_newer_ones_that_were_deleted_after_the_plan(store: Store, artifact: Path) -> None:
    published(store, artifact, 3)
    found = plan(store, Retention(keep=2, min_age_days=0))
    delete_version(store, "m", "3", ada())

    done = collect(store, found, ada())

    assert done.removed == ()
    assert "3 deleted meanwhile, expected newer ones to stay; plan again" in done.skipped[0].reason
    assert fetch_manifest(store, "m", "1").version == "1"


def test_a_version_that_was_deleted_after_the_plan_is_no_hindrance(store: Store, artifact: Path) -> None:
    published(store, artifact, 2)
    found = plan(store)
    delete_version(store, "m", "1", ada())

    assert len(collect(store, found, ada()).removed) == 2
    assert_clean(store)


def test_what_nothing_names_goes_wherever_it_is(store: Store, artifact: Path) -> None:
    published(store, artifact, 2)
    promote(store, "m", "live", "1", ada())
    delete_version(store, "m", "2", ada())
    close(store, "m", claimed(store).version, ada(), "given up")
    for version in ("1", "2", "3"):
        store.create(file_key("m", version, "left.over"), b"123")

    found = plan(store, Retention())

    assert steps(found) == [("clear", "1"), ("delete", "2"), ("clear", "3")]
    assert found.size_bytes == 9
    collect(store, found, ada())
    assert_clean(store)


def test_what_cannot_be_read_is_left_as_it_is(store: Store, artifact: Path) -> None:
    uploaded(store, artifact)
    store.create(file_key("m", "1", MANIFEST_FILE), b"damaged" * 1000)

    assert plan(store, Retention()).removals == ()
    assert collect(store, plan(store, Retention()), ada()).removed == ()
    assert len(names(store, "1")) == 5


def test_hidden_files_of_writers_that_died_go(artifact: Path, tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    published(store, artifact)
    promote(store, "m", "live", "1", ada())
    hidden = tmp_path / "store/models/m/versions/1" / f".{'0' * 32}"
    hidden.write_bytes(b"12345")

    found = plan(store, Retention())

    assert [(removal.action, removal.size_bytes) for removal in found.removals] == [("sweep", 5)]
    collect(store, found, ada())
    assert not hidden.exists()
    assert_clean(store)


def mixed(store: Store, artifact: Path) -> None:
    """One of everything that can go, and a version that stays."""
    published(store, artifact, 4)
    promote(store, "m", "live", "4", ada())
    retire(store, "m", "3", ada())
    uploaded(store, artifact)
    close(store, "m", uploaded(store, artifact).version, ada(), "given up")
    store.create(file_key("m", "4", "left.over"), b"123")


@pytest.mark.parametrize("after_doing", [False, True])
def test_it_can_stop_at_any_step_and_go_on(store: Store, artifact: Path, *, after_doing: bool) -> None:
    mixed(store, artifact)
    stops = 0
    while True:
        failing = FailingStore(store, 2, "create", "replace", "delete", after_doing=after_doing)
        try:
            collect(failing, plan(store), ada())
        except StoreUnavailable:
            stops += 1
            assert fetch_manifest(store, "m", "4").version == "4"
            continue
        break

    assert stops > 10
    assert_clean(store)


COLLECT_AND_DIE = """
import os, signal, sys, time
from handlers.registry.stores import open_store
from handlers.versions.changes import Operation
from handlers.versions.collection import Retention, collect, plan_collection
from tests.faults import FailingStore
store = FailingStore(open_store(sys.argv[1]), 7, after_doing=True, fail=lambda: os.kill(os.getpid(), signal.SIGKILL))
plan = plan_collection(store, "m", Retention(keep=0, min_age_days=0, claim_hours=0), time.time() + 60)
collect(store, plan, Operation("ada@host"))
"""


def test_it_can_be_killed_again_and_again_and_ends(store_url: str, artifact: Path) -> None:
    store = open_store(store_url)
    mixed(store, artifact)
    codes: list[int] = []
    while not codes or codes[-1] != 0:
        done = subprocess.run(
            [sys.executable, "-c", COLLECT_AND_DIE, store_url],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
        codes.append(done.returncode)

    assert set(codes[:-1]) == {-signal.SIGKILL}
    assert_clean(store)
    assert fetch_manifest(store, "m", "4").version == "4"


def test_several_at_once_do_what_one_does(store: Store, artifact: Path) -> None:
    mixed(store, artifact)
    start = threading.Barrier(3)

    def clean(_: int) -> None:
        found = plan(store)
        start.wait()
        collect(store, found, ada())

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(clean, range(3)))

    assert_clean(store)
    history = read_aliases(store, "m")[0].history
    retired = sorted(change.version for change in history if change.version is not None)
    assert retired == ["1", "2", "3"]  # each once


def test_it_takes_nothing_from_publishers_beside_it(store: Store, artifact: Path) -> None:
    """Publishers whose claims are young, each of which lets an alias name what it published; and one that cleans up."""
    stop = threading.Event()
    retention = Retention(keep=0, min_age_days=0)

    def clean() -> int:
        gone = 0
        while not stop.is_set():
            gone += len(collect(store, plan(store, retention), ada()).removed)
        return gone

    def publish(number: int) -> list[str]:
        kept = []
        for _ in range(6):
            [version] = published(store, artifact)
            try:
                promote(store, "m", f"p{number}", version, ada())
            except VersionRetired:  # nothing named it so far, and it is not to be kept for its age here
                continue
            kept.append(version)
            fetch_manifest(store, "m", version)
        return kept

    with ThreadPoolExecutor(4) as pool:
        cleaner = pool.submit(clean)
        publishers = [pool.submit(publish, number) for number in range(3)]
        try:
            kept = [publisher.result() for publisher in publishers]
        finally:
            stop.set()
        assert cleaner.result()

    for versions in kept:
        for version in versions[-2:]:  # what is named, and what was before
            manifest = fetch_manifest(store, "m", version)
            assert set(names(store, version)) == {*manifest.files, "claim", MANIFEST_FILE}
    collect(store, plan(store, retention), ada())
    assert_clean(store)


def test_a_pinned_alias_keeps_its_version(store: Store, artifact: Path) -> None:
    published(store, artifact)
    promote(store, "m", "live", "1", ada())
    pin(store, "m", "live", ada())

    assert plan(store).removals == ()


def test_a_model_of_which_there_is_nothing_has_nothing_to_go(store: Store) -> None:
    assert plan(store) == Plan(model="m", removals=(), newest=())
    with pytest.raises(VersionNotFound):
        delete_version(store, "m", "1", ada())
