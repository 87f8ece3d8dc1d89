import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from handlers.errors import CorruptFile, InvalidName, ModelNotFound
from handlers.registry.aliases import Aliases, point_alias, read_aliases, resolve_alias
from handlers.registry.names import aliases_key
from handlers.registry.sealed import seal
from handlers.registry.stores import Store, open_store


@pytest.fixture
def store(store_url: str) -> Store:
    return open_store(store_url)


def moves(store: Store, model: str) -> Sequence[tuple[str, str | None, str]]:
    return [(change.alias, change.before, change.after) for change in read_aliases(store, model)[0].history]


def test_a_model_that_was_never_published_has_no_aliases(store: Store) -> None:
    aliases, etag = read_aliases(store, "m")

    assert (aliases.aliases, aliases.history, etag) == ({}, (), None)
    with pytest.raises(ModelNotFound, match="model 'm': no alias 'live', expected one of: none; publish it with"):
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


def test_sixteen_writers_at_once_lose_nothing(store: Store) -> None:
    point_alias(store, "m", "live", "1", "published")
    versions = [str(number) for number in range(2, 18)]

    with ThreadPoolExecutor(16) as pool:
        changes = list(pool.map(lambda version: point_alias(store, "m", "live", version, "race"), versions))

    history = read_aliases(store, "m")[0].history
    assert set(history[1:]) == set(changes)
    assert len(history) == 17
    for earlier, later in itertools.pairwise(history):
        assert later.before == earlier.after
    assert resolve_alias(store, "m", "live") == history[-1].after


def test_writers_that_race_for_the_first_alias_lose_nothing(store: Store) -> None:
    aliases = [f"alias-{number}" for number in range(16)]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda alias: point_alias(store, "m", alias, "1", "race"), aliases))

    found = read_aliases(store, "m")[0]
    assert found.aliases == dict.fromkeys(aliases, "1")
    assert len(found.history) == 16


def test_altered_aliases_are_refused_and_never_written_over(store: Store) -> None:
    point_alias(store, "m", "live", "1", "published")
    found = store.read(aliases_key("m"))
    altered = found.data.replace(b'"live": "1"', b'"live": "2"')
    assert altered != found.data
    store.replace(aliases_key("m"), altered, found.etag)

    with pytest.raises(CorruptFile, match=f"{aliases_key('m')}: sha256 [0-9a-f]{{64}}, expected [0-9a-f]{{64}}"):
        resolve_alias(store, "m", "live")
    with pytest.raises(CorruptFile):
        point_alias(store, "m", "live", "3", "repair")
    assert store.read(aliases_key("m")).data == altered


@pytest.mark.parametrize(
    ("schema_version", "model"),
    [pytest.param(2, "m", id="newer schema"), pytest.param(1, "other", id="another model's")],
)
def test_aliases_that_are_not_these_are_refused(store: Store, schema_version: int, model: str) -> None:
    document = Aliases(schema_version=schema_version, model=model, aliases={"live": "1"}, history=())
    store.create(aliases_key("m"), seal(document))

    with pytest.raises(CorruptFile, match=f"schema version {schema_version} of model '{model}', expected 1 of 'm'"):
        resolve_alias(store, "m", "live")


@pytest.mark.parametrize(("alias", "version"), [("Live", "1"), ("live", "latest"), ("../live", "1"), ("live", "01")])
def test_bad_names_change_nothing(store: Store, alias: str, version: str) -> None:
    with pytest.raises(InvalidName):
        point_alias(store, "m", alias, version, "mistake")

    assert read_aliases(store, "m")[1] is None


def test_a_version_in_a_sealed_document_is_still_checked(store: Store) -> None:
    document = Aliases(schema_version=1, model="m", aliases={"live": "../../other"}, history=())
    store.create(aliases_key("m"), seal(document))

    with pytest.raises(InvalidName):
        resolve_alias(store, "m", "live")
