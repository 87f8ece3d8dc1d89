"""MNIST, read from IDX files: the subset that is shipped, or a folder with the full files.

Source of the format: "The IDX file format" in Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten
digits", http://yann.lecun.com/exdb/mnist/. All integers are big-endian: a magic number (two zero bytes, the type of the
data, 0x08 for unsigned bytes, and the number of axes), then one uint32 per axis, then the data in C order.
"""

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.errors import DataError

__all__ = ["MnistData", "input_batches", "load_mnist", "scale_images"]

Bytes = npt.NDArray[np.uint8]

SHIPPED = Path(__file__).parent / "data"
SIDE = 28
CLASSES = 10

_GZIP_MAGIC = b"\x1f\x8b"  # no IDX file begins like this: its first two bytes are zero
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
    folder = SHIPPED if directory is None else directory
    train_images, train_labels = _read_part(folder, "train")
    test_images, test_labels = _read_part(folder, "t10k")
    return MnistData(train_images, train_labels, test_images, test_labels)


def scale_images(images: Bytes) -> npt.NDArray[np.float32]:
    """Turn images uint8 [batch, 28, 28], 0 to 255, into a network's input: float32 [batch, 1, 28, 28] in [0, 1]."""
    return (images.astype(np.float32) / np.float32(255)).reshape(-1, 1, SIDE, SIDE)


def input_batches(images: Bytes, labels: Bytes, size: int) -> list[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Cut scaled images and their labels into batches of at most `size`, in the order given.

    Args:
        images: uint8 [n, 28, 28].
        labels: uint8 [n].
        size: Images per batch; the last batch may be smaller.

    Returns:
        Pairs of {"image": float32 [batch, 1, 28, 28] in [0, 1]} and labels int64 [batch].
    """
    starts = range(0, len(images), size)
    scaled, targets = scale_images(images), labels.astype(np.int64)
    return [({"image": scaled[start : start + size]}, targets[start : start + size]) for start in starts]


def _read_part(folder: Path, part: str) -> tuple[Bytes, Bytes]:
    images_path = _find(folder, part, "images", "idx3")
    labels_path = _find(folder, part, "labels", "idx1")
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


def _find(folder: Path, part: str, kind: str, axes: str) -> Path:
    names = [f"{part}-{kind}{mark}{axes}-ubyte{ending}" for mark in "-." for ending in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    found = "file is not there" if folder.is_dir() else "folder is not there"
    msg = (
        f"{folder / names[0]}: {found}, expected one of {', '.join(names)}; give a folder with the four files of "
        f"MNIST, or none for the subset that is shipped"
    )
    raise DataError(msg)


def _read_idx(path: Path, magic: int) -> Bytes:
    """Read an IDX file of unsigned bytes whose magic number is known."""
    content = _read_bytes(path)
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


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{path}: broken gzip ({error}), expected a whole one; get the file again"
        raise DataError(msg) from error
    except OSError as error:
        msg = f"{path}: {error.strerror or error}, expected a file that can be read"
        raise DataError(msg) from error
