"""The reference: what torchvision's transforms do with a Pillow image, and no code of ours.

torchvision is not among the packages that are installed here. This is written down from torchvision 0.24
(transforms/functional.py and _functional_pil.py), with torch and Pillow.
"""

import numpy as np
import torch
from PIL import Image, ImageOps

__all__ = ["FILTERS", "center_crop", "resize", "to_tensor"]

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
