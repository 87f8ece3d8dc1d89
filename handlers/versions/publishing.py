"""The end of a publication: the files are checked where they are, and the manifest makes a version of them."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import msgspec

from handlers.errors import (
    ChangeRefused,
    CorruptFile,
    LambdaserveError,
    ObjectExists,
    ObjectNotFound,
    OperationReused,
    StoreUnavailable,
    UploadIncomplete,
    VersionNotFound,
    VersionRetired,
)
from handlers.registry.aliases import read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import (
    MANIFEST_FILE,
    PART_BYTES,
    SCHEMA_VERSION,
    FileEntry,
    Manifest,
    Publication,
    encode_manifest,
)
from handlers.registry.names import file_key
from handlers.registry.stores import Store
from handlers.versions.claims import Claim
from handlers.versions.listing import list_files

__all__ = ["check_open", "check_uploaded", "finish"]

_PARTS_AT_ONCE = 8


def finish(store: Store, claim: Claim, manifest: Manifest) -> Manifest:
    """Write the manifest of a claimed version, whose files are all there, and return it as it was written.

    It is created only if absent, so that a version is finished once, or closed. Asked for again, this finds what it
    wrote, also where the answer got lost.

    Raises:
        VersionRetired: The version was closed or deleted before it was finished, or while it was.
        OperationReused: It was finished with another manifest.
        StoreUnavailable: The store could not be asked; ask again with the same claim to know.
        LambdaserveError: As `fetch_manifest`.
    """
    written = _write(store, claim, manifest)
    try:
        check_open(store, manifest.model, claim.version)  # who deletes retires first, and then looks for a manifest
    except StoreUnavailable as error:
        raise _perhaps_published(error, claim) from error
    return written


def check_open(store: Store, model: str, version: str) -> None:
    """Check that nobody has ended a version, or begun to. Looks at no file, as those may be gone.

    Raises:
        VersionRetired: It was closed, or deleted.
        LambdaserveError: As `read_aliases`.
    """
    aliases = read_aliases(store, model)[0]
    change = next((change for change in aliases.history if change.version == version), None)
    if version in aliases.retired:
        said = f"deleted at {change.at} by {change.by} ({change.reason})" if change else "deleted"
    else:
        ended = next((found.ended for found in list_files(store, model, version)), None)
        if ended is None:
            return
        said = f"closed at {ended.at} by {ended.by} ({ended.reason})"
    msg = f"version {version} of {model!r}: {said}, expected one that may be finished; publish again to get a new one"
    raise VersionRetired(msg)


def _write(store: Store, claim: Claim, manifest: Manifest) -> Manifest:
    """Create the manifest, or find it. Raises as `finish`."""
    published = Publication(id=claim.id, at=datetime.now(UTC).isoformat(timespec="seconds"), by=claim.by)
    numbered = msgspec.structs.replace(
        manifest, schema_version=SCHEMA_VERSION, version=claim.version, published=published
    )
    try:
        store.create(file_key(manifest.model, claim.version, MANIFEST_FILE), encode_manifest(numbered))
    except ObjectExists:
        return _find_written(store, claim, numbered)
    except StoreUnavailable as error:
        try:
            return _find_written(store, claim, numbered)
        except ChangeRefused:
            raise
        except CorruptFile:  # as it says of what is not there
            raise error from None
        except LambdaserveError:
            raise _perhaps_published(error, claim) from error
    return numbered


def _perhaps_published(error: LambdaserveError, claim: Claim) -> StoreUnavailable:
    return StoreUnavailable(
        f"{error}; version {claim.version} may be published all the same, look whether it is listed"
    )


def check_uploaded(store: Store, model: str, version: str, manifest: Manifest) -> None:
    """Check that each file which a manifest names is in its place, with its size and SHA-256.

    Costs a small request for each where the store keeps the hash of what came, else all bytes, a piece at a time.

    Raises:
        UploadIncomplete: Files are missing or others; the message names all of them.
        StoreUnavailable: The store could not be asked.
    """
    problems = [
        problem
        for name, entry in manifest.files.items()
        if (problem := _what_is_wrong(store, file_key(model, version, name), entry)) is not None
    ]
    if problems:
        msg = f"version {version} of {model!r}: {'; '.join(problems)}"
        raise UploadIncomplete(msg)


def _find_written(store: Store, claim: Claim, numbered: Manifest) -> Manifest:
    """Return the manifest that is there if it is the one that was to be written."""
    try:
        found = fetch_manifest(store, numbered.model, claim.version)
    except VersionNotFound as error:
        msg = f"{error}; publish again to get a new one"
        raise VersionRetired(msg) from error
    if msgspec.structs.replace(numbered, published=found.published) != found or (
        found.published is None or found.published.id != claim.id
    ):
        by = found.published.id if found.published else "unknown"
        msg = (
            f"version {claim.version} of {numbered.model!r}: finished by operation {by} with its own manifest, "
            f"expected none or the same of operation {claim.id}; publish with a new operation"
        )
        raise OperationReused(msg)
    return found


def _what_is_wrong(store: Store, key: str, entry: FileEntry) -> str | None:
    try:
        found = store.describe(key)
        if found.size != entry.size:
            return f"{key}: {found.size} bytes, expected {entry.size}"
        sha256, parts = found.sha256, entry.parts
        if sha256 is None or (sha256 == entry.sha256 and entry.parts != (sha256,)):
            sha256, parts = _hash(store, key, entry.size)  # no store keeps hashes of parts
    except ObjectNotFound:
        return f"{key}: missing, expected {entry.size} bytes"
    if sha256 != entry.sha256:
        return f"{key}: sha256 {sha256}, expected {entry.sha256}"
    return None if parts == entry.parts else f"{key}: parts other than those that the manifest says"


def _hash(store: Store, key: str, size_bytes: int) -> tuple[str, tuple[str, ...]]:
    """Return the hash of an object, and those of its parts: read some at a time, as one connection is slow."""
    whole = hashlib.sha256()
    parts: list[str] = []
    offsets = range(0, size_bytes, PART_BYTES)
    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        for start in range(0, len(offsets), _PARTS_AT_ONCE):
            for data in pool.map(partial(_read_part, store, key), offsets[start : start + _PARTS_AT_ONCE]):
                whole.update(data)
                parts.append(hashlib.sha256(data).hexdigest())
    return whole.hexdigest(), tuple(parts)


def _read_part(store: Store, key: str, offset: int) -> bytes:
    return store.read_range(key, offset, PART_BYTES)
