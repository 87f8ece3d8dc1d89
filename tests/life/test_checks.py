"""The checks of `make life` find what they are there to find."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from handlers.registry.aliases import Alias, Aliases, read_aliases
from handlers.registry.names import aliases_key, file_key
from handlers.registry.sealed import seal
from handlers.registry.stores import Store, open_store
from handlers.versions.aliasing import promote
from tests.life.checks import problems_of
from tests.life.explained import unexplained
from tests.life.journal import Entry, Journal, read_journals
from tests.published import ada, claimed, make_artifact_of_m, published

TRIED = [Entry("a" * 32, "promote"), Entry("b" * 32, "promote")]
DONE = [Entry("a" * 32, "promote", "done"), Entry("b" * 32, "promote", "done")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two versions, one live after the other, and a third that was only claimed."""
    store = open_store((tmp_path / "store").as_uri())
    make_artifact_of_m(tmp_path / "artifact")
    for version, operation in zip(published(store, tmp_path / "artifact", 2), "ab", strict=True):
        promote(store, "m", "live", version, ada(operation_id=operation * 32))
    claimed(store)
    return store


def rewrite(store: Store, change: Callable[[Aliases], Aliases]) -> None:
    found, etag = read_aliases(store, "m")
    assert etag is not None
    store.replace(aliases_key("m"), seal(change(found)), etag)


def test_what_is_right_is_found_right(store: Store) -> None:
    assert problems_of(store, "m") == []
    assert list(unexplained(store, "m", TRIED + DONE)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda found: msgspec.structs.replace(found, aliases={"live": Alias(version="1")}), "history: explains"),
        (
            lambda found: msgspec.structs.replace(found, aliases={"live": Alias(version="3")}),
            "3, which is not complete",
        ),
        (lambda found: msgspec.structs.replace(found, retired=("2",)), "2, which is retired"),
        (lambda found: msgspec.structs.replace(found, history=found.history[1:]), "1 to 2, after None"),
        (lambda found: msgspec.structs.replace(found, history=found.history * 2), f"operation {'a' * 32} 2 times"),
    ],
)
def test_what_is_wrong_with_aliases_is_found(store: Store, change: Callable[[Aliases], Aliases], problem: str) -> None:
    rewrite(store, change)

    assert any(problem in each for each in problems_of(store, "m"))


def test_what_is_wrong_with_files_is_found(store: Store, tmp_path: Path) -> None:
    (tmp_path / "store" / file_key("m", "1", "fp32.onnx")).write_bytes(b"x")
    store.delete(file_key("m", "2", "goldens.npz"))

    assert problems_of(store, "m") == [
        "models/m/versions/1/fp32.onnx: 1 bytes, other than its manifest says",
        "models/m/versions/2/goldens.npz: missing",
    ]


def test_a_number_that_another_claimed_is_found(store: Store, tmp_path: Path) -> None:
    (tmp_path / "store" / file_key("m", "1", "claim")).write_bytes(b'{"id": "other", "at": ""}')

    [problem] = problems_of(store, "m")
    assert problem.startswith("models/m/versions/1/claim: of operation other")


def test_what_was_acknowledged_and_is_not_there_is_found(store: Store) -> None:
    entries = [*TRIED, *DONE, Entry("c", "pin"), Entry("c", "pin", "done")]

    assert list(unexplained(store, "m", entries)) == ["operation c: pin acknowledged, None in the history"]


def test_what_nobody_tried_is_found(store: Store) -> None:
    assert list(unexplained(store, "m", TRIED[1:] + DONE[1:])) == [
        f"operation {'a' * 32}: promote in the history, tried by nobody"
    ]


def test_a_number_that_was_used_twice_is_found(store: Store) -> None:
    again = [Entry(operation, "publish", "done", "1") for operation in "cd"]

    assert list(unexplained(store, "m", TRIED + DONE + again)) == ["version 1: published 2 times"]


def test_a_line_without_an_end_is_of_one_that_was_killed(tmp_path: Path) -> None:
    Journal.open(tmp_path / "1.journal").write(TRIED[0])
    with (tmp_path / "1.journal").open("ab") as file:
        file.write(b'{"id":"b')

    assert read_journals(tmp_path) == TRIED[:1]
