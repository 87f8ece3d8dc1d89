"""Brings files of a version from the store to disk, while others are busy with something else."""

import hashlib
import itertools
import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from handlers.errors import CorruptFile, ObjectNotFound, StoreUnavailable
from handlers.registry.manifest import PART_BYTES, FileEntry, Manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store
from handlers.timeline import Timeline

__all__ = ["Download"]

_CONNECTIONS = 16
"""One connection to S3 brings about 75 MB/s, a function about 300: four would fill the line, and others keep it full
while some wait for the answer to their next request."""


class Download:
    """Files of a published version on their way into a folder: all parts in parallel, each hashed as it lands.

    Leaving it as a context ends what is under way. Not safe to use from several threads.
    """

    def __init__(self, store: Store, manifest: Manifest, folder: Path, timeline: Timeline) -> None:
        """Begin with nothing.

        Args:
            store: Where the version is.
            manifest: Its description, with the hashes.
            folder: Where its files are to be.
            timeline: Where the phase `fetch` is noted: from when files are asked for until all of them have landed.
        """
        self._store = store
        self._manifest = manifest
        self._folder = folder
        self._timeline = timeline
        self._pool = ThreadPoolExecutor(_CONNECTIONS, "download")
        self._parts: dict[str, list[Future[None]]] = {}
        self._descriptors: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._close([*self._descriptors])

    def begin(self, files: Iterable[str]) -> None:
        """Ask for files that have not been asked for, the small ones first: what they hold can be read meanwhile."""
        missing = [file for file in files if file not in self._parts]
        if not missing:
            return
        for file in missing:
            try:
                self._descriptors[file] = os.open(self._folder / file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            except OSError as error:
                raise _no_room(self._folder, error) from error
        end = self._timeline.begin("fetch")
        for file in sorted(missing, key=lambda file: self._manifest.files[file].size):
            entry = self._manifest.files[file]
            self._parts[file] = [
                self._pool.submit(self._fetch_part, file, entry, number, self._descriptors[file])
                for number in range(len(entry.parts))
            ]
        parts = [part for file in missing for part in self._parts[file]]
        left = itertools.count(len(parts), -1)

        def landed(_: "Future[None] | None" = None) -> None:
            if next(left) == 0:  # atomic: parts land in several threads
                end()

        for part in parts:
            part.add_done_callback(landed)
        landed()  # as one more part: empty files have none

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
        """Delete files that nobody needs any more, and that have been waited for."""
        for file in files:
            self._parts.pop(file, None)
            (self._folder / file).unlink(missing_ok=True)
        self._close(files)  # what is open keeps its room on the disk

    def _close(self, files: Iterable[str]) -> None:
        for file in files:
            if (descriptor := self._descriptors.pop(file, None)) is not None:
                os.close(descriptor)

    def _fetch_part(self, file: str, entry: FileEntry, number: int, descriptor: int) -> None:
        key = file_key(self._manifest.model, str(self._manifest.version), file)
        offset = number * PART_BYTES
        length = min(PART_BYTES, entry.size - offset)
        part = _Part(self._folder, descriptor, offset)
        try:
            size = self._store.copy_range(key, offset, length, part)
        except ObjectNotFound as error:
            msg = f"{key}: missing, expected {entry.size} bytes with sha256 {entry.sha256}"
            raise CorruptFile(msg) from error
        if part.sha256 != entry.parts[number]:
            which = "" if len(entry.parts) == 1 else f" in bytes {offset} to {offset + length - 1}"
            msg = f"{key}: {size} bytes with sha256 {part.sha256}{which}, expected {length} with {entry.parts[number]}"
            raise CorruptFile(msg)


class _Part:
    """A part of a file on disk, hashed as it is written."""

    def __init__(self, folder: Path, descriptor: int, offset: int) -> None:
        self._folder = folder
        self._descriptor = descriptor
        self._offset = offset
        self.restart()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def restart(self) -> None:
        self._digest = hashlib.sha256()
        self._end = self._offset

    def take(self, piece: memoryview) -> None:
        self._digest.update(piece)
        while piece:
            try:
                written = os.pwrite(self._descriptor, piece, self._end)
            except OSError as error:
                raise _no_room(self._folder, error) from error
            self._end += written
            piece = piece[written:]


def _no_room(folder: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"{folder}: cannot be written ({error.strerror}), expected room for the model's files; give the function more "
        "ephemeral storage, or set LAMBDASERVE_SCRATCH_DIR"
    )
