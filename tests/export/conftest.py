"""Artifacts that are built once for all tests of the export step. Read only: copy what is to be changed."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export import Evaluation, ModelSource
from export.build import build
from export.report import Report
from tests.export.sources import OPTIONS, mlp, normal, silent, source_of


@dataclass(frozen=True)
class Built:
    """A source, the artifact that was built from it, and what the build reported."""

    source: ModelSource
    folder: Path
    report: Report


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A model of a few kilobytes with fp32 alone, judged by agreement."""
    data = [{"x": normal(8, 4, seed=i)} for i in range(4)]
    source, folder = source_of(mlp(4, 16, 3), calibration=data), tmp_path_factory.mktemp("small") / "artifact"
    return Built(source, folder, build(source, folder, replace(OPTIONS, variants=()), silent()))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An MLP that is large enough for int8 to pay, judged by accuracy on samples that it tells apart easily."""
    net = mlp(512, 1024, 1024, 10)
    prototypes = normal(10, 512)
    samples = np.repeat(prototypes, 30, axis=0) + 0.1 * normal(300, 512, seed=1)
    with torch.inference_mode():
        labels = net(torch.from_numpy(samples)).argmax(1).numpy()
    source = source_of(
        net,
        torch.zeros(1, 512),
        name="large",
        calibration=[{"x": batch} for batch in np.split(samples[::2], 5)],
        evaluation=Evaluation([({"x": samples[1::2]}, labels[1::2])]),
    )
    return built(source, tmp_path_factory.mktemp("large") / "artifact")


@pytest.fixture
def small_copy(small: Built, tmp_path: Path) -> Path:
    """A copy of the small artifact, to be changed."""
    return Path(shutil.copytree(small.folder, tmp_path / "small"))


@pytest.fixture
def large_copy(large: Built, tmp_path: Path) -> Path:
    """A copy of the large artifact, to be changed."""
    return Path(shutil.copytree(large.folder, tmp_path / "large"))


def built(source: ModelSource, folder: Path) -> Built:
    return Built(source, folder, build(source, folder, OPTIONS, silent()))
