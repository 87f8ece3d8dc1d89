import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from handlers.errors import AliasChanged, CorruptFile, InvalidName, ModelNotFound, UnsupportedManifest
from handlers.registry.aliases import Alias, AliasChange, Aliases, read_aliases
from handlers.registry.names import aliases_key
from handlers.registry.sealed import seal
from handlers.registry.stores import Store, open_store
from tests.aliases import point_alias, resolve_alias


@pytest.fixture
def store(store_url: str) -> Store:
    return open_store(store_url)


def moves(store: Store, model: str) -> Sequence[tuple[str | None, str | None, str | None]]:
    def version(alias: Alias | None) -> str | None:
        return None if alias is None else alias.version

    history = read_aliases(store, model)[0].history
    return [(change.alias, version(change.before), version(change.after)) for change in history]


def test_a_model_that_was_never_published_has_no_aliases(store: Store) -> None:
    aliases, etag = read_aliases(store, "m")

    assert (aliases.aliases, aliases.history, etag) == ({}, (), None)
    with pytest.raises(
        ModelNotFound, match="model 'm': no alias 'live', expected one of: none; promote a version to it"
    ):
        resolve_alias(store, "m", "live")


def test_an_alias_names_the_version_it_was_last_pointed_at(store: Store) -> None:
    point_alias(store, "m", "live", "1", "published")
    point_alias(store, "m", "canary", "2", "published")
    point_alias(store, "m", "live", "2", "canary was well")

    assert resolve_alias(store, "m", "live") == "2"
    assert resolve_alias(store, "m", "canary") == "2"
    with pytest.raises(ModelNotFound, match="no alias 'stable', expected one of: canary, live"):
        resolve_alias(store, "m", "stable")


def test_history_tells_every_move_oldest_first_with_who_when_and_why(store: Store) -> None:
    changes = [
        point_alias(store, "m", "live", "1", "published"),
        point_alias(store, "m", "live", "2", "better"),
        point_alias(store, "m", "live", "1", "was not better"),
    ]

    aliases, _ = read_aliases(store, "m")
    assert list(aliases.history) == changes
    assert moves(store, "m") == [("live", None, "1"), ("live", "1", "2"), ("live", "2", "1")]
    assert [change.reason for change in changes] == ["published", "better", "was not better"]
    assert all(change.by.count("@") == 1 and change.at.endswith("+00:00") for change in changes)
    assert len({change.id for change in changes}) == 3


def test_models_do_not_share_aliases(store: Store) -> None:
    point_alias(store, "a", "live", "1", "published")

    with pytest.raises(ModelNotFound):
        resolve_alias(store, "b", "live")


def test_of_sixteen_writers_at_once_some_win_and_the_others_are_told_what_changed(store: Store) -> None:
    point_alias(store, "m", "live", "1", "published")
    barrier = threading.Barrier(16)

    def race(number: int) -> AliasChange | AliasChanged:
        barrier.wait()
        try:
            return point_alias(store, "m", "live", str(number), "race")
        except AliasChanged as error:
            return error

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(race, range(2, 18)))

    history = read_aliases(store, "m")[0].history
    assert {change.id for change in history[1:]} == {one.id for one in outcomes if isinstance(one, AliasChange)}
    assert len(history) > 1
    for earlier, later in itertools.pairwise(history):
        assert later.before == earlier.after
    assert history[-1].after == Alias(version=resolve_alias(store, "m", "live"))
    for error in outcomes:
        if isinstance(error, AliasChanged):
            assert "changed meanwhile (tester@host at " in str(error)


def test_writers_that_race_for_the_first_alias_lose_nothing(store: Store) -> None:
    aliases = [f"alias-{number}" for number in range(16)]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda alias: point_alias(store, "m", alias, "1", "race"), aliases))

    found = read_aliases(store, "m")[0]
    assert found.aliases == dict.fromkeys(aliases, Alias(version="1"))
    assert len(found.history) == 16


def test_altered_aliases_are_refused_and_never_written_over(store: Store) -> None:
    point_alias(store, "m", "live", "1", "published")
    found = store.read(aliases_key("m"))
    altered = found.data.replace(b'"version": "1"', b'"version": "2"')
    assert altered != found.data
    store.replace(aliases_key("m"), altered, found.etag)

    with pytest.raises(CorruptFile, match=f"{aliases_key('m')}: sha256 [0-9a-f]{{64}}, expected [0-9a-f]{{64}}"):
        resolve_alias(store, "m", "live")
    with pytest.raises(CorruptFile):
        point_alias(store, "m", "live", "3", "repair")
    assert store.read(aliases_key("m")).data == altered


@pytest.mark.parametrize(
    ("schema_version", "model", "error", "found"),
    [
        pytest.param(3, "m", UnsupportedManifest, "schema version 3, expected 2 at most; upgrade", id="newer schema"),
        pytest.param(2, "other", CorruptFile, "of model 'other', expected of 'm'", id="another model's"),
        pytest.param(0, "m", CorruptFile, "models/m/aliases.json: ", id="no schema"),
    ],
)
def test_aliases_that_are_not_these_are_refused(
    store: Store, schema_version: int, model: str, error: type[Exception], found: str
) -> None:
    document = Aliases(schema_version=schema_version, model=model, aliases={"live": Alias(version="1")})
    store.create(aliases_key("m"), seal(document))

    with pytest.raises(error, match=found):
        resolve_alias(store, "m", "live")


class _OlderChange(msgspec.Struct):
    id: str
    at: str
    by: str
    alias: str
    before: str | None
    after: str
    reason: str


class _OlderAliases(msgspec.Struct):
    schema_version: int
    model: str
    aliases: dict[str, str]
    history: tuple[_OlderChange, ...]


def test_aliases_of_schema_version_1_are_read_and_written_anew_with_the_next_change(store: Store) -> None:
    older = _OlderChange("a" * 32, "2026-01-01T00:00:00+00:00", "ada@host", "live", None, "1", "published")
    store.create(aliases_key("m"), seal(_OlderAliases(1, "m", {"live": "1"}, (older,))))

    assert resolve_alias(store, "m", "live") == "1"
    point_alias(store, "m", "live", "2", "better")
    assert moves(store, "m") == [("live", None, "1"), ("live", "1", "2")]
    assert read_aliases(store, "m")[0].history[0].by == "ada@host"


@pytest.mark.parametrize(("alias", "version"), [("Live", "1"), ("live", "latest"), ("../live", "1"), ("live", "01")])
def test_bad_names_change_nothing(store: Store, alias: str, version: str) -> None:
    with pytest.raises(InvalidName):
        point_alias(store, "m", alias, version, "mistake")

    assert read_aliases(store, "m")[1] is None


def test_a_version_in_a_sealed_document_is_still_checked(store: Store) -> None:
    document = Aliases(schema_version=2, model="m", aliases={"live": Alias(version="../../other")})
    store.create(aliases_key("m"), seal(document))

    with pytest.raises(CorruptFile):
        resolve_alias(store, "m", "live")
