"""Processes that change a model at random until a given time, and one that reads what is live, and what is new."""

import hashlib
import random
import time
import traceback
from pathlib import Path

import msgspec

from export.publish import Published
from handlers.errors import CorruptFile, LambdaserveError, VersionNotFound
from handlers.registry.aliases import AliasChange, Aliases, read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.names import file_key, versions_prefix
from handlers.registry.stores import Store, open_store
from handlers.versions.changes import Operation
from tests.life.journal import Entry, Journal
from tests.life.operations import MODEL, OPERATIONS, Hand

__all__ = ["Watched", "change", "watch"]

CRASHED = "crashed"
FEW = 5


class Watched(msgspec.Struct, frozen=True):
    """How many times a whole version was read, and what was wrong with those that were not deleted meanwhile."""

    readings: int
    problems: list[str]


def change(store_url: str, artifacts: list[Path], journal: Path, seed: int, end: float) -> None:
    """Do one operation after the other until `end`, in seconds since 1970."""
    hand = Hand(open_store(store_url), random.Random(seed), artifacts)  # noqa: S311 - no secret
    book = Journal.open(journal)
    kinds, weights = list(OPERATIONS), [weight for weight, _ in OPERATIONS.values()]
    while time.time() < end:
        kind = hand.chance.choices(kinds, weights)[0]
        operation = Operation(f"{journal.stem}@life", kind)
        book.write(Entry(operation.id, kind))
        outcome, version = "done", None
        try:
            made = OPERATIONS[kind][1](hand, operation)
            version = made.version if isinstance(made, Published) else None
            if isinstance(made, AliasChange) and made.id != operation.id:
                outcome = "done by another"  # who retired a version that this brought to its end
        except LambdaserveError as error:
            outcome = error.code
        except Exception:  # noqa: BLE001 - whatever it is, it is told, and counts as wrong
            outcome = f"{CRASHED}: {traceback.format_exc()}"
        book.write(Entry(operation.id, kind, outcome, version))


def watch(store_url: str, report: Path, end: float) -> None:
    """Read again and again all that `live` names, and the newest version; write what was found to `report`."""
    store = open_store(store_url)
    readings, problems = 0, []
    while time.time() < end:
        for version in {*_live(read_aliases(store, MODEL)[0]), *_newest(store)}:
            problem = _what_is_wrong(store, version)
            # what was deleted meanwhile can be live nowhere, and never again
            if problem is not None and version not in read_aliases(store, MODEL)[0].retired:
                problems.append(problem)
            readings += problem is None
        time.sleep(0.01)
    report.write_bytes(msgspec.json.encode(Watched(readings, problems)))


def _live(aliases: Aliases) -> tuple[str, ...]:
    alias = aliases.aliases.get("live")
    return () if alias is None else alias.versions


def _newest(store: Store) -> list[str]:
    """Return the newest version that is complete, if it is among the newest few."""
    numbers = sorted((int(name) for name in store.list_folders(versions_prefix(MODEL))), reverse=True)
    for number in numbers[:FEW]:
        try:
            fetch_manifest(store, MODEL, str(number))
        except (CorruptFile, VersionNotFound):  # nothing there yet, or a tombstone
            continue
        return [str(number)]
    return []


def _what_is_wrong(store: Store, version: str) -> str | None:
    try:
        for name, entry in fetch_manifest(store, MODEL, version).files.items():
            key = file_key(MODEL, version, name)
            data = store.read(key).data
            if (len(data), hashlib.sha256(data).hexdigest()) != (entry.size, entry.sha256):
                return f"{key}: {len(data)} bytes, other than its manifest says"
    except LambdaserveError as error:
        return f"{error.code}: {error}"
    return None
