"""Numbers: each is taken once and for ever, by one operation, and closed for ever where nothing came of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import msgspec
import pytest

from handlers.errors import CorruptFile, StoreUnavailable, VersionNotFound, VersionRetired
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE, Manifest, decode_manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store
from handlers.registry.tombstones import LARGEST_TOMBSTONE_BYTES, Ending, Tombstone, encode_tombstone
from handlers.versions.aliasing import retire
from handlers.versions.claims import claim, close
from handlers.versions.publishing import finish
from tests.faults import FailingStore
from tests.published import ada, claimed, published, uploaded

RACERS = 8


@pytest.fixture(scope="session")
def manifest(artifact: Path) -> Manifest:
    return decode_manifest((artifact / MANIFEST_FILE).read_bytes(), "artifact")


def test_numbers_count_up_and_say_who_took_them(store: Store) -> None:
    first, second = claimed(store), claimed(store)

    assert (first.version, second.version, first.by) == ("1", "2", "ada@host")
    stored = msgspec.json.decode(store.read(file_key("m", "1", "claim")).data)
    assert stored == {"id": first.id, "at": first.at, "by": "ada@host"}


def test_a_number_is_above_all_that_were_retired_even_where_nothing_is_left_of_them(store: Store) -> None:
    retire(store, "m", "7", ada())

    assert claimed(store).version == "8"


def test_folders_that_are_no_numbers_are_none(store: Store) -> None:
    for name in ("007", "9" * 30, "old"):
        store.create(f"models/m/versions/{name}/note", b"somebody's")

    assert claimed(store).version == "1"


def test_the_same_operation_gets_the_same_number(store: Store) -> None:
    first = claimed(store, ada(operation_id="a" * 32))
    for _ in range(3):
        claimed(store)

    assert claimed(store, ada(operation_id="a" * 32)) == first
    assert claimed(store).version == "5"


def test_a_claim_whose_answer_got_lost_is_found_again(store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        claim(FailingStore(store, 1, after_doing=True), "m", ada(operation_id="a" * 32))

    assert claimed(store, ada(operation_id="a" * 32)).version == "1"
    assert list(store.list_folders("models/m/versions/")) == ["1"]


def test_a_claim_that_nobody_can_read_is_a_claim(store: Store) -> None:
    store.create(file_key("m", "1", "claim"), b"not json")

    assert claimed(store).version == "2"


def test_operations_that_race_get_numbers_of_their_own_and_each_one_only(store: Store) -> None:
    operations = [ada(operation_id=f"{number}" * 32) for number in range(RACERS // 2)] * 2
    start = Barrier(RACERS)

    def take(number: int) -> str:
        start.wait()
        return claimed(store, operations[number]).version

    with ThreadPoolExecutor(RACERS) as pool:
        versions = list(pool.map(take, range(RACERS)))

    assert versions[: RACERS // 2] == versions[RACERS // 2 :]
    assert sorted(versions[: RACERS // 2]) == sorted(store.list_folders("models/m/versions/")) == ["1", "2", "3", "4"]


def test_a_closed_version_is_not_found_with_when_by_whom_and_why(store: Store) -> None:
    version = claimed(store).version

    assert close(store, "m", version, ada(), "never finished")

    with pytest.raises(VersionNotFound, match=r"version 1 closed at 20.* by ada@host \(never finished\), expected one"):
        fetch_manifest(store, "m", version)
    assert close(store, "m", version, ada(), "again")
    with pytest.raises(VersionNotFound, match="never finished"):
        fetch_manifest(store, "m", version)
    assert claimed(store).version == "2"


def test_a_finished_version_is_not_closed(store: Store, artifact: Path) -> None:
    published(store, artifact)

    assert not close(store, "m", "1", ada(), "never finished")
    assert fetch_manifest(store, "m", "1").version == "1"


def test_a_publisher_who_wakes_up_late_is_refused_with_what_happened(
    store: Store, artifact: Path, manifest: Manifest
) -> None:
    late = uploaded(store, artifact)
    close(store, "m", late.version, ada(), "not finished within 24 hours")

    with pytest.raises(VersionRetired, match=r"closed .* by ada@host \(not finished within 24 hours\).*publish again"):
        finish(store, late, manifest)
    with pytest.raises(VersionNotFound):
        fetch_manifest(store, "m", late.version)


def test_what_stands_in_the_place_of_a_manifest_and_is_damaged_is_said_to_be(store: Store) -> None:
    claimed(store)
    store.create(file_key("m", "1", MANIFEST_FILE), b"{}")

    with pytest.raises(CorruptFile):
        close(store, "m", "1", ada(), "never finished")


@pytest.mark.parametrize("words", ["x" * 5000, "\0" * 5000, "ü" * 5000], ids=["long", "escaped", "wide"])
def test_a_tombstone_is_small_however_many_words_it_is_given(words: str) -> None:
    ending = Ending(id="a" * 32, at="2026-01-01T00:00:00+00:00", by="ada@host", reason=words)
    data = encode_tombstone(Tombstone(schema_version=2, model="m", version="1", tombstone=ending))

    assert len(data) <= LARGEST_TOMBSTONE_BYTES
    with pytest.raises(VersionNotFound, match="version 1 closed at 2026-01-01T00:00:00"):
        decode_manifest(data, "m")
