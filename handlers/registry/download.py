"""Brings files of a version from the store to disk, while others are busy with something else."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from handlers.errors import CorruptFile, ObjectNotFound
from handlers.registry.manifest import PART_BYTES, FileEntry, Manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store

__all__ = ["Download"]

_CONNECTIONS = 8  # one connection to S3 brings about 75 MB/s, a function about 300


class Download:
    """Files of a published version on their way into a folder: all parts in parallel, each hashed as it lands.

    Leaving it as a context ends what is under way. Not safe to use from several threads.
    """

    def __init__(self, store: Store, manifest: Manifest, folder: Path) -> None:
        """Begin with nothing.

        Args:
            store: Where the version is.
            manifest: Its description, with the hashes.
            folder: Where its files are to be.
        """
        self._store = store
        self._manifest = manifest
        self._folder = folder
        self._pool = ThreadPoolExecutor(_CONNECTIONS, "download")
        self._parts: dict[str, list[Future[None]]] = {}
        self._descriptors: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for descriptor in self._descriptors:
            os.close(descriptor)

    def begin(self, files: Iterable[str]) -> None:
        """Ask for files that have not been asked for, the small ones first: what they hold can be read meanwhile."""
        missing = [file for file in files if file not in self._parts]
        for file in sorted(missing, key=lambda file: self._manifest.files[file].size):
            entry = self._manifest.files[file]
            descriptor = os.open(self._folder / file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._descriptors.append(descriptor)
            self._parts[file] = [
                self._pool.submit(self._fetch_part, file, entry, number, descriptor)
                for number in range(len(entry.parts))
            ]

    def wait(self, files: Iterable[str]) -> None:
        """Return when these files are there, every part as the manifest says.

        Raises:
            CorruptFile: One is missing, shorter, or other than the manifest says. None is to be used then.
            StoreUnavailable: The store could not be asked.
        """
        for file in files:
            for part in self._parts[file]:
                part.result()

    def remove(self, files: Iterable[str]) -> None:
        """Delete files that nobody needs any more."""
        for file in files:
            (self._folder / file).unlink(missing_ok=True)

    def _fetch_part(self, file: str, entry: FileEntry, number: int, descriptor: int) -> None:
        key = file_key(self._manifest.model, str(self._manifest.version), file)
        offset = number * PART_BYTES
        length = min(PART_BYTES, entry.size - offset)
        buffer = memoryview(bytearray(length))
        try:
            data = buffer[: self._store.read_into(key, offset, buffer)]
        except ObjectNotFound as error:
            msg = f"{key}: missing, expected {entry.size} bytes with sha256 {entry.sha256}"
            raise CorruptFile(msg) from error
        found = hashlib.sha256(data).hexdigest()
        if found != entry.parts[number]:
            which = "" if len(entry.parts) == 1 else f" in bytes {offset} to {offset + length - 1}"
            msg = f"{key}: {len(data)} bytes with sha256 {found}{which}, expected {length} with {entry.parts[number]}"
            raise CorruptFile(msg)
        written = 0
        while written < length:
            written += os.pwrite(descriptor, data[written:], offset + written)
