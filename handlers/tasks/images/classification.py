"""The task `image-classification`: an image file to labels with scores."""

import base64
import io
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from msgspec import Meta
from PIL import Image

from handlers.errors import InvalidInput, RuntimeFailure
from handlers.tasks.arrays import Arrays
from handlers.tasks.datatypes import NUMPY_TYPES
from handlers.tasks.images.decoding import MAX_PIXELS, decode, decoding_bytes, open_image
from handlers.tasks.images.fit import check_fit
from handlers.tasks.images.forms import FILE_SCHEMA, read_file
from handlers.tasks.images.pixels import final_size, normalised, resized_size, transform
from handlers.tasks.options import read_options
from handlers.tasks.scores import scores, top
from handlers.tasks.task import Prepared, Schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.ImageFile import ImageFile

    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import ImageClassificationTask

__all__ = ["MAX_PIXELS_AT_ONCE", "ImageClassification"]

MAX_PIXELS_AT_ONCE = 2 * MAX_PIXELS
"""Of all images of a request, which are decoded one by one and kept as they are once resized and cropped."""

_LEAST_COST = 25_000  # pixels; opening the smallest of files takes as long as decoding these
_RESIZED_BYTES = 8  # of a pixel: Pillow has four, once resized and once cropped
_EXAMPLE_SIDE = 8  # pixels; any will do where it is resized or cropped
_OWN_SIDE = 224  # for models that take any size


@dataclass(frozen=True)
class _Image:
    """An image, resized and cropped: uint8 [height, width, channels]."""

    pixels: np.ndarray
    length: int = 1


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    top_k: Annotated[int, Meta(ge=1)]


