"""What the model is given equals what torchvision's transforms make of the same image, to the bit.

Both resize the same bytes with the same code, and do the same three operations in float32.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.tasks.definitions import Resize
from handlers.tasks.images.pixels import resized_size
from tests.handlers.tasks.images.definitions import IMAGENET, task
from tests.handlers.tasks.images.files import encoded, noise
from tests.handlers.tasks.images.transforms import FILTERS, center_crop, resize, to_tensor


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    side=st.integers(1, 40),
    crop=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
)
def test_the_shorter_side_resized_and_the_centre_cropped(
    width: int, height: int, side: int, crop: tuple[int, int], interpolation: str
) -> None:
    image = noise(width, height)
    expected = to_tensor(center_crop(resize(image, side, interpolation), *crop), *IMAGENET)
    shorter = Resize(height=side, width=side, keep_aspect=True, interpolation=interpolation)  # type: ignore[arg-type]
    tested = task(-1, 3, *crop, resize=shorter, crop=crop, mean=IMAGENET[0], std=IMAGENET[1])

    found = tested.collate(tested.prepare([encoded(image)]))["image"]

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected[None].numpy())


@pytest.mark.parametrize("interpolation", FILTERS)
def test_both_sides_resized(interpolation: str) -> None:
    image = noise(50, 31)
    expected = to_tensor(resize(image, (8, 6), interpolation), *IMAGENET)
    exact = Resize(height=8, width=6, interpolation=interpolation)  # type: ignore[arg-type]
    tested = task(resize=exact, mean=IMAGENET[0], std=IMAGENET[1])

    found = tested.collate(tested.prepare([encoded(image)]))["image"]

    np.testing.assert_array_equal(found, expected[None].numpy())


def test_a_grey_model_gets_one_channel() -> None:
    image = noise(50, 31, "L")
    expected = to_tensor(resize(image, (8, 6), "bilinear"), (0.5,), (0.25,))
    tested = task(-1, 1, 8, 6, color="L", mean=(0.5,), std=(0.25,))

    found = tested.collate(tested.prepare([encoded(image)]))["image"]

    np.testing.assert_array_equal(found, expected[None].numpy())


def test_channels_may_come_last() -> None:
    first, last = task(), task(-1, 8, 6, 3, layout="NHWC")
    file = encoded(noise(20, 20))

    found = last.collate(last.prepare([file]))["image"]

    np.testing.assert_array_equal(found.transpose(0, 3, 1, 2), first.collate(first.prepare([file]))["image"])


def test_a_model_may_take_half_precision() -> None:
    single, half = task(), task(datatype="FP16")
    file = encoded(noise(20, 20))

    found = half.collate(half.prepare([file]))["image"]

    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, single.collate(single.prepare([file]))["image"].astype(np.float16))


def test_the_longer_side_is_rounded_down() -> None:
    shorter = Resize(height=256, width=300, keep_aspect=True)

    assert resized_size((500, 333), shorter) == (384, 256)  # 384.38
    assert resized_size((333, 501), shorter) == (256, 385)  # 385.15
    assert resized_size((100, 100), shorter) == (256, 256)
