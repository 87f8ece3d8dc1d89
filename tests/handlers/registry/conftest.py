"""What tests of loading share."""

from pathlib import Path

import pytest

from handlers.settings import Settings
from tests.handlers.registry.recorder import Recorder


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings for a store in a folder, and a scratch folder of its own."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=scratch)
