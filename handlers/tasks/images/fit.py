"""Checks that a definition of the task `image-classification` fits a model."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from handlers.errors import UnsupportedManifest
from handlers.tasks.datatypes import FLOATS
from handlers.tasks.images.pixels import final_size

if TYPE_CHECKING:
    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import ImageClassificationTask

__all__ = ["check_fit"]

_AXES = 4


def check_fit(
    definition: "ImageClassificationTask", inputs: "Sequence[TensorSpec]", outputs: "Sequence[TensorSpec]"
) -> "TensorSpec":
    """Return the input that takes the images.

    Raises:
        UnsupportedManifest: The definition does not fit the model's inputs and outputs, or itself.
    """
    if [spec.name for spec in inputs] != [definition.input]:
        msg = f"task: input {definition.input!r}, expected the model's only one: {[spec.name for spec in inputs]}"
        raise UnsupportedManifest(msg)
    output = next((spec for spec in outputs if spec.name == definition.output), None)
    if output is None:
        msg = f"task: output {definition.output!r}, expected one of {[spec.name for spec in outputs]}"
        raise UnsupportedManifest(msg)
    for wrong, problem in _problems(definition, inputs[0], output):
        if wrong:
            msg = f"task: {problem}"
            raise UnsupportedManifest(msg)
    return inputs[0]


def _problems(
    definition: "ImageClassificationTask", image: "TensorSpec", output: "TensorSpec"
) -> Iterator[tuple[bool, str]]:
    """Yield what may be wrong, whether it is, in such an order that each may rely on those before."""
    channels = len(definition.color)  # a letter each
    numbers = (len(definition.mean), len(definition.std))
    labels = len(definition.labels)
    yield (
        image.datatype not in FLOATS or len(image.shape) != _AXES,
        f"input {image.name!r} is {image.datatype} {list(image.shape)}, expected floats, {definition.layout}",
    )
    first = 1 if definition.layout == "NCHW" else 3
    yield (
        image.shape[first] not in (-1, channels),
        f"input {image.name!r} has {image.shape[first]} channels, expected {channels} for color {definition.color!r}",
    )
    yield (
        numbers != (channels, channels),
        f"{numbers[0]} numbers in `mean`, {numbers[1]} in `std`, expected {channels}, one for each channel",
    )
    yield 0 in definition.std, f"std {list(definition.std)}, expected no 0"
    yield (
        len(output.shape) != 2 or output.shape[1] not in (-1, labels),  # noqa: PLR2004 - the batch and its scores
        f"{labels} labels for output {output.name!r} of shape {list(output.shape)}, expected [batch, {labels}]",
    )
    yield not labels, "no labels, expected at least one"
    size = final_size(definition)
    height, width = image.shape[2:] if definition.layout == "NCHW" else image.shape[1:3]
    if size is None:
        keeps = definition.resize is not None and (height, width) != (-1, -1)
        yield keeps, f"images of any shape for an input of {height} x {width}, expected a `crop` after the `resize`"
    else:
        fits = height in (-1, size[1]) and width in (-1, size[0])
        yield not fits, f"images of height {size[1]} and width {size[0]}, expected {height} and {width}"
