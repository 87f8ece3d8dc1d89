"""What versions there are, and what became of each."""

from pathlib import Path

import pytest

from handlers.errors import StoreUnavailable
from handlers.registry.manifest import MANIFEST_FILE
from handlers.registry.names import file_key
from handlers.registry.stores import Store
from handlers.versions.aliasing import canary, promote, retire
from handlers.versions.claims import close
from handlers.versions.listing import list_versions
from tests.faults import FailingStore
from tests.published import ada, claimed, publish_older, published, uploaded


def test_each_version_has_its_state_its_size_and_its_aliases(store: Store, artifact: Path) -> None:
    published(store, artifact, 3)
    promote(store, "m", "live", "1", ada())
    promote(store, "m", "next", "2", ada())
    canary(store, "m", "live", "2", 10, ada())
    retire(store, "m", "3", ada())
    closed = uploaded(store, artifact).version
    close(store, "m", closed, ada(), "never finished")
    claimed(store)

    found = list_versions(store, "m")

    assert [(state.version, state.state, state.aliases) for state in found] == [
        ("1", "complete", ("live",)),
        ("2", "complete", ("live", "next")),
        ("3", "deleted", ()),
        ("4", "closed", ()),
        ("5", "unfinished", ()),
    ]
    files = sum(path.stat().st_size for path in artifact.iterdir() if path.name != MANIFEST_FILE)
    ours = [store.describe(file_key("m", "1", name)).size for name in ("claim", MANIFEST_FILE)]
    assert found[0].size_bytes == files + sum(ours)
    assert found[0].claimed_at is not None
    assert found[0].published_at is not None
    assert found[0].claimed_at <= found[0].published_at
    assert found[4].published_at is None
    assert found[3].ended is not None
    assert (found[3].ended.by, found[3].ended.reason) == ("ada@host", "never finished")
    assert found[2].ended is None  # and nobody has buried it yet


def test_versions_are_sorted_by_number(store: Store) -> None:
    for _ in range(11):
        claimed(store)

    assert [state.version for state in list_versions(store, "m")] == [str(number) for number in range(1, 12)]


def test_a_model_that_is_not_there_has_no_versions(store: Store) -> None:
    assert list_versions(store, "m") == []


def test_what_is_no_version_is_passed_over(store: Store) -> None:
    for name in ("01", "0", "x", "1.5"):
        store.create(f"models/m/versions/{name}/claim", b"")
    store.create("models/m/versions/file", b"")

    assert list_versions(store, "m") == []


def test_manifests_are_not_read_where_their_size_tells_them_from_tombstones(store: Store, artifact: Path) -> None:
    published(store, artifact, 3)
    counted = FailingStore(store, 100, "read", "list")

    list_versions(counted, "m")

    assert counted.calls == 2  # the aliases, and one list


@pytest.mark.parametrize("kind", ["read", "list"])
def test_a_store_that_cannot_be_asked_is_not_taken_for_an_empty_one(store: Store, kind: str) -> None:
    close(store, "m", claimed(store).version, ada(), "never finished")

    for call in (1, 2) if kind == "read" else (1,):
        with pytest.raises(StoreUnavailable):
            list_versions(FailingStore(store, call, kind), "m")


def test_a_version_of_schema_1_is_listed(store: Store) -> None:
    model, version = publish_older(store)

    [found] = list_versions(store, model)

    assert (found.version, found.state) == (version, "complete")
