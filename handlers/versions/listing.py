"""Which versions of a model there are, and what became of each: one list, and next to nothing read."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Literal

import msgspec

from handlers.errors import CorruptFile, ObjectNotFound
from handlers.registry.aliases import Aliases, read_aliases
from handlers.registry.manifest import MANIFEST_FILE
from handlers.registry.names import file_key, versions_prefix
from handlers.registry.stores import ObjectInfo, Store
from handlers.registry.tombstones import LARGEST_TOMBSTONE_BYTES, Ending, decode_tombstone
from handlers.versions.claims import CLAIM_FILE

__all__ = ["VersionFiles", "VersionState", "list_files", "list_versions"]

State = Literal["complete", "unfinished", "deleted", "closed"]
_READERS = 16


class VersionState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a version without reading its manifest.

    `complete`: it can be named. `unfinished`: claimed, and being published or given up. `deleted`: retired, with or
    without files still there. `closed`: it was never finished and never will be.
    `size_bytes` is all that is stored of it. `claimed_at` and `published_at` are when the store got the claim and the
    manifest (RFC 3339); `ended` says who ended it, as far as that is done.
    """

    version: str
    state: State
    size_bytes: int
    aliases: tuple[str, ...] = ()
    claimed_at: str | None = None
    published_at: str | None = None
    ended: Ending | None = None


class VersionFiles(msgspec.Struct, frozen=True):
    """What is stored of a version, by file name, and its tombstone if it has one."""

    version: str
    files: dict[str, ObjectInfo]
    ended: Ending | None

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(info.size for info in self.files.values())


def list_versions(store: Store, model: str, aliases: Aliases | None = None) -> list[VersionState]:
    """Return all versions of a model, the oldest first.

    Args:
        store: Where the model is.
        model: Its name.
        aliases: Its aliases; None: as they are now.

    Raises:
        StoreUnavailable: The store could not be asked.
        LambdaserveError: As `read_aliases`.
    """
    known = read_aliases(store, model)[0] if aliases is None else aliases
    return [_state(found, known) for found in list_files(store, model)]


def list_files(store: Store, model: str, version: str | None = None) -> list[VersionFiles]:
    """Return what is stored of each version of a model, or of one, the oldest first. Raises as `list_versions`."""
    prefix = versions_prefix(model)
    found: dict[int, dict[str, ObjectInfo]] = defaultdict(dict)
    for info in store.list_objects(prefix if version is None else file_key(model, version, "")):
        number, _, name = info.key.removeprefix(prefix).partition("/")
        if number.isdecimal() and not number.startswith("0"):
            found[int(number)][name] = info
    with ThreadPoolExecutor(_READERS) as pool:
        endings = pool.map(lambda number: _ending(store, model, str(number), found[number]), sorted(found))
        return [
            VersionFiles(str(number), found[number], ended)
            for number, ended in zip(sorted(found), endings, strict=True)
        ]


def _ending(store: Store, model: str, version: str, files: dict[str, ObjectInfo]) -> Ending | None:
    """Return what the tombstone of a version says, None where it has none. Manifests are mostly told by their size."""
    found = files.get(MANIFEST_FILE)
    if found is None or found.size > LARGEST_TOMBSTONE_BYTES:
        return None
    key = file_key(model, version, MANIFEST_FILE)
    try:
        return decode_tombstone(store.read(key).data, key).tombstone
    except (ObjectNotFound, CorruptFile):  # a small manifest, or what nothing can be said of
        return None


def _state(found: VersionFiles, aliases: Aliases) -> VersionState:
    state: State
    if found.version in aliases.retired:
        state = "deleted"
    elif found.ended is not None:
        state = "closed"
    else:
        state = "complete" if MANIFEST_FILE in found.files else "unfinished"
    return VersionState(
        version=found.version,
        state=state,
        size_bytes=found.size_bytes,
        aliases=tuple(aliases.naming(found.version)),
        claimed_at=_written_at(found.files.get(CLAIM_FILE)),
        published_at=_written_at(found.files.get(MANIFEST_FILE)) if state == "complete" else None,
        ended=found.ended,
    )


def _written_at(info: ObjectInfo | None) -> str | None:
    return None if info is None else datetime.fromtimestamp(info.modified_s, UTC).isoformat(timespec="seconds")
