"""How little of each recipe the tests train, and how good it must be even so."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from export.progress import Progress
from export.recipes.mnist_data import MnistData
from export.recipes.trained import WEIGHTS_FILE

MNIST_TRAIN, MNIST_TEST = 700, 100
ROWS = 240  # of a table, a fourth of them held out
TABLES = ("diabetes.csv", "digits.csv", "breast-cancer.csv")
MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Reduced:
    """A training of some seconds: `data` is the fixture with its folder, `sane` tells a score that was learned."""

    recipe: str
    data: str | None
    epochs: int
    sane: Callable[[float], bool]


REDUCED = [
    Reduced("mlp-regressor", "tables", 20, lambda mse: mse < 4_500),  # the mean as the answer leaves 5,900
    Reduced("mlp-classifier", "tables", 10, lambda accuracy: accuracy > 0.8),
    Reduced("binary-classifier", "tables", 10, lambda accuracy: accuracy > 0.9),
    Reduced("mnist-cnn", "digits", 4, lambda accuracy: accuracy > 0.5),
    Reduced("gru-classifier", None, 10, lambda accuracy: accuracy > 0.85),
    Reduced("bert-classifier", "reviews", 20, lambda accuracy: accuracy > 0.9),
]


def idx(array: np.ndarray) -> bytes:
    """Return uint8 arrays of any shape in the IDX format."""
    return struct.pack(f">{1 + array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, data: MnistData) -> None:
    """Write the four plain IDX files."""
    arrays = (data.train_images, data.train_labels, data.test_images, data.test_labels)
    for name, array in zip(MNIST_FILES, arrays, strict=True):
        (folder / name).write_bytes(idx(array))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights that a training left in a folder."""
    weights: dict[str, torch.Tensor] = torch.load(folder / WEIGHTS_FILE, weights_only=True)
    return weights


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """Return whether two state dicts hold the same bits."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def silent() -> Progress:
    """Return a progress that nobody sees."""
    return Progress(Console(file=io.StringIO()))
