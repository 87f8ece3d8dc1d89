"""`lambdaserve publish`: an artifact becomes a version in a store. Needs no torch."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from export.errors import OutputError
from export.identity import who
from export.package import read_artifact
from export.progress import Progress
from handlers.errors import LambdaserveError, ObjectExists
from handlers.registry.manifest import MANIFEST_FILE, encode_manifest
from handlers.registry.names import check_alias, file_key, versions_prefix
from handlers.registry.stores import Store
from handlers.versions.aliasing import promote
from handlers.versions.changes import Operation

__all__ = ["Published", "publish"]

_CLAIM_FILE = "claim"
_CLAIM_ATTEMPTS = 1000


@dataclass(frozen=True)
class Published:
    """A version that is complete in its store, and the alias that names it now."""

    model: str
    version: str
    alias: str | None
    store: str


def publish(folder: Path, store: Store, alias: str | None, progress: Progress) -> Published:
    """Copy an artifact into a store as a new version, and let an alias name it.

    A number is claimed first and never used again, files are created only if absent, and the manifest comes last: a
    version is visible when it is complete. An interrupted publication leaves a claim that nobody will read.

    Raises:
        OutputError: `folder` holds no artifact.
        ArtifactError: Its files are not those that were built.
        InvalidName: The alias is none.
        StoreError: The store failed; nothing is visible unless the message says so.
    """
    if alias is not None:
        check_alias(alias)
    with progress.step("Hashing"):
        manifest = read_artifact(folder)
    version = _claim(store, manifest.model)
    total = sum(entry.size for entry in manifest.files.values())
    with progress.step(f"Publishing {manifest.model} version {version}", total) as advance:
        for name in manifest.files:
            store.create(file_key(manifest.model, version, name), folder / name, advance)
    numbered = msgspec.structs.replace(manifest, version=version)
    store.create(file_key(manifest.model, version, MANIFEST_FILE), encode_manifest(numbered))
    if alias is not None:
        try:
            promote(store, manifest.model, alias, version, Operation(who(), "published"))
        except LambdaserveError as error:
            msg = f"{error}; version {version} is published all the same, only the alias {alias!r} does not name it"
            raise type(error)(msg) from error
    return Published(manifest.model, version, alias, store.url)


def _claim(store: Store, model: str) -> str:
    """Take the lowest number above all that were ever claimed."""
    taken = [int(name) for name in store.list_folders(versions_prefix(model)) if name.isdecimal()]
    number = max(taken, default=0)
    content = {"id": uuid.uuid4().hex, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    for _ in range(_CLAIM_ATTEMPTS):
        number += 1
        try:
            store.create(file_key(model, str(number), _CLAIM_FILE), msgspec.json.encode(content))
        except ObjectExists:
            continue
        return str(number)
    msg = f"model {model!r}: {_CLAIM_ATTEMPTS} numbers in a row were claimed by others, expected a free one; try again"
    raise OutputError(msg)
