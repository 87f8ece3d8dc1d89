"""Training in a reduced form: what it writes, that it repeats, and what is refused."""

import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from export.errors import DataError, OutputError
from export.recipes import mnist_cnn
from export.recipes.mnist_data import MnistData, load_mnist
from export.source import load_source
from tests.export.recipes.test_mnist_data import write_idx

TRAIN_IMAGES = 700  # more than are taken for calibration
TEST_IMAGES = 100
STEPS = 6  # of one epoch: 700 images in batches of 128


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mnist")
    full = load_mnist()
    write_idx(
        folder,
        MnistData(
            full.train_images[:TRAIN_IMAGES],
            full.train_labels[:TRAIN_IMAGES],
            full.test_images[:TEST_IMAGES],
            full.test_labels[:TEST_IMAGES],
        ),
    )
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> mnist_cnn.TrainingResult:
    return mnist_cnn.train(tmp_path_factory.mktemp("trained"), data, epochs=1)


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return mnist_cnn.load_weights(path).state_dict()


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_same_seed_gives_identical_weights(trained: mnist_cnn.TrainingResult, data: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)  # what the caller did with the global state makes no difference
    again = mnist_cnn.train(tmp_path, data, epochs=1)
    assert equal(weights_of(again.weights), weights_of(trained.weights))
    assert (again.accuracy, again.loss) == (trained.accuracy, trained.loss)


def test_another_seed_gives_other_weights(trained: mnist_cnn.TrainingResult, data: Path, tmp_path: Path) -> None:
    other = mnist_cnn.train(tmp_path, data, seed=1, epochs=1)
    assert not equal(weights_of(other.weights), weights_of(trained.weights))


def test_training_leaves_the_global_random_state_alone(data: Path, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    mnist_cnn.source(mnist_cnn.train(tmp_path, data, epochs=1).weights.parent, data)
    assert torch.equal(torch.get_rng_state(), before)


def test_network_learns(data: Path, tmp_path: Path) -> None:
    result = mnist_cnn.train(tmp_path, data, epochs=4)
    assert result.accuracy > 0.5  # a guess is right once in ten
    assert result.loss < np.log(10)  # what a guess costs


def test_network_has_the_documented_size() -> None:
    assert sum(weights.numel() for weights in mnist_cnn.MnistCnn().parameters()) == 93_322


def test_training_writes_two_files_and_nothing_else(trained: mnist_cnn.TrainingResult) -> None:
    folder = trained.weights.parent
    assert sorted(path.name for path in folder.iterdir()) == ["source.py", "weights.pt"]
    assert len(trained.source.read_text().splitlines()) == 5


def test_written_source_gives_the_trained_network_back(trained: mnist_cnn.TrainingResult) -> None:
    source = load_source(f"{trained.source}:source")
    assert source.name == "mnist-cnn"
    assert not source.module.training
    assert equal(source.module.state_dict(), weights_of(trained.weights))
    assert source.dynamic_axes == {"image": {0: "batch"}}
    assert source.module(source.inputs["image"]).shape == (1, 10)
    assert source.evaluation is not None
    batches = list(source.evaluation.batches)
    hits = [source.module(torch.from_numpy(inputs["image"])).argmax(1).numpy() == target for inputs, target in batches]
    assert np.concatenate(hits).mean() == trained.accuracy
    assert len(np.concatenate(hits)) == TEST_IMAGES  # of the folder that was trained on, not of the subset


def test_written_source_follows_its_folder(data: Path, tmp_path: Path) -> None:
    mnist_cnn.train(tmp_path / "here", data, epochs=1)
    (tmp_path / "here").rename(tmp_path / "there")
    assert load_source(f"{tmp_path / 'there' / 'source.py'}:source").name == "mnist-cnn"


def test_calibration_and_evaluation_share_no_image(trained: mnist_cnn.TrainingResult) -> None:
    source = mnist_cnn.source(trained.weights.parent)
    assert source.calibration is not None
    assert source.evaluation is not None
    calibration = np.concatenate([inputs["image"] for inputs in source.calibration])
    evaluation = np.concatenate([inputs["image"] for inputs, _ in source.evaluation.batches])
    assert calibration.shape == (512, 1, 28, 28)
    assert calibration.dtype == np.float32
    assert evaluation.shape == (2_000, 1, 28, 28)
    assert evaluation.dtype == np.float32
    assert not {image.tobytes() for image in calibration} & {image.tobytes() for image in evaluation}


def test_progress_counts_every_step(data: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int, float]] = []
    mnist_cnn.train(tmp_path, data, epochs=2, progress=lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(done, 2 * STEPS) for done in range(1, 2 * STEPS + 1)]
    assert all(loss > 0 for *_, loss in calls)


