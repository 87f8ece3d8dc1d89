"""Deleting a version: retired first, so that no alias can ever name it again; then its tombstone; then its files.

Each step can be interrupted, and done again by whoever asks next. Claim and tombstone stay: the number is taken.
"""

from collections.abc import Callable

from handlers.errors import (
    CorruptFile,
    NothingToChange,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    StoreUnavailable,
    VersionNotFound,
)
from handlers.registry.aliases import AliasChange, Aliases, read_aliases
from handlers.registry.manifest import MANIFEST_FILE, SCHEMA_VERSION
from handlers.registry.names import check_version, file_key
from handlers.registry.stores import Progress, Store
from handlers.registry.tombstones import Ending, Tombstone, decode_tombstone, encode_tombstone
from handlers.versions.aliasing import retire
from handlers.versions.changes import Operation
from handlers.versions.claims import CLAIM_FILE
from handlers.versions.listing import list_files

__all__ = ["delete_version", "remove_files"]

_ATTEMPTS = 10
_KEPT = {CLAIM_FILE, MANIFEST_FILE}


def delete_version(  # noqa: PLR0913 - the last two are for those who delete many
    store: Store,
    model: str,
    version: str,
    operation: Operation,
    *,
    check: Callable[[Aliases], None] | None = None,
    progress: Progress | None = None,
) -> AliasChange:
    """Delete a version, complete or not, or what is left of it, and return the entry in the history that retires it.

    Where it was retired before, that is brought to its end.

    Args:
        store: Where the model is.
        model: Its name.
        version: The version.
        operation: Who, and why.
        check: As `retire` takes it.
        progress: Told how many bytes are gone.

    Raises:
        VersionNotFound: There is no such version.
        VersionInUse: An alias names it.
        StoreUnavailable: The store could not be asked: ask again to go on.
        LambdaserveError: As `change_aliases`.
    """
    if not list_files(store, model, check_version(version)):
        msg = f"model {model!r}: no version {version!r} in {store.url}, expected one that is there"
        raise VersionNotFound(msg)
    try:
        change = retire(store, model, version, operation, check)
    except NothingToChange:
        change = _retirement(read_aliases(store, model)[0], version)
    reason = f"deleted: {change.reason}" if change.reason else "deleted"
    _bury(store, model, version, Ending(id=change.id, at=change.at, by=change.by, reason=reason))
    remove_files(store, model, version, progress)
    return change


def remove_files(store: Store, model: str, version: str, progress: Progress | None = None) -> None:
    """Remove all of a version that has a tombstone, but that and the claim. Raises as `Store.delete`."""
    prefix = file_key(model, version, "")
    for info in store.list_objects(prefix):
        if info.key.removeprefix(prefix) not in _KEPT:
            store.delete(info.key)
            if progress is not None:
                progress(info.size)


def _retirement(aliases: Aliases, version: str) -> AliasChange:
    return next(change for change in reversed(aliases.history) if change.version == version)


def _bury(store: Store, model: str, version: str, ending: Ending) -> None:
    """Put a tombstone into the place of the manifest, whatever is there, unless that is one already."""
    key = file_key(model, version, MANIFEST_FILE)
    tombstone = Tombstone(schema_version=SCHEMA_VERSION, model=model, version=version, tombstone=ending)
    for _ in range(_ATTEMPTS):
        try:
            found = store.read(key)
            if _is_tombstone(found.data, key):
                return
            store.replace(key, encode_tombstone(tombstone), found.etag)
        except ObjectNotFound:
            try:
                store.create(key, encode_tombstone(tombstone))
            except ObjectExists:
                continue
        except ObjectChanged:
            continue
        return
    msg = f"{key}: changed by others {_ATTEMPTS} times in a row, expected a tombstone; try again"
    raise StoreUnavailable(msg)


def _is_tombstone(data: bytes, key: str) -> bool:
    try:
        decode_tombstone(data, key)
    except CorruptFile:
        return False
    return True
