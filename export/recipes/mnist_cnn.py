"""A small convolutional network for handwritten digits: trained on MNIST in under a minute, then built like any source.

The module takes pixels that are already scaled to [0, 1]. Scaling (`mnist_data.scale_images`) stays outside of it:
the graph is the one that a user of PyTorch would export, and a client sends what the network was trained on.
"""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from export import Evaluation, ModelSource
from export.errors import DataError, OutputError
from export.recipes.mnist_data import CLASSES, SIDE, MnistData, input_batches, load_mnist, scale_images

__all__ = ["MnistCnn", "TrainingResult", "load_weights", "source", "train"]

Progress = Callable[[int, int, float], None]
"""Takes the steps done, the steps in all, and the loss of the step."""

TRAINING_BATCH = 128
PEAK_LEARNING_RATE = 5e-3
CALIBRATION_IMAGES = 512
BATCH = 64  # of calibration and evaluation
WEIGHTS_FILE, SOURCE_FILE = "weights.pt", "source.py"
_SOURCE_HEAD = "# Written by export.recipes.mnist_cnn: gives the network beside this file to `lambdaserve build`.\n"
_SOURCE_TEXT = f"""{_SOURCE_HEAD}from pathlib import Path
from export.recipes import mnist_cnn
def source():
    return mnist_cnn.source({{}})
"""
_NEXT_STEP = "train with export.recipes.mnist_cnn.train"


