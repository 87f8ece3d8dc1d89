"""What a version is made of: its manifest in the store, and the description of each of its files."""

import hashlib
from pathlib import Path

from handlers.errors import CorruptFile, ObjectNotFound
from handlers.registry.manifest import MANIFEST_FILE, PART_BYTES, FileEntry, Manifest, decode_manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store

__all__ = ["describe_file", "fetch_manifest"]


def fetch_manifest(store: Store, model: str, version: str) -> Manifest:
    """Return the manifest of a published version.

    Raises:
        CorruptFile: It is not there although something names it, altered, or of another version.
        UnsupportedManifest: It was written by a newer lambdaserve.
        VersionNotFound: It was deleted, or closed because it was never finished.
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
