"""What tests of versions share."""

from pathlib import Path

import pytest

from handlers.registry.stores import Store, open_store
from tests.published import make_artifact_of_m


@pytest.fixture
def store(store_url: str) -> Store:
    return open_store(store_url)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of the model `m`, made once. Read only."""
    folder = tmp_path_factory.mktemp("artifact")
    make_artifact_of_m(folder)
    return folder
