"""An application for each test: it changes what is in its store."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.management.manager import Manager

EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}


@pytest.fixture
def manager(store_url: str, tmp_path: Path) -> Iterator[Manager]:
    """Of an empty store, in a folder and in S3."""
    manager = Manager.of(store_url, tmp_path)
    yield manager
    manager.gateway.close()


@pytest.fixture
def three_versions(manager: Manager, store_url: str) -> Manager:
    """The same with three versions of `m`, of which `live` names the first."""
    for alias in ("live", None, None):
        publish_graphs(store_url, "m", {"fp32": affine()}, [EXAMPLE], alias=alias)
    return manager
