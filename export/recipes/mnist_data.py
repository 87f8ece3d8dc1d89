"""MNIST, read from IDX files: the subset that is shipped, or a folder with the full files.

Source of the format: "The IDX file format" in Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten
digits", http://yann.lecun.com/exdb/mnist/. All integers are big-endian: a magic number (two zero bytes, the type of the
data, 0x08 for unsigned bytes, and the number of axes), then one uint32 per axis, then the data in C order.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.errors import DataError
from export.recipes.files import find_file, read_bytes
from export.recipes.recipe import Dataset, Split

__all__ = ["MnistData", "load_digits", "load_mnist", "scale_images"]

Bytes = npt.NDArray[np.uint8]

SIDE = 28
CLASSES = 10

_IMAGES_MAGIC = 0x00000803
_LABELS_MAGIC = 0x00000801


@dataclass(frozen=True)
class MnistData:
    """Images of handwritten digits and what they show; the arrays cannot be written to.

    Attributes:
        train_images: uint8 [n, 28, 28], 0 is the background, 255 full ink; at least one image.
        train_labels: uint8 [n], the digits 0 to 9.
        test_images: uint8 [m, 28, 28], held out: by other writers than the training images.
        test_labels: uint8 [m], the digits 0 to 9.
    """

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def load_mnist(directory: Path | None = None) -> MnistData:
    """Read the four files of MNIST and check that they fit each other.

    Takes about 0.1 s for the shipped subset (22,000 + 2,000 images) and 55 MB of memory for the full data.

    Args:
        directory: Folder with the four files under their usual names (`train-images-idx3-ubyte` or
            `train-images.idx3-ubyte`, with or without `.gz`; what is gzipped is told by the content); None: the subset
            in `export/recipes/data`.

    Returns:
        Images uint8 [n, 28, 28] and labels uint8 [n] of both parts.

    Raises:
        DataError: A file is missing, cannot be read, is cut off or is no IDX file of the expected shape; images and
            labels differ in number; a label is no digit.
    """
    train_images, train_labels = _read_part(directory, "train")
    test_images, test_labels = _read_part(directory, "t10k")
    return MnistData(train_images, train_labels, test_images, test_labels)


def scale_images(images: Bytes) -> npt.NDArray[np.float32]:
    """Turn images uint8 [batch, 28, 28], 0 to 255, into a network's input: float32 [batch, 1, 28, 28] in [0, 1]."""
    return (images.astype(np.float32) / np.float32(255)).reshape(-1, 1, SIDE, SIDE)


def load_digits(directory: Path | None = None) -> Dataset:
    """Read MNIST as a network takes it: input `image` float32 [n, 1, 28, 28] in [0, 1], targets int64 [n].

    Raises:
        DataError: As `load_mnist`.
    """
    mnist = load_mnist(directory)
    return Dataset(
        Split({"image": scale_images(mnist.train_images)}, mnist.train_labels.astype(np.int64)),
        Split({"image": scale_images(mnist.test_images)}, mnist.test_labels.astype(np.int64)),
    )


def _read_part(directory: Path | None, part: str) -> tuple[Bytes, Bytes]:
    images_path, labels_path = (
        find_file(directory, [f"{part}-{kind}{mark}ubyte" for mark in marks], "the four files of MNIST")
        for kind, marks in (("images", ("-idx3-", ".idx3-")), ("labels", ("-idx1-", ".idx1-")))
    )
    images = _read_idx(images_path, _IMAGES_MAGIC)
    labels = _read_idx(labels_path, _LABELS_MAGIC)
    if images.shape[1:] != (SIDE, SIDE):
        msg = f"{images_path}: images of {images.shape[1]} x {images.shape[2]} pixels, expected {SIDE} x {SIDE}"
        raise DataError(msg)
    if len(images) == 0:
        msg = f"{images_path}: no images, expected at least one"
        raise DataError(msg)
    if len(images) != len(labels):
        msg = f"{labels_path}: {len(labels)} labels, expected {len(images)}, one for each image of {images_path.name}"
        raise DataError(msg)
    if labels.max() >= CLASSES:
        place = int(labels.argmax())
        msg = f"{labels_path}: label {labels[place]} at position {place}, expected digits 0 to {CLASSES - 1}"
        raise DataError(msg)
    return images, labels


def _read_idx(path: Path, magic: int) -> Bytes:
    """Read an IDX file of unsigned bytes whose magic number is known."""
    content = read_bytes(path)
    axes = magic & 0xFF
    header_bytes = 4 * (1 + axes)
    if len(content) < header_bytes:
        msg = f"{path}: {len(content)} bytes, expected an IDX header of {header_bytes}; get the file again"
        raise DataError(msg)
    found_magic, *shape = struct.unpack_from(f">{1 + axes}I", content)
    if found_magic != magic:
        msg = f"{path}: magic number 0x{found_magic:08x}, expected 0x{magic:08x} (IDX, unsigned bytes, {axes} axes)"
        raise DataError(msg)
    expected_bytes = 1
    for length in shape:  # in Python's integers: a broken header overflows those of numpy
        expected_bytes *= length
    if len(content) - header_bytes != expected_bytes:
        msg = (
            f"{path}: {len(content) - header_bytes} bytes of data, expected {expected_bytes} for the shape "
            f"{shape} that its header gives; get the file again"
        )
        raise DataError(msg)
    return np.frombuffer(content, dtype=np.uint8, offset=header_bytes).reshape(shape)
