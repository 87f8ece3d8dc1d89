"""What `lambdaserve build` gets from a training, and weights that it refuses."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from export.errors import DataError
from export.recipes.mnist_cnn import MnistCnn
from export.recipes.trained import trained_source
from tests.export.recipes.reduced import weights_of

REFUSED = r"something else .*expected the state dict of mnist-cnn; train with `lambdaserve train mnist-cnn`"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.save(MnistCnn().state_dict(), folder / "weights.pt")
    return folder


def test_network_has_the_documented_size() -> None:
    assert sum(weights.numel() for weights in MnistCnn().parameters()) == 93_322


def test_source_holds_512_samples_that_calibrate_and_all_that_judge(trained: Path) -> None:
    source = trained_source("mnist-cnn", trained)
    assert source.calibration is not None
    assert source.evaluation is not None
    calibration = np.concatenate([inputs["image"] for inputs in source.calibration])
    evaluation = np.concatenate([inputs["image"] for inputs, _ in source.evaluation.batches])
    assert calibration.shape == (512, 1, 28, 28)
    assert calibration.dtype == np.float32
    assert evaluation.shape == (2_000, 1, 28, 28)
    assert evaluation.dtype == np.float32


def test_source_leaves_the_global_random_state_alone(trained: Path, digits: Path) -> None:
    before = torch.get_rng_state()
    trained_source("mnist-cnn", trained, digits)
    assert torch.equal(torch.get_rng_state(), before)


def test_missing_weights_are_refused_with_the_next_step(tmp_path: Path, digits: Path) -> None:
    with pytest.raises(DataError, match=r"weights\.pt: file is not there, expected .*; train with"):
        trained_source("mnist-cnn", tmp_path, digits)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_pickle_of_something_else_is_refused_and_never_run(tmp_path: Path, digits: Path) -> None:
    touched = tmp_path / "touched"
    for content in (pickle.dumps(Trap(touched)), pickle.dumps({"weights": [1, 2]})):
        (tmp_path / "weights.pt").write_bytes(content)
        with pytest.raises(DataError, match=REFUSED) as caught:
            trained_source("mnist-cnn", tmp_path, digits)
        assert "weights_only" not in str(caught.value)  # no advice to load it unsafely
    torch.save(Trap(touched), tmp_path / "weights.pt")
    with pytest.raises(DataError, match="something else"):
        trained_source("mnist-cnn", tmp_path, digits)
    assert not touched.exists()


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        {},
        {"features.0.weight": "text"},
        OrderedDict((name, weights[:1]) for name, weights in MnistCnn().state_dict().items()),
        {**MnistCnn().state_dict(), "more": torch.zeros(1)},
    ],
    ids=["list", "empty", "text", "shapes", "more"],
)
def test_weights_of_something_else_are_refused(tmp_path: Path, digits: Path, value: object) -> None:
    torch.save(value, tmp_path / "weights.pt")
    with pytest.raises(DataError, match=REFUSED):
        trained_source("mnist-cnn", tmp_path, digits)


def test_weights_file_cut_off_is_refused(trained: Path, tmp_path: Path, digits: Path) -> None:
    content = (trained / "weights.pt").read_bytes()
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "weights.pt").write_bytes(content[:size])
        with pytest.raises(DataError, match="something else"):
            trained_source("mnist-cnn", tmp_path, digits)


def test_weights_that_are_not_finite_are_refused(trained: Path, tmp_path: Path, digits: Path) -> None:
    weights = weights_of(trained)
    weights["features.0.weight"][0] = float("nan")
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(DataError, match="NaN or infinity among the weights"):
        trained_source("mnist-cnn", tmp_path, digits)
