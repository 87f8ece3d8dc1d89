"""Crops of real photographs, as an ImageNet network takes them; no photograph calibrates and judges.

They are scikit-image's (skimage/data; its `_fetchers.py` names authors and licences), a subject of each kind on each
side. What is drawn or computed is left out, and so are details of images that are there as a whole.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.real.carriers import carried_file, carried_module

__all__ = ["CALIBRATING", "JUDGING", "SIDE", "crops", "open_photo", "to_input"]

CALIBRATING = (
    *("astronaut.png", "coffee.png", "coins.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png"),
    *("motorcycle_left.png", "motorcycle_right.png"),  # a stereo pair: one scene, so both are on one side
)
JUDGING = (
    *("camera.png", "chelsea.png", "clock_motion.png", "brick.png", "page.png", "moon.png", "retina.jpg"),
    *("rocket.jpg", "grass.png"),
)
SIDE = 224  # pixels

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet's red, green and blue
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def crops(names: Sequence[str], count: int, seed: int) -> npt.NDArray[np.float32]:
    """Return square crops of photographs, as many of each: float32 [count, 3, 224, 224], normalised.

    A crop's side is at random between half and all of the photograph's shorter side, its place is at random.

    Args:
        names: Files of skimage/data, taken in turns.
        count: How many crops.
        seed: Decides on sizes and places.

    Raises:
        SourceError: scikit-image or Pillow is not installed.
    """
    photos = [open_photo(name) for name in names]
    generator = np.random.default_rng(seed)
    made = []
    for i in range(count):
        photo = photos[i % len(photos)]
        width, height = photo.size
        side = int(generator.integers(min(width, height) // 2, min(width, height), endpoint=True))
        left = int(generator.integers(0, width - side, endpoint=True))
        top = int(generator.integers(0, height - side, endpoint=True))
        made.append(to_input(photo, (left, top, left + side, top + side)))
    return np.stack(made)


def open_photo(name: str) -> Any:  # noqa: ANN401 - Pillow is not there where types are checked
    """Return a file of skimage/data as a Pillow image of three channels, whether or not it has colours."""
    path = carried_file("scikit-image", f"skimage/data/{name}")
    with carried_module("PIL.Image").open(path) as image:
        return image.convert("RGB")


def to_input(photo: Any, box: tuple[int, int, int, int] | None = None) -> npt.NDArray[np.float32]:  # noqa: ANN401
    """Return a photograph, or the `box` (left, top, right, bottom) of it, resized bicubically and normalised.

    Returns:
        float32 [3, 224, 224], of mean 0 and deviation 1 for the average photograph.
    """
    resized = photo.resize((SIDE, SIDE), carried_module("PIL.Image").Resampling.BICUBIC, box)
    pixels = np.asarray(resized, np.float32) / np.float32(255)
    return np.ascontiguousarray(((pixels - _MEAN) / _DEVIATION).transpose(2, 0, 1))
