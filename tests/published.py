"""Versions of a model `m` of a few bytes, published by hand: what lives and dies in tests of versions."""

from pathlib import Path

import msgspec
import numpy as np

from handlers.registry.manifest import MANIFEST_FILE, Manifest, decode_manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store
from handlers.versions.changes import Operation
from handlers.versions.claims import Claim, claim
from handlers.versions.publishing import finish
from tests.artifacts import make_artifact
from tests.graphs import affine

__all__ = ["ada", "claimed", "make_artifact_of_m", "publish_older", "published", "uploaded"]

OLDER = Path(__file__).parent / "data" / "schema-1"


def ada(reason: str = "", operation_id: str | None = None) -> Operation:
    return Operation("ada@host", reason) if operation_id is None else Operation("ada@host", reason, operation_id)


def make_artifact_of_m(folder: Path) -> Manifest:
    """An artifact with two variants of one tiny graph."""
    return make_artifact(
        folder, "m", {"int8-static": affine(), "fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}]
    )


def claimed(store: Store, operation: Operation | None = None) -> Claim:
    """A version of which nothing is there but its claim."""
    return claim(store, "m", operation or ada())


def uploaded(store: Store, artifact: Path, operation: Operation | None = None) -> Claim:
    """A version of which all is there but its manifest."""
    taken = claimed(store, operation)
    for name in decode_manifest((artifact / MANIFEST_FILE).read_bytes(), "artifact").files:
        store.create(file_key("m", taken.version, name), artifact / name)
    return taken


def published(store: Store, artifact: Path, count: int = 1) -> list[str]:
    """So many complete versions."""
    manifest = decode_manifest((artifact / MANIFEST_FILE).read_bytes(), "artifact")
    versions = [finish(store, uploaded(store, artifact), manifest).version for _ in range(count)]
    return [version for version in versions if version is not None]


def publish_older(store: Store) -> tuple[str, str]:
    """The version that lambdaserve wrote when manifests had schema version 1, with every byte as it was then."""
    manifest = msgspec.json.decode((OLDER / MANIFEST_FILE).read_bytes())
    for path in sorted(OLDER.iterdir()):
        store.create(file_key(manifest["model"], manifest["version"], path.name), path)
    return manifest["model"], manifest["version"]
