"""Files of a version, fetched as a function fetches them."""

from collections.abc import Sequence
from pathlib import Path

from handlers.registry.download import Download
from handlers.registry.manifest import Manifest
from handlers.registry.stores import Store


def download(store: Store, manifest: Manifest, files: Sequence[str], folder: Path) -> None:
    """Return when the files are in the folder."""
    with Download(store, manifest, folder) as running:
        running.begin(files)
        running.wait(files)