def test_interrupted_training_leaves_the_earlier_one_untouched(data: Path, tmp_path: Path) -> None:
    def interrupt(done: int, _steps: int, _loss: float) -> None:
        if done == STEPS - 1:
            raise KeyboardInterrupt

    mnist_cnn.train(tmp_path, data, epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        mnist_cnn.train(tmp_path, data, seed=1, epochs=1, progress=interrupt)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_training_again_replaces_the_earlier_one(data: Path, tmp_path: Path) -> None:
    first = weights_of(mnist_cnn.train(tmp_path, data, epochs=1).weights)
    assert not equal(weights_of(mnist_cnn.train(tmp_path, data, seed=1, epochs=1).weights), first)


@pytest.mark.parametrize("name", ["source.py", "weights.pt"])
def test_files_of_somebody_else_are_not_overwritten(data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine\n")
    with pytest.raises(OutputError, match=f"holds another {re.escape(name)}, expected .*; choose a new folder"):
        mnist_cnn.train(tmp_path, data, epochs=1)
    assert (tmp_path / name).read_text() == "mine\n"


def test_folder_that_cannot_be_made_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="expected a folder to write to"):
        mnist_cnn.train(tmp_path / "file", data, epochs=1)


def test_no_epochs_are_refused_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="positive"):
        mnist_cnn.train(tmp_path, data, epochs=0)
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_are_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"weights\.pt: file is not there, expected .*; train with"):
        mnist_cnn.source(tmp_path)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_pickle_of_something_else_is_refused_and_never_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    for content in (pickle.dumps(Trap(touched)), pickle.dumps({"weights": [1, 2]})):
        (tmp_path / "weights.pt").write_bytes(content)
        with pytest.raises(
            DataError, match=r"something else .*expected the state dict of mnist_cnn; train with"
        ) as caught:
            mnist_cnn.source(tmp_path)
        assert "weights_only" not in str(caught.value)  # no advice to load it unsafely
    torch.save(Trap(touched), tmp_path / "weights.pt")
    with pytest.raises(DataError, match="something else"):
        mnist_cnn.source(tmp_path)
    assert not touched.exists()


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        {},
        {"features.0.weight": "text"},
        OrderedDict((name, weights[:1]) for name, weights in mnist_cnn.MnistCnn().state_dict().items()),
        {**mnist_cnn.MnistCnn().state_dict(), "more": torch.zeros(1)},
    ],
    ids=["list", "empty", "text", "shapes", "more"],
)
def test_weights_of_something_else_are_refused(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "weights.pt")
    with pytest.raises(DataError, match=r"something else .*expected the state dict of mnist_cnn; train with"):
        mnist_cnn.load_weights(tmp_path / "weights.pt")


def test_weights_file_cut_off_is_refused(trained: mnist_cnn.TrainingResult, tmp_path: Path) -> None:
    content = trained.weights.read_bytes()
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "weights.pt").write_bytes(content[:size])
        with pytest.raises(DataError, match="something else"):
            mnist_cnn.load_weights(tmp_path / "weights.pt")


def test_weights_that_are_not_finite_are_refused(trained: mnist_cnn.TrainingResult, tmp_path: Path) -> None:
    weights = weights_of(trained.weights)
    weights["features.0.weight"][0] = float("nan")
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(DataError, match="NaN or infinity among the weights"):
        mnist_cnn.load_weights(tmp_path / "weights.pt")
