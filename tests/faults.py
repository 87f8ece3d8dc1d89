"""A store that goes down at the n-th call of some kinds: before anything of it is done, or just after."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from handlers.errors import StoreUnavailable
from handlers.registry.stores import Described, ObjectInfo, Progress, Sink, Store, StoredObject

__all__ = ["FailingStore"]

T = TypeVar("T")


class FailingStore:
    """Hands on to `store` until the call number `fail_at`, counted from 1 over the kinds in `calls`.

    With `once`, all later calls are handed on again; else the store stays down for those kinds. `fail` may do worse
    than the StoreUnavailable that comes after it.
    """

    def __init__(
        self,
        store: Store,
        fail_at: int,
        *calls: str,
        after_doing: bool = False,
        once: bool = False,
        fail: Callable[[], object] = lambda: None,
    ) -> None:
        self.url = store.url
        self.calls = 0
        self._store = store
        self._fail_at = fail_at
        self._kinds = calls or ("create", "replace", "delete")
        self._after_doing = after_doing
        self._once = once
        self._fail = fail

    def begin_read(self, key: str) -> None:
        self._store.begin_read(key)

    def read(self, key: str) -> StoredObject:
        return self._call("read", lambda: self._store.read(key))

    def read_if_changed(self, key: str, etag: str) -> StoredObject | None:
        return self._call("read", lambda: self._store.read_if_changed(key, etag))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        return self._call("read", lambda: self._store.read_range(key, offset, length))

    def copy_range(self, key: str, offset: int, length: int, sink: Sink) -> int:
        return self._call("read", lambda: self._store.copy_range(key, offset, length, sink))

    def list_folders(self, prefix: str) -> Iterator[str]:
        return self._call("list", lambda: self._store.list_folders(prefix))

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._call("list", lambda: self._store.list_objects(prefix))

    def describe(self, key: str) -> Described:
        return self._call("read", lambda: self._store.describe(key))

    def create(self, key: str, content: bytes | Path, progress: Progress | None = None) -> str:
        return self._call("create", lambda: self._store.create(key, content, progress))

    def replace(self, key: str, data: bytes, etag: str) -> str:
        return self._call("replace", lambda: self._store.replace(key, data, etag))

    def delete(self, key: str) -> None:
        self._call("delete", lambda: self._store.delete(key))

    def sweep(self, prefix: str, *, remove: bool) -> list[ObjectInfo]:
        return self._call("delete", lambda: self._store.sweep(prefix, remove=remove))

    def _call(self, kind: str, call: Callable[[], T]) -> T:
        if kind not in self._kinds:
            return call()
        self.calls += 1
        if self.calls < self._fail_at or (self._once and self.calls > self._fail_at):
            return call()
        if self._after_doing and self.calls == self._fail_at:
            call()
        self._fail()
        msg = f"{kind}: connection lost"
        raise StoreUnavailable(msg)
