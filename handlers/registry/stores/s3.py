"""The store in S3: `s3://bucket[/prefix]`. Endpoint, region and credentials are the standard AWS settings of boto3.

Reads go without boto3 where the environment says all that it takes, as Lambda's does; the rest is for boto3, which is
imported with the first call that needs it.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from handlers.errors import LambdaserveError
from handlers.registry.stores import Described, ObjectInfo, Progress, Sink, StoredObject
from handlers.registry.stores.keys import check_key, check_prefix
from handlers.registry.stores.s3_reads import NeedsBoto3, S3Reads
from handlers.registry.stores.s3_url import split_s3_url
from handlers.settings import find_s3_access

if TYPE_CHECKING:
    from handlers.registry.stores.s3_boto3 import Boto3Store

__all__ = ["S3Store"]

T = TypeVar("T")


@dataclass
class S3Store:
    """Objects of `bucket` whose keys start with `prefix` (empty, or ending in `/`). `reads`: None where boto3 must."""

    url: str
    bucket: str
    prefix: str
    reads: S3Reads | None = field(repr=False)
    _boto3: "Boto3Store | None" = field(default=None, repr=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _begun: "dict[str, _Begun]" = field(default_factory=dict, repr=False)

    @classmethod
    def from_url(cls, url: str) -> "S3Store":
        """Return the store that `s3://bucket[/prefix]` names; asks nothing of S3 yet.

        Raises:
            InvalidSetting: The URL is not of this form, or the AWS settings make no sense.
        """
        bucket, prefix = split_s3_url(url)
        access = find_s3_access(bucket)
        store = cls(
            f"s3://{bucket}/{prefix}".removesuffix("/"), bucket, prefix, S3Reads(access, bucket) if access else None
        )
        if access is None:
            store.open_boto3()
        return store

    def open_boto3(self) -> "Boto3Store":
        """Return the same store as boto3 sees it. Raises as `from_url`."""
        with self._opening:
            if self._boto3 is None:
                from handlers.registry.stores.s3_boto3 import Boto3Store  # 0.2 s

                self._boto3 = Boto3Store.open(self.url, self.bucket, self.prefix)
            return self._boto3

    def begin_read(self, key: str) -> None:
        """See `Store.begin_read`."""
        if self.reads is not None:
            self._begun[key] = _Begun(self.reads, self.prefix + check_key(key))

    def read(self, key: str) -> StoredObject:
        """See `Store.read`."""
        begun = self._begun.pop(key, None)
        if begun is not None and (found := begun.wait()) is not None:
            return found
        full = self.prefix + check_key(key)
        return self._read(lambda reads: reads.read(full), lambda boto3: boto3.read(key))

    def read_if_changed(self, key: str, etag: str) -> StoredObject | None:
        """See `Store.read_if_changed`."""
        full = self.prefix + check_key(key)
        return self._read(
            lambda reads: reads.read_if_changed(full, etag), lambda boto3: boto3.read_if_changed(key, etag)
        )

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """See `Store.read_range`."""
        full = self.prefix + check_key(key)
        return self._read(
            lambda reads: reads.read_range(full, offset, length), lambda boto3: boto3.read_range(key, offset, length)
        )

    def copy_range(self, key: str, offset: int, length: int, sink: Sink) -> int:
        """See `Store.copy_range`."""
        full = self.prefix + check_key(key)
        return self._read(
            lambda reads: reads.copy_range(full, offset, length, sink),
            lambda boto3: boto3.copy_range(key, offset, length, sink),
        )

    def list_folders(self, prefix: str) -> Iterator[str]:
        """See `Store.list_folders`."""
        full = self.prefix + check_prefix(prefix)
        return self._read(lambda reads: reads.list_folders(full), lambda boto3: boto3.list_folders(prefix))

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Store.list_objects`."""
        return self.open_boto3().list_objects(prefix)

    def describe(self, key: str) -> Described:
        """See `Store.describe`."""
        return self.open_boto3().describe(key)

    def create(self, key: str, content: bytes | Path, progress: Progress | None = None) -> str:
        """See `Store.create`. S3 takes at most 5 GiB in one request."""
        return self.open_boto3().create(key, content, progress)

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """See `Store.replace`."""
        return self.open_boto3().replace(key, data, etag)

    def sign_upload(self, key: str, size: int, sha256: str, valid_s: int) -> tuple[str, dict[str, str]]:
        """See `Store.sign_upload`."""
        return self.open_boto3().sign_upload(key, size, sha256, valid_s)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self.open_boto3().delete(key)

    def sweep(self, prefix: str, *, remove: bool) -> list[ObjectInfo]:  # noqa: ARG002 - as all stores have it
        """See `Store.sweep`. S3 forgets what did not come whole."""
        check_prefix(prefix)
        return []

    def _read(self, ask: Callable[[S3Reads], T], ask_boto3: Callable[["Boto3Store"], T]) -> T:
        reads = self.reads
        if reads is not None:
            try:
                return ask(reads)
            except NeedsBoto3:
                self.reads = None  # and so would all the others
        return ask_boto3(self.open_boto3())


class _Begun:
    """A read under way in a thread of its own."""

    def __init__(self, reads: S3Reads, full_key: str) -> None:
        self._found: StoredObject | None = None
        self._problem: LambdaserveError | None = None
        self._thread = threading.Thread(target=self._run, args=(reads, full_key), name="read-ahead", daemon=True)
        self._thread.start()

    def wait(self) -> StoredObject | None:
        """Return the object, None where only boto3 can get it. Raises as `Store.read`: it was tried again already."""
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self._found

    def _run(self, reads: S3Reads, full_key: str) -> None:
        try:
            self._found = reads.read(full_key)
        except LambdaserveError as error:
            self._problem = error
        except NeedsBoto3:  # whoever reads meets the same, and goes there
            pass
