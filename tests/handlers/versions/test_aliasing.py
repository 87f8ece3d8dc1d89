"""What operators do with aliases, against both stores: what each does, what it refuses, and what the history says."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from handlers.errors import (
    AliasChanged,
    AliasPinned,
    InvalidName,
    LambdaserveError,
    ModelNotFound,
    NothingToChange,
    OperationReused,
    StoreUnavailable,
    VersionInUse,
    VersionRetired,
)
from handlers.registry.aliases import Alias, AliasChange, Aliases, read_aliases
from handlers.registry.stores import Store, open_store
from handlers.registry.stores.folder import FolderStore
from handlers.versions.aliasing import canary, pin, promote, remove_alias, retire, rollback
from handlers.versions.changes import Operation, apply_change


@pytest.fixture
def store(store_url: str) -> Store:
    return open_store(store_url)


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore.from_url((tmp_path / "store").as_uri())


def ada(reason: str = "") -> Operation:
    return Operation("ada@host", reason)


def named(store: Store, alias: str = "live") -> Alias | None:
    return read_aliases(store, "m")[0].aliases.get(alias)


def promoted(store: Store, *versions: str) -> None:
    for version in versions:
        promote(store, "m", "live", version, ada())


def test_a_promotion_lets_an_alias_name_a_version_and_tells_who_when_and_why(store: Store) -> None:
    promoted(store, "1")

    change = promote(store, "m", "live", "2", Operation("ada@host", "better", "a" * 32))

    assert named(store) == Alias(version="2")
    assert (change.by, change.reason, change.action, change.id) == ("ada@host", "better", "promote", "a" * 32)
    assert (change.before, change.after) == (Alias(version="1"), Alias(version="2"))
    assert read_aliases(store, "m")[0].history[-1] == change


def test_a_canary_gets_its_share_beside_the_version_and_promoting_it_ends_it(store: Store) -> None:
    promoted(store, "1")

    canary(store, "m", "live", "2", 10, ada())
    assert named(store) == Alias(version="1", canary="2", weight=10)
    canary(store, "m", "live", "2", 50, ada())
    assert named(store) == Alias(version="1", canary="2", weight=50)
    promoted(store, "2")
    assert named(store) == Alias(version="2")


def test_rolling_back_ends_a_canary_first_and_then_goes_to_what_was_promoted_before(folder: FolderStore) -> None:
    promoted(folder, "1", "2", "3")
    canary(folder, "m", "live", "4", 10, ada())
    canary(folder, "m", "live", "4", 20, ada())

    went_to = [rollback(folder, "m", "live", ada()).after for _ in range(3)]

    assert went_to == [Alias(version="3"), Alias(version="2"), Alias(version="1")]
    with pytest.raises(NothingToChange, match="named nothing before 1 that still exists"):
        rollback(folder, "m", "live", ada())


def test_rolling_back_after_going_forward_again_goes_to_what_was_live_before_that(folder: FolderStore) -> None:
    promoted(folder, "1", "2")
    rollback(folder, "m", "live", ada())
    promoted(folder, "3")

    assert rollback(folder, "m", "live", ada()).after == Alias(version="1")


def test_rolling_back_passes_over_retired_versions(folder: FolderStore) -> None:
    promoted(folder, "1", "2", "3")
    retire(folder, "m", "2", ada())

    assert rollback(folder, "m", "live", ada()).after == Alias(version="1")


def test_rolling_back_an_alias_that_was_removed_lets_it_name_what_it_named_then(folder: FolderStore) -> None:
    promoted(folder, "1", "2")
    canary(folder, "m", "live", "3", 10, ada())
    remove_alias(folder, "m", "live", ada())

    assert rollback(folder, "m", "live", ada()).after == Alias(version="2")

    promote(folder, "m", "other", "3", ada())
    promote(folder, "m", "live", "3", ada())
    remove_alias(folder, "m", "other", ada())
    remove_alias(folder, "m", "live", ada())
    retire(folder, "m", "3", ada())
    with pytest.raises(ModelNotFound, match="no alias 'live'"):
        rollback(folder, "m", "live", ada())


def test_a_pinned_alias_is_not_moved_by_anything_until_it_is_unpinned(folder: FolderStore) -> None:
    promoted(folder, "1", "2")
    pin(folder, "m", "live", ada("audit"))

    moves: list[Callable[[], AliasChange]] = [
        lambda: promote(folder, "m", "live", "1", ada()),
        lambda: canary(folder, "m", "live", "1", 10, ada()),
        lambda: rollback(folder, "m", "live", ada()),
        lambda: remove_alias(folder, "m", "live", ada()),
    ]
    for move in moves:
        with pytest.raises(AliasPinned, match="alias 'live': 2, pinned, expected one that is not pinned; unpin it"):
            move()
    promote(folder, "m", "canary", "1", ada())  # others are free
    pin(folder, "m", "live", ada(), pinned=False)
    promoted(folder, "1")

    assert named(folder) == Alias(version="1")


def test_what_an_alias_names_is_not_retired_and_what_is_retired_is_not_named(store: Store) -> None:
    promoted(store, "1")
    canary(store, "m", "live", "2", 10, ada())

    for version in ("1", "2"):
        with pytest.raises(VersionInUse, match=f"version {version} named by 'live', expected no alias to name it"):
            retire(store, "m", version, ada())
    rollback(store, "m", "live", ada())
    retire(store, "m", "2", ada())
    with pytest.raises(VersionRetired):
        promote(store, "m", "other", "2", ada())
    with pytest.raises(VersionRetired):
        canary(store, "m", "live", "2", 10, ada())
    with pytest.raises(NothingToChange, match="version 2 retired already"):
        retire(store, "m", "2", ada())
    assert read_aliases(store, "m")[0].retired == ("2",)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda store: promote(store, "m", "live", "1", ada()), NothingToChange),
        (lambda store: canary(store, "m", "live", "1", 10, ada()), NothingToChange),
        (lambda store: canary(store, "m", "none", "2", 10, ada()), ModelNotFound),
        (lambda store: rollback(store, "m", "none", ada()), ModelNotFound),
        (lambda store: pin(store, "m", "live", ada(), pinned=False), NothingToChange),
        (lambda store: remove_alias(store, "m", "none", ada()), ModelNotFound),
        (lambda store: promote(store, "m", "12", "1", ada()), InvalidName),
        (lambda store: promote(store, "m", "live", "latest", ada()), InvalidName),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    folder: FolderStore, change: Callable[[Store], AliasChange], error: type[LambdaserveError]
) -> None:
    promoted(folder, "1")
    before = read_aliases(folder, "m")

    with pytest.raises(error):
        change(folder)

    assert read_aliases(folder, "m") == before


def test_who_decided_on_aliases_that_were_changed_since_is_told_what_changed(store: Store) -> None:
    promoted(store, "1")
    seen = read_aliases(store, "m")[0]
    promote(store, "m", "live", "2", Operation("bob@host", "hotfix"))

    with pytest.raises(AliasChanged, match=r"changed meanwhile \(bob@host at .*: promote alias 'live' from 1 to 2\)"):
        promote(store, "m", "live", "3", ada(), seen)
    promote(store, "m", "other", "3", ada(), seen)  # of this one nobody changed anything

    assert named(store) == Alias(version="2")


def test_an_operation_that_is_asked_for_again_is_not_done_twice(store: Store) -> None:
    promoted(store, "1")
    operation = ada("once")
    first = promote(store, "m", "live", "2", operation)
    promoted(store, "3")

    assert promote(store, "m", "live", "2", operation) == first
    assert named(store) == Alias(version="3")
    for other in (("live", "3"), ("other", "2")):
        with pytest.raises(OperationReused, match=r"promote alias 'live' from 1 to 2 already, expected a new id"):
            promote(store, "m", *other, operation)


class LosingAnswers(FolderStore):
    """A folder whose writes succeed or fail, and whose answers to them get lost."""

    written = True

    def replace(self, key: str, data: bytes, etag: str) -> str:
        if self.written:
            super().replace(key, data, etag)
        msg = f"{key}: no answer"
        raise StoreUnavailable(msg)


def test_a_change_whose_answer_got_lost_is_found_in_the_history(folder: FolderStore) -> None:
    promoted(folder, "1")
    losing = LosingAnswers(folder.url, folder.root)

    assert promote(losing, "m", "live", "2", ada()) == read_aliases(folder, "m")[0].history[-1]

    losing.written = False
    with pytest.raises(StoreUnavailable, match=f"operation {'b' * 32} has not happened so far; ask again with this id"):
        promote(losing, "m", "live", "3", Operation("ada@host", id="b" * 32))


def test_the_history_explains_the_aliases(folder: FolderStore) -> None:
    promoted(folder, "1", "2")
    canary(folder, "m", "live", "3", 10, ada())
    promote(folder, "m", "next", "3", ada())
    pin(folder, "m", "next", ada())
    rollback(folder, "m", "live", ada())
    pin(folder, "m", "next", ada(), pinned=False)
    remove_alias(folder, "m", "next", ada())
    retire(folder, "m", "3", ada())

    found = read_aliases(folder, "m")[0]
    replayed = Aliases(schema_version=2, model="m")
    for change in found.history:
        assert change.alias is None or replayed.aliases.get(change.alias) == change.before
        replayed = apply_change(replayed, change)

    assert replayed == found
    assert msgspec.structs.asdict(found)["retired"] == ("3",)
