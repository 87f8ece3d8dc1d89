"""Where artifacts live: one small interface over a folder (`file://`) and over S3 (`s3://`).

Both behave alike: what is created is complete or absent, nothing is overwritten by `create`, and `replace` is
compare-and-swap. Both are safe to use from several threads and from several processes at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from handlers.errors import InvalidSetting

__all__ = ["PIECE_BYTES", "Described", "ObjectInfo", "Progress", "Sink", "Store", "StoredObject", "open_store"]

Progress = Callable[[int], None]
"""Told how many more bytes have gone out."""

PIECE_BYTES = 1 << 19
"""Of a range that is copied: stays in the processor's cache while it is hashed and written."""


@dataclass(frozen=True)
class StoredObject:
    """A small object, whole. `etag` is opaque: it names this content for `Store.replace`."""

    data: bytes
    etag: str


@dataclass(frozen=True)
class ObjectInfo:
    """What a store tells of an object: its size in bytes, and when it was written, in seconds since 1970."""

    key: str
    size: int
    modified_s: float


@dataclass(frozen=True)
class Described:
    """What a store knows of an object without reading it: size in bytes, and SHA-256 or None where it keeps none."""

    size: int
    sha256: str | None


class Sink(Protocol):
    """Where a range goes, piece by piece. What it raises must be no `OSError`: those are the network's."""

    def restart(self) -> None:
        """Forget all that came: the range comes from its beginning, for the first time or once more."""

    def take(self, piece: memoryview) -> None:
        """Take the next piece, of bytes; it is of no use afterwards."""


class Store(Protocol):
    """What the rest of the house may ask of a store. Keys are `/`-separated, relative to the store's URL."""

    url: str

    def begin_read(self, key: str) -> None:
        """Begin to read what `read` is to be asked for next, where it comes from afar. Raises nothing; `read` does."""

    def read(self, key: str) -> StoredObject:
        """Return the whole object.

        Raises:
            ObjectNotFound: Nothing is there.
            StoreUnavailable: The store could not be asked.
        """

    def read_if_changed(self, key: str, etag: str) -> StoredObject | None:
        """Return the object, None where its content is still the one that `etag` names. Raises as `read` does."""

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; fewer where the object ends sooner. Raises as `read` does."""

    def copy_range(self, key: str, offset: int, length: int, sink: Sink) -> int:
        """Hand `length` bytes from `offset` to `sink` in pieces and return how many there were.

        Fewer where the object ends sooner. Takes little memory, however long the range is. Raises as `read` does, and
        whatever the sink raises.
        """

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Yield the names (not the keys) of the folders directly below `prefix`, sorted; none if it does not exist.

        `prefix` is empty or ends in `/`.

        Raises:
            StoreUnavailable: The store could not be asked.
        """

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield what is stored below `prefix`, at any depth, sorted by key. `prefix` and errors as `list_folders`."""

    def describe(self, key: str) -> Described:
        """Return size and hash of an object. Raises as `read` does."""

    def create(self, key: str, content: bytes | Path, progress: Progress | None = None) -> str:
        """Write the object if nothing is there, whole or not at all, and return its etag.

        Raises:
            ObjectExists: Something is there already; it is untouched.
            StoreUnavailable: The store could not be asked; the object may or may not have been written.
        """

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """Write the object if its present content is the one that `etag` names, and return the new etag.

        Raises:
            ObjectChanged: Another content is there, or none.
            StoreUnavailable: The store could not be asked; the object may or may not have been written.
        """

    def delete(self, key: str) -> None:
        """Remove the object; nothing is there afterwards, or was.

        Raises:
            StoreUnavailable: The store could not be asked; the object may or may not be there.
        """

    def sweep(self, prefix: str, *, remove: bool) -> list[ObjectInfo]:
        """Return what writers that died left below `prefix`, seen by nobody else, and remove it if so asked.

        The keys are not those of objects. `prefix` and errors as `list_folders`.
        """


def open_store(url: str) -> Store:
    """Return the store behind `file:///folder` or `s3://bucket[/prefix]`. The latter imports boto3 when first needed.

    Raises:
        InvalidSetting: The URL is of neither form.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme == "file":
        from handlers.registry.stores.folder import FolderStore

        return FolderStore.from_url(url)
    if separator and scheme == "s3":
        from handlers.registry.stores.s3 import S3Store

        return S3Store.from_url(url)
    msg = f"store URL: {url!r}, expected file:///folder or s3://bucket/prefix"
    raise InvalidSetting(msg)