class MnistCnn(nn.Module):
    """Three convolutions and two dense layers, 93,322 parameters."""

    def __init__(self) -> None:
        """Draw initial weights from torch's global random state."""
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),  # [batch, 32, 13, 13]
            *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),  # [batch, 64, 5, 5]
            *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),  # [batch, 576]
        )
        self.classifier = nn.Sequential(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, CLASSES))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits of the ten digits, float32 [batch, 10], of images float32 [batch, 1, 28, 28] in [0, 1]."""
        logits: torch.Tensor = self.classifier(self.features(image))
        return logits


@dataclass(frozen=True)
class TrainingResult:
    """What a training left behind, and how good it is.

    `weights` is a state dict of float32 tensors, `source` a Python file whose `source()` gives the network back;
    `accuracy` is the share (0 to 1) of the held-out images that are recognised, `loss` the mean of the last epoch.
    """

    weights: Path
    source: Path
    accuracy: float
    loss: float


def train(
    out: Path, data: Path | None = None, *, seed: int = 0, epochs: int = 6, progress: Progress | None = None
) -> TrainingResult:
    """Train the network and write `weights.pt` and `source.py` into `out`, each of them whole or not at all.

    Adam under a one-cycle learning rate, cross-entropy. The same seed, data and number of threads give the same weights
    on one machine; torch's global random state is left as it was. 30 s and 0.5 GB on two cores for the subset.

    Args:
        out: Folder for the two files, created if absent; those of an earlier training are replaced.
        data: Folder with the IDX files of MNIST (images uint8 [n, 28, 28]); None: the subset that is shipped.
        seed: Decides on the initial weights and on the order of the images.
        epochs: How often each image is seen, at least once.
        progress: Called after every step.

    Raises:
        DataError: The data are missing or broken.
        OutputError: `out` cannot be written, or holds a `source.py` or `weights.pt` that no training wrote.
        ValueError: `epochs` is below one.
    """
    mnist = load_mnist(data)
    _check_folder(out)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = MnistCnn()
        loss = _fit(net, mnist, epochs, progress)
    net.eval()
    held_out = input_batches(mnist.test_images, mnist.test_labels, BATCH)
    with torch.inference_mode():
        hits = [net(torch.from_numpy(inputs["image"])).argmax(1).numpy() == labels for inputs, labels in held_out]
    weights = io.BytesIO()
    torch.save(net.state_dict(), weights)
    # The source goes first: alone it says what to do, while weights alone would be taken for somebody else's.
    place = "Path(__file__).parent" + ("" if data is None else f", Path({str(data.resolve())!r})")
    _write_whole(out / SOURCE_FILE, _SOURCE_TEXT.format(place).encode())
    _write_whole(out / WEIGHTS_FILE, weights.getvalue())
    return TrainingResult(out / WEIGHTS_FILE, out / SOURCE_FILE, float(np.concatenate(hits).mean()), loss)


def source(directory: Path, data: Path | None = None) -> ModelSource:
    """Return the network that `train` left in `directory`, with the data that calibrate and judge it.

    Input `image` float32 [batch, 1, 28, 28] in [0, 1], output `logits` float32 [batch, 10]. Calibration: the first 512
    training images. Evaluation: accuracy, targets int64 [batch], on all test images of `data` (None: of the subset).

    Raises:
        DataError: Weights or data are missing, broken or do not fit.
    """
    net = load_weights(directory / WEIGHTS_FILE)
    mnist = load_mnist(data)
    calibration = input_batches(mnist.train_images[:CALIBRATION_IMAGES], mnist.train_labels[:CALIBRATION_IMAGES], BATCH)
    return ModelSource(
        name="mnist-cnn",
        module=net,
        inputs={"image": torch.zeros(1, 1, SIDE, SIDE)},
        outputs=["logits"],
        calibration=[inputs for inputs, _ in calibration],
        evaluation=Evaluation(input_batches(mnist.test_images, mnist.test_labels, BATCH), metric="accuracy"),
    )


def load_weights(path: Path) -> MnistCnn:
    """Return the network in eval mode with the weights of a state dict (float32 tensors); no code in the file is run.

    Raises:
        DataError: The file is missing, is no state dict of this network, or holds values that are not finite.
    """
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
        net = MnistCnn()
    try:
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch lets through whatever its parsers meet in bytes that are something else
        # Without torch's own text: it explains how to load the file unsafely.
        found = f"something else ({type(error).__name__})" if path.is_file() else "file is not there"
        msg = f"{path}: {found}, expected the state dict of mnist_cnn; {_NEXT_STEP}"
        raise DataError(msg) from error
    if not all(weights.isfinite().all() for weights in net.state_dict().values()):
        msg = f"{path}: NaN or infinity among the weights, expected finite values; {_NEXT_STEP}"
        raise DataError(msg)
    return net.eval()


def _fit(net: MnistCnn, mnist: MnistData, epochs: int, progress: Progress | None) -> float:
    """Train in place; return the mean loss of the last epoch."""
    images = torch.from_numpy(scale_images(mnist.train_images))  # [n, 1, 28, 28]
    labels = torch.from_numpy(mnist.train_labels.astype(np.int64))
    steps = epochs * -(-len(images) // TRAINING_BATCH)  # rounded up
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps)
    orders = (chosen for _ in range(epochs) for chosen in torch.split(torch.randperm(len(images)), TRAINING_BATCH))
    losses = []
    for done, chosen in enumerate(orders, start=1):
        loss = nn.functional.cross_entropy(net(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if progress is not None:
            progress(done, steps, losses[-1])
    return float(np.mean(losses[-(steps // epochs) :]))


def _check_folder(out: Path) -> None:
    """Create the folder, and refuse to write over files that `train` did not write."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = [name for name in (SOURCE_FILE, WEIGHTS_FILE) if (out / name).exists()]
        ours = SOURCE_FILE in taken and (out / SOURCE_FILE).read_bytes().startswith(_SOURCE_HEAD.encode())
    except OSError as error:
        msg = f"{out}: {error.strerror}, expected a folder to write to"
        raise OutputError(msg) from error
    if taken and not ours:
        msg = f"{out}: holds another {' and '.join(taken)}, expected files of a training or none; choose a new folder"
        raise OutputError(msg)


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        msg = f"{path}: {error.strerror}, expected a file that can be written"
        raise OutputError(msg) from error
    finally:
        temporary.unlink(missing_ok=True)
