"""The store in a folder: `file:///folder`, on a file system with hard links and `flock` (the usual ones have both)."""

import fcntl
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from handlers.errors import InvalidSetting, ObjectChanged, ObjectExists, ObjectNotFound, StoreUnavailable
from handlers.registry.stores import PIECE_BYTES, Described, ObjectInfo, Progress, Sink, StoredObject
from handlers.registry.stores.keys import check_key, check_prefix, is_segment
from handlers.registry.stores.temporary import find_abandoned, temporary_file

__all__ = ["FolderStore"]

_CHUNK_BYTES = 1 << 20
_LOCK_FILE = ".lock"  # no key starts with a dot: it can be neither read nor listed


@dataclass
class FolderStore:
    """Objects as files below `root`. The folders come into being with the first object in them."""

    url: str
    root: Path

    @classmethod
    def from_url(cls, url: str) -> "FolderStore":
        """Return the store in the folder that `file:///folder` names; it need not exist yet.

        Raises:
            InvalidSetting: The URL names no absolute path on this machine.
        """
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        if scheme != "file" or not slash or host not in {"", "localhost"} or set("?#") & set(path):
            msg = f"store URL: {url!r}, expected file:///absolute/folder (percent-encode ? and #)"
            raise InvalidSetting(msg)
        decoded = os.fsdecode(unquote_to_bytes(slash + path))
        if "\0" in decoded:
            msg = f"store URL: {url!r} holds a NUL, expected the path of a folder"
            raise InvalidSetting(msg)
        root = Path(decoded)
        return cls(root.as_uri(), root)

    def begin_read(self, key: str) -> None:
        """See `Store.begin_read`. A disk is near."""

    def read(self, key: str) -> StoredObject:
        """See `Store.read`."""
        path = self.root / check_key(key)
        with _reading(path):
            data = path.read_bytes()
        return StoredObject(data, hashlib.sha256(data).hexdigest())

    def read_if_changed(self, key: str, etag: str) -> StoredObject | None:
        """See `Store.read_if_changed`."""
        found = self.read(key)
        return None if found.etag == etag else found

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """See `Store.read_range`."""
        path = self.root / check_key(key)
        with _reading(path), path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def copy_range(self, key: str, offset: int, length: int, sink: Sink) -> int:
        """See `Store.copy_range`."""
        path = self.root / check_key(key)
        buffer = memoryview(bytearray(min(length, PIECE_BYTES)))
        sink.restart()
        left = length
        with _reading(path), path.open("rb", buffering=0) as file:
            file.seek(offset)
            while count := file.readinto(buffer[:left]):
                sink.take(buffer[:count])
                left -= count
        return length - left

    def list_folders(self, prefix: str) -> Iterator[str]:
        """See `Store.list_folders`. As in S3, a folder is there when there is an object in it."""
        folder = self.root / check_prefix(prefix)
        try:
            with _reading(folder), os.scandir(folder) as entries:
                names = [entry.name for entry in entries if is_segment(entry.name) and _holds_objects(Path(entry))]
        except ObjectNotFound:
            names = []
        return iter(sorted(names))

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Store.list_objects`."""
        folder = self.root / check_prefix(prefix)
        with _reading(folder):
            found = sorted(_walk(folder, prefix), key=lambda info: info.key)
        return iter(found)

    def describe(self, key: str) -> Described:
        """See `Store.describe`."""
        path = self.root / check_key(key)
        with _reading(path):
            found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            msg = f"{path}: a folder, expected an object"
            raise ObjectNotFound(msg)
        return Described(found.st_size, None)

    def create(self, key: str, content: bytes | Path, progress: Progress | None = None) -> str:
        """See `Store.create`. The content goes to a hidden file, and under its name only once it is on the disk."""
        path = self.root / check_key(key)
        with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as source, _writing(path):
            _make_folders(path.parent)
            with temporary_file(path.parent) as file:
                etag = _copy(source, file, progress)
                try:
                    os.link(file.name, path)  # unlike a rename, it fails if the name is taken
                except FileExistsError as error:
                    msg = f"{path}: exists already, expected nothing there; it is untouched"
                    raise ObjectExists(msg) from error
            _sync_folder(path.parent)
        return etag

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """See `Store.replace`. One lock for the whole store keeps others out between the comparison and the write."""
        path = self.root / check_key(key)
        with _writing(path), self._locked():
            try:
                present = self.read(key).etag
            except ObjectNotFound as error:
                msg = f"{path}: nothing there, expected the content {etag}"
                raise ObjectChanged(msg) from error
            if present != etag:
                msg = f"{path}: content {present}, expected {etag}; read it again"
                raise ObjectChanged(msg)
            with temporary_file(path.parent) as file:
                new_etag = _copy(io.BytesIO(data), file, None)
                Path(file.name).replace(path)
            _sync_folder(path.parent)
        return new_etag

    def delete(self, key: str) -> None:
        """See `Store.delete`. Empty folders stay: another process may be about to write into them."""
        path = self.root / check_key(key)
        with _writing(path):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            _sync_folder(path.parent)

    def sweep(self, prefix: str, *, remove: bool) -> list[ObjectInfo]:
        """See `Store.sweep`. Writers hold a lock on their files."""
        folder = self.root / check_prefix(prefix)
        with _writing(folder):
            found = list(find_abandoned(folder, remove=remove))
        return [
            ObjectInfo(path.relative_to(self.root).as_posix(), info.st_size, info.st_mtime)
            for path, info in sorted(found)
        ]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            lock = os.open(self.root / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        except (FileNotFoundError, NotADirectoryError) as error:
            msg = f"{self.root}: not a folder, expected the store with the object to replace"
            raise ObjectChanged(msg) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)  # and with it the lock


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        msg = f"{path}: nothing there, expected an object"
        raise ObjectNotFound(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error}), expected a readable file or folder"
        raise StoreUnavailable(msg) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror or error}), expected a folder with room and write permission"
        raise StoreUnavailable(msg) from error


def _copy(source: BinaryIO, target: BinaryIO, progress: Progress | None) -> str:
    """Copy to the disk itself and return the SHA-256."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK_BYTES):
        target.write(chunk)
        digest.update(chunk)
        if progress is not None:
            progress(len(chunk))
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()


def _make_folders(folder: Path) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk: without it, a power cut can undo what was answered for."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holds_objects(path: Path) -> bool:
    """Tell whether there is a file that a key can name in the folder `path` or below; False if it is no folder."""
    try:
        with os.scandir(path) as entries:
            return any(is_segment(entry.name) and (entry.is_file() or _holds_objects(Path(entry))) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _walk(folder: Path, prefix: str) -> Iterator[ObjectInfo]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                key = prefix + entry.name
                if not is_segment(entry.name):
                    continue
                if entry.is_file():
                    found = entry.stat()
                    yield ObjectInfo(key, found.st_size, found.st_mtime)
                else:
                    yield from _walk(Path(entry), f"{key}/")
    except (FileNotFoundError, NotADirectoryError):  # also what goes while this looks
        return
