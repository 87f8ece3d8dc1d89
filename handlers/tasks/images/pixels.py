"""Resize, crop, normalise: as torchvision's transforms do with a Pillow image, to the bit.

`Resize`, `CenterCrop`, `ToTensor` and `Normalize` of torchvision.transforms (0.24, functional.py and
_functional_pil.py). Images are resized as bytes, by Pillow, with antialiasing; scaled and normalised in float32.
"""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.tasks.definitions import ImageClassificationTask, Resize

__all__ = ["final_size", "normalised", "resized_size", "transform"]

Size = tuple[int, int]
"""Width and height in pixels, as Pillow has them; definitions have the height first."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resized_size(size: Size, resize: "Resize | None") -> Size:
    """Return what an image of `size` is resized to."""
    if resize is None:
        return size
    if not resize.keep_aspect:
        return resize.width, resize.height
    shorter = min(resize.width, resize.height)
    width, height = size
    # rounded down, as torchvision does
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def final_size(definition: "ImageClassificationTask") -> Size | None:
    """Return the size that every image ends with, None where it is each one's own."""
    if definition.crop is not None:
        height, width = definition.crop
        return width, height
    if definition.resize is not None and not definition.resize.keep_aspect:
        return definition.resize.width, definition.resize.height
    return None


def transform(image: Image.Image, definition: "ImageClassificationTask") -> np.ndarray:
    """Return an image, resized and cropped: uint8 [height, width, channels]."""
    if definition.resize is not None:
        size = resized_size(image.size, definition.resize)
        image = image.resize(size, _FILTERS[definition.resize.interpolation])
    if definition.crop is not None:
        height, width = definition.crop
        left, top = _offset(image.width, width), _offset(image.height, height)
        image = image.crop((left, top, left + width, top + height))
    return np.asarray(image).reshape(image.height, image.width, -1)


def normalised(mean: "Sequence[float]", std: "Sequence[float]") -> np.ndarray:
    """Return what each value of a byte becomes in each channel, scaled to 0..1 and normalised: float32 [channels, 256].

    Looked up, a batch takes one pass over memory instead of four.
    """
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    return (scaled - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]


def _offset(length: int, cropped: int) -> int:
    """Return where the middle `cropped` pixels of `length` begin; below 0 where black is added on both sides."""
    if cropped > length:
        return -((cropped - length) // 2)
    return round((length - cropped) / 2)  # to even where it is halfway, as torchvision does
