"""Where artifacts live: one small interface over a folder (`file://`) and over S3 (`s3://`).

Both behave alike: what is created is complete or absent, nothing is overwritten by `create`, and `replace` is
compare-and-swap. Both are safe to use from several threads and from several processes at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from handlers.errors import InvalidSetting

__all__ = ["Progress", "Store", "StoredObject", "open_store"]

Progress = Callable[[int], None]
"""Told how many more bytes have gone out."""


@dataclass(frozen=True)
class StoredObject:
    """A small object, whole. `etag` is opaque: it names this content for `Store.replace`."""

    data: bytes
    etag: str


class Store(Protocol):
    """What the rest of the house may ask of a store. Keys are `/`-separated, relative to the store's URL."""

    url: str

    def read(self, key: str) -> StoredObject:
        """Return the whole object.

        Raises:
            ObjectNotFound: Nothing is there.
            StoreUnavailable: The store could not be asked.
        """

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; fewer where the object ends sooner. Raises as `read` does."""

    def read_into(self, key: str, offset: int, buffer: memoryview) -> int:
        """Fill `buffer`, of bytes, from `offset` and return how many there were: fewer where the object ends sooner.

        They are received where they are wanted, without a copy where that can be, and without holding the GIL. If this
        raises, `buffer` holds anything. Raises as `read` does.
        """

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Yield the names (not the keys) of the folders directly below `prefix`, sorted; none if it does not exist.

        `prefix` is empty or ends in `/`.

        Raises:
            StoreUnavailable: The store could not be asked.
        """

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
