"""Claims: numbers that are taken before anything of a version is written, and never given back.

Numbers are claimed upwards without gaps, each by one object that is created only if absent. What is never finished is
closed with a tombstone.
"""

from datetime import UTC, datetime
from itertools import chain

import msgspec

from handlers.errors import ObjectExists, ObjectNotFound, OperationReused, StoreUnavailable, VersionNotFound
from handlers.registry.aliases import read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE, SCHEMA_VERSION
from handlers.registry.names import file_key, is_version, versions_prefix
from handlers.registry.stores import Store
from handlers.registry.tombstones import Ending, Tombstone, encode_tombstone
from handlers.versions.changes import Operation

__all__ = ["CLAIM_FILE", "Claim", "check_claimer", "claim", "close", "find_claim"]

CLAIM_FILE = "claim"
_ATTEMPTS = 1000
_LOOK_BACK = 16  # claims; who asks again after more of them gets a number more, which nobody misses


class Claim(msgspec.Struct, frozen=True):
    """A number that is taken: which, by which operation, when (RFC 3339), and by whom."""

    version: str
    id: str
    at: str
    by: str


class _Document(msgspec.Struct, frozen=True):
    """What is stored of it. Other members are left to later versions; the oldest wrote no `by`."""

    id: str
    at: str
    by: str = ""


def claim(store: Store, model: str, operation: Operation) -> Claim:
    """Take the lowest number above all that were ever taken; an operation that is asked for again gets the same.

    All claims of one operation meet, also where it is asked for twice at the same time: whoever comes later finds the
    claim of the first, among the newest or in its way.

    Raises:
        OperationReused: Somebody else took a number under this id.
        StoreUnavailable: The store could not be asked, or others took one number after the other. With the same
            operation, asking again does no harm.
        LambdaserveError: As `read_aliases`.
    """
    folders = store.list_folders(versions_prefix(model))
    retired = read_aliases(store, model)[0].retired
    newest = max((int(name) for name in chain(folders, retired) if is_version(name)), default=0)
    for number in range(max(newest - _LOOK_BACK, 0) + 1, newest + 1):
        found = _read_claim(store, model, str(number))
        if found is not None and found.id == operation.id:
            check_claimer(found, model, operation)
            return found
    content = _Document(operation.id, datetime.now(UTC).isoformat(timespec="seconds"), operation.by)
    for number in range(newest + 1, newest + 1 + _ATTEMPTS):
        version = str(number)
        try:
            store.create(file_key(model, version, CLAIM_FILE), msgspec.json.encode(content))
        except ObjectExists:
            found = _read_claim(store, model, version)
            if found is not None and found.id == operation.id:
                check_claimer(found, model, operation)
                return found
            continue
        return Claim(version, content.id, content.at, content.by)
    msg = f"model {model!r}: {_ATTEMPTS} numbers in a row were claimed by others, expected a free one; try again"
    raise StoreUnavailable(msg)


def check_claimer(claim: Claim, model: str, operation: Operation) -> None:
    """Check that whoever asks is who took the number, as far as the claim says who that was.

    Raises:
        OperationReused: It is somebody else.
    """
    if claim.by not in {"", operation.by}:
        msg = (
            f"version {claim.version} of {model!r}: taken by somebody else than {operation.by}, expected a number of "
            "your own; claim one with a new id"
        )
        raise OperationReused(msg)


def find_claim(store: Store, model: str, version: str) -> Claim:
    """Return the claim of a number.

    Raises:
        VersionNotFound: The number was never taken.
        StoreUnavailable: The store could not be asked.
    """
    found = _read_claim(store, model, version)
    if found is None:
        msg = f"model {model!r}: version {version} never claimed, expected a number that a claim has returned"
        raise VersionNotFound(msg)
    return found


def close(store: Store, model: str, version: str, operation: Operation, reason: str) -> bool:
    """Let a version that was never finished never be finished, and return whether it is closed now.

    A tombstone takes the place of its manifest, only if that is absent: False where it was finished before.

    Raises:
        CorruptFile: What is there in the place of its manifest is neither.
        LambdaserveError: As `fetch_manifest`.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    ending = Ending(id=operation.id, at=at, by=operation.by, reason=reason)
    tombstone = Tombstone(schema_version=SCHEMA_VERSION, model=model, version=version, tombstone=ending)
    try:
        store.create(file_key(model, version, MANIFEST_FILE), encode_tombstone(tombstone))
    except ObjectExists:
        try:
            fetch_manifest(store, model, version)
        except VersionNotFound:
            return True
        return False
    return True


def _read_claim(store: Store, model: str, version: str) -> Claim | None:
    """Return a claim, None where there is none or its content tells nothing: taken it is all the same."""
    try:
        data = store.read(file_key(model, version, CLAIM_FILE)).data
        found = msgspec.json.decode(data, type=_Document)
    except (ObjectNotFound, msgspec.DecodeError):
        return None
    return Claim(version, found.id, found.at, found.by)
