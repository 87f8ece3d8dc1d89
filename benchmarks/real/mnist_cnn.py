"""A convolutional network for MNIST with weights that others trained: 312,202 parameters, 99.43 % right.

Layers: N. Carlini, D. Wagner, "Towards Evaluating the Robustness of Neural Networks", arXiv:1608.04644, table I.
Weights: the classifier that aix360 explains (IBM, Apache-2.0), a Keras file whose layers are copied here into torch's.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.real.carriers import carried_file, carried_module
from benchmarks.real.mnist import read_mnist
from export import Evaluation, ModelSource
from export.recipes.mnist_data import scale_images

__all__ = ["source"]

CALIBRATION_IMAGES = 512  # of those that were trained on
BATCH = 250

_LAYERS = {
    0: "conv2d_5",
    2: "conv2d_6",
    5: "conv2d_7",
    7: "conv2d_8",
    11: "dense_4",
    13: "dense_5",
    15: "dense_6",
}
"""Names in the Keras file by position in the network."""

_FLATTENED = 11  # the position of the layer that sees the last image as one row


def source() -> ModelSource:
    """Return the network; 512 images of MNIST's training set calibrate, its 10,000 test images judge."""
    mnist = read_mnist()
    test = _scaled(mnist.test_images)
    labels = mnist.test_labels.astype(np.int64)
    calibration = _scaled(mnist.train_images[:CALIBRATION_IMAGES])
    return ModelSource(
        name="mnist-cnn",
        module=_network(),
        inputs={"image": torch.from_numpy(test[:1].copy())},
        outputs=["logits"],
        calibration=[{"image": images} for images in _batches(calibration)],
        evaluation=Evaluation(
            [({"image": images}, right) for images, right in zip(_batches(test), _batches(labels), strict=True)]
        ),
    )


def _network() -> nn.Sequential:
    """Return the network: image float32 [batch, 1, 28, 28] in [-0.5, 0.5] to logits float32 [batch, 10]."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(1024, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)),
    )
    weights: dict[str, torch.Tensor] = {}
    with carried_module("h5py").File(carried_file("aix360", "aix360/models/CEM/mnist"), "r") as file:
        for position, name in _LAYERS.items():
            layer: Any = file["model_weights"][name][name]
            weights[f"{position}.weight"] = torch.from_numpy(_as_torch_has_it(position, np.array(layer["kernel:0"])))
            weights[f"{position}.bias"] = torch.from_numpy(np.array(layer["bias:0"]))
    network.load_state_dict(weights)
    return network.eval()


def _as_torch_has_it(position: int, kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turn a kernel: [height, width, in, out] to [out, in, height, width], or [in, out] to [out, in]."""
    if position == _FLATTENED:  # Keras flattens [height, width, channel], torch [channel, height, width]
        kernel = kernel.reshape(4, 4, 64, -1).transpose(2, 0, 1, 3).reshape(len(kernel), -1)
    axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)  # noqa: PLR2004 - of a convolution
    return np.ascontiguousarray(kernel.transpose(axes))


def _scaled(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Turn images uint8 [n, 28, 28] into what the network was trained on: float32 [n, 1, 28, 28] in [-0.5, 0.5]."""
    return scale_images(images) - np.float32(0.5)


def _batches(values: np.ndarray) -> list[np.ndarray]:
    return [values[start : start + BATCH] for start in range(0, len(values), BATCH)]
