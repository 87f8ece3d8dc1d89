"""What the model is given equals what torchvision's transforms make of the same image.

torchvision is not among the packages that are installed here. The reference is what its transforms do with a Pillow
image, written down from torchvision 0.24 (transforms/functional.py, _functional_pil.py) with torch and Pillow. It is
equal to the bit: both resize the same bytes with the same code, and do the same three operations in float32.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from handlers.tasks.definitions import Resize
from handlers.tasks.images.pixels import resized_size
from tests.handlers.tasks.images.definitions import IMAGENET, task
from tests.handlers.tasks.images.files import encoded, noise

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resize(image: Image.Image, size: int | tuple[int, int], interpolation: str) -> Image.Image:
    """transforms.Resize: _compute_resized_output_size, then Image.resize."""
    if isinstance(size, int):
        width, height = image.size
        short, long = (width, height) if width <= height else (height, width)
        new_short, new_long = size, int(size * long / short)
        size = (new_long, new_short) if width <= height else (new_short, new_long)
    return image.resize(size[::-1], FILTERS[interpolation])


def center_crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """transforms.CenterCrop: padded with black first where the image is smaller."""
    if width > image.width or height > image.height:
        padding = (
            (width - image.width) // 2 if width > image.width else 0,
            (height - image.height) // 2 if height > image.height else 0,
            (width - image.width + 1) // 2 if width > image.width else 0,
            (height - image.height + 1) // 2 if height > image.height else 0,
        )
        image = ImageOps.expand(image, border=padding, fill=0)
        if image.size == (width, height):
            return image
    top = int(round((image.height - height) / 2.0))  # noqa: RUF046 - as it is written there
    left = int(round((image.width - width) / 2.0))  # noqa: RUF046
    return image.crop((left, top, left + width, top + height))


def to_tensor(image: Image.Image, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """transforms.ToTensor, then transforms.Normalize."""
    values = torch.from_numpy(np.array(image)).view(image.height, image.width, len(image.getbands()))
    scaled = values.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    means = torch.as_tensor(mean, dtype=torch.float32).view(-1, 1, 1)
    deviations = torch.as_tensor(std, dtype=torch.float32).view(-1, 1, 1)
    return scaled.sub_(means).div_(deviations)


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
