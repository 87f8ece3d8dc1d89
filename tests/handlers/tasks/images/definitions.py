"""Definitions of the task, and the models that they are for."""

from typing import Any

from handlers.registry.manifest import TensorSpec
from handlers.tasks.definitions import ImageClassificationTask, Resize
from handlers.tasks.images.classification import ImageClassification

__all__ = ["IMAGENET", "LABELS", "task"]

LABELS = ("cat", "dog", "bird")

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Means and deviations of red, green and blue."""


def task(*shape: int, **changes: object) -> ImageClassification:
    """Return a task for a model that takes images of `shape`, [-1, 3, 8, 6] unless told otherwise.

    Its definition resizes to 8 x 6, its input is FP32, and its output `scores` [-1, 3], unless `changes` say otherwise.
    """
    given: dict[str, Any] = {
        "input": "image",
        "output": "logits",
        "labels": LABELS,
        "resize": Resize(height=8, width=6),
    }
    given |= {"datatype": "FP32", "scores": (-1, 3)} | changes
    inputs = [TensorSpec(name="image", datatype=given.pop("datatype"), shape=shape or (-1, 3, 8, 6))]
    outputs = [TensorSpec(name="logits", datatype="FP32", shape=given.pop("scores"))]
    return ImageClassification(ImageClassificationTask(**given), inputs, outputs)