class ImageClassification:
    """Implements `handlers.tasks.task.Task`."""

    media_types: tuple[str, ...] = ("image/jpeg", "image/png", "image/webp")

    def __init__(
        self,
        definition: "ImageClassificationTask",
        inputs: "Sequence[TensorSpec]",
        outputs: "Sequence[TensorSpec]",
    ) -> None:
        """Take a definition for a model with these inputs and outputs.

        Raises:
            UnsupportedManifest: It does not fit them.
        """
        self._definition = definition
        self._spec = check_fit(definition, inputs, outputs)
        self._values = normalised(definition.mean, definition.std).astype(NUMPY_TYPES[self._spec.datatype])
        self.outputs = (definition.output,)

    def memory_bytes(self, instances: Sequence[object]) -> int:
        """See `Task.memory_bytes`: what is kept of all images, and what the largest takes, by their headers."""
        kept, largest = 0, 0
        for _, image in self._open(instances):
            width, height = resized_size(image.size, self._definition.resize)
            resized = 0 if self._definition.resize is None else width * height * _RESIZED_BYTES
            largest = max(largest, decoding_bytes(image) + resized)
            width, height = final_size(self._definition) or (width, height)
            kept += width * height * len(self._values)
        return kept + largest

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        """See `Task.prepare`. An instance is a file: its bytes, or in base64."""
        opened = deque(self._open(instances))
        prepared: list[Prepared] = []
        while opened:  # so that each file and what it becomes is let go as soon as it is done
            subject, image = opened.popleft()
            pixels = decode(subject, image, self._definition.color, turn=self._definition.exif_orientation)
            prepared.append(self._checked(subject, transform(pixels, self._definition)))
        return prepared

    def collate(self, prepared: Sequence[Prepared]) -> Arrays:
        """See `Task.collate`."""
        images = [image.pixels for image in prepared if isinstance(image, _Image)]
        try:
            batch = np.stack(images)
        except ValueError as error:
            msg = f"instances: images of different sizes ({error}), expected one size in a request"
            raise InvalidInput(msg) from error
        channels = [self._values[channel][batch[..., channel]] for channel in range(len(self._values))]
        return {self._spec.name: np.stack(channels, axis=1 if self._definition.layout == "NCHW" else 3)}

    def check_options(self, options: dict[str, object]) -> object:
        """See `Task.check_options`. `top_k`: how many labels, the best ones."""
        return read_options({"top_k": self._definition.top_k} | options, _Options)

    def answer(self, prepared: Sequence[Prepared], outputs: Arrays, options: object) -> list[object]:
        """See `Task.answer`. The best labels of each image with their scores, the best first."""
        assert isinstance(options, _Options)  # noqa: S101 - what `check_options` returned
        found = outputs[self._definition.output]
        labels = self._definition.labels
        if found.shape != (len(prepared), len(labels)):
            expected = [len(prepared), len(labels)]
            msg = f"output {self._definition.output!r}: shape {list(found.shape)}, expected {expected}"
            raise RuntimeFailure(msg)
        return [top(row, labels, options.top_k) for row in scores(found, self._definition.activation)]

    def count_tokens(self, prepared: Sequence[Prepared]) -> int:  # noqa: ARG002
        """See `Task.count_tokens`: none."""
        return 0

    @property
    def instance_schema(self) -> Schema:
        """See `Task.instance_schema`."""
        return FILE_SCHEMA

    @property
    def options_schema(self) -> Schema:
        """See `Task.options_schema`."""
        top_k = {"type": "integer", "minimum": 1, "default": self._definition.top_k}
        return {"type": "object", "properties": {"top_k": top_k}, "additionalProperties": False}

    @property
    def prediction_schema(self) -> Schema:
        """See `Task.prediction_schema`."""
        properties = {
            "label": {"type": "string", "enum": [*dict.fromkeys(self._definition.labels)]},
            "score": {"type": "number", "nullable": True},
        }
        return {"type": "array", "items": {"type": "object", "properties": properties, "required": [*properties]}}

    @property
    def example(self) -> object:
        """See `Task.example`: a grey image, of the model's size where it has one."""
        resized = self._definition.resize is not None or self._definition.crop is not None
        height, width = (_EXAMPLE_SIDE if resized else _OWN_SIDE if axis == -1 else axis for axis in self._spec_size)
        file = io.BytesIO()
        Image.new(self._definition.color, (width, height), "grey").save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()

    @property
    def _spec_size(self) -> tuple[int, int]:
        """Height and width that the model takes, -1 for any."""
        axes = self._spec.shape
        return (axes[2], axes[3]) if self._definition.layout == "NCHW" else (axes[1], axes[2])

    def _open(self, instances: Sequence[object]) -> "Iterator[tuple[str, ImageFile]]":
        left = MAX_PIXELS_AT_ONCE
        for number, instance in enumerate(instances):
            subject = f"instances[{number}]"
            image = open_image(subject, read_file(subject, instance))
            left -= self._cost(subject, image.size)
            if left < 0:
                msg = f"{subject}: more than {MAX_PIXELS_AT_ONCE} pixels with those before it, expected fewer at once"
                raise InvalidInput(msg)
            yield subject, image

    def _cost(self, subject: str, size: tuple[int, int]) -> int:
        """Return how many pixels an image is or becomes, whichever is more."""
        resized = resized_size(size, self._definition.resize)
        pixels = resized[0] * resized[1]
        if pixels > MAX_PIXELS:
            msg = f"{subject}: {size[0]} x {size[1]} pixels, {resized[0]} x {resized[1]} once resized, expected "
            msg += f"at most {MAX_PIXELS}"
            raise InvalidInput(msg)
        final = final_size(self._definition) or resized
        return max(size[0] * size[1], pixels, final[0] * final[1], _LEAST_COST)

    def _checked(self, subject: str, pixels: np.ndarray) -> _Image:
        found = pixels.shape[:2]
        if not all(expected in (-1, have) for have, expected in zip(found, self._spec_size, strict=True)):
            height, width = ("any" if axis == -1 else axis for axis in self._spec_size)
            msg = f"{subject}: {found[1]} x {found[0]} pixels, expected {width} x {height}"
            raise InvalidInput(msg)
        return _Image(pixels)
