"""`lambdaserve publish`: an artifact becomes a version in a store. Needs no torch."""

from dataclasses import dataclass
from pathlib import Path

from export.identity import who
from export.package import read_artifact
from export.progress import Progress
from handlers.errors import LambdaserveError
from handlers.registry.names import check_alias, file_key
from handlers.registry.stores import Store
from handlers.versions.aliasing import promote
from handlers.versions.changes import Operation
from handlers.versions.claims import claim
from handlers.versions.publishing import finish

__all__ = ["Published", "publish"]


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
    version is visible when it is complete. An interrupted publication leaves a claim that is closed by and by.

    Raises:
        OutputError: `folder` holds no artifact.
        ArtifactError: Its files are not those that were built.
        InvalidName: The alias is none.
        VersionRetired: It took so long that the version was closed meanwhile.
        StoreError: The store failed; nothing is visible unless the message says so.
    """
    if alias is not None:
        check_alias(alias)
    with progress.step("Hashing"):
        manifest = read_artifact(folder)
    operation = Operation(who(), "published")
    claimed = claim(store, manifest.model, operation)
    version = claimed.version
    total = sum(entry.size for entry in manifest.files.values())
    with progress.step(f"Publishing {manifest.model} version {version}", total) as advance:
        for name in manifest.files:
            store.create(file_key(manifest.model, version, name), folder / name, advance)
    finish(store, claimed, manifest)
    if alias is not None:
        try:
            promote(store, manifest.model, alias, version, operation)
        except LambdaserveError as error:
            msg = f"{error}; version {version} is published all the same, only the alias {alias!r} does not name it"
            raise type(error)(msg) from error
    return Published(manifest.model, version, alias, store.url)
