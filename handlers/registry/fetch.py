"""Brings files of a version from the store to disk, each part checked as it lands."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from handlers.errors import CorruptFile, ObjectNotFound
from handlers.registry.manifest import MANIFEST_FILE, PART_BYTES, FileEntry, Manifest, decode_manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store

__all__ = ["describe_file", "fetch_files", "fetch_manifest"]

_CONNECTIONS = 8  # one connection to S3 brings about 75 MB/s, a function about 300


def fetch_manifest(store: Store, model: str, version: str) -> Manifest:
    """Return the manifest of a published version.

    Raises:
        CorruptFile: It is not there although something names it, altered, or of another version.
        UnsupportedManifest: It was written by a newer lambdaserve.
        StoreUnavailable: The store could not be asked.
    """
    key = file_key(model, version, MANIFEST_FILE)
    try:
        data = store.read(key).data
    except ObjectNotFound as error:
        msg = f"{key}: missing, expected the manifest of version {version}; publish again"
        raise CorruptFile(msg) from error
    manifest = decode_manifest(data, key)
    if (manifest.model, manifest.version) != (model, version):
        msg = f"{key}: describes {manifest.model} version {manifest.version}, expected {model} version {version}"
        raise CorruptFile(msg)
    return manifest


def fetch_files(store: Store, manifest: Manifest, files: Sequence[str], folder: Path) -> None:
    """Write files of a published version into `folder`, all their parts in parallel, each hashed as it lands.

    Raises:
        CorruptFile: One is missing, shorter, or other than the manifest says. None is to be used then.
        StoreUnavailable: The store could not be asked.
    """
    with ExitStack() as stack:
        parts = []
        pool = stack.enter_context(ThreadPoolExecutor(_CONNECTIONS, "fetch"))
        for name in files:
            entry = manifest.files[name]
            key = file_key(manifest.model, str(manifest.version), name)
            target = stack.enter_context((folder / name).open("wb"))
            parts += [
                pool.submit(_fetch_part, store, key, entry, number, target.fileno())
                for number in range(len(entry.parts))
            ]
        stack.callback(pool.shutdown, cancel_futures=True)
        for part in parts:
            part.result()


def _fetch_part(store: Store, key: str, entry: FileEntry, number: int, descriptor: int) -> None:
    offset = number * PART_BYTES
    length = min(PART_BYTES, entry.size - offset)
    try:
        data = store.read_range(key, offset, length)
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
        written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)


def describe_file(path: Path) -> FileEntry:
    """Return size and hashes of a file on disk, read part by part."""
    whole = hashlib.sha256()
    parts: list[str] = []
    size = 0
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            whole.update(part)
            parts.append(hashlib.sha256(part).hexdigest())
            size += len(part)
    return FileEntry(size=size, sha256=whole.hexdigest(), parts=tuple(parts))
