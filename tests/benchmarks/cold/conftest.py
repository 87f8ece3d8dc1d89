from dataclasses import replace

import pytest

from benchmarks.cold.cases import Case
from export.build import build
from tests.export.sources import OPTIONS, mlp, silent, source_of


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A small model that has been built, and a request to it."""
    artifact = tmp_path_factory.mktemp("case") / "artifact"
    build(source_of(mlp(4, 16, 3)), artifact, replace(OPTIONS, variants=()), silent())
    return Case(artifact)
