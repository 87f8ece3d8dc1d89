"""Reading ahead: what is needed first of a store is asked for early, once, and a failure is forgotten."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from handlers.errors import ObjectNotFound
from handlers.registry.ahead import open_ahead
from handlers.registry.aliases import read_aliases
from handlers.registry.names import aliases_key
from handlers.registry.stores import open_store
from handlers.registry.stores.s3 import S3Store
from handlers.registry.stores.s3_access import S3Access, S3Place
from handlers.registry.stores.s3_connection import Timeouts
from handlers.registry.stores.s3_reads import S3Reads
from handlers.registry.stores.sigv4 import Credentials
from handlers.settings import Settings
from tests.aliases import point_alias
from tests.servers.scripted import Saying, ScriptedServer, running_script

HELLO = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 5\r\n\r\nhello'
MISSING = b"HTTP/1.1 404 No\r\nContent-Length: 30\r\n\r\n<Error><Code>NoSuchKey</Code>x"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with running_script() as running:
        yield running


@pytest.fixture
def store(server: ScriptedServer) -> S3Store:
    access = S3Access(
        S3Place("127.0.0.1", server.port, tls=False, path="/b/", region="us-east-1"), Credentials("id", "secret", "")
    )
    reads = S3Reads(access, "b", None, Timeouts(connect_s=5, read_s=0.3), pause_s=0.001)
    return S3Store("s3://b", "b", "", reads)


def test_what_was_begun_is_handed_out_once(server: ScriptedServer, store: S3Store) -> None:
    server.sayings.append(Saying(HELLO))
    store.begin_read("a")
    assert store.read("a").data == b"hello"
    assert len(server.requests) == 1

    server.sayings.append(Saying(HELLO.replace(b"hello", b"later")))
    assert store.read("a").data == b"later"


def test_what_went_wrong_ahead_is_told_once_and_asked_for_anew_the_next_time(
    server: ScriptedServer, store: S3Store
) -> None:
    server.sayings.append(Saying(MISSING))
    store.begin_read("a")
    with pytest.raises(ObjectNotFound):
        store.read("a")
    assert len(server.requests) == 1

    server.sayings.append(Saying(HELLO))
    assert store.read("a").data == b"hello"


def test_the_aliases_of_what_is_loaded_at_the_start_are_read_ahead(settings: Settings, store_url: str) -> None:
    point_alias(open_store(store_url), "m", "live", "1")

    store = open_ahead(replace(settings, store_url=store_url, models=("m",)))

    assert store is not None
    if isinstance(store, S3Store):
        assert list(store._begun) == [aliases_key("m")]  # noqa: SLF001 - that it has begun can be seen nowhere else
    assert read_aliases(store, "m")[0].aliases["live"].version == "1"


def test_settings_that_make_no_sense_are_left_to_who_opens_the_store_next(settings: Settings) -> None:
    assert open_ahead(replace(settings, store_url="http://example.org")) is None
    assert open_ahead(replace(settings, problems=("LAMBDASERVE_STORE: nothing",))) is None
