"""The reader on the files that are shipped, on a plain folder, and on files that are broken each in its own way."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.errors import DataError
from export.recipes.files import SHIPPED
from export.recipes.mnist_data import MnistData, load_digits, load_mnist, scale_images
from tests.export.recipes.reduced import MNIST_FILES, idx, write_idx

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"


def same(left: MnistData, right: MnistData) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in vars(left))


@pytest.fixture(scope="module")
def shipped() -> MnistData:
    return load_mnist()


@pytest.fixture
def small() -> MnistData:
    numbers = np.random.default_rng(0)
    images = numbers.integers(0, 256, (7, 28, 28), dtype=np.uint8)
    return MnistData(images[:4], np.array([3, 0, 9, 1], np.uint8), images[4:], np.array([5, 5, 2], np.uint8))


def test_shipped_subset_has_the_documented_counts(shipped: MnistData) -> None:
    assert shipped.train_images.shape == (22_000, 28, 28)
    assert shipped.train_labels.shape == (22_000,)
    assert shipped.test_images.shape == (2_000, 28, 28)
    assert shipped.test_labels.shape == (2_000,)
    assert {array.dtype for array in vars(shipped).values()} == {np.dtype(np.uint8)}


def test_shipped_subset_starts_like_mnist(shipped: MnistData) -> None:
    assert shipped.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert shipped.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert set(shipped.train_labels) == set(shipped.test_labels) == set(range(10))


def test_plain_files_give_the_same_arrays(shipped: MnistData, tmp_path: Path) -> None:
    for name in MNIST_FILES:
        (tmp_path / name).write_bytes(gzip.decompress((SHIPPED / f"{name}.gz").read_bytes()))
    assert same(load_mnist(tmp_path), shipped)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_names_with_a_dot_are_read(small: MnistData, tmp_path: Path, ending: str) -> None:
    write_idx(tmp_path, small)
    for name in MNIST_FILES:
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        dotted = name.replace("-idx", ".idx") + ending
        (tmp_path / dotted).write_bytes(gzip.compress(content) if ending else content)
    assert same(load_mnist(tmp_path), small)


def test_gzip_is_told_by_content_not_by_name(small: MnistData, tmp_path: Path) -> None:
    write_idx(tmp_path, small)
    (tmp_path / TRAIN_IMAGES).write_bytes(gzip.compress((tmp_path / TRAIN_IMAGES).read_bytes()))
    (tmp_path / TRAIN_LABELS).rename(tmp_path / f"{TRAIN_LABELS}.gz")
    assert same(load_mnist(tmp_path), small)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (TRAIN_IMAGES, lambda whole: gzip.compress(whole)[:-20], "broken gzip .*, expected a whole one"),
        (TRAIN_IMAGES, lambda whole: gzip.compress(whole)[:30] + bytes(40), "broken gzip .*, expected a whole one"),
        (TRAIN_IMAGES, lambda whole: gzip.compress(whole)[:-8] + bytes(8), "broken gzip .*, expected a whole one"),
        (TRAIN_IMAGES, lambda whole: whole[:9], "9 bytes, expected an IDX header of 16"),
        (TRAIN_IMAGES, lambda _: b"", "0 bytes, expected an IDX header of 16"),
        (TRAIN_IMAGES, lambda whole: whole[:-1], r"3135 bytes of data, expected 3136 for the shape \[4, 28, 28\]"),
        (TRAIN_IMAGES, lambda whole: whole + b"\0", "3137 bytes of data, expected 3136"),
        (TRAIN_IMAGES, lambda whole: whole[:4] + b"\xff" * 12 + whole[16:], "3136 bytes of data, expected 7922816"),
        (TRAIN_IMAGES, lambda whole: b"\0\0\x0d\3" + whole[4:], "magic number 0x00000d03, expected 0x00000803"),
        (TRAIN_IMAGES, lambda _: idx(np.zeros((4, 32, 32), np.uint8)), "images of 32 x 32 pixels, expected 28 x 28"),
        (TRAIN_IMAGES, lambda _: idx(np.zeros((0, 28, 28), np.uint8)), "no images, expected at least one"),
        (TRAIN_LABELS, lambda whole: b"\0\0\x08\3" + whole[4:], "magic number 0x00000803, expected 0x00000801"),
        (TRAIN_LABELS, lambda _: idx(np.zeros(3, np.uint8)), "3 labels, expected 4, one for each image"),
        (
            TRAIN_LABELS,
            lambda _: idx(np.array([1, 2, 10, 3], np.uint8)),
            "label 10 at position 2, expected digits 0 to 9",
        ),
    ],
)
def test_broken_file_is_refused_by_name(
    small: MnistData, tmp_path: Path, name: str, damage: Callable[[bytes], bytes], message: str
) -> None:
    write_idx(tmp_path, small)
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {message}"):
        load_mnist(tmp_path)


def test_missing_file_is_named_with_what_to_do(small: MnistData, tmp_path: Path) -> None:
    write_idx(tmp_path, small)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        DataError, match=r"t10k-labels-idx1-ubyte: file is not there, expected one of .*; give a folder"
    ):
        load_mnist(tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder is not there"):
        load_mnist(tmp_path / "nowhere")


def test_scaling_maps_bytes_to_the_unit_interval() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[1] = 255
    images[0, 3, 5] = 51
    scaled = scale_images(images)
    assert scaled.shape == (2, 1, 28, 28)
    assert scaled.dtype == np.float32
    assert scaled[0, 0, 3, 5] == np.float32(0.2)
    assert scaled[0].sum() == np.float32(0.2)
    assert (scaled[1] == 1).all()


def test_network_is_given_scaled_images_and_whole_numbers(small: MnistData, tmp_path: Path) -> None:
    write_idx(tmp_path, small)
    dataset = load_digits(tmp_path)
    assert np.array_equal(dataset.train.inputs["image"], scale_images(small.train_images))
    assert dataset.train.targets.tolist() == [3, 0, 9, 1]
    assert dataset.test.targets.dtype == np.int64
